# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives packed with gzip, by Python, or with zstd, by its own program: nothing is kept but what is on its way."""

from __future__ import annotations

import asyncio
import shutil
import zlib
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Awaitable, Callable
from typing import Protocol

from ..engine.failure import Failure, NotSimulated
from .disk_streams import Ended

GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
PIECE, UNPACKED = 1 << 16, 1 << 20


async def zstd(*arguments: str) -> Process:
    program = shutil.which("zstd")
    if program is None:
        raise NotSimulated("an archive packed with zstd, as there is no program zstd here")
    return await asyncio.create_subprocess_exec(program, "-q", "-c", *arguments, stdin=PIPE, stdout=PIPE, stderr=DEVNULL)


class Packer:
    """Hands what is written on to a sink, packed. To be left by `end`, whatever happened."""

    def __init__(self, sink: Callable[[bytes], Awaitable[None]], kind: str) -> None:
        self._sink = sink
        self._kind = kind
        self._gzip = zlib.compressobj(wbits=31) if kind == "gzip" else None
        self._process: Process | None = None
        self._copying: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        if self._kind == "zstd":
            self._process = await zstd()
            self._copying = asyncio.ensure_future(self._copy(self._process))

    async def _copy(self, process: Process) -> None:
        assert process.stdout is not None
        while data := await process.stdout.read(PIECE):
            await self._sink(data)

    async def write(self, data: bytes) -> None:
        if self._process is not None:
            assert self._process.stdin is not None
            self._process.stdin.write(data)
            await self._process.stdin.drain()
        else:
            await self._sink(self._gzip.compress(data) if self._gzip else data)

    async def end(self, *, whole: bool) -> None:
        if self._process is not None and self._copying is not None:
            assert self._process.stdin is not None
            if whole:
                self._process.stdin.close()
                await self._copying
            else:
                self._process.kill()
                self._copying.cancel()
            await self._process.wait()
        elif self._gzip and whole:
            await self._sink(self._gzip.flush())


class Pieces(Protocol):
    """Where an archive comes from."""

    async def some(self) -> bytes | memoryview: ...

    async def take(self, length: int) -> bytes: ...


class Source:
    """The archive's bytes, unpacked when they are packed. To be closed, as a program may be at work."""

    def __init__(self, body: Pieces) -> None:
        self._body = body
        self._buffer = bytearray()
        self._gzip: zlib._Decompress | None = None
        self._process: Process | None = None
        self._feeding: asyncio.Task[None] | None = None
        self._begun = False

    async def read(self, length: int) -> bytes:
        try:
            while len(self._buffer) < length:
                self._buffer += await self._more()
        except Ended:
            raise Failure("IMPORT_ERROR_PREMATURE_EOF") from None
        data = bytes(self._buffer[:length])
        del self._buffer[:length]
        return data

    def close(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
        if self._feeding is not None:
            self._feeding.cancel()

    async def _more(self) -> bytes:
        if self._process is not None:
            return await self._unpacked(self._process)
        if self._gzip is not None and self._gzip.unconsumed_tail:
            return self._unpack(self._gzip.unconsumed_tail)
        data = await self._piece()
        if not self._begun:
            self._begun = True
            if data.startswith(ZSTD):
                self._process = await zstd("-d")
                self._feeding = asyncio.ensure_future(self._feed(self._process, data))
                return b""
            if data.startswith(GZIP):
                self._gzip = zlib.decompressobj(31)
        return self._unpack(data) if self._gzip else data

    async def _piece(self) -> bytes:
        return await self._body.take(len((await self._body.some())[:PIECE]))

    def _unpack(self, data: bytes) -> bytes:
        """A part of what these bytes stand for: that may be a thousand times as much."""
        assert self._gzip is not None
        try:
            return self._gzip.decompress(data, UNPACKED)
        except zlib.error as error:
            raise Failure("IMPORT_ERROR", str(error)) from None

    async def _feed(self, process: Process, data: bytes) -> None:
        assert process.stdin is not None
        try:
            while True:
                process.stdin.write(data)
                await process.stdin.drain()
                data = await self._piece()
        except (Ended, ConnectionError):
            process.stdin.close()

    async def _unpacked(self, process: Process) -> bytes:
        assert process.stdout is not None
        data = await process.stdout.read(UNPACKED)
        if not data:
            raise Ended
        return data
