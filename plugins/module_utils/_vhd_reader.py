# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""VHD files read front to back, sparse: what they hold, and where.

A reader never seeks, so a VHD inside a compressed tarball can be streamed; a block that repeats or lies outside is refused.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable, Iterator

from ._extent import Extent
from ._vhd import FIXED, FOOTER, HEADER, SECTOR, UNUSED, VHD_BLOCK, Footer, Header, VhdError

Read = Callable[[int], bytes]


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
