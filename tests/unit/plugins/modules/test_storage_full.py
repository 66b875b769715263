# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A storage repository that fills up while a disk is written: each module says so, with the sizes, and leaves nothing behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.xapi.xenserver.plugins.module_utils.xenapi_session import Session
from simulator import Simulator

from ..conftest import Outcome, Run
from .images import content_of
from .machines import MACHINES, MIB, named, new_disk, the
from .test_xen_disk_transfer import write
from .transfers import CASES, IDS, SIZE, data, disks, image, run, with_image

__all__ = ["data", "run"]
pytestmark = pytest.mark.world(MACHINES)
# What is left when the writing begins. The least that a copy of the disk below takes is 2 MiB: the block of a VHD.
LEFT = MIB


@pytest.fixture
def fills(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """The repository fills up when a method is called, which is after all checks."""

    def fill(name: str, method: str) -> None:
        sr, original = the(simulator, "SR", name)["ref"], Session.call

        def call(self: Session, called: str, *arguments: Any) -> Any:
            if called == method:
                simulator.fill(sr, LEFT)
            return original(self, called, *arguments)

        monkeypatch.setattr(Session, "call", call)

    return fill


@pytest.mark.parametrize(("module", "sr", "asked", "params"), CASES, ids=IDS)
def test_while_it_is_written(
    run: Run, simulator: Simulator, data: str, fills: Callable[[str, str], None], tmp_path: Path, module: str, sr: str, asked: str, params: dict[str, Any]
) -> None:
    before = disks(simulator)
    # The first task of a rewrite is the one that reads the disk; the room is gone by then, and nothing was written yet.
    fills(sr, "task.create")
    outcome = run(module, **with_image(module, params, tmp_path))
    full(outcome, sr, asked)
    assert disks(simulator) == before
    assert not outcome["changed"]


def full(outcome: Outcome, sr: str, asked: str) -> None:
    assert outcome.failed
    assert f"storage repository {sr!r} is full: " in outcome.msg
    assert f"{asked} does not fit, " in outcome.msg
    free = outcome.msg.partition("does not fit, ")[2].partition(" are free; free space, or choose another sr")[0]
    assert free.endswith("B"), outcome.msg
    assert outcome["xenapi_error"]["code"] == "VDI_IO_ERROR"


class TestFullCopy:
    """To thin storage: what is surely needed is known, as the data of a clone lies in its parents."""

    @pytest.fixture
    def source(self, simulator: Simulator) -> str:
        session = simulator.session()
        ref = new_disk(session, the(simulator, "SR", "NFS storage")["ref"], "source", SIZE)
        write(simulator, ref, 0, b"x" * (32 * MIB))
        session.VDI.clone(ref, {})
        return ref

    def test_is_refused_before_anything_is_made(self, run: Run, simulator: Simulator, source: str) -> None:
        simulator.fill(the(simulator, "SR", "Local storage")["ref"], 16 * MIB)
        for module, params in (
            ("xen_vdi", {"name": "copy", "copy_of": simulator.records("VDI")[source]["uuid"], "sr": "Local storage"}),
            ("xen_disk_transfer", {"uuid": simulator.records("VDI")[source]["uuid"], "dest_sr": "Local storage"}),
        ):
            outcome = run(module, **params)
            assert (outcome.failed, outcome.writes) == (True, [])
            assert "storage repository 'Local storage' has 16MiB free, but disk " in outcome.msg

    def test_of_a_cached_image(self, run: Run, simulator: Simulator, tmp_path: Path) -> None:
        path = image(tmp_path)
        run("xen_image", image=path, name="first")
        simulator.fill(the(simulator, "SR", "NFS storage")["ref"], 4 * MIB)
        outcome = run("xen_image", image=path, name="second", full_copy=True)
        assert (outcome.failed, outcome.writes) == (True, [])
        assert "storage repository 'NFS storage' has 4MiB free, but disk 'second' needs 8" in outcome.msg
        assert run("xen_image", image=path, name="second").changed, "a clone takes next to nothing"

    @pytest.mark.parametrize("module", ["xen_vdi", "xen_image"])
    def test_that_fills_the_storage_leaves_nothing(
        self, run: Run, simulator: Simulator, source: str, fills: Callable[[str, str], None], tmp_path: Path, module: str
    ) -> None:
        path = image(tmp_path)
        run("xen_image", image=path, name="first")
        before = disks(simulator)
        fills("NFS storage", "Async.VDI.copy")
        params = {"image": path, "full_copy": True} if module == "xen_image" else {"copy_of": simulator.records("VDI")[source]["uuid"]}
        outcome = run(module, name="second", **params)
        full(outcome, "NFS storage", "of 8MiB" if module == "xen_image" else "of 64MiB")
        assert disks(simulator) == before
        assert content_of(simulator, the(simulator, "VDI", "first")["ref"])[:MIB] == b"\1" * MIB
        assert named(simulator, "VDI", "second") == []
