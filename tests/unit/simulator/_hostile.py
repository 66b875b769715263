# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A client that sends what no honest one does, byte by byte, and keeps what came back."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from simulator import Simulator
from simulator.server import Server

# Statuses that xapi has: what else comes is no answer of xapi's.
STATUSES = {200, 301, 302, 400, 401, 403, 404, 408, 431, 500, 501, 503}
HONEST = b'{"jsonrpc":"2.0","method":"session.login_with_password","params":["root","simulated","","test"],"id":1}'
# Seconds: an answer takes no longer, whatever was asked; with a little patience for a busy machine.
PROMPT = 10.0


@dataclass
class Answer:
    """What came; status 0 when the connection was closed without an answer, -1 when nothing came in time."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


class Wire:
    """Talks to a pool over plain HTTP."""

    def __init__(self, pool: Simulator) -> None:
        self.pool = pool
        self.server: Server = next(iter(pool._servers), None) or pool.serve(tls=False)
        host, _unused, port = self.server.http_url.removeprefix("http://").partition(":")
        self.address = (host, int(port))

    def send(self, data: bytes, *, patience: float = PROMPT, half_close: bool = False) -> Answer:
        """Send bytes and read to the end of the connection, or of the first answer."""
        with socket.create_connection(self.address, timeout=patience) as connection:
            received, ended = b"", False
            try:
                connection.sendall(data)
                if half_close:
                    connection.shutdown(socket.SHUT_WR)
            except OSError:
                # The server closed while we were still talking; what it said before may be there.
                pass
            deadline = time.monotonic() + patience
            try:
                while not _complete(received) and time.monotonic() < deadline:
                    piece = connection.recv(65536)
                    ended = not piece
                    if ended:
                        break
                    received += piece
            except TimeoutError:
                pass
            except OSError:
                ended = True
        if not received:
            return Answer(0 if ended else -1)
        return parsed(received)

    def request(self, verb: str, path: str, body: bytes = b"", query: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None) -> Answer:
        """A well-formed request, whatever its parts are."""
        target = f"{path}?{urlencode(query)}" if query else path
        given = {"Host": "x", "Connection": "close", "Content-Length": str(len(body)), **(headers or {})}
        lines = "".join(f"{name}: {value}\r\n" for name, value in given.items())
        return self.send(f"{verb} {target} HTTP/1.1\r\n{lines}\r\n".encode("utf-8", "surrogateescape") + body)

    def rpc(self, body: bytes, path: str = "/") -> Answer:
        return self.request("POST", path, body)

    def check_alive(self) -> None:
        """An honest call is answered, and nothing broke inside."""
        answer = self.rpc(HONEST, "/jsonrpc")
        assert (answer.status, b'"result":"OpaqueRef:' in answer.body) == (200, True), answer
        assert self.pool.problems == []


def _complete(data: bytes) -> bool:
    """Whether an answer with a length is there as a whole."""
    head, end, body = data.partition(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n") if end else ():
        if line.startswith(b"content-length:"):
            return len(body) >= int(line.partition(b":")[2])
    return False


def parsed(data: bytes) -> Answer:
    head, _unused, body = data.partition(b"\r\n\r\n")
    first, _unused, rest = head.decode("latin-1").partition("\r\n")
    version, _unused, status = first.partition(" ")
    assert version in ("HTTP/1.0", "HTTP/1.1"), data[:200]
    lines = [line.partition(":") for line in rest.split("\r\n") if line]
    assert all(separator and " " not in name for name, separator, _unused in lines), data[:500]
    return Answer(int(status[:3]), {name.lower(): value.strip() for name, _unused, value in lines}, body)


def shaped(answer: Answer) -> bool:
    """Whether xapi could have answered so: an envelope of a call, one of its pages, or the end of the connection."""
    if answer.status == 0:
        return True
    if answer.status not in STATUSES:
        return False
    if answer.status != 200 and answer.body:
        return answer.body.startswith((b"<html><body><h1>HTTP ", b"<!DOCTYPE HTML", b"Unknown reference"))
    return True


def refused(answer: Answer) -> Any:
    """Whether a call was answered with a refusal in an envelope."""
    return answer.status == 200 and (b"<name>ErrorDescription</name>" in answer.body or b'"error":' in answer.body)
