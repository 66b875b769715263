# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""qcow2 images, versions 2 and 3: read cluster by cluster where they lie, so that no raw copy is needed.

The format is docs/interop/qcow2.txt of QEMU. All numbers are big-endian. Every offset is checked against the file:
a broken or hostile image ends in a sentence, and never in more memory than its tables of 32 MiB.
"""

from __future__ import annotations

import struct
import sys
import zlib
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ._errors import XenError
from ._extent import PIECE, Extent
from ._vhd import LARGEST

MAGIC = b"QFI\xfb"
HEADER = struct.Struct(">4sIQIIQIIQQIIQ")  # 72 bytes, all of version 2
HEADER_3 = struct.Struct(">QQQII")  # 32 more of version 3
CLUSTER_BITS = range(9, 22)
# What QEMU itself accepts (QCOW_MAX_L1_SIZE).
LARGEST_TABLE = 32 * 1024 * 1024
COMPRESSED, OFFSET, ZERO = 1 << 62, 0x00FFFFFFFFFFFE00, 1
# Bits of incompatible_features: 0, dirty, concerns only the counters of references, which a reader does not need.
BROKEN, EXTERNAL, COMPRESSION, EXTENDED = 1 << 1, 1 << 2, 1 << 3, 1 << 4
REFUSED = {
    BROKEN: "is marked as corrupt; repair it with 'qemu-img check -r all'",
    EXTERNAL: "keeps its data in another file; make one file of it with 'qemu-img convert -O qcow2'",
    EXTENDED: "has extended table entries (subclusters); convert it with 'qemu-img convert -O qcow2 -o extended_l2=off'",
}

Pread = Callable[[int, int], bytes]  # (count, offset)


class Qcow2Error(XenError):
    """The file is no qcow2 image, or one that cannot be read here."""


@dataclass(frozen=True)
class Header:
    """What the first bytes of an image say."""

    size: int  # bytes of the virtual disk
    cluster_bits: int
    table_offset: int
    table_entries: int

    @property
    def cluster(self) -> int:
        """Bytes of a cluster."""
        return 1 << self.cluster_bits

    @classmethod
    def parse(cls, data: bytes) -> Header:
        if len(data) < HEADER.size or data[:4] != MAGIC:
            raise Qcow2Error("this is no qcow2 image: it does not begin with 'QFI'")
        _unused, version, backing, _unused, bits, size, encrypted, entries, table, *_unused = HEADER.unpack_from(data)
        if version not in (2, 3):
            raise Qcow2Error(f"this qcow2 image is of version {version}; 2 and 3 are known")
        if backing:
            raise Qcow2Error("this qcow2 image is only the difference to a backing file; make one file of it with 'qemu-img convert -O qcow2'")
        if encrypted:
            raise Qcow2Error("this qcow2 image is encrypted; decrypt it with 'qemu-img convert'")
        if version == 3:
            _check_features(data)
        if bits not in CLUSTER_BITS:
            raise Qcow2Error(f"this qcow2 image is broken: its clusters have 2^{bits} bytes")
        if not 0 < size <= LARGEST:
            raise Qcow2Error(f"this qcow2 image claims a disk of {size} bytes; more than 0 and at most {LARGEST} is possible")
        covered = entries << (2 * bits - 3)
        if entries * 8 > LARGEST_TABLE or covered < size or table % (1 << bits):
            raise Qcow2Error(f"this qcow2 image is broken: its table at byte {table} has {entries} entries for a disk of {size} bytes")
        return cls(size, bits, table, entries)


def _check_features(data: bytes) -> None:
    if len(data) < HEADER.size + HEADER_3.size:
        raise Qcow2Error("this qcow2 image ends in its header")
    incompatible, *_unused, length = HEADER_3.unpack_from(data, HEADER.size)
    for bit, reason in REFUSED.items():
        if incompatible & bit:
            raise Qcow2Error(f"this qcow2 image {reason}")
    if incompatible & COMPRESSION and (length < 105 or data[104:105] != b"\0"):
        raise Qcow2Error("this qcow2 image is compressed with zstd; convert it with 'qemu-img convert -O qcow2 -o compression_type=zlib'")
    unknown = incompatible >> 5
    if unknown:
        raise Qcow2Error(f"this qcow2 image needs features of a newer QEMU (bits {unknown << 5:#x}); convert it with 'qemu-img convert -O qcow2'")


class Reader:
    """An image in a file that can be read anywhere. ``extents()`` gives what it holds, in the order of the disk."""

    def __init__(self, pread: Pread, file_size: int) -> None:
        self._pread = pread
        self._file_size = file_size
        self._plain_bytes = 0
        self.header = Header.parse(pread(4096, 0))

    def extents(self) -> Iterator[Extent]:
        """Runs of clusters that lie together in the file, 4 MiB at most at a time."""
        header = self.header
        per_table = header.cluster // 8
        clusters = -(-header.size // header.cluster)
        for number, entry in enumerate(self._table(header.table_offset, header.table_entries)):
            offset, first = entry & OFFSET, number * per_table
            if offset and first < clusters:
                yield from self._table_extents(offset, first, min(per_table, clusters - first))

    def _table_extents(self, offset: int, first: int, count: int) -> Iterator[Extent]:
        entries = self._table(offset, count)
        most = max(PIECE >> self.header.cluster_bits, 1)
        index = 0
        while index < count:
            entry = entries[index]
            if entry & COMPRESSED:
                yield self._extent(first + index, self._inflated(entry))
                index += 1
                continue
            length = 1
            if self._holds(entry):
                while length < most and index + length < count and self._follows(entries[index + length], entry, length):
                    length += 1
                yield self._extent(first + index, self._plain(entry & OFFSET, length))
            index += length

    def _holds(self, entry: int) -> bool:
        return bool(entry & OFFSET) and not entry & (ZERO | COMPRESSED)

    def _follows(self, entry: int, start: int, distance: int) -> bool:
        return self._holds(entry) and entry & OFFSET == (start & OFFSET) + (distance << self.header.cluster_bits)

    def _extent(self, cluster: int, data: bytes) -> Extent:
        offset = cluster << self.header.cluster_bits
        return Extent(offset, data[: self.header.size - offset])

    def _table(self, offset: int, count: int) -> array[int]:
        data = self._pread(count * 8, offset)
        if len(data) < count * 8 or offset % self.header.cluster:
            raise Qcow2Error(f"this qcow2 image is broken: a table at byte {offset} lies outside of its {self._file_size} bytes")
        table = array("Q", data)
        if sys.byteorder == "little":
            table.byteswap()
        return table

    def _plain(self, offset: int, count: int) -> bytes:
        if offset % self.header.cluster or offset >= self._file_size:
            raise Qcow2Error(f"this qcow2 image is broken: it ends at byte {self._file_size}, before its data at {offset}")
        # No two clusters of a disk share their data: a file that says so would be sent over and over, up to the size that it claims.
        self._plain_bytes += count << self.header.cluster_bits
        if self._plain_bytes > self._file_size + self.header.cluster:
            raise Qcow2Error(f"this qcow2 image is broken: its tables name more data than its {self._file_size} bytes hold")
        # The last cluster of a file may be cut where only zeros follow; QEMU reads it so.
        return self._pread(count << self.header.cluster_bits, offset).ljust(count << self.header.cluster_bits, b"\0")

    def _inflated(self, entry: int) -> bytes:
        shift = 62 - (self.header.cluster_bits - 8)
        offset = entry & ((1 << shift) - 1)
        sectors = ((entry & (COMPRESSED - 1)) >> shift) + 1
        packed = self._pread(sectors * 512 - offset % 512, offset)
        try:
            data = zlib.decompressobj(-12).decompress(packed, self.header.cluster)
        except zlib.error as error:
            raise Qcow2Error(f"this qcow2 image is broken: the compressed data at byte {offset} cannot be read ({error})") from None
        if len(data) < self.header.cluster:
            raise Qcow2Error(f"this qcow2 image is broken: the compressed data at byte {offset} ends in the middle")
        return data
