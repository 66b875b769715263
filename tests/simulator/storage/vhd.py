# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The VHD format as a stream: read front to back as vhd-tool reads it, written front to back as it writes (ocaml/libs/vhd/vhd_format/f.ml)."""

from __future__ import annotations

import asyncio
import struct
import uuid
from collections.abc import Awaitable, Callable, Iterator

from .layer import BLOCK, UNITS_A_BLOCK
from .volume import Volume

SECTOR = 512
UNUSED = 0xFFFFFFFF
FOOTER = struct.Struct(">8sIIQI4sIIQQHBBII16sB")
HEADER = struct.Struct(">8sQQIIII16sII")
TABLE_AT = 2048  # an empty sector before it is where a parent locator would go
DYNAMIC, DIFFERENCING = 3, 4
LARGEST = 2040 * 1024**3
# What is held in memory of a file that somebody sends: programs write blocks of 2 MiB, and the largest disk has a million of them.
BLOCK_MOST, ENTRIES_MOST = 16 * BLOCK, 1 << 21

Read = Callable[[int], Awaitable[bytes]]
Write = Callable[[int, bytes], None]


class BadVhd(ValueError):
    """The bytes are no VHD that can be read from a stream."""


class Stream:
    """Bytes that come one after the other, with the position reached."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self.position = 0

    async def take(self, length: int) -> bytes:
        data = await self._read(length)
        self.position += length
        return data

    async def skip_to(self, position: int) -> None:
        if position < self.position:
            raise BadVhd(f"offset {position} lies behind {self.position}")
        while self.position < position:
            await self.take(min(BLOCK, position - self.position))


# In


async def receive(read: Read, write: Write, length: int) -> None:
    """Write what a dynamic or differencing VHD of `length` bytes holds; blocks and sectors that it lacks are left alone."""
    stream = Stream(read)
    data_offset = _footer(await stream.take(SECTOR))
    await stream.skip_to(data_offset)
    table_at, entries, block_size = _header(await stream.take(1024))
    await stream.skip_to(table_at)
    table = await stream.take(-(-entries * 4 // SECTOR) * SECTOR)
    used = await asyncio.to_thread(_used, table[: entries * 4])
    bitmap_size = -(-block_size // SECTOR // 8 // SECTOR) * SECTOR
    for sector, index in ((number // ENTRIES_MOST, number % ENTRIES_MOST) for number in used):
        await stream.skip_to(sector * SECTOR)
        bitmap = await stream.take(bitmap_size)
        data = await stream.take(block_size)
        for first, last in _spans(bitmap, block_size // SECTOR):
            write(index * block_size + first * SECTOR, data[first * SECTOR : last * SECTOR])
    await stream.skip_to((length - 1) // SECTOR * SECTOR)
    _footer(await stream.take(SECTOR))


def _footer(sector: bytes) -> int:
    if sector[:8] != b"conectix":
        raise BadVhd("no footer")
    return int(FOOTER.unpack_from(sector)[3])


def _header(data: bytes) -> tuple[int, int, int]:
    """Where the block table is, how long, and the size of a block."""
    cookie, _unused, table_at, _unused, entries, block_size, *_unused = HEADER.unpack_from(data)
    if cookie != b"cxsparse" or not SECTOR <= block_size <= BLOCK_MOST or block_size & (block_size - 1) or entries > ENTRIES_MOST:
        raise BadVhd("no header")
    return table_at, entries, block_size


def _used(table: bytes) -> list[int]:
    """The blocks that are there in the file's order: sector and index, in one number each since there may be millions."""
    entries = struct.iter_unpack(">I", table)
    return sorted(sector * ENTRIES_MOST + index for index, (sector,) in enumerate(entries) if sector != UNUSED)


def _spans(bitmap: bytes, sectors: int) -> Iterator[tuple[int, int]]:
    """Runs of sectors whose bit is set; the first sector is the highest bit of the first byte."""
    if bitmap[: sectors // 8] == b"\xff" * (sectors // 8):
        yield 0, sectors
        return
    start = -1
    for sector in range(sectors):
        present = bitmap[sector // 8] >> (7 - sector % 8) & 1
        if present and start < 0:
            start = sector
        elif not present and start >= 0:
            yield start, sector
            start = -1
    if start >= 0:
        yield start, sectors


# Out


def blocks_of(volume: Volume, base: Volume | None = None) -> list[int]:
    """Blocks that a VHD of the disk holds; with a base, those in which the two may differ."""
    layers = {id(v.layer): v.layer for v in volume.chain}
    if base is not None:
        others = {id(v.layer): v.layer for v in base.chain}
        layers = {key: layer for key, layer in (layers | others).items() if (key in layers) != (key in others)}
    found = set()
    for layer in layers.values():
        begin = layer.present.find(1)
        while begin >= 0:
            found.add(begin // UNITS_A_BLOCK)
            begin = layer.present.find(1, (begin // UNITS_A_BLOCK + 1) * UNITS_A_BLOCK)
    return sorted(block for block in found if block * BLOCK < volume.size)


def preamble(volume: Volume, blocks: list[int], *, differencing: bool) -> bytes:
    """What comes before the blocks: footer, header, an empty sector, the table."""
    entries = -(-volume.size // BLOCK)
    table_size = -(-entries * 4 // SECTOR) * SECTOR
    table = [UNUSED] * (table_size // 4)
    for number, block in enumerate(blocks):
        table[block] = (TABLE_AT + table_size + number * (SECTOR + BLOCK)) // SECTOR
    header = HEADER.pack(b"cxsparse", 2**64 - 1, TABLE_AT, 0x00010000, entries, BLOCK, 0, bytes(16), 0, 0)
    header = _summed(header.ljust(1024, b"\0"), 36)
    return footer(volume, differencing=differencing) + header + bytes(SECTOR) + struct.pack(f">{len(table)}I", *table)


def footer(volume: Volume, *, differencing: bool) -> bytes:
    """The footer, as at both ends of the file."""
    cylinders, heads, sectors = geometry(volume.size)
    kind = DIFFERENCING if differencing else DYNAMIC
    identity = uuid.uuid5(uuid.NAMESPACE_OID, volume.name).bytes
    fields = (b"conectix", 2, 0x00010000, SECTOR, 0, b"caml", 1, 0, volume.size, volume.size, cylinders, heads, sectors, kind, 0, identity, 0)
    return _summed(FOOTER.pack(*fields).ljust(SECTOR, b"\0"), 64)


# Set for every block: each of its sectors is in the file.
BITMAP = b"\xff" * SECTOR


def _summed(data: bytes, at: int) -> bytes:
    return data[:at] + struct.pack(">I", ~sum(data) & 0xFFFFFFFF) + data[at + 4 :]


def geometry(size: int) -> tuple[int, int, int]:
    """Cylinders, heads, sectors by the rule of the VHD specification."""
    total = min(size // SECTOR, 65535 * 16 * 255)
    if total >= 65535 * 16 * 63:
        return total // 255 // 16, 16, 255
    sectors = 17
    tracks = total // sectors
    heads = max(4, (tracks + 1023) // 1024)
    if tracks >= heads * 1024 or heads > 16:
        sectors, heads = 31, 16
        tracks = total // sectors
    if tracks >= heads * 1024:
        sectors, heads = 63, 16
        tracks = total // sectors
    return tracks // heads, heads, sectors
