# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What xapi takes and aiohttp does not: requests of HTTP/1.1 without a Host, and with a Transfer-Encoding that is not "chunked".

xapi wants no Host, so one that is empty is added. It understands no Transfer-Encoding, but lets its handlers refuse it by name: one that aiohttp
would stumble over gets another name on the way.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Protocol

HEAD_END = b"\r\n\r\n"
ADDED = b"Host:\r\n"
FIRST = re.compile(rb"[!-~]+ [!-~]+ HTTP/1\.1\r\n")
HOST = re.compile(rb"\r\nhost[ \t]*:", re.IGNORECASE)
LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]+)[ \t]*(?=\r\n)", re.IGNORECASE)
# A request whose end this does not know.
ENDLESS = re.compile(rb"\r\n(transfer-encoding|upgrade)[ \t]*:", re.IGNORECASE)
ENCODING = re.compile(rb"\r\ntransfer-encoding(?=[ \t]*:[ \t]*([^\r\n]*?)[ \t]*\r\n)", re.IGNORECASE)
RENAMED = "Transfer_Encoding"


class HasHeaders(Protocol):
    @property
    def headers(self) -> Mapping[str, str]: ...


def encoding_of(request: HasHeaders) -> str | None:
    """The Transfer-Encoding of a request, under its own name or the other."""
    return request.headers.get("Transfer-Encoding", request.headers.get(RENAMED))


class Hosts:
    """What one client sends, watched from request to request."""

    def __init__(self, longest: int) -> None:
        self.longest = longest
        # The headers so far; None when it is no longer known where a request begins.
        self._head: bytes | None = b""
        # Bytes of the body still to come, and a CR which may begin the end of the headers.
        self._body = 0
        self._held = b""
        self._over = False

    def passed(self, data: bytes) -> bytes:
        """The same bytes, with a Host where one was missing."""
        if self._over:
            return b""
        if self._head is None or len(data) <= self._body:
            self._body = max(0, self._body - len(data))
            return data
        passed = b""
        data = self._held + data
        self._held = b""
        while len(data) > self._body and self._head is not None:
            passed += data[: self._body]
            data = data[self._body :]
            self._body = 0
            before, data = self._of_head(data)
            passed += before
        self._body = max(0, self._body - len(data))
        return passed + data

    def _of_head(self, data: bytes) -> tuple[bytes, bytes]:
        """What of the data belongs to the headers, and the rest."""
        assert self._head is not None
        known = len(self._head)
        head = self._head + data
        end = head.find(HEAD_END, max(0, known - len(HEAD_END) + 1))
        if end < 0:
            self._head = head if len(head) <= self.longest else None
            if self._head is not None and head.endswith(HEAD_END[:3]):
                self._head, self._held = head[:-1], head[-1:]
                return data[:-1], b""
            return data, b""
        whole, rest = head[: end + len(HEAD_END)], head[end + len(HEAD_END) :]
        before = whole[known:]
        first = FIRST.match(whole) if len(whole) <= self.longest else None
        lengths = LENGTH.findall(whole)
        encoding = ENCODING.search(whole)
        if encoding is not None and known == 0 and (lengths or encoding[1].lower() != b"chunked"):
            # Nobody knows where the body ends if not by its length: what comes then is never read, as at xapi.
            whole = before = ENCODING.sub(b"\r\n" + RENAMED.encode(), whole)
            self._over = not lengths
        plain = first is not None and len(lengths) < 2 and not ENDLESS.search(whole)
        self._head = b"" if plain else None
        self._body = int(lengths[0]) if plain and lengths else 0
        if first and not HOST.search(whole):
            before = before[:-2] + ADDED + before[-2:]
        return before, b"" if self._over else rest
