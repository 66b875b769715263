# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/blob: small files that belong to objects (ocaml/xapi/xapi_blob.ml handler)."""

from __future__ import annotations

from pathlib import Path

from aiohttp import web

from ..engine.core import Engine
from ..engine.failure import NULL
from .disk_streams import PIECE, Body, Ended
from .http import Listener
from .pages import page
from .transfer import authorised
from .wire import NO_CACHE, Answer, Bare, Page, Refusal

UNKNOWN = b"Unknown reference\n"


def _of(engine: Engine, http: web.Request) -> str | None:
    """The blob that `ref` names, or something else, or that `uuid` does; None when the request names neither."""
    if "ref" in http.query:
        return http.query["ref"]
    if "uuid" not in http.query:
        return None
    # A uuid is looked up before anybody asks who is there.
    return engine.db.table("blob").by_uuid.get(http.query["uuid"], NULL)


def _path(engine: Engine, ref: str) -> Path:
    path: Path = engine.store.blob(engine.db.get("blob", ref, "uuid"))
    return path


async def get(listener: Listener, http: web.Request) -> web.StreamResponse:
    engine, ref = listener.engine, _of(listener.engine, http)
    if ref is None:
        return Refusal(400, "Bad Request", {})
    if ref == NULL or (engine.db.exists("blob", ref) and engine.db.get("blob", ref, "public")):
        return _send(engine, ref)
    # The table of handlers lets everybody in; this one asks by itself.
    async with authorised(listener, http, "get_blob", realm="Blob handler"):
        return _send(engine, ref)
    raise AssertionError("unreachable")


def _send(engine: Engine, ref: str) -> web.StreamResponse:
    closing = {"connection": "close", "cache-control": NO_CACHE}
    if not engine.db.exists("blob", ref):
        return Page(404, "Not Found", closing, UNKNOWN)
    try:
        body = _path(engine, ref).read_bytes()
    except FileNotFoundError:
        return Refusal(404, "Not Found", {})
    return Page(200, "OK", {**closing, "content-type": engine.db.get("blob", ref, "mime_type")}, body)


async def put(listener: Listener, http: web.Request) -> web.StreamResponse:
    engine = listener.engine
    async with authorised(listener, http, "put_blob") as request:
        ref = _of(engine, http)
        if ref is None:
            return Refusal(400, "Bad Request", {})
        if not engine.db.exists("blob", ref):
            return Answer(404, "Not Found", {"connection": "close", "cache-control": NO_CACHE}, UNKNOWN)
        if http.content_length is None:
            return page(500, 'Failure("Need content length")')
        response = Bare(status=200, reason="OK", headers={"connection": "keep-alive", "cache-control": NO_CACHE, "Access-Control-Allow-Origin": "*"})
        response.force_close()
        await response.prepare(http)
        size = await _store(request.body(), _path(engine, ref), http.content_length)
        engine.db.update("blob", ref, size=size, last_updated=engine.clock.now())
        await response.write_eof()
        return response
    raise AssertionError("unreachable")


async def _store(body: Body, path: Path, length: int) -> int:
    """Keep up to `length` bytes; how many came."""
    path.parent.mkdir(parents=True, exist_ok=True)
    done = 0
    with path.open("wb") as file:
        while done < length:
            try:
                file.write(await body.take(min(PIECE, length - done)))
            except Ended:
                break
            done = file.tell()
    return done
