# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/export and /export_metadata: VMs as archives (facts 4, 4.3, ocaml/xapi/export.ml)."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web
from aiohttp.http import HttpVersion10

from ..behaviour._vm_export import Export
from ..engine.failure import NULL, Failure
from ..engine.faults import Disconnect
from . import xva
from .http import Listener
from .packing import Packer
from .pages import Refused
from .transfer import Request, Uncaught, authorised, late_page, printed, redirect, under_task

CONTENT = {"content-type": "application/octet-stream"}
NAMED = {"content-disposition": 'attachment; filename="export.xva"'}
COMPRESSIONS = {"true": "gzip", "gzip": "gzip", "zstd": "zstd"}


def flag(request: Request, name: str, default: bool = False) -> bool:
    text = request.parameter(name)
    return default if text is None else text == "true"


def _vm(request: Request) -> str:
    """The VM that is named: by a reference, to something or not, or else by its uuid."""
    query = request.http.query
    if "ref" in query:
        return query["ref"]
    if "uuid" not in query:
        raise Uncaught("Not_found", "INTERNAL_ERROR", "Not_found")
    return request.engine.db.by_uuid("VM", query["uuid"])


async def export(listener: Listener, http: web.Request) -> web.StreamResponse:
    async with authorised(listener, http, "get_export") as request:
        compression = COMPRESSIONS.get(request.parameter("use_compression") or "", "")
        try:
            vm = _vm(request)
            elsewhere = _host_for(request, vm)
            if elsewhere is not None:
                return redirect(request, elsewhere)
            # An operation in the way is waited for, two minutes at most (facts 3.1).
            async with under_task(request, "VM.export"), request.engine.operations.hold("VM", vm, "export", 120.0):
                return await _send(request, vm, compression)
        except Failure as failure:
            raise Refused(printed(failure)) from failure


def _host_for(request: Request, vm: str) -> str | None:
    """The host to send the client to, when this one does not see all disks of the VM."""
    engine = request.engine
    vms: Any = engine.behaviours["VM"]
    try:
        if not engine.db.exists("VM", vm):
            # No host sees the disks of a VM that there is not.
            raise Failure("NO_HOSTS_AVAILABLE")
        srs = [engine.db.get("VDI", vdi, "SR") for vdi in vms.disks_of(vm)]
        return None if all(vms.sees(request.listener.host, sr) for sr in srs) else str(vms.choose_any_host_seeing(srs))
    except Failure as failure:
        # xapi fails the client's task, says nothing and hangs up.
        request.fail_given_task(failure)
        raise Disconnect from failure


async def _send(request: Request, vm: str, compression: str) -> web.StreamResponse:
    db = request.engine.db
    sleeping = flag(request, "preserve_power_state")
    archive = Export(request.engine, [vm], keep_state=sleeping)
    response = request.stream({"task-id": request.task, "server": _server(request), **CONTENT, **NAMED}, HttpVersion10)
    await response.prepare(request.http)
    packer = Packer(response.write, compression)
    await packer.begin()
    whole = False
    try:
        now = request.engine.clock.time()
        await packer.write(xva.member(xva.OVA, xva.ova_xml(archive.version(), archive.objects), now))
        disks = [vdi for vdi in _disks(request, vm, sleeping=sleeping) if vdi in archive.table]
        total, done = sum(db.get("VDI", vdi, "virtual_size") for vdi in disks) or 1, 0
        for vdi in sorted(disks, key=lambda ref: archive.table[ref]):
            await _send_disk(request, archive.table[vdi], vdi, packer.write)
            done += db.get("VDI", vdi, "virtual_size")
            request.engine.tasks.progress(done / total)
        await packer.write(xva.END)
        whole = True
    except Failure as failure:
        request.fail(failure)
        await response.write(late_page(failure))
    finally:
        await packer.end(whole=whole)
    await response.write_eof()
    return response


def _server(request: Request) -> str:
    version = request.engine.db.get("host", request.engine.coordinator, "software_version").get("xapi", "")
    return f"xapi/{version}"


def _disks(request: Request, vm: str, *, sleeping: bool) -> list[str]:
    db, vms = request.engine.db, request.engine.behaviours["VM"]
    disks: list[str] = vms.hard_disks(vm)
    image = db.get("VM", vm, "suspend_VDI")
    images = [image] if sleeping and image != NULL else []
    return [vdi for vdi in (*images, *disks) if db.get("SR", db.get("VDI", vdi, "SR"), "content_type") != "iso"]


async def _send_disk(request: Request, name: str, vdi: str, write: Any) -> None:
    disks: Any = request.engine.behaviours["VDI"]
    async with disks.in_dom0(vdi, "RO", request.listener.host) as volume:
        parts = xva.disk_members(name, volume, request.engine.clock.time())
        while part := await asyncio.to_thread(next, parts, b""):
            request.engine.check_cancelled()
            await write(part)


async def export_metadata(listener: Listener, http: web.Request) -> web.StreamResponse:
    async with authorised(listener, http, "get_export_metadata") as request:
        try:
            async with under_task(request, "VM.export_metadata"):
                vms = _all_vms(request) if flag(request, "all") else [_vm(request)]
                archive = Export(
                    request.engine,
                    vms,
                    snapshots=flag(request, "export_snapshots", True),
                    keep_state=True,
                    parents=flag(request, "include_vhd_parents"),
                    without=(request.parameter("excluded_device_types") or "").upper().split(","),
                )
                data = xva.member(xva.OVA, xva.ova_xml(archive.version(), archive.objects), request.engine.clock.time()) + xva.END
                headers = {"task-id": request.task, "server": _server(request), **CONTENT, "content-length": str(len(data)), **NAMED}
                response = request.stream(headers, HttpVersion10)
                await response.prepare(http)
                await response.write(data)
                await response.write_eof()
                return response
        except Failure as failure:
            raise Refused(printed(failure)) from failure


def _all_vms(request: Request) -> list[str]:
    rows = request.engine.db.items("VM")
    return [ref for ref, row in rows if not row["is_default_template"] and (row["domid"] != 0 or flag(request, "include_dom0", True))]
