# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests of HTTP/1.1 without a Host: xapi wants none, aiohttp does, so they get an empty one on their way to it."""

from __future__ import annotations

import re

HEAD_END = b"\r\n\r\n"
ADDED = b"Host:\r\n"
FIRST = re.compile(rb"[!-~]+ [!-~]+ HTTP/1\.1\r\n")
HOST = re.compile(rb"\r\nhost[ \t]*:", re.IGNORECASE)
LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]+)[ \t]*(?=\r\n)", re.IGNORECASE)
# A request whose end this does not know.
ENDLESS = re.compile(rb"\r\n(transfer-encoding|upgrade)[ \t]*:", re.IGNORECASE)


class Hosts:
    """What one client sends, watched from request to request."""

    def __init__(self, longest: int) -> None:
        self.longest = longest
        # The headers so far; None when it is no longer known where a request begins.
        self._head: bytes | None = b""
        # Bytes of the body still to come, and a CR which may begin the end of the headers.
        self._body = 0
        self._held = b""

    def passed(self, data: bytes) -> bytes:
        """The same bytes, with a Host where one was missing."""
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
        plain = first is not None and len(lengths) < 2 and not ENDLESS.search(whole)
        self._head = b"" if plain else None
        self._body = int(lengths[0]) if plain and lengths else 0
        if first and not HOST.search(whole):
            before = before[:-2] + ADDED + before[-2:]
        return before, rest
