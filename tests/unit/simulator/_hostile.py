# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A client that sends what no honest one does, byte by byte, and keeps what came back."""

from __future__ import annotations

import resource
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

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
    head, _end, body = data.partition(b"\r\n\r\n")
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
    if answer.status in (400, 403) and answer.body.startswith(b"HTTP/1.1 500 Internal Error\r\n"):
        # A handler that answered before it failed: the server's page follows.
        return True
    if answer.status != 200 and answer.body:
        return answer.body.startswith((b"<html><body><h1>HTTP ", b"<!DOCTYPE HTML", b"Unknown reference"))
    return True


def refused(answer: Answer) -> bool:
    """Whether a call was answered with a refusal in an envelope."""
    return answer.status == 200 and (b"<name>ErrorDescription</name>" in answer.body or b'"error":' in answer.body)


def few(examples: int) -> settings:
    """As many examples, the same ones every time; in the deep profile as many as that says, new ones every time."""
    if settings.get_current_profile_name() == "deep":
        return settings(deadline=None, suppress_health_check=list(HealthCheck))
    return settings(max_examples=examples, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))


@contextmanager
def bounded(seconds: float = PROMPT, mebibytes: int = 200) -> Iterator[None]:
    """What happens inside takes no longer, and needs no more memory than that beyond what was there."""
    begun, before = time.monotonic(), resident()
    yield
    assert time.monotonic() - begun < seconds
    assert resident() - before < mebibytes << 20


def resident() -> int:
    """Bytes that this process holds now."""
    return int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1]) * resource.getpagesize()


def drifting(*pieces: bytes) -> st.SearchStrategy[bytes]:
    """Honest requests with something cut out, doubled, inserted or exchanged."""
    junk = st.one_of(st.binary(max_size=12), st.sampled_from([b"\0", b"<", b"&", b"]]>", b"\xff\xfe", b'"', b"\r\n", b"-1", b"9" * 25, b"[" * 50, b"<!--"]))

    @st.composite
    def one(draw: st.DrawFn) -> bytes:
        data = draw(st.sampled_from(pieces))
        for _unused in range(draw(st.integers(1, 4))):
            begin = draw(st.integers(0, len(data)))
            end = draw(st.integers(begin, min(len(data), begin + 40)))
            data = data[:begin] + draw(st.one_of(junk, st.just(data[begin:end] * 2))) + data[end:]
        return data

    return one()
