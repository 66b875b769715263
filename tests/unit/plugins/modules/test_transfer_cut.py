# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A connection that breaks at some byte, on the way in or out: nothing half made stays, and the next run succeeds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from simulator import Rule, Simulator
from simulator.transport.flow import Flow

from ..conftest import Run
from .images import DISK, content_of
from .images import image as image_file
from .machines import MACHINES, named, the
from .test_xen_image import KEY, SCRIPT
from .transfers import CASES, IDS, data, disks, run, with_image

__all__ = ["data", "image_file", "run"]
pytestmark = pytest.mark.world(MACHINES)
# What reads a disk before it writes: the base of a transfer, the partition of a rewrite.
READS = {"xen_disk_transfer", "xen_disk_resize", "xen_disk_inject"}


@pytest.mark.parametrize("at", [5, 3000])
@pytest.mark.parametrize(("module", "_sr", "_asked", "params"), CASES, ids=IDS)
def test_on_the_way_in(run: Run, simulator: Simulator, data: str, tmp_path: Path, module: str, _sr: str, _asked: str, params: dict[str, Any], at: int) -> None:
    broken_and_again(run, simulator, tmp_path, module, params, Rule("PUT /import_raw_vdi", cut="before", at=at, nth=1))


@pytest.mark.parametrize(("at", "nth"), [(0, 1), (1000, 2)])
@pytest.mark.parametrize(("module", "_sr", "_asked", "params"), [case for case in CASES if case[0] in READS])
def test_on_the_way_out(
    run: Run, simulator: Simulator, data: str, tmp_path: Path, module: str, _sr: str, _asked: str, params: dict[str, Any], at: int, nth: int
) -> None:
    """The first reads of a rewrite look at the beginning of the disk."""
    if module == "xen_disk_transfer":
        nth = 1
    broken_and_again(run, simulator, tmp_path, module, params, Rule("GET /export_raw_vdi", cut="before", at=at, nth=nth))


def broken_and_again(run: Run, simulator: Simulator, folder: Path, module: str, params: dict[str, Any], rule: Rule) -> None:
    given, before = with_image(module, params, folder), disks(simulator)
    simulator.faults.add(rule)
    outcome = run(module, **given)
    assert rule.struck == 1
    assert outcome.failed
    assert disks(simulator) == before
    assert not outcome.result.get("changed")
    simulator.faults.clear()
    again = run(module, **given)
    assert not again.failed, again.result
    assert again.changed
    marks = [record["other_config"].get(KEY, "") for record in simulator.records("VDI").values() if record["managed"]]
    unfinished = [mark for mark in marks if mark.startswith("unfinished")]
    assert len(unfinished) == (1 if params.get("phase") == "send" else 0), "what was sent waits for its import"


Kill = Callable[[int, dict[str, Any]], None]


@pytest.fixture
def killed_at(simulator: Simulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Kill:
    """A process of xen_image that gets SIGKILL when the pool has that many bytes of its upload."""

    def kill(at: int, params: dict[str, Any]) -> None:
        started = Event()
        processes: list[subprocess.Popen[bytes]] = []

        async def strike(_flow: Flow, _rule: Rule) -> None:
            assert started.wait(30)
            processes[0].kill()
            processes[0].wait()

        server = simulator.serve(tls=False, http=True)
        simulator.faults.add(Rule("PUT /import_raw_vdi", stall=1, at=at))
        monkeypatch.setattr(Flow, "_strike", strike)
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(tmp_path)}
        given = {"hostname": server.url, "password": simulator.password, **params}
        processes.append(subprocess.Popen([sys.executable, "-c", SCRIPT, json.dumps(given)], env=environment, stdout=subprocess.DEVNULL))
        started.set()
        assert processes[0].wait(60) == -9
        simulator.faults.clear()

    return kill


LAST = 110_639  # of the upload of DISK: the last byte of the end mark


@pytest.mark.parametrize(("at", "cache"), [(0, False), (7, False), (12, True), (4114, False), (60_000, True), (LAST - 11, False), (LAST, False)])
def test_process_killed_at_a_byte(run: Run, simulator: Simulator, image_file: Any, killed_at: Kill, at: int, cache: bool) -> None:
    """Nothing of it runs any more: the half-made disk is there, attached to nothing, and the next run removes it."""
    params = {"image": image_file(), "vm": "web1", "userdevice": "1", "cache": cache}
    before = disks(simulator)
    killed_at(at, params)
    left = disks(simulator)
    (half,) = left.keys() - before.keys()
    assert left == {**before, half: []}
    assert simulator.records("VDI")[half]["other_config"][KEY].startswith("unfinished")
    outcome = run("xen_image", **params)
    assert not outcome.failed, outcome.result
    assert half not in simulator.records("VDI")
    assert content_of(simulator, the(simulator, "VDI", "web1")["ref"]) == DISK
    assert len(named(simulator, "VDI", "web1")) == 1
    assert not run("xen_image", **params).changed
