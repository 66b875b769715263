# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Request bodies that the recordings describe by their length only, and what the exports afterwards must hold.

The recorder wrote no megabytes down; what kind of body it was follows from the query and the length, and some notes say what was checked.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Mapping
from typing import Any

BLOCK = 2 * 2**20
SECTOR = 512
CHUNK = 4096
CHUNK_HEADER = 12
END_MARK = bytes(CHUNK_HEADER)
DISK = 4 * 2**20


def chunk(offset: int, data: bytes) -> bytes:
    """A piece of the chunked framing: offset (u64), length (u32), little endian, then the data."""
    return struct.pack("<QI", offset, len(data)) + data


def vhd(disk_size: int, block: bytes) -> bytes:
    """A dynamic VHD of which only the first block is there."""
    footer = _footer(disk_size)
    header = struct.pack(">8sQQIII", b"cxsparse", 2**64 - 1, 3 * SECTOR, 0x10000, disk_size // BLOCK, BLOCK)
    header = _checksummed(header.ljust(1024, b"\0"), 36)
    table = struct.pack(">I", 4) + b"\xff\xff\xff\xff" * (disk_size // BLOCK - 1)
    return footer + header + table.ljust(SECTOR, b"\xff") + b"\xff" * SECTOR + block.ljust(BLOCK, b"\0") + footer


def _footer(disk_size: int) -> bytes:
    cylinders, heads, sectors = 120, 4, 17
    fields = (b"conectix", 2, 0x10000, SECTOR, 0, b"tap\0", 0x10003, 0, disk_size, disk_size, cylinders, heads, sectors, 3, 0, b"\x2a" * 16)
    return _checksummed(struct.pack(">8sIIQI4sIIQQHBBII16s", *fields).ljust(SECTOR, b"\0"), 64)


def _checksummed(sector: bytes, at: int) -> bytes:
    total = ~sum(sector) & 0xFFFFFFFF
    return sector[:at] + struct.pack(">I", total) + sector[at + 4 :]


class Disks:
    """Builds bodies, and remembers what each disk should hold."""

    def __init__(self) -> None:
        self.contents: dict[str, bytearray] = {}
        self.archive = b""
        self.made = 0

    def request_body(self, step: Mapping[str, Any], label: str) -> bytes | None:
        """The body of a step; `label` is the name of the task that carries it, which says what was tried."""
        if "request_text" in step:
            return str(step["request_text"]).encode()
        if "request_body" in step:
            return base64.b64decode(step["request_body"])
        if "request_body_bytes" not in step:
            return None
        if step["path"] == "/import":
            return self.archive
        length = int(step["request_body_bytes"])
        if "chunked" in step["query"] and length != DISK:
            return self._chunked(length, label)
        if step["query"].get("format") == "vhd" and length != DISK:
            return vhd(DISK, b"\xab" * BLOCK)
        self.made += 1
        return bytes([self.made]) * length

    def _chunked(self, length: int, label: str) -> bytes:
        one = CHUNK_HEADER + CHUNK
        if label == "two chunks out of order":
            return chunk(2**20, b"\x11" * CHUNK) + chunk(0, b"\x22" * CHUNK) + END_MARK
        if label == "beyond the end":
            return chunk(DISK - SECTOR, b"\x55" * CHUNK) + END_MARK
        if label == "no end mark":
            return chunk(0, b"\x66" * CHUNK)
        if length != one + CHUNK_HEADER:
            raise ValueError(f"a chunked body of {length} bytes: of what chunks is not known")
        return chunk(2**20, b"\x11" * CHUNK) + END_MARK

    def imported(self, step: Mapping[str, Any], body: bytes) -> None:
        """Keep what a successful import must have left on the disk."""
        disk = self.contents.setdefault(str(step["query"].get("vdi")), bytearray(DISK))
        if step["query"].get("format") == "vhd":
            disk[:BLOCK] = b"\xab" * BLOCK
        elif "chunked" in step["query"]:
            _apply_chunks(disk, body)
        else:
            disk[: len(body)] = body[:DISK]

    def exported(self, step: Mapping[str, Any], body: bytes) -> str | None:
        """What is wrong with the bytes of an export, if anything."""
        if step["path"] == "/export":
            self.archive = body
            return None
        if step["query"].get("format") == "vhd":
            return None if body[:8] == b"conectix" and body[512:520] == b"cxsparse" else "is no dynamic VHD"
        expected = self.contents.get(str(step["query"].get("vdi")))
        if expected is None:
            return None
        if body == bytes(expected):
            return None
        at = next((i for i, (a, b) in enumerate(zip(body, expected, strict=False)) if a != b), min(len(body), len(expected)))
        return f"differs from what was imported, first at byte {at}"


def _apply_chunks(disk: bytearray, body: bytes) -> None:
    at = 0
    while at + CHUNK_HEADER <= len(body):
        offset, length = struct.unpack_from("<QI", body, at)
        at += CHUNK_HEADER
        if length == 0:
            return
        data = body[at : at + length]
        disk[offset : offset + length] = data[: max(0, len(disk) - offset)]
        at += length
