# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One client's connection: xapi's limits on headers and its pages for requests that cannot be read (H/http_svr.ml)."""

from __future__ import annotations

import asyncio
import re
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import BadHttpMethod, LineTooLong
from aiohttp.web_protocol import RequestHandler

from . import pages
from .hostless import HEAD_END, Hosts

# Bytes of all headers of a request with its first line (X/xapi_globs.ml max_header_length_tcp).
HEADERS_MOST = 1024
# Bytes of a line that are read before its request is refused.
LINE_MOST = 8190
# Seconds: between two pieces of the first request's headers, and for all of them.
PIECE_WAIT, HEADERS_WAIT = 10.0, 60.0
# A refused upload larger than this is cut off: the client finds the connection reset, not an answer.
UNREAD_MOST = 64 * 1024
# A client's CONNECT is a tunnel here as well: aiohttp knows only proxies'.
CONNECT, READS_AS = b"CONNECT /", b"GET /"
# A request whose verb aiohttp does not know.
VERB = re.compile(rb"([!-~]{1,64}) [!-~]+ HTTP/1\.[01]\r?\n")
# Seconds after its headers in which a client that does not wait for an answer has begun to send.
SENDS_WITHIN = 0.05


class Connection(RequestHandler):
    """aiohttp's, with xapi's pages in place of its own."""

    __slots__ = ("_head", "_hosts", "_latest", "_piece_timer", "_total_timer", "tunnel")

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._piece_timer: asyncio.TimerHandle | None = None
        self._total_timer: asyncio.TimerHandle | None = None
        # The beginning of what may become a CONNECT; None once that is decided.
        self._head: bytes | None = b""
        self._hosts = Hosts(LINE_MOST)
        # The latest piece, in which the verb stands that nobody could read.
        self._latest = b""
        # What the client sends after the headers of a CONNECT.
        self.tunnel: asyncio.StreamReader | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._total_timer = self._loop.call_later(HEADERS_WAIT, self._too_slow)
        self._piece_timer = self._loop.call_later(PIECE_WAIT, self._too_slow)

    def data_received(self, data: bytes) -> None:
        self._latest = data
        if self._piece_timer is not None:
            self._piece_timer.cancel()
            self._piece_timer = self._loop.call_later(PIECE_WAIT, self._too_slow)
        if self.tunnel is not None:
            self.tunnel.feed_data(data)
        elif self._head is None:
            super().data_received(self._hosts.passed(data))
        else:
            self._begin(self._head + data)

    def _begin(self, data: bytes) -> None:
        """The first bytes of a connection: of a CONNECT all headers are awaited, and what follows them is the tunnel's."""
        maybe = CONNECT.startswith(data[: len(CONNECT)]) and data[: len(CONNECT)]
        if not maybe or len(data) > HEADERS_MOST:
            self._head = None
            super().data_received(self._hosts.passed(data))
        elif HEAD_END not in data:
            self._head = data
        else:
            self._head = None
            head, end, rest = data.partition(HEAD_END)
            self.tunnel = asyncio.StreamReader()
            assert self.transport is not None
            self.tunnel.set_transport(self.transport)
            if rest:
                self.tunnel.feed_data(rest)
            super().data_received(self._hosts.passed(READS_AS + head.removeprefix(CONNECT) + end))

    def eof_received(self) -> None:
        if self.tunnel is not None:
            self.tunnel.feed_eof()
        super().eof_received()

    def connection_lost(self, exc: BaseException | None) -> None:
        if self.tunnel is not None:
            self.tunnel.feed_eof()
        self.headers_read()
        super().connection_lost(exc)

    def headers_read(self) -> None:
        """The first request is there: from now on the client may take its time."""
        for timer in (self._piece_timer, self._total_timer):
            if timer is not None:
                timer.cancel()
        self._piece_timer = self._total_timer = None

    def _too_slow(self) -> None:
        self.headers_read()
        if self.transport is not None:
            answer = pages.page(408)
            headers = "".join(f"{name}: {value}\r\n" for name, value in answer.headers.items())
            assert isinstance(answer.body, bytes)
            self.transport.write(f"HTTP/1.1 408 {answer.reason}\r\n{headers}\r\n".encode() + answer.body)
            self.transport.close()

    def handle_error(self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None) -> web.StreamResponse:
        """What could not be read as HTTP, or broke the server."""
        if isinstance(exc, LineTooLong):
            return pages.page(431)
        if isinstance(exc, BadHttpMethod) and (verb := VERB.match(self._latest)):
            return pages.page(501, method=verb[1].decode())
        if status == 400:
            return pages.page(500, "The HTTP headers could not be parsed.")
        return pages.page(500, repr(exc) if exc else "")


def header_size(request: web.BaseRequest) -> int:
    """Bytes of the request's first line and headers."""
    line = len(f"{request.method} {request.raw_path} HTTP/1.1\r\n")
    # An empty Host is one that was added here.
    sent = [(name, value) for name, value in request.raw_headers if value or name != b"Host"]
    return line + sum(len(name) + len(value) + 4 for name, value in sent) + 2


async def still_sending(request: web.BaseRequest) -> bool:
    """Whether a refused upload is on its way. xapi answers and closes without reading it: a client that sends then finds the connection
    reset before it sees the answer, one that waits for the answer sees it."""
    if (request.content_length or 0) <= UNREAD_MOST or request.content.is_eof():
        return False
    try:
        return bool(await asyncio.wait_for(request.content.readany(), SENDS_WITHIN))
    except TimeoutError:
        return False


class Acceptor(web.Server):
    """Makes a `Connection` of every accepted socket."""

    def __call__(self) -> RequestHandler:
        return Connection(self, loop=self._loop, **self._kwargs)


def acceptor(handler: Any) -> Acceptor:
    """A server whose connections live as long as the client wants, and end at once where an upload is not read to its end."""
    limits: dict[str, Any] = {"max_line_size": LINE_MOST, "max_field_size": LINE_MOST}
    # xapi unpacks no body: a few bytes could stand for gigabytes.
    return Acceptor(handler, access_log=None, keepalive_timeout=86400.0, lingering_time=0.0, auto_decompress=False, **limits)
