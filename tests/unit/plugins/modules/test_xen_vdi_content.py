# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Contents of disks by ``xen_vdi``: bytes over a real socket, calls in memory."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.xapi.xenserver.plugins.module_utils import _disk_export, _disk_stream, _raw_file
from ansible_collections.xapi.xenserver.plugins.module_utils.xenapi_session import Session
from ansible_collections.xapi.xenserver.plugins.modules import xen_vdi
from simulator import Rule, Simulator

from ..conftest import Outcome, Run
from .generated import dying
from .machines import MACHINES, MIB, attach, new_disk, start, the

pytestmark = pytest.mark.world(MACHINES)
CONTENT = "xen_ansible:content"
# Bytes at both ends and in the middle, and an odd length; the rest is a hole.
SIZE = 9 * MIB + 1234


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image.raw"
    with path.open("wb") as file:
        file.write(b"boot" * 1024)
        file.seek(5 * MIB + 100)
        file.write(os.urandom(5000))
        file.seek(SIZE - 10)
        file.write(b"0123456789")
    return path


@pytest.fixture
def run_vdi(run_module: Run, simulator: Simulator) -> Callable[..., Outcome]:
    """The module, reaching the pool's streams over plain HTTP on the loopback interface."""
    url = simulator.serve(tls=False, http=True).http_url
    return lambda **params: run_module("xen_vdi", hostname=url, **params)


def bytes_of(simulator: Simulator, name: str, length: int | None = None) -> bytes:
    """What is on a disk, or its beginning, as the storage has it."""
    ref = the(simulator, "VDI", name)["ref"]

    async def read() -> bytes:
        disks: Any = simulator.engine.behaviours["VDI"]
        volume = disks.volume(ref)
        return bytes(volume.read(0, volume.size if length is None else length))

    return simulator.run(read())


class TestImport:
    def test_disk_has_the_bytes_and_zeros_behind_them(self, run_vdi: Run, simulator: Simulator, image: Path) -> None:
        outcome = run_vdi(name="root", content=str(image), disk_type="root")
        assert outcome.writes == ["Async.VDI.create", "PUT /import_raw_vdi", "VDI.remove_from_other_config", "VDI.add_to_other_config"]
        on_disk = bytes_of(simulator, "root")
        assert len(on_disk) == outcome["vdi"]["size"] == 10 * MIB, "rounded up to blocks of 2 MiB"
        assert on_disk[:SIZE] == image.read_bytes()
        assert not any(on_disk[SIZE:])
        assert outcome["vdi"]["content"].startswith("sparse-sha256:")
        assert the(simulator, "VDI", "root")["other_config"][CONTENT] == outcome["vdi"]["content"]
        assert outcome["vdi"]["other_config"]["nova_disk_type"] == "root"

    def test_only_what_is_not_zero_is_sent(self, run_vdi: Run, image: Path) -> None:
        transfer = run_vdi(name="root", content=str(image))["transfer"]
        assert transfer["bytes_total"] == SIZE
        assert transfer["bytes_sent"] == 4096 + 2 * 4096 + 4096, "the blocks that hold something"
        assert transfer["seconds"] > 0

    def test_repeat_writes_nothing(self, run_vdi: Run, image: Path) -> None:
        run_vdi(name="root", content=str(image), size="64MiB")
        again = run_vdi(name="root", content=str(image), size="64MiB")
        assert (again.changed, again.writes) == (False, [])
        assert "transfer" not in again.result

    def test_same_bytes_stored_without_holes_are_the_same_content(self, run_vdi: Run, image: Path, tmp_path: Path) -> None:
        run_vdi(name="root", content=str(image))
        full = tmp_path / "full.raw"
        full.write_bytes(image.read_bytes())
        assert not run_vdi(name="root", content=str(full)).changed

    def test_check_mode_foretells(self, run_vdi: Run, simulator: Simulator, image: Path) -> None:
        checked = run_vdi(name="root", content=str(image), size="64MiB", check=True)
        assert checked.writes == []
        real = run_vdi(name="root", content=str(image), size="64MiB")
        for key in ("vdi", "transfer"):
            assert checked[key] == {name: real[key][name] for name in checked[key]}
        assert checked.result.keys() == real.result.keys()

    def test_no_task_is_left(self, run_vdi: Run, simulator: Simulator, image: Path) -> None:
        run_vdi(name="root", content=str(image))
        assert simulator.records("task") == {}

    def test_all_zero_image(self, run_vdi: Run, simulator: Simulator, tmp_path: Path) -> None:
        blank = tmp_path / "blank.raw"
        with blank.open("wb") as file:
            file.truncate(2 * MIB)
        outcome = run_vdi(name="blank", content=str(blank))
        assert outcome["transfer"]["bytes_sent"] == 0
        assert outcome["vdi"]["content"].startswith("sparse-sha256:")
        assert not any(bytes_of(simulator, "blank"))


class TestInterrupted:
    def test_failing_transfer_leaves_no_disk(self, run_vdi: Run, simulator: Simulator, image: Path) -> None:
        before = simulator.records("VDI").keys()
        simulator.faults.add(Rule("VDI.add_to_other_config", error=("INTERNAL_ERROR", "db"), nth=1))
        outcome = run_vdi(name="root", content=str(image))
        assert outcome.failed
        assert "could not mark the content as complete" in outcome.msg
        assert outcome["undone"] == ["create disk 'root' on 'NFS storage'"]
        assert simulator.records("VDI").keys() == before
        assert simulator.records("task") == {}

    def test_disk_says_that_it_is_unfinished_until_its_content_is_whole(
        self, run_vdi: Run, simulator: Simulator, image: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with dying(monkeypatch, "VDI.remove_from_other_config"):
            assert run_vdi(name="root", content=str(image)).failed
        left = the(simulator, "VDI", "root")
        assert left["other_config"][CONTENT].startswith("unfinished ")
        outcome = run_vdi(name="root", content=str(image))
        assert outcome.writes[:2] == ["Async.VDI.destroy", "Async.VDI.create"]
        assert the(simulator, "VDI", "root")["other_config"][CONTENT] == outcome["vdi"]["content"]

    def test_file_that_changes_on_the_way_leaves_no_disk(self, run_vdi: Run, simulator: Simulator, image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The pool holds the disk until it notices that the stream is over; the undo comes after that."""
        read_at = _raw_file.read_at

        def touched(file: Any, offset: int, length: int) -> bytes:
            os.utime(image, ns=(1, 1))
            return read_at(file, offset, length)

        before = simulator.records("VDI").keys()
        monkeypatch.setattr(_disk_stream, "read_at", touched)
        outcome = run_vdi(name="root", content=str(image))
        assert outcome.failed
        assert "changed while it was read; run the task again when nobody writes to it" in outcome.msg
        assert outcome["undone"] == ["create disk 'root' on 'NFS storage'"]
        assert simulator.records("VDI").keys() == before

    def test_half_written_disk_is_made_anew(self, run_vdi: Run, simulator: Simulator, image: Path) -> None:
        """As a killed run leaves it: marked, and full of what was there before."""
        ref = half_written(simulator)
        checked = run_vdi(name="root", content=str(image), check=True)
        assert (checked.changed, checked.writes) == (True, [])
        outcome = run_vdi(name="root", content=str(image))
        assert outcome.writes[:2] == ["Async.VDI.destroy", "Async.VDI.create"]
        assert checked["vdi"] == {name: outcome["vdi"][name] for name in checked["vdi"]}
        assert bytes_of(simulator, "root")[:SIZE] == image.read_bytes()
        assert the(simulator, "VDI", "root")["ref"] != ref
        assert not run_vdi(name="root", content=str(image)).changed

    def test_half_written_disk_that_somebody_knows_is_written_in_place(self, run_vdi: Run, simulator: Simulator, image: Path) -> None:
        ref = half_written(simulator)
        attach(simulator.session(), the(simulator, "VM", "web1")["ref"], ref, "1")
        outcome = run_vdi(name="root", content=str(image))
        assert outcome.changed
        on_disk = bytes_of(simulator, "root")
        assert on_disk[:SIZE] == image.read_bytes()
        assert not any(on_disk[SIZE:]), "zeros are written over what was there"
        assert the(simulator, "VDI", "root")["ref"] == ref
        assert not run_vdi(name="root", content=str(image)).changed


def half_written(simulator: Simulator) -> str:
    session = simulator.session()
    ref = new_disk(session, the(simulator, "SR", "NFS storage")["ref"], "root", 10 * MIB, other_config={CONTENT: "unfinished sha256:0"})
    fill(simulator, ref, b"\xff" * (10 * MIB))
    return ref


def fill(simulator: Simulator, ref: str, data: bytes) -> None:
    async def write() -> None:
        disks: Any = simulator.engine.behaviours["VDI"]
        disks.volume(ref).write(0, data)

    simulator.run(write())


@pytest.mark.world({**MACHINES, "srs": [*MACHINES["srs"], {"name": "Tiny", "type": "ext", "size": "5MiB", "each_host": True}]})
def test_storage_that_fills_up_on_the_way(run_vdi: Run, simulator: Simulator, tmp_path: Path) -> None:
    """Three bytes need three blocks of 2 MiB, which the check before cannot know. The 200 came long before (facts §4.1)."""
    scattered = tmp_path / "scattered.raw"
    with scattered.open("wb") as file:
        for number in range(3):
            file.seek(number * 2 * MIB)
            file.write(b"x")
    before = simulator.records("VDI").keys()
    outcome = run_vdi(name="root", content=str(scattered), sr="Tiny")
    assert outcome.failed
    assert outcome["xenapi_error"] == {"code": "VDI_IO_ERROR", "arguments": ["Device I/O errors"]}
    assert outcome.msg.startswith(f"could not write {str(scattered)!r} to the disk: storage repository 'Tiny' is full: disk 'root' of ")
    assert simulator.records("VDI").keys() == before


class TestOtherContent:
    def test_is_not_replaced_unless_told(self, run_vdi: Run, simulator: Simulator, image: Path) -> None:
        new_disk(simulator.session(), the(simulator, "SR", "NFS storage")["ref"], "precious", 10 * MIB)
        for check in (True, False):
            outcome = run_vdi(name="precious", content=str(image), check=check)
            assert outcome.failed
            assert "disk 'precious' exists and has content of unknown origin" in outcome.msg
            assert "set overwrite to replace what is on it" in outcome.msg
            assert outcome.writes == []

    def test_is_replaced_when_told(self, run_vdi: Run, simulator: Simulator, image: Path, tmp_path: Path) -> None:
        other = tmp_path / "other.raw"
        other.write_bytes(b"\xee" * (6 * MIB))
        run_vdi(name="root", content=str(other), size="10MiB")
        assert run_vdi(name="root", content=str(image)).failed
        assert run_vdi(name="root", content=str(image), overwrite=True).changed
        assert bytes_of(simulator, "root")[:SIZE] == image.read_bytes()
        assert not run_vdi(name="root", content=str(image), overwrite=True).changed

    def test_never_under_a_running_vm(self, run_vdi: Run, simulator: Simulator, image: Path) -> None:
        """xapi would do it and say success (recording images)."""
        start(simulator, "web1")
        outcome = run_vdi(name="web1 root", content=str(image), overwrite=True)
        assert outcome.failed
        assert outcome.msg == "disk 'web1 root' is in use by VM 'web1' and cannot be written; halt the VM, or detach the disk first"
        assert outcome.writes == []

    def test_never_under_a_vm_that_was_started_meanwhile(self, run_vdi: Run, simulator: Simulator, image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        original, before = Session.call, bytes_of(simulator, "web1 root", MIB)

        def call(self: Session, method: str, *arguments: Any) -> Any:
            if method == "VDI.add_to_other_config":  # the mark that it is unfinished
                start(simulator, "web1")
            return original(self, method, *arguments)

        monkeypatch.setattr(Session, "call", call)
        outcome = run_vdi(name="web1 root", content=str(image), overwrite=True)
        assert outcome.failed
        assert "disk 'web1 root' is in use by VM 'web1' and cannot be written; halt the VM, or detach the disk first" in outcome.msg
        assert bytes_of(simulator, "web1 root", MIB) == before

    def test_grows_before_a_larger_content(self, run_vdi: Run, simulator: Simulator, image: Path) -> None:
        small = image.with_name("small.raw")
        small.write_bytes(b"s" * MIB)
        run_vdi(name="root", content=str(small))
        assert "does not fit on a disk of 2097152" in run_vdi(name="root", content=str(image), overwrite=True).msg
        outcome = run_vdi(name="root", content=str(image), overwrite=True, size="12MiB")
        assert outcome.writes[0] == "Async.VDI.resize"
        assert bytes_of(simulator, "root")[:SIZE] == image.read_bytes()


class TestExport:
    def test_file_has_the_bytes_and_holes(self, run_vdi: Run, image: Path, tmp_path: Path) -> None:
        run_vdi(name="root", content=str(image), size="64MiB")
        dest = tmp_path / "out.raw"
        outcome = run_vdi(name="root", state="exported", dest=str(dest))
        assert (outcome.changed, outcome.writes) == (True, [])
        assert dest.stat().st_size == 64 * MIB
        assert dest.read_bytes()[:SIZE] == image.read_bytes()
        assert not any(dest.read_bytes()[SIZE:])
        assert dest.stat().st_blocks * 512 < MIB, "holes where the disk has zeros"
        assert dest.stat().st_mode & 0o777 == 0o600
        assert outcome["transfer"]["bytes_total"] == 64 * MIB
        assert outcome["transfer"]["bytes_sent"] < 8 * MIB, "three used blocks of 2 MiB, and the head of a VHD"
        assert outcome["dest"] == str(dest)
        assert sorted(os.listdir(tmp_path)) == ["image.raw", "out.raw"], "no temporary file is left"

    def test_disk_too_large_for_a_vhd_travels_raw(self, run_vdi: Run, image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(_disk_export, "LARGEST", 0)
        run_vdi(name="root", content=str(image))
        dest = tmp_path / "out.raw"
        outcome = run_vdi(name="root", state="exported", dest=str(dest))
        assert outcome["transfer"]["bytes_sent"] == dest.stat().st_size == 10 * MIB
        assert dest.read_bytes()[:SIZE] == image.read_bytes()
        assert not any(dest.read_bytes()[SIZE:])

    def test_existing_file_is_left_alone(self, run_vdi: Run, tmp_path: Path) -> None:
        dest = tmp_path / "out.raw"
        dest.write_text("mine")
        outcome = run_vdi(name="golden", state="exported", dest=str(dest))
        assert not outcome.changed
        assert dest.read_text() == "mine"
        assert run_vdi(name="golden", state="exported", dest=str(dest), overwrite=True).changed
        assert dest.stat().st_size == 2048 * MIB

    def test_check_mode_writes_no_file(self, run_vdi: Run, tmp_path: Path) -> None:
        dest = tmp_path / "out.raw"
        assert run_vdi(name="golden", state="exported", dest=str(dest), check=True).changed
        assert not dest.exists()

    def test_disk_in_use_is_read_from_a_snapshot(self, run_vdi: Run, simulator: Simulator, tmp_path: Path) -> None:
        start(simulator, "web1")
        disks = simulator.records("VDI").keys()
        outcome = run_vdi(name="web1 root", state="exported", dest=str(tmp_path / "out.raw"))
        assert outcome.writes == ["Async.VDI.snapshot", "VDI.destroy"]
        managed = {ref for ref, record in simulator.records("VDI").items() if record["managed"]}
        assert managed == set(disks)

    def test_failing_export_leaves_neither_file_nor_snapshot(self, run_vdi: Run, simulator: Simulator, tmp_path: Path) -> None:
        start(simulator, "web1")
        simulator.faults.add(Rule("task.create", error=("INTERNAL_ERROR", "no tasks"), nth=1))
        outcome = run_vdi(name="web1 root", state="exported", dest=str(tmp_path / "out.raw"))
        assert outcome.failed
        assert outcome["undone"] == ["take a snapshot of disk 'web1 root'"]
        assert list(tmp_path.iterdir()) == []


@pytest.mark.world("three_hosts")
class TestPool:
    @pytest.fixture
    def elsewhere(self, simulator: Simulator) -> str:
        """The uuid of the local storage of a member."""
        pool = next(iter(simulator.records("pool").values()))
        pbds = simulator.records("PBD")
        locals_ = [(ref, record) for ref, record in simulator.records("SR").items() if record["name_label"] == "Local storage"]
        return next(record["uuid"] for ref, record in locals_ if all(pbds[pbd]["host"] != pool["master"] for pbd in record["PBDs"]))

    @pytest.mark.parametrize("tls", [True, False], ids=["tls", "plain"])
    def test_transfer_goes_to_the_host_that_has_the_disk(
        self, run_module: Run, simulator: Simulator, image: Path, elsewhere: str, tmp_path: Path, tls: bool
    ) -> None:
        """xapi answers 302 there (facts §4)."""
        server = simulator.serve(tls=tls, http=not tls)
        trust = {"hostname": server.url, **({"ca_path": str(server.ca_path)} if tls else {})}
        outcome = run_module("xen_vdi", **trust, name="root", sr=elsewhere, content=str(image))
        assert not outcome.failed, outcome.result
        assert bytes_of(simulator, "root")[:SIZE] == image.read_bytes()
        dest = tmp_path / "out.raw"
        assert not run_module("xen_vdi", **trust, name="root", sr=elsewhere, state="exported", dest=str(dest)).failed
        assert dest.read_bytes()[:SIZE] == image.read_bytes()


def test_examples_run(run_vdi: Run, simulator: Simulator, image: Path, tmp_path: Path) -> None:
    places = {"/srv/images/debian-12.raw": str(image), "/tmp/data-backup.raw": str(tmp_path / "out.raw")}
    for task in yaml.safe_load(xen_vdi.EXAMPLES):
        params = {key: places.get(str(value), value) for key, value in task["xapi.xenserver.xen_vdi"].items()}
        if "sm_config_absent" in params:
            simulator.session().VDI.add_to_sm_config(the(simulator, "VDI", params["name"])["ref"], "base_mirror", "x")
        outcome = run_vdi(**params)
        assert not outcome.failed, (task["name"], outcome.result)
        assert outcome.changed, task["name"]
    assert bytes_of(simulator, "web1", SIZE) == image.read_bytes()
    assert (tmp_path / "out.raw").stat().st_size == 20 * 2**30
