# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A grey picture as a baseline JPEG (ITU T.81, JFIF), with the tables that the standard gives as examples."""

from __future__ import annotations

import math
import struct
from functools import cache

SIZE = 8
# Where the n-th coefficient in order of frequency is.
ZIGZAG = sorted(range(64), key=lambda at: (at // 8 + at % 8, at % 8 if (at // 8 + at % 8) % 2 == 0 else at // 8))
# Every coefficient is kept as exactly as whole numbers allow.
QUANTUM = 2
# Huffman codes: how many of each length, and their symbols (T.81 tables K.3 and K.5).
DC_COUNTS, DC_SYMBOLS = bytes.fromhex("00010501010101010100000000000000"), bytes(range(12))
AC_COUNTS = bytes.fromhex("0002010303020403050504040000017d")
AC_SYMBOLS = bytes.fromhex(
    "01020300041105122131410613516107227114328191a1082342b1c11552d1f02433627282090a161718191a25262728292a3435363738393a"
    "434445464748494a535455565758595a636465666768696a737475767778797a838485868788898a92939495969798999aa2a3a4a5a6a7a8a9aa"
    "b2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae1e2e3e4e5e6e7e8e9eaf1f2f3f4f5f6f7f8f9fa"
)
END_OF_BLOCK, SIXTEEN_ZEROS = 0x00, 0xF0
COSINES = [[math.cos((2 * x + 1) * u * math.pi / 16) * (math.sqrt(0.125) if u == 0 else 0.5) for x in range(SIZE)] for u in range(SIZE)]


def _codes(counts: bytes, symbols: bytes) -> dict[int, str]:
    codes, code, at = {}, 0, 0
    for length, count in enumerate(counts, 1):
        for symbol in symbols[at : at + count]:
            codes[symbol] = format(code, f"0{length}b")
            code += 1
        at += count
        code <<= 1
    return codes


DC, AC = _codes(DC_COUNTS, DC_SYMBOLS), _codes(AC_COUNTS, AC_SYMBOLS)


def encode(grey: bytes, width: int, height: int) -> bytes:
    """`grey` has a byte a pixel; both sides are multiples of eight."""
    return b"".join(
        (
            b"\xff\xd8",
            _segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0"),
            _segment(0xDB, b"\0" + bytes([QUANTUM]) * 64),
            _segment(0xC0, struct.pack(">BHHBBBB", 8, height, width, 1, 1, 0x11, 0)),
            _segment(0xC4, b"\x00" + DC_COUNTS + DC_SYMBOLS),
            _segment(0xC4, b"\x10" + AC_COUNTS + AC_SYMBOLS),
            _segment(0xDA, bytes([1, 1, 0, 0, 63, 0])),
            _scan(grey, width, height),
            b"\xff\xd9",
        )
    )


def _segment(marker: int, data: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data


def _scan(grey: bytes, width: int, height: int) -> bytes:
    bits, before = [], 0
    for top in range(0, height, SIZE):
        rows = [grey[row * width : (row + 1) * width] for row in range(top, top + SIZE)]
        for left in range(0, width, SIZE):
            first, rest = _block(b"".join(row[left : left + SIZE] for row in rows))
            size, text = _number(first - before)
            bits += [DC[size], text, rest]
            before = first
    text = "".join(bits)
    text += "1" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big").replace(b"\xff", b"\xff\0")


@cache
def _block(pixels: bytes) -> tuple[int, str]:
    """The mean of a block, and the code of all else in it."""
    rows = [[sum(COSINES[u][x] * (pixels[SIZE * y + x] - 128) for x in range(SIZE)) for u in range(SIZE)] for y in range(SIZE)]
    values = [round(sum(COSINES[v][y] * rows[y][u] for y in range(SIZE)) / QUANTUM) for v in range(SIZE) for u in range(SIZE)]
    ordered, bits, zeros = [values[at] for at in ZIGZAG], [], 0
    last = max((at for at in range(1, 64) if ordered[at]), default=0)
    for value in ordered[1 : last + 1]:
        if not value:
            zeros += 1
            continue
        bits += [AC[SIXTEEN_ZEROS]] * (zeros // 16)
        size, text = _number(value)
        bits += [AC[zeros % 16 << 4 | size], text]
        zeros = 0
    if last < 63:
        bits.append(AC[END_OF_BLOCK])
    return ordered[0], "".join(bits)


def _number(value: int) -> tuple[int, str]:
    """How many bits it takes, and these; of a negative one the complement."""
    size = abs(value).bit_length()
    return size, format(value if value > 0 else value + (1 << size) - 1, f"0{size}b") if size else ""
