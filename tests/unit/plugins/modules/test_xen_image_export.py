# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.xapi.xenserver.plugins.module_utils import _disk_read, _export_record, _export_write
from ansible_collections.xapi.xenserver.plugins.module_utils._image_bytes import Origin
from ansible_collections.xapi.xenserver.plugins.module_utils._image_source import opened
from simulator import Simulator
from simulator.transport.memory import MemorySession

from ..conftest import Run
from ..scenario import Do, Scenario
from .images import DISK, MIB, SIZE, disk, run_served
from .machines import MACHINES, attach, new_disk, start, the

__all__ = ["run_served"]

QEMU = shutil.which("qemu-img")
needs_qemu = pytest.mark.skipif(QEMU is None, reason="qemu-img is not installed (Debian package qemu-utils)")


def write(simulator: Simulator, ref: str, data: bytes, offset: int = 0) -> None:
    async def put() -> None:
        simulator.engine.behaviours["VDI"].volume(ref).write(offset, data)

    simulator.run(put())


def disk_with(session: MemorySession, content: bytes = DISK, name: str = "data") -> str:
    sr = session.pool.get_default_SR(session.pool.get_all()[0])
    ref = new_disk(session, sr, name, SIZE)
    for start_ in range(0, len(content), MIB):
        if content[start_ : start_ + MIB].strip(b"\0"):
            write(session.client.simulator, ref, content[start_ : start_ + MIB], start_)
    return ref


# Removed when the interpreter ends.
_TEMPORARY = tempfile.TemporaryDirectory(prefix="xen_image_export_")
FOLDER = _TEMPORARY.name


def an_exported_snapshot(session: MemorySession) -> None:
    """As an earlier run left it: a snapshot never changes, so nothing has to be read."""
    snapshot = session.VDI.snapshot(disk_with(session), {})
    dest = str(Path(FOLDER) / "image")
    Path(dest).write_bytes(DISK)
    facts = {"format": "raw", "compression_level": None, "properties": {}, "vdi": session.VDI.get_uuid(snapshot), "disk_size": SIZE}
    _export_record.write_record(dest, dest, {**facts, "content": "x", "checksum": f"sha256:{hashlib.sha256(DISK).hexdigest()}"})


def of_snapshot(session: MemorySession) -> dict[str, Any]:
    (uuid,) = (record["uuid"] for record in session.VDI.get_all_records().values() if record["is_a_snapshot"])
    return {"vdi": uuid, "dest": f"{FOLDER}/image"}


SCENARIO = Scenario(Do(of_snapshot, changes=False), world=MACHINES, prepare=an_exported_snapshot)
pytestmark = pytest.mark.world(MACHINES)


def read_back(path: Path) -> bytes:
    with opened(Origin(str(path)), "auto") as image:
        assert image.size is not None
        content = bytearray(image.size)
        for offset, data in image.extents():
            content[offset : offset + len(data)] = data
        return bytes(content)


@pytest.mark.parametrize("form", ["raw", "vhd", "qcow2", "tgz"])
def test_the_file_holds_the_disk_and_a_rerun_changes_nothing(form: str, run_served: Run, simulator: Simulator, tmp_path: Path) -> None:
    ref = disk_with(simulator.session())
    dest = tmp_path / "image"
    outcome = run_served("xen_image_export", vdi="data", dest=str(dest), format=form)
    assert outcome.changed, outcome.result
    assert read_back(dest) == DISK
    assert outcome["image"]["checksum"] == f"sha256:{hashlib.sha256(dest.read_bytes()).hexdigest()}"
    assert (outcome["image"]["size"], outcome["image"]["disk_size"]) == (dest.stat().st_size, SIZE)
    assert outcome["transfer"]["bytes_sent"] < SIZE, "zeros came over the network"
    assert dest.stat().st_mode & 0o777 == 0o600
    again = run_served("xen_image_export", vdi="data", dest=str(dest), format=form)
    assert (again.changed, again["image"]) == (False, outcome["image"])
    write(simulator, ref, b"new", 5 * MIB)
    checked = run_served("xen_image_export", vdi="data", dest=str(dest), format=form, check=True)
    assert checked.changed
    assert read_back(dest) == DISK
    assert run_served("xen_image_export", vdi="data", dest=str(dest), format=form).changed
    assert read_back(dest)[5 * MIB : 5 * MIB + 3] == b"new"


@needs_qemu
@pytest.mark.parametrize(("form", "name"), [("vhd", "vpc"), ("qcow2", "qcow2")])
def test_qemu_img_finds_the_same_disk(form: str, name: str, run_served: Run, simulator: Simulator, tmp_path: Path) -> None:
    assert QEMU
    disk_with(simulator.session())
    run_served("xen_image_export", vdi="data", dest=str(tmp_path / "image"), format=form)
    (tmp_path / "raw").write_bytes(DISK)
    subprocess.run([QEMU, "compare", "-F", name, "-f", "raw", tmp_path / "raw", tmp_path / "image"], check=True, capture_output=True)
    if form == "qcow2":
        subprocess.run([QEMU, "check", tmp_path / "image"], check=True, capture_output=True)


def test_a_raw_file_keeps_its_holes(run_served: Run, simulator: Simulator, tmp_path: Path) -> None:
    disk_with(simulator.session())
    run_served("xen_image_export", vdi="data", dest=str(tmp_path / "image"))
    assert (tmp_path / "image").read_bytes() == DISK
    assert (tmp_path / "image").stat().st_blocks * 512 < MIB


class TestCompression:
    def test_level_9_is_in_the_header_of_gzip(self, run_served: Run, simulator: Simulator, tmp_path: Path) -> None:
        disk_with(simulator.session())
        sizes = {}
        for level in (1, 9):
            dest = tmp_path / f"image-{level}"
            outcome = run_served("xen_image_export", vdi="data", dest=str(dest), format="tgz", compression_level=level)
            assert outcome["image"]["compression_level"] == level
            sizes[level] = dest.stat().st_size
            # RFC 1952: 4 is the fastest, 2 the best algorithm.
            assert dest.read_bytes()[8] == {1: 4, 9: 2}[level]
        with tarfile.open(fileobj=io.BytesIO(gzip.decompress((tmp_path / "image-9").read_bytes()))) as archive:
            assert archive.getnames() == ["0.vhd"]

    def test_qcow2_shrinks(self, run_served: Run, simulator: Simulator, tmp_path: Path) -> None:
        disk_with(simulator.session(), b"ab" * (2 * MIB))
        run_served("xen_image_export", vdi="data", dest=str(tmp_path / "plain"), format="qcow2")
        run_served("xen_image_export", vdi="data", dest=str(tmp_path / "packed"), format="qcow2", compression_level=9)
        assert read_back(tmp_path / "packed") == read_back(tmp_path / "plain")
        assert (tmp_path / "packed").stat().st_size < (tmp_path / "plain").stat().st_size / 4

    @pytest.mark.parametrize(
        ("params", "message"),
        [
            ({"format": "tgz", "compression_level": 0}, "compression_level must be from 1 to 9, not 0"),
            ({"format": "tgz", "compression_level": 10}, "compression_level must be from 1 to 9, not 10"),
            ({"format": "raw", "compression_level": 6}, "compression_level is for the formats tgz and qcow2"),
        ],
    )
    def test_levels_that_are_none(self, params: dict[str, Any], message: str, run_module: Run, tmp_path: Path) -> None:
        assert message in run_module("xen_image_export", vdi="golden", dest=str(tmp_path / "x"), **params).msg

    def test_another_level_is_another_file(self, run_served: Run, simulator: Simulator, tmp_path: Path) -> None:
        disk_with(simulator.session())
        for level in (1, 2):
            assert run_served("xen_image_export", vdi="data", dest=str(tmp_path / "image"), format="tgz", compression_level=level).changed


class TestSnapshots:
    def test_a_snapshot_is_known_again_without_reading_it(self, run_served: Run, simulator: Simulator, tmp_path: Path) -> None:
        session = simulator.session()
        ref = disk_with(session)
        uuid = session.VDI.get_uuid(session.VDI.snapshot(ref, {}))
        write(simulator, ref, b"later", MIB)
        run_served("xen_image_export", vdi=uuid, dest=str(tmp_path / "image"))
        assert (tmp_path / "image").read_bytes() == DISK
        again = run_served("xen_image_export", vdi=uuid, dest=str(tmp_path / "image"))
        assert not again.changed
        assert "task.create" not in again.methods
        assert "GET /export_raw_vdi" not in again.methods

    def test_a_later_snapshot_transfers_only_what_changed(self, run_served: Run, simulator: Simulator, tmp_path: Path) -> None:
        session = simulator.session()
        ref = disk_with(session)
        dest = tmp_path / "image"
        first = session.VDI.get_uuid(session.VDI.snapshot(ref, {}))
        whole = run_served("xen_image_export", vdi=first, dest=str(dest))
        write(simulator, ref, b"n" * 4096, 7 * MIB)
        write(simulator, ref, bytes(100_000), 3 * MIB)
        second = session.VDI.get_uuid(session.VDI.snapshot(ref, {}))
        inode = dest.stat().st_ino
        outcome = run_served("xen_image_export", vdi=second, dest=str(dest))
        assert dest.stat().st_ino == inode, "written in place"
        expected = bytearray(DISK)
        expected[7 * MIB : 7 * MIB + 4096] = b"n" * 4096
        expected[3 * MIB : 3 * MIB + 100_000] = bytes(100_000)
        assert dest.read_bytes() == expected
        assert outcome["image"]["checksum"] == f"sha256:{hashlib.sha256(expected).hexdigest()}"
        assert outcome["transfer"]["bytes_sent"] < whole["transfer"]["bytes_sent"] + 3 * MIB
        assert not run_served("xen_image_export", vdi=second, dest=str(dest)).changed

    def test_an_interrupted_change_is_made_good(self, run_served: Run, simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        session = simulator.session()
        ref = disk_with(session)
        dest = tmp_path / "image"
        run_served("xen_image_export", vdi=session.VDI.get_uuid(session.VDI.snapshot(ref, {})), dest=str(dest))
        write(simulator, ref, b"n" * 4096, 7 * MIB)
        second = session.VDI.get_uuid(session.VDI.snapshot(ref, {}))

        def killed(*_arguments: Any) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(_export_write, "patch", killed)
            with pytest.raises(KeyboardInterrupt):
                run_served("xen_image_export", vdi=second, dest=str(dest))
        assert json.loads(Path(_export_record.record_path(str(dest))).read_text())["unfinished"]
        assert run_served("xen_image_export", vdi=second, dest=str(dest)).changed
        assert dest.read_bytes()[7 * MIB : 7 * MIB + 4096] == b"n" * 4096

    def test_a_disk_of_a_running_vm_is_read_from_a_snapshot(self, run_served: Run, simulator: Simulator, tmp_path: Path) -> None:
        session = simulator.session()
        attach(session, the(simulator, "VM", "web1")["ref"], disk_with(session), "1")
        start(simulator, "web1")
        outcome = run_served("xen_image_export", vm="web1", userdevice="xvdb", dest=str(tmp_path / "image"))
        assert outcome.writes == ["Async.VDI.snapshot", "VDI.destroy"]
        assert (tmp_path / "image").read_bytes() == DISK
        assert not [record for record in simulator.records("VDI").values() if record["is_a_snapshot"]]


class TestPlaces:
    def test_a_foreign_file_is_replaced_only_with_force(self, run_served: Run, simulator: Simulator, tmp_path: Path) -> None:
        disk_with(simulator.session())
        dest = tmp_path / "image"
        dest.write_bytes(b"precious")
        for check in (True, False):
            outcome = run_served("xen_image_export", vdi="data", dest=str(dest), check=check)
            assert outcome.failed
            assert "exists and is no export of xen_image_export" in outcome.msg
        assert dest.read_bytes() == b"precious"
        assert run_served("xen_image_export", vdi="data", dest=str(dest), force=True).changed
        assert dest.read_bytes() == DISK

    def test_a_file_that_somebody_changed_is_written_again(self, run_served: Run, simulator: Simulator, tmp_path: Path) -> None:
        disk_with(simulator.session())
        dest = tmp_path / "image"
        run_served("xen_image_export", vdi="data", dest=str(dest))
        with dest.open("r+b") as file:
            file.write(b"x")
        os.utime(dest, ns=(1, 1))
        assert run_served("xen_image_export", vdi="data", dest=str(dest)).changed
        assert dest.read_bytes() == DISK

    @pytest.mark.parametrize("check", [True, False])
    @pytest.mark.parametrize(
        ("params", "message"),
        [
            pytest.param({"dest": "/no/such/folder/image"}, "'/no/such/folder' is no folder that the module may write to", id="no folder"),
            pytest.param({"dest": "/tmp"}, "is no file; name the file to write", id="folder"),
            pytest.param({"vdi": "missing"}, "there is no disk 'missing'", id="no disk"),
            pytest.param({"vdi": None}, "give vdi, or vm or vm_uuid", id="nothing"),
            pytest.param({"vdi": None, "vm": "web1", "userdevice": "7"}, "there is no disk of VM 'web1' at device '7'", id="no device"),
        ],
    )
    def test_bad_input(self, params: dict[str, Any], message: str, check: bool, run_module: Run, tmp_path: Path) -> None:
        given = {"vdi": "web1 root", "dest": str(tmp_path / "x"), **params}
        outcome = run_module("xen_image_export", check=check, **{key: value for key, value in given.items() if value is not None})
        assert outcome.failed
        assert message in outcome.msg
        assert list(tmp_path.iterdir()) == []

    def test_a_full_disk_leaves_nothing(self, run_served: Run, simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        disk_with(simulator.session())

        def full(*_arguments: Any) -> int:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "pwrite", full)
        outcome = run_served("xen_image_export", vdi="data", dest=str(tmp_path / "image"))
        assert outcome.failed
        assert "cannot be written: No space left on device" in outcome.msg
        assert list(tmp_path.iterdir()) == []

    def test_a_connection_that_breaks_leaves_nothing(self, run_served: Run, simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        disk_with(simulator.session(), disk(3))
        original: Callable[..., bytes] = _disk_read._Pieces.__call__
        read: list[int] = []

        def breaks(self: Any, most: int) -> bytes:
            read.append(most)
            return b"" if len(read) > 5 else original(self, most)

        monkeypatch.setattr(_disk_read._Pieces, "__call__", breaks)
        outcome = run_served("xen_image_export", vdi="data", dest=str(tmp_path / "image"))
        assert outcome.failed
        assert "ends at byte" in outcome.msg
        assert list(tmp_path.iterdir()) == []
