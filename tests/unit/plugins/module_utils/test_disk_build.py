# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Generated disks, judged by programs nobody here wrote: sfdisk, blkid, and the checkers of the filesystems."""

from __future__ import annotations

import os
import shutil
import subprocess
import uuid
from collections.abc import Iterable
from pathlib import Path

import pytest

from ansible_collections.xapi.xenserver.plugins.module_utils import _disk_build, _extent, _partition, _tool
from ansible_collections.xapi.xenserver.plugins.module_utils._errors import XenError

MIB = 1024 * 1024
GIB = 1024 * MIB
START = 2048 * 512
PATHS = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])


def tool(name: str, package: str) -> str:
    path = shutil.which(name, path=PATHS)
    if path is None:
        pytest.skip(f"{name} is not installed (Debian package {package})")
    return path


def written(path: Path, size: int, extents: Iterable[_extent.Extent]) -> int:
    """Write the extents into a sparse file; returns how many bytes they were."""
    sent = 0
    with path.open("wb") as file:
        file.truncate(size)
        for extent in extents:
            os.pwrite(file.fileno(), extent.data, extent.offset)
            sent += len(extent.data)
    assert path.stat().st_size == size, "an extent reached beyond the disk"
    return sent


def run(*command: str | Path) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def partition(disk: Path) -> Path:
    """The first partition as a file of its own."""
    path = disk.with_suffix(".part")
    with disk.open("rb") as source, path.open("wb") as target:
        source.seek(START)
        shutil.copyfileobj(source, target, MIB)
    return path


def blkid(path: Path, *options: str) -> dict[str, str]:
    lines = run(tool("blkid", "util-linux"), "-p", "-o", "export", *options, path).splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


def test_swap_disk(tmp_path: Path) -> None:
    disk, identity = tmp_path / "swap.raw", uuid.uuid4()
    sent = written(disk, 10 * GIB, _disk_build.swap_disk(10 * GIB, identity=identity))
    assert sent <= 64 * 1024
    run(tool("sfdisk", "fdisk"), "--verify", disk)
    listed = run(tool("sfdisk", "fdisk"), "--dump", disk)
    assert f"start=        2048, size=    {10 * GIB // 512 - 2048}, type=82" in listed
    found = blkid(disk, "-O", str(START))
    assert (found["TYPE"], found["UUID"]) == ("swap", str(identity))


def test_historic_type_of_swap(tmp_path: Path) -> None:
    disk = tmp_path / "swap.raw"
    written(disk, 64 * MIB, _disk_build.swap_disk(64 * MIB, type_=0x83))
    assert "type=83" in run(tool("sfdisk", "fdisk"), "--dump", disk)


CHECKS = {
    "ext2": (("e2fsck", "e2fsprogs"), ("-fn",)),
    "ext3": (("e2fsck", "e2fsprogs"), ("-fn",)),
    "ext4": (("e2fsck", "e2fsprogs"), ("-fn",)),
    "vfat": (("fsck.vfat", "dosfstools"), ("-n",)),
    "xfs": (("xfs_repair", "xfsprogs"), ("-n", "-f")),
    "ntfs": (("ntfsfix", "ntfs-3g"), ("-n",)),
}
MAKERS = {name: entry[0] for name, entry in _disk_build.FILESYSTEMS.items()}


@pytest.mark.parametrize("filesystem", list(CHECKS))
def test_filesystem(filesystem: str, tmp_path: Path) -> None:
    tool(MAKERS[filesystem].name, MAKERS[filesystem].debian)
    (checker, package), options = CHECKS[filesystem]
    size, disk = 400 * MIB, tmp_path / "disk.raw"
    sent = written(disk, size, _disk_build.filesystem_disk(size, filesystem, label="ephemeral"))
    assert sent < size // 8
    part = partition(disk)
    run(tool(checker, package), *options, part)
    found = blkid(part)
    assert (found["TYPE"], found["LABEL"].lower()) == (filesystem, "ephemeral")
    assert f"type={_partition.TYPES[filesystem]:x}" in run(tool("sfdisk", "fdisk"), "--dump", disk)


def test_large_ext4_is_cheap(tmp_path: Path) -> None:
    """200 GiB: at most 32 MiB sent, and 64 MiB of temporary disk (issue 4)."""
    tool("mke2fs", "e2fsprogs")
    with _disk_build.filesystem_file(200 * GIB - START, "ext4", "ephemeral") as path:
        assert path.stat().st_blocks * 512 <= 64 * MIB
        assert sum(len(extent.data) for extent in _extent.file_extents(path)) <= 32 * MIB


def test_partition_without_filesystem(tmp_path: Path) -> None:
    disk = tmp_path / "disk.raw"
    assert written(disk, 8 * MIB, _disk_build.filesystem_disk(8 * MIB, None)) == 4096
    assert "type=83" in run(tool("sfdisk", "fdisk"), "--dump", disk)


@pytest.mark.parametrize(
    ("filesystem", "label", "size", "words"),
    [
        ("xfs", "much-too-long-a-label", 400 * MIB, "label of 12 bytes"),
        ("ext4", "", 2048 * 512, "no room for a partition"),
        ("xfs", "", 2 * MIB, "could not make xfs"),
        ("ext4", "", 3 * 1024 * GIB, "ends at 2 TiB"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_sent(filesystem: str, label: str, size: int, words: str) -> None:
    sent: list[_extent.Extent] = []
    with pytest.raises(XenError, match=words):
        sent.extend(_disk_build.filesystem_disk(size, filesystem, label=label))
    assert sent == []


def test_missing_tool_is_named_with_its_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_tool, "SBIN", ())
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(XenError, match=r"mkfs.xfs is missing on the controller; install the package xfsprogs"):
        _disk_build.check_tools("xfs")


def test_file_extents_skip_holes_and_zero_pages(tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.truncate(100 * MIB)
        os.pwrite(file.fileno(), bytes(MIB), 10 * MIB)
        os.pwrite(file.fileno(), b"x", 50 * MIB + 5000)
    assert [(e.offset, len(e.data)) for e in _extent.file_extents(path)] == [(50 * MIB + 4096, 4096)]
