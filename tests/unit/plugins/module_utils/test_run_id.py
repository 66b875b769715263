# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from ansible_collections.xapi.xenserver.plugins.filter.xen_run_state import FilterModule
from ansible_collections.xapi.xenserver.plugins.lookup.xen_run_id import LookupModule
from ansible_collections.xapi.xenserver.plugins.module_utils import _run_id
from ansible_collections.xapi.xenserver.plugins.module_utils._lock import locked
from ansible_collections.xapi.xenserver.plugins.module_utils._run_id import new_id, state_of, subject_of

from ..conftest import Run


def test_ids_differ_and_have_the_subject_in_common() -> None:
    first, second = new_id("web1", os.getpid()), new_id("web1", os.getpid())
    assert first != second
    assert subject_of(first) == subject_of(second) != subject_of(new_id("web2", os.getpid()))


def test_state_of_a_run() -> None:
    own = new_id("web1", os.getpid())
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    other = new_id("web1", child.pid)
    assert state_of(own, own) == "own"
    assert state_of(other, own) == "alive"
    child.kill()
    child.communicate()
    assert state_of(other, own) == "dead"


def test_another_process_of_the_same_number_is_not_the_run() -> None:
    parsed = _run_id.parse(new_id("web1", os.getpid()))
    assert parsed is not None
    assert state_of(str(parsed._replace(start="1")), "own") == "dead"


@pytest.mark.parametrize("text", ["by-hand", "", "a.b.c", "a.another-machine.1.2.3"])
def test_a_run_that_cannot_be_seen_is_unknown(text: str) -> None:
    assert state_of(text, "own") == "unknown"


def test_lookup_and_filter() -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(LookupModule, "set_options", lambda *_unused, **_options: None)
        (made,) = LookupModule().run(["web1"])
    state = FilterModule().filters()["xen_run_state"]
    assert state(made, "other") == "alive"
    assert state(made, made) == "own"
    assert subject_of(made) == subject_of(new_id("web1", 1))


def test_tasks_that_build_the_same_wait_for_each_other(run_module: Run) -> None:
    """A module waits for the one that a killed Ansible left behind; runs of other things go on."""
    subject = subject_of(new_id("web1", os.getpid()))
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with locked(f"run pool.example {subject}", timeout=5, what="nothing"):
            held.set()
            release.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(5)
    try:
        blocked = run_module("xen_vm", name="web1", memory="256MiB", run_id=new_id("web1", os.getpid()), timeout=0.3)
        assert blocked.failed
        assert "another run that builds the same" in blocked.msg
        assert blocked.calls == []
        assert not run_module("xen_vm", name="web2", memory="256MiB", run_id=new_id("web2", os.getpid()), timeout=0.3).failed
    finally:
        release.set()
        thread.join()
    assert not run_module("xen_vm", name="web1", memory="256MiB", run_id=new_id("web1", os.getpid())).failed
