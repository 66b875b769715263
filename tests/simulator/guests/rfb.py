# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A VNC server (RFC 6143) that shows a screen and lets keys and pointer do nothing. Versions 3.3, 3.7 and 3.8; raw encoding."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from . import screen

VERSION = b"RFB 003.008\n"
NO_SECURITY = 1
# Bytes after the type of each message that a client sends; SetEncodings and ClientCutText go on after that.
SET_FORMAT, SET_ENCODINGS, UPDATE, KEY, POINTER, CUT_TEXT = 0, 2, 3, 4, 5, 6
LENGTHS = {SET_FORMAT: 19, SET_ENCODINGS: 3, UPDATE: 9, KEY: 7, POINTER: 5, CUT_TEXT: 7}
LONGEST_TEXT = 1 << 20
# Seconds between two looks at whether the screen is another.
LOOKS = 0.2


@dataclass(frozen=True)
class Format:
    bits: int = 32
    big_endian: bool = False
    true_colour: bool = True
    white: int = 0xFFFFFF

    @classmethod
    def read(cls, data: bytes) -> Format:
        bits, _depth, big, true, red, green, blue, *shifts = struct.unpack(">BBBBHHHBBB", data[3:16])
        if bits not in (8, 16, 32):
            raise ValueError(f"{bits} bits a pixel")
        white = sum(most << (shift & 31) for most, shift in zip((red, green, blue), shifts, strict=True))
        return cls(bits, bool(big), bool(true), white & ((1 << bits) - 1) if true else 1)

    def pixels(self, lit: bytes) -> bytes:
        size, order = self.bits // 8, "big" if self.big_endian else "little"
        colours = [bytes(size), self.white.to_bytes(size, "big" if order == "big" else "little")]
        return b"".join(map(colours.__getitem__, lit))


class Viewer:
    """One client. `look` gives the lines of the screen, None when there is no screen any more."""

    def __init__(self, reader: asyncio.StreamReader, write: Callable[[bytes], Awaitable[None]], name: str, look: Callable[[], tuple[str, ...] | None]) -> None:
        self._reader = reader
        self._write = write
        self._name = name
        self._look = look
        self._format = Format()
        self._shown: tuple[str, ...] | None = None
        self._wanted: tuple[int, int, int, int] | None = None

    async def run(self) -> None:
        """Until the client or the VM goes, or the client sends what is no RFB."""
        try:
            await self._greet()
            while self._look() is not None:
                await self._message()
        except (asyncio.IncompleteReadError, ValueError, struct.error):
            return

    async def _greet(self) -> None:
        await self._write(VERSION)
        version = await self._reader.readexactly(len(VERSION))
        if not version.startswith(b"RFB 003."):
            raise ValueError(version)
        minor = int(version[8:11])
        if minor >= 7:
            await self._write(bytes([1, NO_SECURITY]))
            if (await self._reader.readexactly(1))[0] != NO_SECURITY:
                raise ValueError("another security type")
        if minor < 7:
            await self._write(struct.pack(">I", NO_SECURITY))
        elif minor >= 8:
            await self._write(struct.pack(">I", 0))
        await self._reader.readexactly(1)
        name = self._name.encode()
        pixel_format = struct.pack(">BBBBHHHBBBxxx", 32, 24, 0, 1, 255, 255, 255, 16, 8, 0)
        await self._write(struct.pack(">HH", screen.WIDTH, screen.HEIGHT) + pixel_format + struct.pack(">I", len(name)) + name)

    async def _message(self) -> None:
        try:
            kind = (await asyncio.wait_for(self._reader.readexactly(1), LOOKS))[0]
        except TimeoutError:
            if self._wanted is not None and self._look() != self._shown:
                await self._send(*self._wanted)
            return
        if kind not in LENGTHS:
            raise ValueError(f"message {kind}")
        data = await self._reader.readexactly(LENGTHS[kind])
        if kind == SET_FORMAT:
            self._format = Format.read(data)
            if not self._format.true_colour:
                await self._write(struct.pack(">BxHH", 1, 0, 2) + struct.pack(">HHHHHH", 0, 0, 0, 65535, 65535, 65535))
        elif kind == SET_ENCODINGS:
            await self._reader.readexactly(4 * struct.unpack(">xH", data)[0])
        elif kind == UPDATE:
            await self._asked(*struct.unpack(">BHHHH", data))
        elif kind == CUT_TEXT:
            await self._skip(struct.unpack(">xxxI", data)[0])

    async def _skip(self, size: int) -> None:
        if size > LONGEST_TEXT:
            raise ValueError(f"{size} bytes of text")
        await self._reader.readexactly(size)

    async def _asked(self, incremental: int, left: int, top: int, width: int, height: int) -> None:
        width, height = min(width, screen.WIDTH - left), min(height, screen.HEIGHT - top)
        if width < 0 or height < 0:
            raise ValueError("a rectangle off the screen")
        if not incremental or self._look() != self._shown:
            await self._send(left, top, width, height)
        else:
            self._wanted = (left, top, width, height)

    async def _send(self, left: int, top: int, width: int, height: int) -> None:
        lines = self._look()
        if lines is None:
            return
        picture = screen.draw(lines)
        rows = (picture[row * screen.WIDTH + left : row * screen.WIDTH + left + width] for row in range(top, top + height))
        self._shown, self._wanted = lines, None
        await self._write(struct.pack(">BxHHHHHi", 0, 1, left, top, width, height, 0) + self._format.pixels(b"".join(rows)))
