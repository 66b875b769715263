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
from .filesystems import attached, filesystem_disk, load
from .generated import address
from .images import content_of
from .machines import MACHINES, MIB, named, new_disk, the
from .test_xen_disk_transfer import write

pytestmark = pytest.mark.world(MACHINES)
SIZE = 64 * MIB
# What is left when the writing begins. The least that a copy of the disk below takes is 2 MiB: the block of a VHD.
LEFT = MIB


@pytest.fixture
def run(run_module: Run, simulator: Simulator) -> Run:
    return lambda module, **params: run_module(module, **{"hostname": address(simulator), **params})


@pytest.fixture
def data(simulator: Simulator, tmp_path: Path) -> str:
    """An ext4 disk, device 4 of web1."""
    session = simulator.session()
    ref = load(session, filesystem_disk(tmp_path / "made", SIZE), "data", sr="Local storage")
    attached(session, "web1", ref)
    return ref


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


def image(folder: Path) -> str:
    path = folder / "image.raw"
    path.write_bytes(b"x" * (8 * MIB))
    return str(path)


CASES: list[tuple[str, str, str, dict[str, Any]]] = [
    ("xen_swap", "NFS storage", "disk 'web1' of 256MiB", {"vm": "web2", "size": "256MiB", "name": "web1", "filesystem": "vfat"}),
    ("xen_blank_disk", "NFS storage", "disk 'web2' of 8GiB", {"vm": "web2", "size": "8GiB", "userdevice": "3"}),
    ("xen_configdrive", "NFS storage", "disk 'config-2' of 64MiB", {"vm": "web2", "files": [{"path": "/x", "content": "x" * 8 * MIB}]}),
    ("xen_image", "NFS storage", "of 8MiB", {"name": "root", "cache": False}),
    ("xen_image", "NFS storage", "of 8MiB", {"name": "root", "cache": True}),
    ("xen_vdi", "NFS storage", "disk 'root' of 8MiB", {"name": "root"}),
    ("xen_disk_transfer", "NFS storage", "disk 'data' of 64MiB", {"name": "data", "dest_sr": "NFS storage"}),
    ("xen_disk_transfer", "NFS storage", "disk 'data' of 64MiB", {"name": "data", "dest_sr": "NFS storage", "phase": "base"}),
    ("xen_disk_resize", "Local storage", "disk 'small' of 32MiB", {"name": "data", "mode": "shrink_copy", "size": "32MiB", "copy_name": "small"}),
    ("xen_disk_resize", "Local storage", "disk 'data' of 32GiB", {"name": "data", "mode": "auto_configure", "size": "32GiB"}),
    ("xen_disk_inject", "Local storage", "disk 'data' of 64MiB", {"name": "data", "files": [{"path": "/x", "content": "x" * 8 * MIB}]}),
]


@pytest.mark.parametrize(("module", "sr", "asked", "params"), CASES, ids=[f"{number} {case[0]}" for number, case in enumerate(CASES)])
def test_while_it_is_written(
    run: Run, simulator: Simulator, data: str, fills: Callable[[str, str], None], tmp_path: Path, module: str, sr: str, asked: str, params: dict[str, Any]
) -> None:
    key = {"xen_image": "image", "xen_vdi": "content"}.get(module)
    given = {**params, **({key: image(tmp_path)} if key else {})}
    before = disks(simulator)
    # The first task of a rewrite is the one that reads the disk; the room is gone by then, and nothing was written yet.
    fills(sr, "task.create")
    outcome = run(module, **given)
    full(outcome, sr, asked)
    assert disks(simulator) == before
    assert not outcome["changed"]


def disks(simulator: Simulator) -> dict[str, list[str]]:
    """What a user sees, and where it is attached."""
    return {ref: record["VBDs"] and [simulator.records("VBD")[vbd]["userdevice"] for vbd in record["VBDs"]] for ref, record in shown(simulator).items()}


def shown(simulator: Simulator) -> dict[str, Any]:
    return {ref: record for ref, record in simulator.records("VDI").items() if record["managed"]}


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
        assert content_of(simulator, the(simulator, "VDI", "first")["ref"])[:MIB] == b"x" * MIB
        assert named(simulator, "VDI", "second") == []
