# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""VHD files: footer, header, block table; read and written front to back, sparse in both directions.

The format is Microsoft's "Virtual Hard Disk Image Format Specification" 1.0. All numbers are big-endian.
A reader never seeks, so a VHD inside a compressed tarball can be streamed; a block that repeats or lies outside is refused.
"""

from __future__ import annotations

import struct
import sys
import uuid
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from ._errors import XenError

SECTOR = 512
FIXED, DYNAMIC, DIFFERENCING = 2, 3, 4
FOOTER = struct.Struct(">8sIIQI4sI4sQQIII16sB427x")
HEADER = struct.Struct(">8sQQIIII16sII512s192s256x")
UNUSED = 0xFFFFFFFF
NOWHERE = 0xFFFFFFFFFFFFFFFF
VHD_BLOCK = 2 * 1024 * 1024
# What the toolstack itself accepts (SR_BACKEND_FAILURE_79 beyond it), and what keeps a hostile table small in memory.
LARGEST = 2040 * 1024**3
MOST_ENTRIES = 1024**2
BLOCK_SIZES = range(SECTOR, 256 * 1024**2 + 1)
EPOCH = 946684800  # seconds of 2000-01-01, from which the format counts

Read = Callable[[int], bytes]


class VhdError(XenError):
    """The file is no VHD, or a broken one."""


class Extent(NamedTuple):
    """Bytes at an offset of the virtual disk."""

    offset: int
    data: bytes


@dataclass(frozen=True)
class Footer:
    """The 512 bytes at the end of every VHD, and again at the start of a sparse one."""

    size: int  # bytes of the virtual disk
    type: int
    header_offset: int
    identity: uuid.UUID

    @classmethod
    def parse(cls, data: bytes) -> Footer:
        if len(data) != FOOTER.size or data[:8] != b"conectix":
            raise VhdError("this is no VHD: its footer does not begin with 'conectix'")
        _verify(data, 64, "footer")
        fields = FOOTER.unpack(data)
        header_offset, size, kind, identity = fields[3], fields[9], fields[11], fields[13]
        if kind not in (FIXED, DYNAMIC, DIFFERENCING):
            raise VhdError(f"this VHD is of type {kind}; fixed (2), dynamic (3) and differencing (4) are known")
        if not 0 < size <= LARGEST or size % SECTOR:
            raise VhdError(f"this VHD claims a disk of {size} bytes; more than 0 and at most {LARGEST} in whole sectors is possible")
        return cls(size, kind, header_offset, uuid.UUID(bytes=identity))

    def pack(self, *, seconds: int = EPOCH) -> bytes:
        # As tapdisk's: readers such as qemu-img believe the size of a known creator, and round that of others to the geometry.
        made = (b"conectix", 2, 0x00010000, self.header_offset, max(seconds - EPOCH, 0), b"tap\0", 0x00010003, b"Wi2k")
        return _sealed(FOOTER.pack(*made, self.size, self.size, geometry(self.size), self.type, 0, self.identity.bytes, 0), 64)


@dataclass(frozen=True)
class Header:
    """The second header of a sparse VHD: where its block table is."""

    table_offset: int
    entries: int
    block_size: int
    parent: uuid.UUID

    @classmethod
    def parse(cls, data: bytes, footer: Footer) -> Header:
        if len(data) != HEADER.size or data[:8] != b"cxsparse":
            raise VhdError("this VHD is broken: its second header does not begin with 'cxsparse'")
        _verify(data, 36, "second header")
        _unused, _unused, table_offset, _unused, entries, block_size, _unused, parent, *_unused = HEADER.unpack(data)
        if block_size not in BLOCK_SIZES or block_size & (block_size - 1):
            raise VhdError(f"this VHD has blocks of {block_size} bytes; a power of two from 512 to 256 MiB is possible")
        if entries * block_size < footer.size or entries > MOST_ENTRIES:
            raise VhdError(f"this VHD has a table of {entries} blocks of {block_size} bytes for a disk of {footer.size} bytes")
        if table_offset % SECTOR or table_offset < footer.header_offset + HEADER.size:
            raise VhdError(f"this VHD has its block table at byte {table_offset}, inside its headers")
        return cls(table_offset, entries, block_size, uuid.UUID(bytes=parent))

    def pack(self) -> bytes:
        fields = (b"cxsparse", NOWHERE, self.table_offset, 0x00010000, self.entries, self.block_size, 0)
        return _sealed(HEADER.pack(*fields, self.parent.bytes, 0, 0, b"", b""), 36)


def geometry(size: int) -> int:
    """Cylinders, heads and sectors as the specification computes them (its appendix)."""
    total = min(size // SECTOR, 65535 * 16 * 255)
    if total >= 65535 * 16 * 63:
        sectors, heads = 255, 16
        tracks = total // sectors
    else:
        sectors = 17
        tracks = total // sectors
        heads = max((tracks + 1023) // 1024, 4)
        if tracks >= heads * 1024 or heads > 16:
            sectors, heads = 31, 16
            tracks = total // sectors
        if tracks >= heads * 1024:
            sectors, heads = 63, 16
            tracks = total // sectors
    return (tracks // heads) << 16 | heads << 8 | sectors


def _checksum(data: bytes, position: int) -> int:
    return ~(sum(data) - sum(data[position : position + 4])) & 0xFFFFFFFF


def _verify(data: bytes, position: int, what: str) -> None:
    if int.from_bytes(data[position : position + 4], "big") != _checksum(data, position):
        raise VhdError(f"this VHD is broken: the checksum of its {what} is wrong")


def _sealed(data: bytes, position: int) -> bytes:
    return data[:position] + struct.pack(">I", _checksum(data, position)) + data[position + 4 :]


# Reading


class Source:
    """Reads exactly, and knows how far: a stream that ends early is an error with its position."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self.position = 0

    def take(self, count: int) -> bytes:
        parts = []
        while count > 0:
            part = self._read(min(count, VHD_BLOCK))
            if not part:
                raise VhdError(f"this VHD ends at byte {self.position}, in the middle")
            self.position += len(part)
            count -= len(part)
            parts.append(part)
        return b"".join(parts)

    def skip_to(self, position: int) -> None:
        while self.position < position:
            self.take(min(position - self.position, VHD_BLOCK))


class SparseReader:
    """A dynamic or differencing VHD, read front to back. ``footer`` and ``header`` are known at once, ``extents()`` once."""

    def __init__(self, read: Read) -> None:
        self._source = Source(read)
        self.footer = Footer.parse(self._source.take(FOOTER.size))
        if self.footer.type == FIXED:
            raise VhdError("this VHD is a fixed one with a footer in front")
        if not FOOTER.size <= self.footer.header_offset <= VHD_BLOCK:
            raise VhdError(f"this VHD has its second header at byte {self.footer.header_offset}")
        self._source.skip_to(self.footer.header_offset)
        self.header = Header.parse(self._source.take(HEADER.size), self.footer)
        self._source.skip_to(self.header.table_offset)
        table = array("I", self._source.take(4 * self.header.entries))
        if sys.byteorder == "little":
            table.byteswap()
        self._used = self._in_file_order(table)

    def _in_file_order(self, table: array[int]) -> array[int]:
        """The used blocks, each as one number that sorts as the file does; refuses those that lie over headers or each other."""
        used = array("Q", sorted(sector << 32 | block for block, sector in enumerate(table) if sector != UNUSED))
        free, step = -(-self._source.position // SECTOR), (self.bitmap_size + self.header.block_size) // SECTOR
        for number in used:
            sector, block = number >> 32, number & UNUSED
            if sector < free:
                raise VhdError(f"this VHD is broken: block {block} at sector {sector} lies over something else")
            free = sector + step
        return used

    @property
    def end(self) -> int:
        """The byte behind the last block that is used, or behind the table."""
        if not self._used:
            return -(-(self.header.table_offset + 4 * self.header.entries) // SECTOR) * SECTOR
        return (self._used[-1] >> 32) * SECTOR + self.bitmap_size + self.header.block_size

    @property
    def bitmap_size(self) -> int:
        sectors = self.header.block_size // SECTOR
        return -(-sectors // (8 * SECTOR)) * SECTOR

    def extents(self) -> Iterator[Extent]:
        """What the file holds, in the order of the file. Later layers of a chain go over earlier ones."""
        for number in self._used:
            sector, start = number >> 32, (number & UNUSED) * self.header.block_size
            self._source.skip_to(sector * SECTOR)
            bitmap = self._source.take(self.bitmap_size)
            base = self._source.position
            for first, last in _runs(bitmap, self.header.block_size // SECTOR):
                # In pieces: a file may claim blocks of 256 MiB.
                for inside in range(first * SECTOR, min(last * SECTOR, self.footer.size - start), VHD_BLOCK):
                    self._source.skip_to(base + inside)
                    yield Extent(start + inside, self._source.take(min(VHD_BLOCK, last * SECTOR - inside, self.footer.size - start - inside)))
            self._source.skip_to(base + self.header.block_size)


def _runs(bitmap: bytes, sectors: int) -> Iterator[tuple[int, int]]:
    """Runs (first, end) of set bits; the first sector is the highest bit of the first byte."""
    if bitmap[: sectors // 8] == b"\xff" * (sectors // 8) and sectors % 8 == 0:
        yield 0, sectors
        return
    start = None
    for sector in range(sectors):
        if bitmap[sector // 8] >> (7 - sector % 8) & 1:
            start = sector if start is None else start
        elif start is not None:
            yield start, sector
            start = None
    if start is not None:
        yield start, sectors


# Writing


def sparse_file(size: int, used: Iterable[int], block: Callable[[int], bytes], *, identity: uuid.UUID | None = None) -> Iterator[bytes]:
    """A dynamic VHD of ``size`` bytes, piece by piece. ``used`` are the numbers of the 2 MiB blocks that hold data,
    ascending; ``block(number)`` gives the bytes of one."""
    entries = -(-size // VHD_BLOCK)
    numbers = sorted(set(used))
    footer = Footer(size, DYNAMIC, FOOTER.size, identity or uuid.uuid4()).pack()
    table_offset = FOOTER.size + HEADER.size
    table_size = -(-4 * entries // SECTOR) * SECTOR
    bitmap = b"\xff" * SECTOR
    first = (table_offset + table_size) // SECTOR
    step = (len(bitmap) + VHD_BLOCK) // SECTOR
    table = [UNUSED] * entries
    for position, number in enumerate(numbers):
        table[number] = first + position * step
    yield footer + Header(table_offset, entries, VHD_BLOCK, uuid.UUID(int=0)).pack()
    yield struct.pack(f">{entries}I", *table).ljust(table_size, b"\xff")
    for number in numbers:
        yield bitmap + block(number).ljust(VHD_BLOCK, b"\0")
    yield footer


def sparse_file_size(size: int, used: int) -> int:
    """Bytes of the file that ``sparse_file`` makes for ``used`` blocks."""
    entries = -(-size // VHD_BLOCK)
    return 2 * FOOTER.size + HEADER.size + -(-4 * entries // SECTOR) * SECTOR + used * (SECTOR + VHD_BLOCK)
