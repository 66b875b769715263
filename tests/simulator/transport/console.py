# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/console and /vncsnapshot: what VMs show (X/console.ml, X/xapi_vncsnapshot.ml)."""

from __future__ import annotations

import asyncio
from functools import partial
from html import escape
from weakref import WeakKeyDictionary

from aiohttp import web

from ..engine import access
from ..engine.core import Engine
from ..engine.failure import NULL
from ..guests import jpeg, screen
from ..guests.rfb import Viewer
from .connection import Connection
from .http import Listener
from .pages import Refused, page
from .transfer import Request, authorised, under_task
from .wire import NO_CACHE, Answer, Bare, Page

BLACK_AND_WHITE = bytes([0, 255, *[255] * 254])
LABEL = "Connection to VM console"
# Pool → VM → who looks at it.
VIEWERS: WeakKeyDictionary[Engine, dict[str, list[str]]] = WeakKeyDictionary()


async def connect(listener: Listener, http: web.Request) -> web.StreamResponse:
    async with authorised(listener, http, "connect_console") as request, under_task(request, LABEL):
        console = _console(request)
        _require_powerful(request, console, "connect_console")
        _require_running_here(request, console)
        tunnel = http.protocol.tunnel if isinstance(http.protocol, Connection) else None
        if tunnel is None:
            raise Refused(page(501, method="CONNECT"))
        viewers = _viewers(listener.engine, console)
        if viewers and _limited(listener.engine):
            raise Refused(_taken(listener.engine, console, viewers))
        user = str(listener.engine.db.get("session", request.session, "auth_user_name"))
        response = Bare(status=200, reason="OK", headers={"connection": "keep-alive", "cache-control": NO_CACHE})
        await response.prepare(http)
        viewers.append(user)
        try:
            await _serve(listener.engine, console, tunnel, response)
        finally:
            viewers.remove(user)
        await response.write_eof()
        return response
    raise AssertionError("unreachable")


async def upgrade(listener: Listener, http: web.Request) -> web.StreamResponse:
    """GET is for WebSockets, which a helper of xapi's serves; without it, or without an upgrade, 501."""
    async with authorised(listener, http, "connect_console_ws") as request, under_task(request, LABEL):
        console = _console(request)
        _require_powerful(request, console, "connect_console_ws")
        _require_running_here(request, console)
        return request.answer(503, "Service Unavailable") if _limited(listener.engine) else page(501)
    raise AssertionError("unreachable")


async def snapshot(listener: Listener, http: web.Request) -> web.StreamResponse:
    async with authorised(listener, http, "get_vncsnapshot") as request, under_task(request, "Taking snapshot of VM console"):
        console = _console(request)
        _require_powerful(request, console, "get_vncsnapshot")
        lines = _lines(listener.engine, console)
        if lines is None or listener.engine.db.get("console", console, "protocol") != "rfb":
            # The program that takes the picture reaches no server.
            raise Refused(page(500, "Forkhelpers.Subprocess_failed(1)"))
        picture = jpeg.encode(screen.draw(lines).translate(BLACK_AND_WHITE), screen.WIDTH, screen.HEIGHT)
        return Answer(200, "OK", {"connection": "keep-alive"}, picture)
    raise AssertionError("unreachable")


def _console(request: Request) -> str:
    """The console that `ref` or `uuid` names, or the graphical one of the VM that it names."""
    engine = request.engine
    uuid, ref = request.http.query.get("uuid"), request.http.query.get("ref")
    if uuid is not None:
        ref = engine.db.table("VM").by_uuid.get(uuid) or engine.db.table("console").by_uuid.get(uuid)
        if ref is None:
            raise Refused(page(500, f'Db_exn.Read_missing_uuid("console", "", "{uuid}")'))
    if ref is not None and engine.db.exists("VM", ref):
        consoles = engine.db.get("VM", ref, "consoles")
        ref = next((one for one in consoles if engine.db.get("console", one, "protocol") == "rfb"), None)
    if ref is None or not engine.db.exists("console", ref):
        raise Refused(page(500, "Console.Failure"))
    return ref


def _require_powerful(request: Request, console: str, action: str) -> None:
    """dom0's console is for few."""
    vm = request.engine.db.get("console", console, "VM")
    role = request.engine.roles.get(request.session, "pool-admin")
    if request.engine.db.get("VM", vm, "is_control_domain") and role != "pool-admin" and not access.may(role, "pool-admin"):
        raise Refused(page(403, action))


def _require_running_here(request: Request, console: str) -> None:
    row = request.engine.db.row("VM", request.engine.db.get("console", console, "VM"))
    if row["power_state"] != "Running" or row["resident_on"] != request.listener.host:
        raise Refused(page(500, "Console.Failure"))


def _limited(engine: Engine) -> bool:
    """Whether a VM's console is for one at a time; since 2026."""
    return bool(engine.db.row("pool", engine.pool).get("limit_console_sessions", False))


def _viewers(engine: Engine, console: str) -> list[str]:
    """Names of those who look at a console of the VM now; they count from before the limit is set, too."""
    vm = engine.db.get("console", console, "VM")
    return VIEWERS.setdefault(engine, {}).setdefault(vm, [])


def _taken(engine: Engine, console: str, viewers: list[str]) -> Page:
    who = f"User '{escape(viewers[0])}' is" if len(viewers) == 1 else f"Users '{escape(', '.join(viewers))}' are"
    vm = engine.db.get("console", console, "VM")
    text = f"{who} currently connected to this console (VM {vm}). No more connections are allowed when limit_console_sessions is enabled."
    body = f"<html><body><h1>Connection Limit Exceeded</h1><p>{text}</p></body></html>".encode()
    headers = {"content-type": "text/html", "connection": "close", "cache-control": NO_CACHE}
    return Page(503, "Connection Limit Exceeded", headers, body)


def _lines(engine: Engine, console: str) -> tuple[str, ...] | None:
    """What the console shows; None when there is nothing any more."""
    vm = engine.db.get("console", console, "VM") if engine.db.exists("console", console) else NULL
    if not engine.db.exists("VM", vm) or engine.db.get("VM", vm, "power_state") not in ("Running", "Paused"):
        return None
    row = engine.db.row("VM", vm)
    host = engine.db.get("host", row["resident_on"], "name_label")
    busy = sorted(set(row["current_operations"].values()))
    return (row["name_label"], "", f"{row['power_state']} on {host}", *busy)


async def _serve(engine: Engine, console: str, tunnel: asyncio.StreamReader, response: Bare) -> None:
    vm = engine.db.get("console", console, "VM")
    look = partial(_lines, engine, console)
    try:
        if engine.db.get("console", console, "protocol") == "rfb":
            await Viewer(tunnel, response.write, engine.db.get("VM", vm, "name_label"), look).run()
        else:
            await _type(tunnel, response, look)
    except ConnectionError:
        # The client has gone.
        return


async def _type(tunnel: asyncio.StreamReader, response: Bare, look: partial[tuple[str, ...] | None]) -> None:
    """A serial line: the screen's lines, and then whatever is typed comes back."""
    for line in look() or ():
        await response.write(line.encode() + b"\r\n")
    while look() is not None:
        try:
            data = await asyncio.wait_for(tunnel.read(1024), 0.2)
        except TimeoutError:
            continue
        if not data:
            return
        await response.write(data)
