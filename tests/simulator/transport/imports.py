# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/import and /import_metadata: VMs from archives (facts 4, 4.3, ocaml/xapi/import.ml)."""

from __future__ import annotations

import asyncio
import re
from typing import Any

from aiohttp import web

from ..behaviour._vm_export import Export
from ..behaviour._vm_import_devices import broken
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

REFERENCES = Type("set", value=Type("ref"))
PIECE = 1 << 16
# `vdi:UUID=UUID` of /import_metadata: another disk instead of one that the archive names.
SWAP = "vdi:"
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
        swaps = {name.removeprefix(SWAP): text for name, text in http.query.items() if name.startswith(SWAP) and name != SWAP}
        restore, force, live, dry_run = (flag(request, name) for name in ("restore", "force", "live", "dry_run"))
        wanted = Wanted(restore=restore, force=force, live=live, dry_run=dry_run, swaps=swaps)
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
    version, objects = xva.read_ova_xml(await archive.data(entry))
    ours = Export(engine, []).version()
    if xva.made_by(ours) < xva.made_by(version):
        raise Failure("IMPORT_INCOMPATIBLE_VERSION")
    done = await vms.import_objects(objects, wanted)
    try:
        await _receive_disks(engine, host, archive, done)
    except Failure:
        await vms.undo_import(done)
        raise
    finished: list[str] = vms.finish_import(done)
    return finished


async def _receive_disks(engine: Engine, host: str, archive: xva.Archive, done: Import) -> None:
    """Disk after disk, in the order of their names, up to the last chunk of each (recv_all_vdi in X/stream_vdi.ml)."""
    for disk in sorted(done.new_disks):
        await _receive_disk(engine, host, archive, done, disk)


async def _receive_disk(engine: Engine, host: str, archive: xva.Archive, done: Import, disk: str) -> None:
    disks: Any = engine.behaviours["VDI"]
    vdi = done.new_disks[disk]
    # As large as it was: here it may have been rounded up.
    size, last, written = int(done.record(disk)["virtual_size"]), -1, 0
    while written < size:
        entry = await archive.next()
        if entry is None:
            raise Failure("IMPORT_ERROR", "INTERNAL_ERROR: [ Tar.Header.End_of_stream ]")
        prefix, _unused, number = entry.name.rpartition("/")
        if prefix != disk or NUMBER.fullmatch(number) is None or int(number) <= last:
            raise broken("Invalid XVA file")
        last, chunk = int(number), await archive.data(entry)
        if last * xva.CHUNK + len(chunk) > size:
            raise Failure("IMPORT_ERROR_UNEXPECTED_FILE", "a chunk inside the disk", entry.name)
        written = last * xva.CHUNK + len(chunk)
        async with disks.in_dom0(vdi, "RW", host) as volume:
            volume.write(last * xva.CHUNK, chunk)
        await _compare(archive, entry.name, chunk, force=done.wanted.force)


async def _compare(archive: xva.Archive, name: str, chunk: bytes, *, force: bool) -> None:
    """The checksum follows its chunk."""
    entry = await archive.next()
    if entry is None or not entry.name.endswith(tuple(xva.DIGESTS)):
        raise broken(f"Found unsupported checksum file: {entry.name if entry else ''}")
    told = (await archive.data(entry)).decode(errors="replace")
    digest = await asyncio.to_thread(xva.DIGESTS["." + entry.name.rpartition(".")[2]], chunk)
    if (entry.name.rpartition(".")[0] != name or told != digest) and not force:
        raise Failure("IMPORT_ERROR_SOME_CHECKSUMS_FAILED")
