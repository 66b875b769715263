# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A bare client: JSON-RPC 2.0 over one kept-alive connection, and HTTP requests as the recording has them."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from .trust import Trust

SEND_BUFFER = 64 * 1024
# A connection that ends without TLS's own farewell is a cut as well.
ENDED = (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError)
CUT = (*ENDED, http.client.IncompleteRead, http.client.BadStatusLine)


@dataclass
class Answer:
    """An HTTP answer; `broken` is "cut" or "silent" where the connection ended in place of (the rest of) it."""

    status: int | None = None
    headers: Mapping[str, str] | None = None
    body: bytes = b""
    broken: str | None = None
    # The server did not take the whole body: a client that looks no further sees a reset, whatever the server had answered.
    refused_body: bool = False


class Client:
    """One server: plain HTTP, or TLS when there is a `trust`."""

    def __init__(self, address: str, port: int, timeout: float = 60, trust: Trust | None = None) -> None:
        self.address, self.port, self.timeout, self.trust = address, port, timeout, trust
        self._connection: http.client.HTTPConnection | None = None
        self._number = 0

    @classmethod
    def of(cls, url: str, trust: Trust | None = None) -> Client:
        parts = urlsplit(url)
        if parts.scheme == "https":
            return cls(parts.hostname or "", parts.port or 443, trust=trust or Trust())
        return cls(parts.hostname or "", parts.port or 80)

    def _connect(self, timeout: float) -> http.client.HTTPConnection:
        if self.trust is not None:
            return self.trust.connection(self.address, self.port, timeout)
        return http.client.HTTPConnection(self.address, self.port, timeout=timeout)

    def call(self, method: str, params: list[Any]) -> dict[str, Any]:
        """``{"result": …}`` or ``{"error": [code, …]}``."""
        self._number += 1
        body = json.dumps({"jsonrpc": "2.0", "method": method, "params": params, "id": self._number})
        status, text = self._post("/jsonrpc", body.encode())
        try:
            answer = json.loads(text)
        except ValueError:
            return {"error": [f"HTTP {status}", text.decode(errors="replace")]}
        if "error" in answer and answer["error"] is not None:
            error = answer["error"]
            return {"error": [error["message"], *error["data"]]} if isinstance(error, dict) else {"error": error}
        return {"result": answer.get("result")}

    def _post(self, path: str, body: bytes) -> tuple[int, bytes]:
        # A server may close a kept-alive connection between two calls; one repeat on a new one is what every client does.
        for attempt in (1, 2):
            if self._connection is None:
                self._connection = self._connect(self.timeout)
            try:
                self._connection.request("POST", path, body, {"Content-Type": "application/json"})
                response = self._connection.getresponse()
                return response.status, response.read()
            except (*ENDED, http.client.BadStatusLine):
                self.close()
                if attempt == 2:
                    raise
        raise AssertionError("unreachable")

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def http(self, verb: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], body: bytes | None, timeout: float) -> Answer:
        """One request on a connection of its own, with no header that the recording does not have."""
        target = path + ("?" + "&".join(f"{quote(key)}={quote(value)}" for key, value in query.items()) if query else "")
        connection = self._connect(timeout)
        answer = Answer()
        try:
            connection.putrequest(verb, target, skip_accept_encoding=True)
            for key, value in headers.items():
                connection.putheader(key, value)
            if body is not None and "Content-Length" not in headers:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders()
            # A whole disk would fit into the kernel's buffers, and a client that has sent all finds no cut.
            connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
            answer.refused_body = not _send(connection, body)
            response = connection.getresponse()
            answer.status = response.status
            answer.headers = {key.lower(): value for key, value in response.getheaders()}
            answer.body = response.read()
        except TimeoutError:
            answer.broken = "silent"
        except CUT:
            answer.broken = "cut"
        finally:
            connection.close()
        return answer


def _send(connection: http.client.HTTPConnection, body: bytes | None) -> bool:
    """Whether the body went out; if not, the server may still have answered before it read everything."""
    try:
        connection.send(body or b"")
    except ENDED:
        return False
    return True
