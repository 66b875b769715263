# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Partition tables against sfdisk, in both directions."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ansible_collections.xapi.xenserver.plugins.module_utils import _partition

MIB = 1024 * 1024
SFDISK = shutil.which("sfdisk", path=os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"]))
pytestmark = pytest.mark.skipif(SFDISK is None, reason="sfdisk is not installed (Debian package fdisk)")


def sfdisk(path: Path, *arguments: str, script: str | None = None) -> str:
    assert SFDISK
    done = subprocess.run([SFDISK, *arguments, str(path)], input=script, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def disk(tmp_path: Path, size: int, script: str) -> Path:
    path = tmp_path / "disk.raw"
    with path.open("wb") as file:
        file.truncate(size)
    sfdisk(path, "--quiet", script=script)
    return path


def test_mbr_of_sfdisk_is_read(tmp_path: Path) -> None:
    path = disk(tmp_path, 64 * MIB, "label: dos\nstart=2048, size=20480, type=83, bootable\nstart=40960, type=82\n")
    assert _partition.parse_mbr(path.read_bytes()[:512]) == [
        _partition.Partition(1, 2048, 20480, 0x83, active=True),
        _partition.Partition(2, 40960, 64 * 2048 - 40960, 0x82),
    ]


def test_rewritten_mbr_keeps_the_boot_loader(tmp_path: Path) -> None:
    path = disk(tmp_path, 64 * MIB, "label: dos\nstart=2048, size=20480, type=83, bootable\n")
    before = sfdisk(path, "--dump")
    first = b"loader" + path.read_bytes()[6:512]
    table = _partition.mbr_of(_partition.parse_mbr(first), identity=first[440:444], code=first)
    with path.open("r+b") as file:
        file.write(table)
    assert table.startswith(b"loader")
    assert sfdisk(path, "--dump") == before


def test_gpt_grows_and_sfdisk_agrees(tmp_path: Path) -> None:
    path = disk(tmp_path, 64 * MIB, "label: gpt\nstart=2048, size=2048, name=boot\nstart=4096, name=root\n")
    before = sfdisk(path, "--dump")
    head = path.read_bytes()[: 34 * 512]
    assert _partition.is_gpt(_partition.parse_mbr(head))
    table = _partition.Gpt.parse(head)
    assert [(p.number, p.start) for p in table.partitions] == [(1, 2048), (2, 4096)]
    size = 128 * MIB
    grown = table.with_end(2, table.usable(size)[1])
    protective = _partition.mbr_of([_partition.Partition(1, 1, size // 512 - 1, _partition.PROTECTIVE)], identity=bytes(4))
    with path.open("r+b") as file:
        file.truncate(size)
        for offset, data in [(0, protective), *grown.pack(size)]:
            os.pwrite(file.fileno(), data, offset)
    assert "No errors detected" in sfdisk(path, "--verify")
    after = sfdisk(path, "--dump")
    # The last usable sector lies before the backup: 32 sectors of entries and one header.
    assert f"start=        4096, size={size // 512 - 33 - 4096:>12}" in after
    for line in ("uuid=", 'name="boot"', 'name="root"'):
        assert line in after
    assert [w for w in before.split() if w.startswith("uuid=")] == [w for w in after.split() if w.startswith("uuid=")]


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (bytes(1024), "no partition table"),
        (bytes(100), "no partition table"),
        (bytes(446) + b"\x33" + bytes(63) + b"\x55\xaa", "boot sector"),
    ],
)
def test_no_table_is_an_error(head: bytes, words: str) -> None:
    with pytest.raises(_partition.PartitionError, match=words):
        _partition.parse_mbr(head)


def test_broken_gpt_is_an_error(tmp_path: Path) -> None:
    path = disk(tmp_path, 64 * MIB, "label: gpt\nstart=2048, size=2048\n")
    head = bytearray(path.read_bytes()[: 34 * 512])
    for position, words in ((512, "no GUID"), (512 + 20, "checksum of its header"), (1024, "checksum of its entries"), (512 + 80, "checksum|sense")):
        broken = bytearray(head)
        broken[position] ^= 0xFF
        with pytest.raises(_partition.PartitionError, match=words):
            _partition.Gpt.parse(bytes(broken))
