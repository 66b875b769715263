# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk as a tar of chunks with checksums: the format `tar` of the raw handlers (ocaml/xapi/stream_vdi.ml recv_all_vdi, send_all)."""

from __future__ import annotations

import asyncio
import hashlib

from ..engine.failure import Failure, internal_error
from ..engine.types import int64
from ..storage import Volume
from . import xva
from .disk_streams import Body, Progress
from .wire import Streamed
from .xxhash import xxh64

FOLDER = "vdi"
BEFORE_FIRST = "-1"
LARGEST_CHUNK = 64 * 1024 * 1024
CHECKSUMS = {".xxhash": xxh64, ".checksum": lambda data: hashlib.sha1(data, usedforsecurity=False).hexdigest()}


async def send_tar(response: Streamed, volume: Volume, modified: float) -> None:
    parts = xva.disk_members(FOLDER, volume, modified)
    while part := await asyncio.to_thread(next, parts, b""):
        await response.write(part)
    await response.write(xva.END)


async def receive_tar(body: Body, volume: Volume, progress: Progress) -> None:
    """Chunks up to the end of the disk, each followed by its checksum; what lies between them stays as it is."""
    archive, offset, last, first_size = xva.Archive(body.take), 0, BEFORE_FIRST, 0
    while offset < volume.size:
        entry = await _entry(archive)
        suffix = entry.name[len(FOLDER) + 1 :]
        if not entry.name.startswith(FOLDER) or suffix <= last:
            raise _failed("Invalid XVA file")
        first_size = first_size or entry.size
        offset += first_size * (_number(suffix) - _number(last) - 1)
        if offset < 0:
            raise internal_error('Unix.Unix_error(Unix.EINVAL, "lseek", "")')
        data = await archive.data(entry)
        volume.write(offset, data)
        await _compare(archive, entry.name, data)
        offset, last = offset + len(data), suffix
        progress(min(1.0, offset / volume.size))


async def _entry(archive: xva.Archive) -> xva.Entry:
    entry = await archive.next()
    if entry is None:
        raise internal_error("Tar.Header.End_of_stream")
    if entry.size > LARGEST_CHUNK:
        raise internal_error("Out_of_memory")
    return entry


def _number(suffix: str) -> int:
    try:
        return int64(suffix)
    except ValueError:
        raise _failed("int_of_string") from None


async def _compare(archive: xva.Archive, name: str, data: bytes) -> None:
    entry = await _entry(archive)
    extension = "." + entry.name.rpartition(".")[2]
    if extension not in CHECKSUMS:
        raise _failed(f"Found unsupported checksum file: {entry.name}")
    given = (await archive.data(entry)).decode("ascii", "replace")
    found = await asyncio.to_thread(CHECKSUMS[extension], data)
    if given != found:
        sentence = f"Block {name} checksum failed: original = {given}; recomputed = {found}"
        raise internal_error(f'Stream_vdi.Invalid_checksum("{sentence}")')


def _failed(sentence: str) -> Failure:
    return internal_error(f'Failure("{sentence}")')
