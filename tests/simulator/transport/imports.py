# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/import and /import_metadata: VMs from archives (facts 4, 4.3, ocaml/xapi/import.ml)."""

from __future__ import annotations

import asyncio
import re
from typing import Any

from aiohttp import web

from ..behaviour._vm_import_objects import Import, Wanted
from ..engine.core import Engine
from ..engine.failure import Failure
from ..engine.tasks import value_text
from ..engine.types import Type
from . import xva
from .exports import CONTENT, flag
from .hostless import encoding_of
from .http import Listener
from .packing import Pieces, Source
from .pages import Refused
from .transfer import Request, authorised, is_pending, late_page, printed, redirect, sr_of, under_task
from .xxhash import xxh64

REFERENCES = Type("set", value=Type("ref"))
PIECE = 1 << 16
# Of a chunk.
NUMBER = re.compile("[0-9]{1,12}")


async def import_(listener: Listener, http: web.Request) -> web.StreamResponse:
    async with authorised(listener, http, "put_import") as request:
        vms: Any = request.engine.behaviours["VM"]
        try:
            sr = _sr(request)
            if not vms.sees(listener.host, sr):
                return redirect(request, vms.choose_any_host_seeing([sr]))
        except Failure as failure:
            # Under a task of xapi's own: the client's stays as it is.
            raise Refused(printed(failure)) from failure
        status, reason, refusal = _refusal(request, sr)
        if refusal is not None:
            # The handler answers and raises on, so that the server's page 500 follows.
            request.fail_given_task(refusal)
            return request.answer(status, reason, tail=late_page(refusal))
        wanted = Wanted(sr=sr, restore=flag(request, "restore"), force=flag(request, "force"))
        return await _answered(request, "VM.import", wanted)


def _sr(request: Request) -> str:
    """The SR that the request names, or the pool's own."""
    given = sr_of(request)
    if given is not None:
        if not request.engine.db.exists("SR", given):
            # No host sees an SR that there is not.
            raise Failure("NO_HOSTS_AVAILABLE")
        return given
    sr: str = request.engine.db.get("pool", request.engine.pool, "default_SR")
    if not request.engine.db.exists("SR", sr):
        raise Failure("DEFAULT_SR_NOT_FOUND", sr)
    return sr


def _refusal(request: Request, sr: str) -> tuple[int, str, Failure | None]:
    """How an archive is refused before it is read."""
    if request.engine.db.get("SR", sr, "content_type") == "iso":
        return 400, "Bad Request", Failure("SR_OPERATION_NOT_SUPPORTED")
    if encoding_of(request.http) is not None:
        return 403, "Forbidden", Failure("IMPORT_ERROR_CANNOT_HANDLE_CHUNKED")
    return 200, "OK", None


async def import_metadata(listener: Listener, http: web.Request) -> web.StreamResponse:
    async with authorised(listener, http, "put_import_metadata") as request:
        wanted = Wanted(restore=flag(request, "restore"), force=flag(request, "force"), live=flag(request, "live"))
        return await _answered(request, "VM.import_metadata", wanted)


async def _answered(request: Request, label: str, wanted: Wanted) -> web.StreamResponse:
    """200 goes out before anything is read: how it ended is in the task."""
    async with under_task(request, label):
        response = request.stream({"task-id": request.task, **CONTENT})
        await response.prepare(request.http)
        try:
            vms = await receive(request.engine, request.listener.host, request.body(), wanted)
            if is_pending(request.engine, request.task):
                request.engine.db.put("task", request.task, "other_config", "object_creation", "complete")
                request.engine.tasks.succeed(request.task, value_text(REFERENCES, vms))
        except Failure as failure:
            request.fail(failure)
            await response.write(late_page(failure))
        await response.write_eof()
        return response


async def receive(engine: Engine, host: str, body: Pieces, wanted: Wanted) -> list[str]:
    """Make the VMs of an archive at a host; what has been made goes again when it turns out bad."""
    source = Source(body)
    try:
        return await _receive(engine, host, xva.Archive(source.read), wanted)
    finally:
        source.close()


async def _receive(engine: Engine, host: str, archive: xva.Archive, wanted: Wanted) -> list[str]:
    vms: Any = engine.behaviours["VM"]
    entry = await archive.next()
    if entry is None or entry.name != xva.OVA:
        raise Failure("IMPORT_ERROR_UNEXPECTED_FILE", xva.OVA, entry.name if entry else "")
    done = await vms.import_objects(xva.read_ova_xml(await archive.data(entry)), wanted)
    try:
        await _receive_disks(engine, host, archive, done)
    except Failure:
        await vms.undo_import(done)
        raise
    finished: list[str] = vms.finish_import(done)
    return finished


async def _receive_disks(engine: Engine, host: str, archive: xva.Archive, done: Import) -> None:
    """Chunk after chunk onto the disk that its name says, each compared with the checksum that follows it."""
    disks: Any = engine.behaviours["VDI"]
    chunk, name, digest = b"", "", ""
    while done.new_disks and (entry := await archive.next()) is not None:
        data = await archive.data(entry)
        if entry.name.endswith((xva.CHECKSUM, ".checksum")):
            if entry.name == name + xva.CHECKSUM and data.decode(errors="replace") != digest:
                raise Failure("IMPORT_ERROR_SOME_CHECKSUMS_FAILED")
            continue
        disk, _unused, number = entry.name.rpartition("/")
        if disk not in done.new_disks or NUMBER.fullmatch(number) is None:
            raise Failure("IMPORT_ERROR_UNEXPECTED_FILE", "a chunk of a disk", entry.name)
        chunk, name = data, entry.name
        digest = await asyncio.to_thread(xxh64, chunk)
        async with disks.in_dom0(done.new_disks[disk], "RW", host) as volume:
            if int(number) * xva.CHUNK + len(chunk) > volume.size:
                raise Failure("IMPORT_ERROR_UNEXPECTED_FILE", "a chunk inside the disk", entry.name)
            volume.write(int(number) * xva.CHUNK, chunk)
