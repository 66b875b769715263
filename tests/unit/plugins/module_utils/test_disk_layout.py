# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever a disk begins with, it is a layout or a clear refusal."""

from __future__ import annotations

import struct
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.xapi.xenserver.plugins.module_utils._disk_layout import Unsuitable, layout_around, layout_of
from ansible_collections.xapi.xenserver.plugins.module_utils._ext import Superblock
from ansible_collections.xapi.xenserver.plugins.module_utils._partition import Partition, mbr, mbr_of

MIB = 2**20
DISK = 64 * MIB
START = 2048 * 512


def superblock(blocks: int, *, log_size: int = 2, compatible: int = 0, incompatible: int = 0) -> bytes:
    """The fields that are looked at, of a filesystem with blocks of ``1024 << log_size`` bytes."""
    block = bytearray(1024)
    struct.pack_into("<I", block, 4, blocks & 0xFFFFFFFF)
    struct.pack_into("<I", block, 24, log_size)
    struct.pack_into("<I", block, 32, 32768)
    struct.pack_into("<H", block, 56, 0xEF53)
    struct.pack_into("<II", block, 92, compatible, incompatible)
    struct.pack_into("<I", block, 336, blocks >> 32)
    return bytes(1024) + bytes(block)


def head(table: bytes, filesystem: bytes) -> bytes:
    return (table.ljust(START, b"\0") + filesystem).ljust(4 * MIB, b"\0")


FULL = (DISK - START) // 4096


@pytest.mark.parametrize(
    ("flags", "kind"),
    [((0, 0), "ext2"), ((0x4, 0), "ext3"), ((0x4, 0x40), "ext4"), ((0, 0x40), "ext4"), ((0, 0x80), "ext4")],
)
def test_kind_of_filesystem(flags: tuple[int, int], kind: str) -> None:
    block = Superblock.parse(superblock(100, compatible=flags[0], incompatible=flags[1]))
    assert block is not None
    assert (block.type, block.size) == (kind, 100 * 4096)


def test_large_filesystem_counts_in_64_bits() -> None:
    block = Superblock.parse(superblock(2**33, incompatible=0x80))
    assert block is not None
    assert block.size == 2**33 * 4096


def test_full_disk_is_full_until_it_grows() -> None:
    layout = layout_of(head(mbr(DISK, 0x83, active=True), superblock(FULL)))
    assert layout.fills(DISK)
    assert not layout.fills(DISK + 128 * MIB)
    # The filesystem did not follow its partition.
    assert not layout_of(head(mbr(1024 * MIB, 0x83), superblock(FULL))).fills(1024 * MIB)


@pytest.mark.parametrize(
    ("made", "why"),
    [
        pytest.param(lambda: head(b"", b""), "the disk has no partition table", id="blank"),
        pytest.param(lambda: head(mbr_of([Partition(2, 2048, 4096, 0x83)]), superblock(10)), "the only partition is number 2", id="number"),
        pytest.param(lambda: head(mbr_of([Partition(1, 2048, 4096, 5)]), superblock(10)), "an extended one", id="extended"),
        pytest.param(lambda: head(mbr(DISK, 0x83), b"XFSB"), "xfs, which grows only while it is mounted", id="xfs"),
        pytest.param(lambda: head(mbr(DISK, 7), b"\xeb\x52\x90NTFS"), "holds ntfs", id="ntfs"),
        pytest.param(lambda: head(mbr(DISK, 0x83), superblock(FULL + 1)), "the filesystem is larger than its partition", id="cut"),
        pytest.param(lambda: head(mbr_of([Partition(1, 100000, 4096, 0x83)]), b""), "later than is looked for", id="far"),
        pytest.param(lambda: head(mbr_of([Partition(1, 1, 4096, 0xEE)]), b""), "no GUID partition table", id="protective"),
    ],
)
def test_refuses(made: Callable[[], bytes], why: str) -> None:
    with pytest.raises(Unsuitable, match=why):
        layout_of(made())


def test_mbr_ends_at_2_tib() -> None:
    layout = layout_of(head(mbr(DISK, 0x83), superblock(FULL)))
    with pytest.raises(Unsuitable, match="ends at 2 TiB"):
        layout.end_on(3 * 2**40)


@given(st.binary(max_size=8192), st.integers(1, 300))
@settings(max_examples=200, deadline=None)
def test_anything_is_a_layout_or_refused(data: bytes, number: int) -> None:
    for content in (data, data[:446].ljust(446, b"\0") + data[446:510].ljust(64, b"\0") + b"\x55\xaa" + data[510:]):
        for look in (layout_of, lambda content: layout_around(content, number)):
            with suppress(Unsuitable):
                assert look(content).size > 0
