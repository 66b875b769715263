# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A chain of VHDs as one disk, read once: the newest layer first, and of each older one only what no newer one holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ._extent import Extent
from ._vhd import DIFFERENCING, SECTOR, VHD_BLOCK, VhdError
from ._vhd_reader import SparseReader

SECTORS = VHD_BLOCK // SECTOR
FULL = (1 << SECTORS) - 1
Read = Callable[[int], bytes]


class Chain:
    """Layers are given in order, leaf first, each by a function that reads its file (a tarball ``0.vhd``, ``1.vhd``, …)."""

    def __init__(self, first: Read) -> None:
        self._newest = SparseReader(first)
        self.size = self._newest.footer.size

    @property
    def is_whole(self) -> bool:
        """Whether the first layer needs no other."""
        return self._newest.footer.type != DIFFERENCING

    def extents(self, others: Iterator[Read]) -> Iterator[Extent]:
        """What the chain holds. ``others`` are the older layers; too many or too few are an error at the end."""
        covered, layer = Covered(), self._newest
        while True:
            if layer.footer.type != DIFFERENCING and layer is self._newest:
                yield from layer.extents()
            else:
                for extent in layer.extents():
                    yield from covered.free_parts(extent.offset, extent.data[: max(self.size - extent.offset, 0)])
            older = next(others, None)
            if layer.footer.type != DIFFERENCING:
                if older is not None:
                    raise VhdError("this archive holds another VHD behind the base of its chain; it has to be one chain, the newest first")
                return
            if older is None:
                raise VhdError(f"this VHD is only the difference to {layer.header.parent}, which is missing; add it to the archive, or coalesce the chain")
            layer = _next(layer, older)


def _next(layer: SparseReader, older: Read) -> SparseReader:
    parent = SparseReader(older)
    if parent.footer.identity != layer.header.parent:
        raise VhdError(f"this archive is no chain: {layer.header.parent} has to follow, but {parent.footer.identity} does; the newest VHD comes first")
    return parent


class Covered:
    """The sectors that newer layers hold: a number of 4096 bits for each block of 2 MiB that was touched."""

    def __init__(self) -> None:
        self._blocks: dict[int, int] = {}

    def free_parts(self, offset: int, data: bytes) -> Iterator[Extent]:
        """The parts that nobody held yet; they are held now."""
        position = 0
        while position < len(data):
            block, inside = divmod(offset + position, VHD_BLOCK)
            piece = data[position : position + VHD_BLOCK - inside]
            first, count = inside // SECTOR, len(piece) // SECTOR
            wanted = ((1 << count) - 1) << first
            before = self._blocks.get(block, 0)
            after = before | wanted
            self._blocks[block] = FULL if after == FULL else after
            for start, end in _runs(wanted & ~before):
                yield Extent(block * VHD_BLOCK + start * SECTOR, piece[(start - first) * SECTOR : (end - first) * SECTOR])
            position += len(piece)


def _runs(bits: int) -> Iterator[tuple[int, int]]:
    """Runs (first, end) of set bits, from the lowest."""
    shift = 0
    while bits:
        zeros = (bits & -bits).bit_length() - 1
        bits >>= zeros
        ones = (~bits & (bits + 1)).bit_length() - 1
        bits >>= ones
        yield shift + zeros, shift + zeros + ones
        shift += zeros + ones
