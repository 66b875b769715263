# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The format of VHD files: footer and header, as Microsoft's "Virtual Hard Disk Image Format Specification" 1.0 has them.

All numbers are big-endian. ``_vhd_reader`` and ``_vhd_writer`` do the rest.
"""

from __future__ import annotations

import struct
import uuid
from dataclasses import dataclass

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


class VhdError(XenError):
    """The file is no VHD, or a broken one."""


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
