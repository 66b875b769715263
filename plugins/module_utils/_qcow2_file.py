# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write a qcow2 image of version 3, compressed or not, from the extents of a disk.

Data go to the file as they come, the tables follow, and the header is written last: an unfinished file is no image.
Memory is that of the tables: 8 bytes for each cluster that holds something.
"""

from __future__ import annotations

import os
import sys
import zlib
from array import array
from collections.abc import Iterable

from ._errors import XenError
from ._extent import Extent
from ._qcow2 import COMPRESSED, HEADER, HEADER_3, MAGIC

# 64 KiB is what qemu-img makes; beyond 256 GiB larger clusters keep the tables below 32 MiB.
SMALL_CLUSTER, MOST_CLUSTERS = 16, 4 * 1024 * 1024
COPIED = 1 << 63  # "exactly one reference, may be written in place"
REFCOUNT_ORDER = 4  # counters of 16 bits


def write_image(descriptor: int, size: int, extents: Iterable[Extent], level: int | None = None) -> None:
    """Make the empty file an image of a disk of ``size`` bytes; ``level`` compresses (1 to 9)."""
    bits = SMALL_CLUSTER
    while size >> bits > MOST_CLUSTERS:
        bits += 1
    writer = _Compressed(descriptor, bits, level) if level else _Plain(descriptor, bits)
    for extent in extents:
        writer.add(extent.offset, extent.data)
    writer.finish(size)


class _Writer:
    """Where clusters of the disk lie in the file: one table of entries for each run of clusters that holds something."""

    def __init__(self, descriptor: int, bits: int) -> None:
        self._descriptor = descriptor
        self._bits = bits
        self.cluster = 1 << bits
        self._tables: dict[int, array[int]] = {}
        self._end = self.cluster  # the header has the first cluster

    def add(self, offset: int, data: bytes) -> None:
        """Bytes of the disk."""
        while data:
            count = self.cluster - offset % self.cluster
            self._add_piece(offset, data[:count])
            offset, data = offset + count, data[count:]

    def _add_piece(self, offset: int, data: bytes) -> None:
        raise NotImplementedError

    def entry(self, cluster: int) -> int:
        """The entry of a cluster of the disk, 0 when it holds nothing yet."""
        per_table = self.cluster // 8
        table = self._tables.get(cluster // per_table)
        return table[cluster % per_table] if table else 0

    def set_entry(self, cluster: int, entry: int) -> None:
        per_table = self.cluster // 8
        table = self._tables.setdefault(cluster // per_table, array("Q", bytes(self.cluster)))
        table[cluster % per_table] = entry

    def counts(self) -> array[int]:
        """How often each cluster of the file written so far is used."""
        return array("H", [1]) * (self._end >> self._bits)

    def put(self, data: bytes, offset: int) -> None:
        view = memoryview(data)
        while view:
            done = os.pwrite(self._descriptor, view, offset)
            view, offset = view[done:], offset + done

    def finish(self, size: int) -> None:
        """Write the tables, and the header in the end."""
        self._end = _rounded(self._end, self.cluster)
        counts = self.counts()
        entries = -(-size // (self.cluster * (self.cluster // 8)))
        table = array("Q", bytes(8 * entries))
        for number, inner in sorted(self._tables.items()):
            table[number] = self._append(_big_endian(inner)) | COPIED
        table_offset = self._append(_big_endian(table))
        counter_offset, counter_clusters = self._write_counters(counts)
        os.ftruncate(self._descriptor, self._end)
        fields = (MAGIC, 3, 0, 0, self._bits, size, 0, entries, table_offset, counter_offset, counter_clusters, 0, 0)
        self.put(HEADER.pack(*fields) + HEADER_3.pack(0, 0, 0, REFCOUNT_ORDER, HEADER.size + HEADER_3.size), 0)

    def _append(self, data: bytes) -> int:
        offset = self._end
        self.put(data, offset)
        self._end += _rounded(len(data), self.cluster)
        return offset

    def _write_counters(self, counts: array[int]) -> tuple[int, int]:
        """Counters for every cluster of the file, those of the counters included: their number is found by growing it."""
        per_block, per_table = self.cluster // 2, self.cluster // 8
        used, blocks, tables = self._end >> self._bits, 1, 1
        while used + blocks + tables > blocks * per_block or blocks > tables * per_table:
            blocks = -(-(used + blocks + tables) // per_block)
            tables = -(-blocks // per_table)
        counts.extend([1] * (used + blocks + tables - len(counts)))
        counts.extend([0] * (blocks * per_block - len(counts)))
        first = self._append(_big_endian(counts))
        places = array("Q", [first + block * self.cluster for block in range(blocks)])
        return self._append(_big_endian(places).ljust(tables * self.cluster, b"\0")), tables


class _Plain(_Writer):
    """Clusters as they are; the zero pages inside stay holes of the file."""

    def _add_piece(self, offset: int, data: bytes) -> None:
        cluster = offset >> self._bits
        place = self.entry(cluster) & ~COPIED
        if not place:
            place = self._end
            self._end += self.cluster
            self.set_entry(cluster, place | COPIED)
        self.put(data, place + offset % self.cluster)


class _Compressed(_Writer):
    """Clusters deflated and packed without gaps; one that does not shrink is kept as it is."""

    def __init__(self, descriptor: int, bits: int, level: int) -> None:
        super().__init__(descriptor, bits)
        self._level = level
        self._current = -1
        self._buffer = bytearray(self.cluster)
        self._shared: dict[int, int] = {}  # cluster of the file → compressed clusters that touch it

    def _add_piece(self, offset: int, data: bytes) -> None:
        cluster = offset >> self._bits
        if cluster != self._current:
            self._flush()
            if self.entry(cluster):
                raise XenError("the disk came in an order that cannot be compressed; leave compression_level out")
            self._current = cluster
        start = offset % self.cluster
        self._buffer[start : start + len(data)] = data

    def _flush(self) -> None:
        if self._current < 0:
            return
        packer = zlib.compressobj(self._level, zlib.DEFLATED, -12)
        packed = packer.compress(self._buffer) + packer.flush()
        if len(packed) < self.cluster:
            self._put_packed(packed)
        else:
            place = self._end = _rounded(self._end, self.cluster)
            self.put(bytes(self._buffer), place)
            self._end += self.cluster
            self.set_entry(self._current, place | COPIED)
        self._buffer = bytearray(self.cluster)

    def _put_packed(self, packed: bytes) -> None:
        place = self._end
        self.put(packed, place)
        self._end += len(packed)
        sectors = (place + len(packed) - 1) // 512 - place // 512
        self.set_entry(self._current, COMPRESSED | sectors << (62 - (self._bits - 8)) | place)
        # A compressed cluster counts for every cluster of the file that its sectors touch.
        last = (place // 512 + sectors) * 512 + 511
        for touched in range(place >> self._bits, (last >> self._bits) + 1):
            self._shared[touched] = self._shared.get(touched, 0) + 1

    def finish(self, size: int) -> None:
        self._flush()
        super().finish(size)

    def counts(self) -> array[int]:
        counts = super().counts()
        for cluster, count in self._shared.items():
            counts[cluster] = count
        return counts


def _rounded(value: int, unit: int) -> int:
    return -(-value // unit) * unit


def _big_endian(table: array[int]) -> bytes:
    if sys.byteorder == "little":
        table = table[:]
        table.byteswap()
    return table.tobytes()
