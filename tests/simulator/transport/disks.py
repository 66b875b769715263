# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/import_raw_vdi and /export_raw_vdi (facts 4.1, 4.2, ocaml/xapi/import_raw_vdi.ml, export_raw_vdi.ml)."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web
from aiohttp.http import HttpVersion10

from ..engine.failure import Failure
from ..storage import vhd
from . import disk_streams, disk_tar
from .disk_streams import Ended, Progress, io_error
from .hostless import encoding_of
from .http import Listener
from .pages import Refused, page
from .transfer import Request, Uncaught, authorised, late_page, missing, printed, redirect, sr_of, under_task
from .wire import Streamed

CONTENT_TYPES = {"raw": "application/octet-stream", "vhd": "application/vhd", "tar": "application/x-tar", "qcow2": "application/x-qemu-disk"}
# Formats that only some API levels know.
SINCE = {"qcow2": ("26",)}
# Formats that hold only what is there.
SENDERS = {"vhd": disk_streams.send_vhd, "qcow2": disk_streams.send_qcow2}
# Seconds between two looks at whether a client that says nothing more is still there.
LOOK_AGAIN = 0.2
# What an import that fails writes before the page 500, behind its 200 too (H/http.ml http_400_badrequest).
BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nCache-Control: no-cache, no-store\r\n\r\n"


class Answered(Failure):
    """A failure that the client hears of by a bare status line."""

    def __init__(self, status: int, reason: str, sentence: str) -> None:
        super().__init__("INTERNAL_ERROR", sentence)
        self.status, self.reason = status, reason


def _format(request: Request) -> str:
    text = request.parameter("format")
    if text is None:
        return "raw"
    name = text.lower()
    if name not in CONTENT_TYPES or request.engine.schema.level not in SINCE.get(name, (request.engine.schema.level,)):
        raise Answered(404, "Not Found", f"Unknown format {text}")
    return name


def _other_host(request: Request, sr: str) -> str | None:
    """The host to send the client to, when this one does not see the SR."""
    vms: Any = request.engine.behaviours["VM"]
    if not request.engine.db.exists("SR", sr):
        # No host sees an SR that there is not.
        raise Failure("NO_HOSTS_AVAILABLE")
    return None if vms.sees(request.listener.host, sr) else str(vms.choose_any_host_seeing([sr]))


# In


async def import_raw_vdi(listener: Listener, http: web.Request) -> web.StreamResponse:
    async with authorised(listener, http, "put_import_raw_vdi") as request:
        vdi = request.object("VDI", "vdi")
        try:
            given = sr_of(request)
            sr = given if vdi is None else request.engine.db.get("VDI", vdi, "SR")
            if sr is None:
                request.fail_given_task(Failure("VDI_MISSING"))
                return request.answer(400, "Bad Request")
            elsewhere = _other_host(request, sr)
            if elsewhere is not None:
                return redirect(request, elsewhere)
            async with under_task(request, "Importing raw VDI"):
                return await _import(request, vdi, sr)
        except Answered as refusal:
            return request.answer(refusal.status, refusal.reason, version=HttpVersion10)
        except Failure as failure:
            # The handler answers 400 and raises on, so that the server's page 500 follows it (X/import_raw_vdi.ml fail_task_in_request).
            request.fail_given_task(failure)
            return request.answer(400, "Bad Request", tail=late_page(failure))


async def _import(request: Request, vdi: str | None, sr: str) -> web.StreamResponse:
    http, form = request.http, _format(request)
    chunked = request.parameter("chunked") is not None
    if chunked and form != "raw":
        raise Answered(404, "Not Found", "Cannot handle chunked VHD")
    if (encoding := encoding_of(http)) is not None:
        raise Answered(404, "Not Found", f"Cannot handle encoding: {encoding}")
    target = vdi or await _new_disk(request, sr, form)
    response = request.stream({"task-id": request.task, "content-type": "application/octet-stream"})
    await response.prepare(http)
    try:
        await _receive(request, target, form, chunked=chunked)
        request.succeed(target)
    except Failure as failure:
        request.fail(failure)
        await response.write(BAD_REQUEST + late_page(failure))
    await response.write_eof()
    if http.transport is not None and not http.content.is_eof():
        # What was not read is dropped; who still sends it finds the connection reset.
        http.transport.close()
    return response


async def _new_disk(request: Request, sr: str, form: str) -> str:
    if form in SENDERS:
        raise Answered(400, "Bad Request", f"Importing a {form.upper()} directly into an SR not yet supported")
    length = request.http.content_length
    if length is None or form != "raw":
        raise Answered(400, "Bad Request", "Not enough info supplied to import")
    values = {"name_label": "Imported VDI", "name_description": "", "SR": sr, "virtual_size": length, "type": "user"}
    empty = {"sharable": False, "read_only": False, "other_config": {}, "xenstore_data": {}, "sm_config": {}, "tags": []}
    return str(await request.engine.behaviours["VDI"].create({**values, **empty}))


async def _receive(request: Request, vdi: str, form: str, *, chunked: bool) -> None:
    """Take the body onto the disk, which dom0 holds meanwhile."""
    http, body = request.http, request.body()
    disks = request.engine.behaviours["VDI"]
    async with disks.in_dom0(vdi, "RW", request.listener.host) as volume:
        progress = _progress(request, vdi)
        length = http.content_length
        try:
            if chunked:
                await disk_streams.receive_chunked(body, volume, progress)
            elif form == "vhd":
                await disk_streams.receive_vhd(body, volume, length or 0, progress)
            elif form == "qcow2":
                await disk_streams.receive_qcow2(body, volume, progress)
            elif form == "tar":
                await disk_tar.receive_tar(body, volume, progress)
            else:
                await disk_streams.receive_raw(body, volume, volume.size if length is None else length, progress)
        except Ended:
            # xapi waits for more as long as the client holds the connection, whatever length it gave.
            await _gone(http)
            raise Uncaught("End_of_file", "INTERNAL_ERROR", "End_of_file") if form == "tar" else io_error() from None


async def _gone(http: web.Request) -> None:
    while http.transport is not None and not http.transport.is_closing():
        await asyncio.sleep(LOOK_AGAIN)


def _progress(request: Request, vdi: str) -> Progress:
    """Report per cent to the task, and notice an SR that is full."""
    engine = request.engine
    repository = engine.behaviours["SR"].repository(engine.db.get("VDI", vdi, "SR"))
    last = 0

    def report(fraction: float) -> None:
        nonlocal last
        if repository.used > repository.size > 0:
            raise io_error()
        percent = int(fraction * 100)
        if percent > last:
            last = percent
            engine.tasks.progress(percent / 100)

    return report


# Out


async def export_raw_vdi(listener: Listener, http: web.Request) -> web.StreamResponse:
    async with authorised(listener, http, "get_export_raw_vdi") as request:
        vdi = request.object("VDI", "vdi")
        if vdi is None:
            raise Refused(page(500, 'Failure("Missing vdi query parameter")'))
        try:
            elsewhere = _other_host(request, request.engine.db.get("VDI", vdi, "SR"))
            if elsewhere is not None:
                return redirect(request, elsewhere)
            async with under_task(request, "Exporting raw VDI"):
                return await _export(request, vdi)
        except Answered as refusal:
            return request.answer(refusal.status, refusal.reason, version=HttpVersion10)
        except Failure as failure:
            raise Refused(printed(failure)) from failure


async def _export(request: Request, vdi: str) -> web.StreamResponse:
    form, row = _format(request), request.engine.db.row("VDI", vdi)
    named = {"content-disposition": f'attachment; filename="{row["uuid"]}.{form}"'}
    response = request.stream({"task-id": request.task, "content-type": CONTENT_TYPES[form], **named})
    await response.prepare(request.http)
    try:
        if form == "vhd" and row["virtual_size"] > vhd.LARGEST:
            raise Failure("VDI_TOO_LARGE", vdi, str(vhd.LARGEST))
        await _send(request, response, vdi, form)
    except Failure as failure:
        request.fail(failure)
        await response.write(late_page(failure))
    await response.write_eof()
    return response


async def _send(request: Request, response: Streamed, vdi: str, form: str) -> None:
    disks, host = request.engine.behaviours["VDI"], request.listener.host
    async with disks.in_dom0(vdi, "RO", host) as volume:
        base = _base(request) if form != "tar" else None
        if form == "tar":
            await disk_tar.send_tar(response, volume, request.engine.clock.time())
        elif form == "raw":
            await disk_streams.send_raw(response, request.http, volume)
        elif base is None:
            await SENDERS[form](response, volume, None)
        else:
            async with disks.in_dom0(base, "RO", host) as other:
                await SENDERS[form](response, volume, other)


def _base(request: Request) -> str | None:
    """The disk to compare with. xapi looks for it when the answer has begun: what is wrong with it fails the task."""
    text = request.parameter("base")
    if text is None:
        return None
    ref = request.engine.db.by_uuid_or_ref("VDI", text)
    if ref is None:
        raise missing(Failure("UUID_INVALID", "VDI", text))
    return ref
