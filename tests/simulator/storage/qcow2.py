# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The QCOW2 format as a stream, since API level 26.

Out as qcow2-to-stdout.py lays it out: header, table and blocks of reference counts, L1 table, L2 tables, clusters in the disk's order.
In as ocaml-qcow's qcow_stream.ml takes it: all tables before the first cluster, clusters in the file's order without a gap, none packed.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from . import vhd
from .layer import UNITS_A_BLOCK
from .vhd import Read, Write
from .volume import Volume

CLUSTER = 64 * 1024
ENTRIES = CLUSTER // 8  # of a table, in a cluster
COUNTS = CLUSTER // 2  # reference counts of 16 bits, in a cluster
HEADER = struct.Struct(">4sIQIIQIIQQIIQQQQII")
HEADER_LENGTH = 112
MAGIC = b"QFI\xfb"
COPIED, COMPRESSED = 1 << 63, 1 << 62
OFFSET = (1 << 56) - (1 << 9)
NAMES_KIND = 0x6803F857
NAMES = (
    (0, 0, b"dirty bit"),
    (0, 1, b"corrupt bit"),
    (0, 2, b"external data file"),
    (0, 3, b"compression type"),
    (0, 4, b"extended L2 entries"),
    (1, 0, b"lazy refcounts"),
    (2, 0, b"bitmaps"),
    (2, 1, b"raw external data"),
)
SECTOR = 512
DIRTY_OR_CORRUPT = 3
BITS = range(12, 22)
TABLES_MOST = 64 * 1024 * 1024


class BadQcow2(ValueError):
    """The bytes are no QCOW2 image that can be read from a stream."""


# Out


def clusters_of(volume: Volume, base: Volume | None = None) -> list[int]:
    """The clusters that are not all zero; with a base, those that differ from it."""
    found = []
    for block in vhd.blocks_of(volume, base):
        for cluster in range(block * UNITS_A_BLOCK, (block + 1) * UNITS_A_BLOCK):
            offset = cluster * CLUSTER
            if offset < volume.size and _cluster(volume, offset) != (_cluster(base, offset) if base else bytes(CLUSTER)):
                found.append(cluster)
    return found


def _cluster(volume: Volume, offset: int) -> bytes:
    size = max(0, min(CLUSTER, volume.size - offset))
    return volume.read(offset, size).ljust(CLUSTER, b"\0")


def preamble(size: int, clusters: list[int]) -> Iterator[bytes]:
    """Header and tables of an image of `size` bytes that holds these clusters."""
    l1_entries = -(-size // (CLUSTER * ENTRIES))
    used = sorted({cluster // ENTRIES for cluster in clusters})
    l1_size = -(-l1_entries // ENTRIES)
    blocks, tables = _counted(1 + l1_size + len(used) + len(clusters))
    l1_at = 1 + tables + blocks
    l2_at = l1_at + l1_size
    data_at = l2_at + len(used)
    places = (l1_entries, l1_at * CLUSTER if l1_size else 0, CLUSTER, tables)
    header = HEADER.pack(MAGIC, 3, 0, 0, 16, size, 0, *places, 0, 0, 0, 0, 0, 4, HEADER_LENGTH)
    yield (header.ljust(HEADER_LENGTH, b"\0") + _names()).ljust(CLUSTER, b"\0")
    yield _table(tables, {number: (1 + tables + number) * CLUSTER for number in range(blocks)})
    yield (struct.pack(">H", 1) * (data_at + len(clusters))).ljust(blocks * CLUSTER, b"\0")
    yield _table(l1_size, {number: (l2_at + place) * CLUSTER | COPIED for place, number in enumerate(used)})
    entries: dict[int, dict[int, int]] = {number: {} for number in used}
    for place, cluster in enumerate(clusters):
        entries[cluster // ENTRIES][cluster % ENTRIES] = (data_at + place) * CLUSTER | COPIED
    for number in used:
        yield _table(1, entries[number])


def _counted(others: int) -> tuple[int, int]:
    """How many clusters hold reference counts, and how many the table of those; they count themselves too."""
    blocks = -(-others // COUNTS)
    tables = -(-blocks // ENTRIES)
    while -(-(others + blocks + tables) // COUNTS) > blocks:
        blocks = -(-(others + blocks + tables) // COUNTS)
        tables = -(-blocks // ENTRIES)
    return blocks, tables


def _names() -> bytes:
    return struct.pack(">II", NAMES_KIND, len(NAMES) * 48) + b"".join(struct.pack(">BB46s", *name) for name in NAMES)


def _table(clusters: int, entries: dict[int, int]) -> bytes:
    values = [0] * (clusters * ENTRIES)
    for index, value in entries.items():
        values[index] = value
    return struct.pack(f">{len(values)}Q", *values)


# In


async def receive(read: Read, write: Write) -> None:
    """Write the clusters of an image; those that it lacks are left alone."""
    stream = _Clusters(read)
    header = await stream.header()
    for number in range(1, header.l1_at):
        await stream.at(number)  # reference counts
    targets: dict[int, int] = {}
    for l1_number in range(header.l1_clusters):
        for index, l2_at in _pointers(await stream.at(header.l1_at + l1_number), stream.size):
            first = (l1_number * stream.entries + index) * stream.entries
            for entry, data_at in _pointers(await stream.at(l2_at), stream.size):
                if data_at in targets:
                    raise BadQcow2(f"two references to cluster {data_at}")
                targets[data_at] = (first + entry) * stream.size
    for number in sorted(targets):
        write(targets[number], await stream.at(number))


def _pointers(table: bytes, size: int) -> Iterator[tuple[int, int]]:
    """Index and cluster number of the entries that are set."""
    for index, (value,) in enumerate(struct.iter_unpack(">Q", table)):
        if value & COMPRESSED:
            raise BadQcow2("a packed cluster")
        if value & OFFSET:
            yield index, (value & OFFSET) // size


class _Header:
    def __init__(self, sector: bytes) -> None:
        magic, version, _backing, _length, self.bits, _size, encrypted, l1_entries, l1_at, _counts_at, _counts, *rest = HEADER.unpack_from(sector)
        if magic != MAGIC or version not in (2, 3) or encrypted or self.bits not in BITS:
            raise BadQcow2("no header")
        if version == 3 and (rest[2] & ~DIRTY_OR_CORRUPT or rest[4]):
            raise BadQcow2("features that are not known")
        size = 1 << self.bits
        self.l1_at = l1_at // size
        self.l1_clusters = -(-l1_entries * 8 // size)
        if max(l1_entries * 8, l1_at) > TABLES_MOST:
            raise BadQcow2("tables that are too large")


class _Clusters:
    """The clusters of a stream, which come one after the other."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._next = 1
        self.size = CLUSTER

    @property
    def entries(self) -> int:
        return self.size // 8

    async def header(self) -> _Header:
        sector = await self._read(SECTOR)
        header = _Header(sector)
        self.size = 1 << header.bits
        await self._read(self.size - SECTOR)
        return header

    async def at(self, number: int) -> bytes:
        if number != self._next:
            raise BadQcow2(f"cluster {number} where {self._next} comes next")
        self._next += 1
        return await self._read(self.size)
