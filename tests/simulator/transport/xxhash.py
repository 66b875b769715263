# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""XXH64 with seed 0, as https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md has it: the checksum of archives."""

from __future__ import annotations

import struct
from functools import lru_cache

MASK = (1 << 64) - 1
P1, P2, P3, P4, P5 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5
STRIPE = 32


def _rotated(value: int, bits: int) -> int:
    return ((value << bits) | (value >> (64 - bits))) & MASK


def _round(lane: int, word: int) -> int:
    lane = (lane + word * P2) & MASK
    return (((lane << 31) | (lane >> 33)) * P1) & MASK


def _merged(total: int, lane: int) -> int:
    return ((total ^ _round(0, lane)) * P1 + P4) & MASK


@lru_cache(maxsize=8)
def _of_zeroes(length: int) -> str:
    return _digest(bytes(length))


def xxh64(data: bytes) -> str:
    """The digest as archives spell it: 16 upper-case hex digits. Chunks of zeroes are common, and remembered."""
    return _digest(data) if any(data) else _of_zeroes(len(data))


def _digest(data: bytes) -> str:
    whole = len(data) // STRIPE * STRIPE
    if whole:
        lanes = [(P1 + P2) & MASK, P2, 0, -P1 & MASK]
        words = struct.unpack(f"<{whole // 8}Q", data[:whole])
        for number in range(4):
            lane = lanes[number]
            for word in words[number::4]:
                lane = (lane + word * P2) & MASK
                lane = (((lane << 31) | (lane >> 33)) * P1) & MASK
            lanes[number] = lane
        total = sum(_rotated(lane, bits) for lane, bits in zip(lanes, (1, 7, 12, 18), strict=True)) & MASK
        for lane in lanes:
            total = _merged(total, lane)
    else:
        total = P5
    return f"{_finished(total + len(data), data[whole:]):016X}"


def _finished(total: int, rest: bytes) -> int:
    total &= MASK
    while len(rest) >= 8:
        total = (_rotated(total ^ _round(0, int.from_bytes(rest[:8], "little")), 27) * P1 + P4) & MASK
        rest = rest[8:]
    if len(rest) >= 4:
        total = (_rotated(total ^ (int.from_bytes(rest[:4], "little") * P1 & MASK), 23) * P2 + P3) & MASK
        rest = rest[4:]
    for byte in rest:
        total = (_rotated(total ^ (byte * P5 & MASK), 11) * P1) & MASK
    for shift, prime in ((33, P2), (29, P3)):
        total = ((total ^ (total >> shift)) * prime) & MASK
    return total ^ (total >> 32)
