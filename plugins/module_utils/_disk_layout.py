# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk that is simple enough to be resized from outside: one partition, number 1, with an ext filesystem (driver-operations §7)."""

from __future__ import annotations

from dataclasses import dataclass

from ._codec import format_bytes
from ._errors import XenError
from ._ext import Superblock
from ._extent import Extent
from ._partition import EXTENDED, MOST_SECTORS, PROTECTIVE, SECTOR, Gpt, Partition, PartitionError, is_gpt, mbr_of, parse_mbr

# What is read of a disk to see what it is: tables, and the superblock of a partition that begins within the first MiB or two.
HEAD = 4 * 1024 * 1024
TABLES = 34 * SECTOR
# Partitions end at whole MiB often; less than this behind one is no room to grow.
SLACK = 2048
OTHERS = {b"XFSB": (0, "xfs, which grows only while it is mounted,"), b"NTFS": (3, "ntfs"), b"_BHRfS_M": (0x10040, "btrfs")}


class Unsuitable(XenError):
    """The disk is not simple enough."""


@dataclass(frozen=True)
class Layout:
    """Where the one partition is, what is in it, and the table around it."""

    partition: Partition
    filesystem: Superblock
    gpt: Gpt | None
    tables: bytes

    @property
    def start(self) -> int:
        """First byte of the partition."""
        return self.partition.start * SECTOR

    @property
    def size(self) -> int:
        """Bytes of the partition."""
        return self.partition.sectors * SECTOR

    def end_on(self, disk_size: int) -> int:
        """The sector behind a partition that takes all of a disk."""
        if self.gpt:
            return self.gpt.usable(disk_size)[1]
        sectors = disk_size // SECTOR
        if sectors > MOST_SECTORS:
            raise Unsuitable(f"a partition table of type MBR ends at 2 TiB, but the disk has {format_bytes(disk_size)}")
        return sectors

    def size_on(self, disk_size: int) -> int:
        """Bytes of a partition that takes all of a disk."""
        return (self.end_on(disk_size) - self.partition.start) * SECTOR

    def fills(self, disk_size: int) -> bool:
        """Whether partition and filesystem take the whole disk; the last group of a filesystem may be too small to be used."""
        room = self.end_on(disk_size) - self.partition.end
        return room < SLACK and self.filesystem.size > self.size - self.filesystem.group_size

    def on(self, disk_size: int) -> list[Extent]:
        """The tables of a disk of this size with the partition to its end. Boot code, identity and boot flag stay."""
        end, code, identity = self.end_on(disk_size), self.tables[:440], self.tables[440:444]
        part = self.partition
        if self.gpt:
            shield = Partition(1, 1, min(disk_size // SECTOR - 1, MOST_SECTORS), PROTECTIVE)
            packed = self.gpt.with_end(part.number, end).pack(disk_size)
            return [Extent(0, mbr_of([shield], identity=identity, code=code)), *(Extent(offset, data) for offset, data in packed)]
        grown = Partition(1, part.start, end - part.start, part.type, part.active)
        return [Extent(0, mbr_of([grown], identity=identity, code=code))]


def layout_of(head: bytes) -> Layout:
    """What the first bytes of a disk say; ``Unsuitable`` names the condition that it does not meet."""
    partitions, gpt = _table(head)
    if len(partitions) != 1:
        raise Unsuitable(f"the disk has {len(partitions)} partitions and not one")
    (part,) = partitions
    if part.number != 1 or part.type in EXTENDED:
        kind = "an extended one" if part.type in EXTENDED else f"number {part.number}"
        raise Unsuitable(f"the only partition is {kind}, not a primary one with number 1")
    return _layout(part, gpt, head)


def partition_of(head: bytes, number: int) -> Partition:
    """The partition of this number, among whatever others."""
    partitions, _gpt = _table(head)
    part = next((part for part in partitions if part.number == number), None)
    if part is None:
        known = ", ".join(str(part.number) for part in partitions)
        raise Unsuitable(f"the disk has no partition {number}; it has {known or 'none'}")
    return part


def layout_around(head: bytes, number: int) -> Layout:
    """The partition of this number and the filesystem in it; ``head`` reaches into it."""
    return _layout(partition_of(head, number), None, head)


def _table(head: bytes) -> tuple[list[Partition], Gpt | None]:
    try:
        partitions = parse_mbr(head[:SECTOR])
        gpt = Gpt.parse(head) if is_gpt(partitions) else None
    except PartitionError as error:
        raise Unsuitable(str(error)) from None
    return (gpt.partitions, gpt) if gpt else (partitions, None)


def _layout(part: Partition, gpt: Gpt | None, head: bytes) -> Layout:
    start = part.start * SECTOR
    if start + 2048 > len(head):
        raise Unsuitable(f"the partition begins at byte {start}, later than is looked for")
    filesystem = Superblock.parse(head[start : start + 2048])
    if filesystem is None:
        raise Unsuitable(f"the partition holds {_other(head[start:])} and no ext2, ext3 or ext4 filesystem")
    if filesystem.size > part.sectors * SECTOR:
        raise Unsuitable("the filesystem is larger than its partition")
    return Layout(part, filesystem, gpt, head[:TABLES])


def _other(start: bytes) -> str:
    return next((name for magic, (offset, name) in OTHERS.items() if start[offset : offset + len(magic)] == magic), "something unknown")
