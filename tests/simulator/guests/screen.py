# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a simulated VM shows: a few lines of text, large, white on black."""

from __future__ import annotations

from functools import lru_cache

from . import font

WIDTH, HEIGHT = 640, 400
SCALE = 2
MARGIN = 16
LINE, COLUMN = (font.HEIGHT + 3) * SCALE, (font.WIDTH + 1) * SCALE
COLUMNS, LINES = (WIDTH - 2 * MARGIN) // COLUMN, (HEIGHT - 2 * MARGIN) // LINE


@lru_cache(maxsize=16)
def draw(lines: tuple[str, ...]) -> bytes:
    """The screen with these lines on it: a byte a pixel, 1 where it is lit. Long lines are cut."""
    picture = bytearray(WIDTH * HEIGHT)
    for number, text in enumerate(lines[:LINES]):
        for place, char in enumerate(text[:COLUMNS]):
            _put(picture, MARGIN + place * COLUMN, MARGIN + number * LINE, char)
    return bytes(picture)


def _put(picture: bytearray, left: int, top: int, char: str) -> None:
    for down, row in enumerate(font.rows(char)):
        dots = b"".join((b"\1" if row >> (font.WIDTH - 1 - bit) & 1 else b"\0") * SCALE for bit in range(font.WIDTH))
        for repeat in range(SCALE):
            start = (top + down * SCALE + repeat) * WIDTH + left
            picture[start : start + len(dots)] = dots
