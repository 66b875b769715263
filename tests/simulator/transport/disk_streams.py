# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bytes of a disk on their way in and out, piece by piece: as they are, in the chunked framing, as VHD (facts 4.1, 4.2)."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable

from aiohttp import StreamReader, web

from ..engine.failure import Failure
from ..storage import Volume, qcow2, vhd
from ..storage.layer import BLOCK, Layer
from .flow import Flow
from .wire import Streamed

PIECE = 1024 * 1024
ZEROES = bytes(PIECE)
CHUNK_HEADER = struct.Struct("<QI")
SECTOR = 512
# Below this many bytes the kernel's own copying is not worth a system call.
SENDFILE_FROM = 64 * 1024

Progress = Callable[[float], None]


class Ended(Exception):
    """The body ended before its time."""


def io_error() -> Failure:
    """What any trouble with the bytes becomes; vhd-tool says no more."""
    return Failure("VDI_IO_ERROR", "Device I/O errors")


class Body:
    """The body of an upload, to be taken in exact amounts."""

    def __init__(self, content: StreamReader, flow: Flow) -> None:
        self._content = content
        self._flow = flow
        self._rest = memoryview(b"")

    async def some(self) -> memoryview:
        """What has come; Ended when nothing more will."""
        if not self._rest:
            try:
                self._rest = memoryview(await self._content.readany())
            except (ConnectionError, web.RequestPayloadError) as error:
                raise Ended from error
            if not self._rest:
                raise Ended
        return self._rest

    async def take(self, length: int) -> bytes:
        pieces = []
        while length > 0:
            piece = (await self.some())[:length]
            try:
                piece = piece[: await self._flow.allow(len(piece))]
            except ConnectionError as error:
                raise Ended from error
            self._rest = self._rest[len(piece) :]
            length -= len(piece)
            pieces.append(piece)
        return bytes(pieces[0]) if len(pieces) == 1 else b"".join(pieces)


# In


async def receive_raw(body: Body, volume: Volume, length: int, progress: Progress) -> None:
    """`length` bytes from the disk's beginning; what would lie beyond its end is dropped (recording `http`)."""
    if length == 0:
        raise io_error()
    for offset in range(0, length, PIECE):
        size = min(PIECE, length - offset)
        volume.write(offset, await body.take(size))
        progress((offset + size) / length)


async def receive_chunked(body: Body, volume: Volume, progress: Progress) -> None:
    """Chunks of offset, length, bytes, to the end mark of zeroes; the disk is open for whole sectors only."""
    while True:
        offset, length = CHUNK_HEADER.unpack(await body.take(CHUNK_HEADER.size))
        if (offset, length) == (0, 0):
            return
        if offset % SECTOR or length % SECTOR:
            raise io_error()
        for at in range(0, length, PIECE):
            size = min(PIECE, length - at)
            volume.write(offset + at, await body.take(size))
        progress(min(1.0, (offset + length) / volume.size))


async def receive_vhd(body: Body, volume: Volume, length: int, progress: Progress) -> None:
    """What a VHD holds; what it lacks stays as it is on the disk."""

    def write(offset: int, data: bytes) -> None:
        volume.write(offset, data)
        progress(min(1.0, offset / volume.size))

    try:
        await vhd.receive(body.take, write, length)
    except (vhd.BadVhd, struct.error) as error:
        raise io_error() from error


async def receive_qcow2(body: Body, volume: Volume, progress: Progress) -> None:
    """What a QCOW2 image holds; what it lacks stays as it is on the disk."""

    def write(offset: int, data: bytes) -> None:
        volume.write(offset, data)
        progress(min(1.0, offset / volume.size))

    try:
        await qcow2.receive(body.take, write)
    except (qcow2.BadQcow2, struct.error) as error:
        raise io_error() from error


# Out


async def send_raw(response: Streamed, http: web.Request, volume: Volume) -> None:
    for offset, length, layer in volume.runs(0, volume.size):
        if layer is None:
            await _send_zeroes(response, length)
        elif http.secure or length < SENDFILE_FROM or not response.flow.is_free:
            for at in range(offset, offset + length, PIECE):
                await response.write(layer.read(at, min(PIECE, offset + length - at)))
        else:
            await _send_file(http, layer, offset, length)
            response.flow.done += length


async def _send_zeroes(response: web.StreamResponse, length: int) -> None:
    while length > 0:
        size = min(PIECE, length)
        await response.write(ZEROES[:size] if size < PIECE else ZEROES)
        length -= size


async def _send_file(http: web.Request, layer: Layer, offset: int, length: int) -> None:
    """Let the kernel copy a part of a layer's file into the socket."""
    if http.transport is None:
        raise ConnectionResetError("the client is gone")
    try:
        with layer.path.open("rb") as file:
            sent = await asyncio.get_running_loop().sendfile(http.transport, file, offset, length)
    except RuntimeError as error:  # What asyncio says of a transport that is closing.
        raise ConnectionResetError("the client is gone") from error
    if sent < length and http.transport is not None:
        # The file is sparse at its end, or shorter than the layer says.
        http.transport.write(bytes(length - sent))


async def send_vhd(response: web.StreamResponse, volume: Volume, base: Volume | None) -> None:
    """A dynamic VHD of the disk, or a differencing one of what it has and `base` has not."""
    differencing = base is not None
    blocks = vhd.blocks_of(volume, base)
    await response.write(vhd.preamble(volume, blocks, differencing=differencing))
    for block in blocks:
        await response.write(vhd.BITMAP)
        offset = block * BLOCK
        await response.write(volume.read(offset, min(BLOCK, volume.size - offset)).ljust(BLOCK, b"\0"))
    await response.write(vhd.footer(volume, differencing=differencing))


async def send_qcow2(response: Streamed, volume: Volume, base: Volume | None) -> None:
    """An image of what is not zero on the disk, or of what differs from `base`."""
    clusters = await asyncio.to_thread(qcow2.clusters_of, volume, base)
    for piece in qcow2.preamble(volume.size, clusters):
        await response.write(piece)
    for cluster in clusters:
        offset = cluster * qcow2.CLUSTER
        size = min(qcow2.CLUSTER, volume.size - offset)
        await response.write(volume.read(offset, size).ljust(qcow2.CLUSTER, b"\0"))
