# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers that carry xapi's headers and nothing else: its own order, no Date, no Server (H/http.ml, H/http_svr.ml).

aiohttp adds headers of its own when an answer is prepared, and would frame an answer of unknown length in chunks. Both happen in the one
method that `Bare` replaces.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from aiohttp import web
from aiohttp.http import HttpVersion, HttpVersion10, HttpVersion11

if TYPE_CHECKING:
    from .flow import Flow

CONTROL = re.compile("[\0-\x1f\x7f]")
NO_CACHE = "no-cache, no-store"


def legible(text: str) -> str:
    """Text of a header; bytes that are no UTF-8 are replaced, since it may get into the database."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


class Bare(web.StreamResponse):
    """Sends the headers as given. Without a content-length the answer ends where the connection does."""

    # The version that the status line names; None: the request's.
    version: HttpVersion | None = None

    async def _prepare_headers(self) -> None:
        assert self._req is not None
        assert self._payload_writer is not None
        if self.version is not None:
            self._req._version = self.version
        if self._keep_alive is None:
            self._keep_alive = self._req.keep_alive
        if self._headers.get("connection") == "close" or self.content_length is None:
            self._keep_alive = False
        self._payload_writer.length = self.content_length
        for name, value in list(self._headers.items()):
            if CONTROL.search(value):
                # Part of it came from a client, who is not to write further headers.
                self._headers[name] = CONTROL.sub("", value)


class Refusal(Bare):
    """A status line and headers that come before an upload is read; the connection is closed after it, and after the `tail` if there is one."""

    version = HttpVersion11

    def __init__(self, status: int, reason: str, headers: Mapping[str, str], tail: bytes = b"") -> None:
        super().__init__(status=status, reason=reason, headers={"connection": "close", "cache-control": NO_CACHE, **headers})
        self.tail = tail
        self.force_close()

    async def write_eof(self, data: bytes = b"") -> None:
        await super().write_eof(self.tail + data)


class Answer(Bare, web.Response):
    """A whole answer: its headers are the length and then those given."""

    def __init__(self, status: int, reason: str, headers: Mapping[str, str], body: bytes = b"") -> None:
        web.Response.__init__(self, status=status, reason=reason, headers={"content-length": str(len(body)), **headers}, body=body)


class Page(Answer):
    """A small HTML page that says what went wrong; the connection is closed after it."""


class Redirect(Answer):
    """To another server; the connection is kept."""


def keeps_alive(request: web.BaseRequest) -> bool:
    """Whether the client wants another request on this connection, as xapi decides it."""
    wish = request.headers.get("connection", "").lower()
    return wish != "close" and (wish == "keep-alive" or request.version > HttpVersion10)


def success_headers(request: web.BaseRequest, **more: str) -> dict[str, str]:
    """The headers that every ordinary answer begins with."""
    connection = "keep-alive" if keeps_alive(request) else "close"
    return {"connection": connection, "cache-control": NO_CACHE, **more}


def ok(request: web.BaseRequest, body: bytes, headers: Mapping[str, str]) -> Answer:
    """200 with a body."""
    return Answer(200, "OK", {**success_headers(request), **headers}, body)


class Streamed(Bare):
    """200 and then whatever is written, at the pace of a flow, until the connection is closed."""

    version = HttpVersion11

    def __init__(self, headers: Mapping[str, str], flow: Flow) -> None:
        super().__init__(status=200, reason="OK", headers={"connection": "close", "cache-control": NO_CACHE, **headers})
        self.flow = flow
        self.force_close()

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        rest = memoryview(data)
        while rest:
            size = await self.flow.allow(len(rest))
            await super().write(rest[:size])
            rest = rest[size:]


def stream(request: web.BaseRequest, headers: Mapping[str, str]) -> Bare:
    """200 and then whatever is written, until the connection is closed."""
    response = Bare(status=200, reason="OK", headers={"connection": "close", "cache-control": NO_CACHE, **headers})
    response.force_close()
    return response
