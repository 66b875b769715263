# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Partition tables: the MBR and the GPT, read, checked and written as bytes. Sectors have 512 bytes.

Sources: UEFI specification 2.10 chapter 5 (both tables); driver-operations §6.1, §8.2 for where partitions start.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, replace

from ._errors import XenError

SECTOR = 512
# Generated disks begin at 1 MiB; the MBR in front of an AMI image is 63 sectors long (driver-operations §2).
START, AMI_START = 2048, 63
TYPES = {"swap": 0x82, "linux": 0x83, "ext2": 0x83, "ext3": 0x83, "ext4": 0x83, "xfs": 0x83, "vfat": 0x0C, "ntfs": 0x07}
PROTECTIVE = 0xEE
EXTENDED = {0x05, 0x0F, 0x85}
ENTRY = struct.Struct("<B3sB3sII")
GPT_HEADER = struct.Struct("<8sIIIIQQQQ16sQIII")
GPT_ENTRY = struct.Struct("<16s16sQQQ72s")
# Numbers by cylinder have no meaning any more; this says "beyond what they can tell".
NO_CYLINDER = b"\xfe\xff\xff"
MOST_SECTORS = 2**32 - 1


class PartitionError(XenError):
    """The disk has no such table, or a broken one."""


@dataclass(frozen=True)
class Partition:
    """One partition: number from 1, first sector, count of sectors, MBR type (0 in a GPT), boot flag."""

    number: int
    start: int
    sectors: int
    type: int = 0
    active: bool = False

    @property
    def end(self) -> int:
        """The sector after the last one."""
        return self.start + self.sectors


def mbr(disk_size: int, type_: int, *, start: int = START, active: bool = False, identity: bytes = b"XENS") -> bytes:
    """The first sector of a disk of ``disk_size`` bytes with one partition from ``start`` to its end."""
    sectors = disk_size // SECTOR - start
    if sectors <= 0:
        raise PartitionError(f"a disk of {disk_size} bytes has no room for a partition at sector {start}; make it larger than {(start + 1) * SECTOR} bytes")
    if start + sectors > MOST_SECTORS:
        raise PartitionError(f"a partition table of type MBR ends at 2 TiB, but the disk has {disk_size} bytes; use several smaller disks")
    return mbr_of([Partition(1, start, sectors, type_, active)], identity=identity)


def mbr_of(partitions: list[Partition], *, identity: bytes = b"XENS", code: bytes = b"") -> bytes:
    """A first sector with these partitions; ``code`` are the bytes of a boot loader to keep (440 at most)."""
    entries = [bytes(ENTRY.size)] * 4
    for part in partitions:
        flag = 0x80 if part.active else 0
        entries[part.number - 1] = ENTRY.pack(flag, NO_CYLINDER, part.type, NO_CYLINDER, part.start, part.sectors)
    return code[:440].ljust(440, b"\0") + identity + b"\0\0" + b"".join(entries) + b"\x55\xaa"


def parse_mbr(sector: bytes) -> list[Partition]:
    """The primary partitions of a first sector; ``PartitionError`` when there is no table."""
    if len(sector) < SECTOR or sector[510:512] != b"\x55\xaa":
        raise PartitionError("the disk has no partition table")
    found = []
    for number in range(1, 5):
        flag, _unused, kind, _unused, start, sectors = ENTRY.unpack_from(sector, 446 + (number - 1) * ENTRY.size)
        if kind and sectors:
            found.append(Partition(number, start, sectors, kind, flag == 0x80))
    if any(flag not in (0, 0x80) for flag in sector[446:510:16]):
        raise PartitionError("the disk begins with a boot sector, not with a partition table")
    return found


def is_gpt(partitions: list[Partition]) -> bool:
    """Whether an MBR is the protective one of a GPT."""
    return any(part.type == PROTECTIVE for part in partitions)


# GPT


@dataclass(frozen=True)
class Gpt:
    """A GUID partition table: raw entries are kept, so that names, types and flags survive a change."""

    disk: bytes  # identity, 16 bytes
    entries: tuple[bytes, ...]
    entry_size: int
    table_sectors: int

    @classmethod
    def parse(cls, head: bytes) -> Gpt:
        """From the start of a disk (34 sectors are enough for an ordinary table)."""
        header = head[SECTOR : 2 * SECTOR]
        if len(header) < GPT_HEADER.size or header[:8] != b"EFI PART":
            raise PartitionError("the disk has a protective MBR but no GUID partition table behind it")
        _unused, _unused, size, checksum, _unused, _unused, _unused, _unused, _unused, disk, table, count, entry_size, table_checksum = GPT_HEADER.unpack_from(
            header
        )
        if not GPT_HEADER.size <= size <= SECTOR or entry_size % 128 or not 128 <= entry_size <= 4096 or not 0 < count <= 1024:
            raise PartitionError("the disk has a broken GUID partition table: its header makes no sense")
        if zlib.crc32(header[:16] + bytes(4) + header[20:size]) != checksum:
            raise PartitionError("the disk has a broken GUID partition table: the checksum of its header is wrong")
        raw = head[table * SECTOR : table * SECTOR + count * entry_size]
        if len(raw) < count * entry_size or zlib.crc32(raw) != table_checksum:
            raise PartitionError("the disk has a broken GUID partition table: the checksum of its entries is wrong")
        entries = tuple(raw[position : position + entry_size] for position in range(0, len(raw), entry_size))
        return cls(disk, entries, entry_size, -(-len(raw) // SECTOR))

    @property
    def partitions(self) -> list[Partition]:
        found = []
        for number, entry in enumerate(self.entries, start=1):
            kind, _unused, first, last, _unused, _unused = GPT_ENTRY.unpack_from(entry)
            if kind != bytes(16):
                found.append(Partition(number, first, last - first + 1))
        return found

    def with_end(self, number: int, end: int) -> Gpt:
        """The same table with partition ``number`` ending before sector ``end``."""
        kind, identity, first, _unused, flags, name = GPT_ENTRY.unpack_from(self.entries[number - 1])
        changed = GPT_ENTRY.pack(kind, identity, first, end - 1, flags, name) + self.entries[number - 1][GPT_ENTRY.size :]
        return replace(self, entries=(*self.entries[: number - 1], changed, *self.entries[number:]))

    def usable(self, disk_size: int) -> tuple[int, int]:
        """First usable sector, and the one after the last, on a disk of ``disk_size`` bytes."""
        return 2 + self.table_sectors, disk_size // SECTOR - 1 - self.table_sectors

    def pack(self, disk_size: int) -> list[tuple[int, bytes]]:
        """(offset, bytes) of both copies for a disk of ``disk_size`` bytes, without the protective MBR."""
        table = b"".join(self.entries)
        last = disk_size // SECTOR - 1
        backup_table = last - self.table_sectors
        return [
            (SECTOR, self._header(1, last, 2, disk_size, table)),
            (2 * SECTOR, table),
            (backup_table * SECTOR, table),
            (last * SECTOR, self._header(last, 1, backup_table, disk_size, table)),
        ]

    def _header(self, own: int, other: int, table_at: int, disk_size: int, table: bytes) -> bytes:
        first, end = self.usable(disk_size)
        fields = (own, other, first, end - 1, self.disk, table_at, len(self.entries), self.entry_size, zlib.crc32(table))
        bare = GPT_HEADER.pack(b"EFI PART", 0x00010000, GPT_HEADER.size, 0, 0, *fields)
        return (bare[:16] + struct.pack("<I", zlib.crc32(bare)) + bare[20:]).ljust(SECTOR, b"\0")
