# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The simulator on sockets: one listener a host, RPC on `/`, `/RPC2`, `/json` and `/jsonrpc`, and xapi's other handlers.

Routing is xapi's: a table per HTTP method, the longest prefix wins (facts 1.1).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from aiohttp import web
from aiohttp.http import HttpVersion10, HttpVersion11

from ..engine.failure import Failure
from ..engine.faults import Disconnect
from . import rpc
from .connection import HEADERS_MOST, Connection, acceptor, header_size, still_sending
from .pages import Refused, missing, moved, page
from .wire import Answer, Page, Refusal, legible, ok
from .xml_call import Unreadable, read

if TYPE_CHECKING:
    from ..engine.core import Engine

# Larger calls are refused (C/constants.ml http_limit_max_rpc_size).
RPC_BODY_MOST = 300 * 1024
CORS = {"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Headers": "X-Requested-With"}
# A client that follows HOST_IS_SLAVE may ask for the fingerprint of the host it is sent to (X/xapi_globs.ml).
THUMBPRINT_ASKED = "x-xenapi-request-host-certificate-thumbprint"
THUMBPRINT = "x-xenapi-response-host-certificate-thumbprint"
THUMBPRINT_KINDS = {"sha-256:master": "sha256", "sha-1:master": "sha1"}
UUID_LENGTH = 36
Handler = Callable[["Listener", web.Request], Awaitable[web.StreamResponse]]


class Listener:
    """The server of one host."""

    def __init__(self, engine: Engine, host: str, handlers: dict[str, dict[str, Handler]]) -> None:
        self.engine = engine
        self.host = host
        self.tables = {method: dict(table) for method, table in handlers.items()}
        for path in ("/", "/RPC2", "/json"):
            self.tables.setdefault("POST", {})[path] = xml_rpc
        self.tables["POST"]["/jsonrpc"] = json_rpc
        for path in ("/", "/json", "/jsonrpc"):
            self.tables.setdefault("OPTIONS", {})[path] = options
        self.tables.setdefault("GET", {}).setdefault("/", files)
        self.tables.setdefault("PUT", {})

    def runner(self) -> web.ServerRunner:
        # A client that holds its connection is not waited for at the end.
        return web.ServerRunner(acceptor(self.serve), shutdown_timeout=1.0)

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request; what goes wrong on the way is a page or the end of the connection."""
        if isinstance(request.protocol, Connection):
            request.protocol.headers_read()
        try:
            if self.host in self.engine.down:
                # It came in while the host was still up, and is read when it is not.
                raise Disconnect(request.path)
            response = await self._route(request)
        except Refused as refused:
            response = refused.page
        except Disconnect:
            return _cut(request)
        except (asyncio.CancelledError, ConnectionError):
            raise
        except Exception as error:
            self.engine.problems.append(f"{request.method} {request.path}: {error!r}")
            response = page(500, repr(error))
        if isinstance(response, Page):
            response.force_close()
        if isinstance(response, (Page, Refusal)) and await still_sending(request):
            return _cut(request)
        return response

    async def _route(self, request: web.BaseRequest) -> web.StreamResponse:
        """Find the handler by method and longest prefix; no table for the method is a 501, no prefix a 403."""
        if header_size(request) > HEADERS_MOST:
            return page(431)
        if request._version < HttpVersion10:
            # A first line of two words is no request to xapi. aiohttp would answer in the version that it took it for, once it is read.
            request._version = HttpVersion11
            return page(500, "The HTTP headers could not be parsed.")
        method = "CONNECT" if isinstance(request.protocol, Connection) and request.protocol.tunnel is not None else request.method
        table = self.tables.get(method)
        if table is None:
            return page(501, method=method)
        prefixes = [prefix for prefix in table if request.path.startswith(prefix)]
        if not prefixes:
            return page(403)
        return await table[max(prefixes, key=len)](self, request)  # type: ignore[arg-type]


def _cut(request: web.BaseRequest) -> web.StreamResponse:
    """End the connection without an answer."""
    if request.transport is not None:
        request.transport.abort()
    raise ConnectionResetError("cut by the simulator")


async def options(_listener: Listener, request: web.Request) -> web.StreamResponse:
    asked = request.headers.get("access-control-request-headers")
    allowed = f"{asked}, X-Requested-With" if asked else "X-Requested-With"
    return ok(request, b"", {**CORS, "Access-Control-Allow-Headers": allowed, "Access-Control-Allow-Methods": "PUT"})


async def files(_listener: Listener, request: web.Request) -> web.StreamResponse:
    """xapi's web folder, which is empty here; over plain HTTP a client that says where it is is sent to HTTPS."""
    host = request.headers.get("host")
    if not request.secure and host:
        return moved(f"https://{host}{request.path}")
    return missing(request.path)


async def _body(request: web.Request) -> bytes:
    """The body of an RPC call; refused without a length, and beyond the limit."""
    if request.content_length is None:
        raise Refused(page(500, 'Failure("We require a content-length: HTTP header")'))
    if request.content_length > RPC_BODY_MOST:
        raise Refused(page(500, "Http_svr.Client_requested_size_over_limit"))
    return await request.content.read(-1)


def _answer(listener: Listener, request: web.Request, text: str, content_type: str, failure: Failure | None = None) -> Answer:
    headers = {"content-type": content_type, **CORS}
    kind = THUMBPRINT_KINDS.get(request.headers.get(THUMBPRINT_ASKED, ""))
    if kind and failure is not None and failure.code == "HOST_IS_SLAVE":
        headers[THUMBPRINT] = listener.engine.identity_of(listener.engine.coordinator).fingerprint(kind)
    return ok(request, text.encode("utf-8", "replace"), headers)


# Headers that a client wants to find in other_config of the tasks of its call (X/context.ml, get_http_other_config).
OTHER_CONFIG = "x-http-other-config-"


def _context_headers(request: web.Request) -> dict[str, str]:
    names = {"task-id": "task_id", "subtask-of": "subtask_of", "originator": "originator"}
    lower = {name.lower(): legible(value) for name, value in request.headers.items()}
    known = {ours: lower[theirs] for theirs, ours in names.items() if theirs in lower}
    return known | {f"http:{name.removeprefix(OTHER_CONFIG)}": value for name, value in lower.items() if name.startswith(OTHER_CONFIG)}


async def xml_rpc(listener: Listener, request: web.Request) -> web.StreamResponse:
    body = await _body(request)
    try:
        method, params = read(body)
        result = await answer(listener, method, params, "xmlrpc", _context_headers(request))
    except Unreadable as error:
        return page(500, str(error))
    except Failure as failure:
        return _answer(listener, request, rpc.xml_failure(failure), "text/xml", failure)
    return _answer(listener, request, rpc.xml_success(result, bare=method == "system.listMethods"), "text/xml")


async def json_rpc(listener: Listener, request: web.Request) -> web.StreamResponse:
    body = await _body(request)
    try:
        call = rpc.parse_json(body)
    except Unreadable as error:
        return page(500, str(error))
    try:
        result = await answer(listener, call.method, call.params, "jsonrpc", _context_headers(request))
    except Unreadable as error:
        return page(500, str(error))
    except Failure as failure:
        return _answer(listener, request, rpc.json_failure(call, failure), "application/json", failure)
    return _answer(listener, request, rpc.json_success(call, result), "application/json")


async def answer(listener: Listener, method: str, params: list[Any], protocol: str, headers: dict[str, str]) -> Any:
    """One call; `system.*` are answered by the dispatcher itself."""
    engine = listener.engine
    if method == "system.listMethods":
        return engine.schema.listed
    if method.startswith("system.isAlive:"):
        # xapi cuts a uuid out of the name for its traces and breaks on anything shorter (X/context.ml, recording wire).
        if len(method) < len("system.isAlive:") + UUID_LENGTH:
            raise Unreadable('Invalid_argument("String.sub / Bytes.sub")')
        return params[0] if params else ""
    result = await engine.call(method, params, at=listener.host, protocol=protocol, headers=headers)
    if method == "event.from" and protocol == "xmlrpc":
        counts = {name: rpc.I4(count) for name, count in result["valid_ref_counts"].items()}
        return {**result, "valid_ref_counts": counts}
    return result
