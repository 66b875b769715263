# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""dom0's xenstore tools as plugin scripts find them, VMs in that xenstore, and what goes from there into their records (facts 3.3, 5.1)."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from simulator import Simulator

from ._machines import machine

# Runs the command that is in its argument `line`, and answers with status, output and errors.
SHELL = """#!/bin/sh
line=$(printf "%s" "$1" | sed -n "s|.*<name>line</name><value>\\([^<]*\\)</value>.*|\\1|p" | base64 -d)
out=$(mktemp) err=$(mktemp)
sh -c "$line" >"$out" 2>"$err"
code=$?
text="$code $(base64 <"$out" | tr -d '\\n') $(base64 <"$err" | tr -d '\\n')"
rm -f "$out" "$err"
echo "<methodResponse><params><param><value><struct><member><name>Status</name><value>Success</value></member>\
<member><name>Value</name><value>$text</value></member></struct></value></param></params></methodResponse>"
"""
Run = Callable[[str], tuple[int, str, str]]


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    folder: Path = tmp_path_factory.mktemp("plugins")
    (folder / "shell").write_text(SHELL, encoding="utf-8")
    (folder / "shell").chmod(0o755)
    with Simulator("one_host", plugin_dir=folder) as simulator:
        yield simulator
        assert simulator.problems == []


@pytest.fixture(scope="module")
def session(simulator: Simulator) -> Any:
    return simulator.session()


@pytest.fixture(scope="module")
def dom0(session: Any) -> Run:
    (host,) = session.host.get_all()

    def run(line: str) -> tuple[int, str, str]:
        code, *outputs = session.host.call_plugin(host, "shell", "run", {"line": base64.b64encode(line.encode()).decode()}).split(" ")
        output, errors = (base64.b64decode(text).decode() for text in outputs)
        return int(code), output, errors

    return run


@pytest.fixture(scope="module")
def vm(session: Any) -> str:
    """A running VM that had data in its record before it started."""
    vm = machine(session, name="web", xenstore_data={"vm-data/hostname": "web", "FIST/x": "1", "other/key": "kept"})
    session.VM.add_to_other_config(vm, "simulator-agent", json.dumps({"starts_after": 0, "delay": 0.1}))
    session.VM.start(vm, False, False)
    return vm


@pytest.fixture(scope="module")
def top(session: Any, vm: str) -> str:
    return f"/local/domain/{session.VM.get_domid(vm)}"


# The tools


def test_what_the_tools_print(dom0: Run) -> None:
    assert dom0("xenstore-write /tool/a 1 /tool/b/c 'two words'") == (0, "", "")
    assert dom0("xenstore-read /tool/a /tool/b/c") == (0, "1\ntwo words\n", "")
    assert dom0("xenstore-read -p /tool/a") == (0, "/tool/a: 1\n", "")
    assert dom0("xenstore-list /tool") == (0, "a\nb\n", "")
    assert dom0("xenstore-list -p /tool") == (0, "/tool/a\n/tool/b\n", "")
    assert dom0("xenstore-ls /tool") == (0, 'a = "1"\nb = ""\n c = "two words"\n', "")
    assert dom0("xenstore-ls -f /tool") == (0, '/tool/a = "1"\n/tool/b = ""\n/tool/b/c = "two words"\n', "")
    assert dom0("xenstore-exists /tool/a; echo $?; xenstore-exists /tool/z; echo $?") == (0, "0\n1\n", "")
    assert dom0("xenstore-rm /tool && xenstore-exists /tool")[0] == 1


def test_a_line_stays_a_line(dom0: Run) -> None:
    assert dom0(r"xenstore-write /line 'a\nb\x41\\' && xenstore-read /line") == (0, "a\\nbA\\\\\n", "")
    assert dom0("xenstore-read -R /line") == (0, "a\nbA\\", "")


def test_relative_paths_are_those_of_dom0(dom0: Run) -> None:
    assert dom0("xenstore-write mine 1 && xenstore-read /local/domain/0/mine") == (0, "1\n", "")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("xenstore-read /nowhere", "couldn't read path /nowhere"),
        ("xenstore-list /nowhere", "could not list path /nowhere"),
        ("xenstore-rm /nowhere/deep", "could not remove path /nowhere/deep"),
        ("xenstore-write '/a b' 1", "could not write path /a b"),
        ("xenstore-write /big $(head -c 5000 /dev/zero | tr '\\0' x)", "could not write path /big"),
        ("xenstore-ls /nowhere", "xs_directory (/nowhere): No such file or directory"),
        ("xenstore-write /odd", "Usage: "),
        ("xenstore-read", "Usage: "),
    ],
)
def test_what_they_refuse(dom0: Run, line: str, words: str) -> None:
    code, output, errors = dom0(line)
    assert (code, output) == (1, "")
    assert words in errors


def test_all_or_nothing(dom0: Run) -> None:
    assert dom0("xenstore-write /whole 1 '/a b' 2")[0] == 1
    assert dom0("xenstore-exists /whole")[0] == 1


# VMs


def test_a_vm_is_there(session: Any, dom0: Run, vm: str, top: str) -> None:
    uuid = session.VM.get_uuid(vm)
    assert dom0(f"xenstore-read {top}/name {top}/vm /vm/{uuid}/uuid") == (0, f"web\n/vm/{uuid}\n{uuid}\n", "")


def test_what_of_its_record_a_guest_finds(session: Any, dom0: Run, vm: str, top: str) -> None:
    assert dom0(f"xenstore-read {top}/vm-data/hostname {top}/FIST/x") == (0, "web\n1\n", "")
    assert dom0(f"xenstore-exists {top}/other")[0] == 1
    session.VM.add_to_xenstore_data(vm, "vm-data/later", "1")
    assert dom0(f"xenstore-exists {top}/vm-data/later")[0] == 1
    session.VM.set_xenstore_data(vm, {"vm-data/hostname": "web", "vm-data/now": "1"})
    assert dom0(f"xenstore-read {top}/vm-data/now") == (0, "1\n", "")
    assert dom0(f"xenstore-exists {top}/FIST/x")[0] == 1


def test_what_is_written_below_vm_data_is_in_the_record(session: Any, dom0: Run, vm: str, top: str) -> None:
    dom0(f"xenstore-write {top}/vm-data/from/guest yes {top}/data/not 1")
    data = session.VM.get_xenstore_data(vm)
    assert data["vm-data/from/guest"] == "yes"
    assert not any(key.startswith("data/") for key in data)
    dom0(f"xenstore-rm {top}/vm-data/from")
    assert "vm-data/from/guest" not in session.VM.get_xenstore_data(vm)


def test_the_agent_answers_scripts(dom0: Run, top: str) -> None:
    """As a plugin asks it: write, look every now and then, remove the answer."""
    request = json.dumps({"name": "version", "value": "agent"})
    look = f"for n in $(seq 100); do xenstore-read {top}/data/guest/k1 2>/dev/null && break; sleep 0.05; done"
    code, output, _unused = dom0(f"xenstore-write {top}/data/host/k1 '{request}'; {look}; xenstore-rm {top}/data/guest/k1")
    assert (code, json.loads(output)) == (0, {"returncode": "0", "message": "1.39.1"})
    assert dom0(f"xenstore-exists {top}/data/host/k1")[0] == dom0(f"xenstore-exists {top}/data/guest/k1")[0] == 1


def test_a_domain_that_ended_is_gone(session: Any, dom0: Run, vm: str, top: str) -> None:
    session.VM.hard_reboot(vm)
    again = f"/local/domain/{session.VM.get_domid(vm)}"
    assert dom0(f"xenstore-exists {top}")[0] == 1
    assert dom0(f"xenstore-read {again}/name")[1] == "web\n"
    session.VM.hard_shutdown(vm)
    assert dom0(f"xenstore-exists {again}")[0] == 1
