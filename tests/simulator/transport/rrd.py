# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/rrd_updates, /vm_rrd and /host_rrd: measurements as XML or JSON (X/rrdd_proxy.ml, rrdd/rrdd_http_handler.ml)."""

from __future__ import annotations

from aiohttp import web

from ..engine.failure import NULL
from ..metrics.archive import Rrd, Unavailable, updates
from ..metrics.meter import Meter
from .http import Listener
from .pages import Refused, page
from .transfer import Request, authorised, redirect
from .wire import ok, stream

TYPES = {True: "application/json", False: "text/xml"}
CORS = {"Access-Control-Allow-Origin": "*"}


def _prefers_json(request: web.Request) -> bool:
    """The Accept header decides when it names one of the two; else the parameter."""
    accept = request.headers.get("accept", "")
    for kind, is_json in (("application/json", True), ("text/xml", False)):
        if kind in accept:
            return is_json
    return "json" in request.query


def _meter(request: Request) -> Meter:
    meter: Meter = request.engine.meter
    return meter


async def rrd_updates(listener: Listener, http: web.Request) -> web.StreamResponse:
    async with authorised(listener, http, "rrd_updates") as request:
        if "start" not in http.query:
            return request.answer(400, "Bad Request")
        try:
            start, interval = int(http.query["start"]), _whole(http.query.get("interval", ""))
        except ValueError:
            raise Refused(page(500, 'Failure("Int64.of_string")')) from None
        meter = _meter(request)
        rrds = [meter.archive("host", listener.host)] if http.query.get("host") == "true" else []
        rrds += meter.archives_on(listener.host, http.query.get("vm_uuid", "all"))
        as_json = _prefers_json(http)
        try:
            text = updates(rrds, start, interval, http.query.get("cf", ""), as_json=as_json)
        except Unavailable as error:
            raise Refused(page(500, str(error))) from None
        headers = {**CORS, "Access-Control-Allow-Headers": "X-Requested-With", "content-type": TYPES[as_json]}
        return ok(http, text.encode(), headers)


def _whole(text: str) -> int:
    """A number, or none at all."""
    return int(text) if text.lstrip("-").isdigit() else 0


async def vm_rrd(listener: Listener, http: web.Request) -> web.StreamResponse:
    """Of a VM on this host; of one elsewhere the client is sent there; of one that does not run nothing is kept."""
    async with authorised(listener, http, "vm_rrd") as request:
        if "uuid" not in http.query:
            raise Refused(page(500, "Not_found"))
        engine, uuid = request.engine, http.query["uuid"]
        vm = engine.db.tables["VM"].by_uuid.get(uuid)
        if vm is None:
            raise Refused(page(500, f'Db_exn.Read_missing_uuid("VM", "", "{uuid}")'))
        meter, host = _meter(request), engine.db.get("VM", vm, "resident_on")
        if not meter.runs(vm) or host == NULL:
            return request.answer(404, "Not Found")
        if host != listener.host:
            return redirect(request, host)
        return await _document(http, meter.archive("VM", vm))


async def host_rrd(listener: Listener, http: web.Request) -> web.StreamResponse:
    async with authorised(listener, http, "host_rrd") as request:
        return await _document(http, _meter(request).archive("host", listener.host))


async def _document(http: web.Request, rrd: Rrd) -> web.StreamResponse:
    """Without a length: it ends where the connection does."""
    as_json = _prefers_json(http)
    response = stream(http, {"content-type": TYPES[as_json], **CORS})
    await response.prepare(http)
    await response.write((rrd.as_json() if as_json else rrd.as_xml()).encode())
    await response.write_eof()
    return response
