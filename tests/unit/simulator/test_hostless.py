# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""xapi wants no Host header of HTTP/1.1, so a client may send none; what is added for the server's library harms no byte of a body."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator import Simulator
from simulator.transport.hostless import Hosts

from ._asking import fixtures
from ._hostile import few

BODY = json.dumps({"jsonrpc": "2.0", "method": "session.login_with_password", "params": ["root", "simulated"], "id": 1}).encode()
CALL = b"POST /jsonrpc HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY


simulator, session = fixtures(lambda: Simulator("one_host"), "module")


@pytest.fixture
def connection(simulator: Simulator) -> Iterator[socket.socket]:
    address, _unused, port = simulator.serve(tls=False, http=True).http_url.removeprefix("http://").rpartition(":")
    with socket.create_connection((address, int(port)), timeout=10) as connection:
        yield connection


def status_and_body(connection: socket.socket) -> tuple[bytes, bytes]:
    stream = connection.makefile("rb")
    status, length = stream.readline().split(b" ")[1], 0
    while (line := stream.readline().strip()) != b"":
        name, _unused, value = line.partition(b": ")
        length = int(value) if name == b"content-length" else length
    return status, stream.read(length)


def test_calls_on_one_connection(connection: socket.socket) -> None:
    for _unused in range(3):
        connection.sendall(CALL)
        status, body = status_and_body(connection)
        assert (status, json.loads(body)["result"][:10]) == (b"200", "OpaqueRef:")


def test_a_call_byte_by_byte(connection: socket.socket) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in CALL:
        connection.sendall(bytes([byte]))
    assert status_and_body(connection)[0] == b"200"


def test_a_client_that_does_not_say_where_it_is_is_sent_nowhere(connection: socket.socket) -> None:
    connection.sendall(b"GET /nothing HTTP/1.1\r\n\r\n")
    assert status_and_body(connection)[0] == b"404"


@pytest.mark.parametrize(("size", "expected"), [(1024, b"404"), (1025, b"431")])
def test_what_is_added_does_not_count(connection: socket.socket, size: int, expected: bytes) -> None:
    head = b"GET /nothing HTTP/1.1\r\nX-Filler: "
    connection.sendall(head + b"f" * (size - len(head) - 4) + b"\r\n\r\n")
    assert status_and_body(connection)[0] == expected


# Without a socket

# As sent, and as passed on.
REQUESTS = [
    (b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nHost:\r\n\r\n"),
    (b"GET / HTTP/1.1\r\nA: b\r\n\r\n", b"GET / HTTP/1.1\r\nA: b\r\nHost:\r\n\r\n"),
    (b"GET / HTTP/1.1\r\nhOST: x\r\n\r\n", b"GET / HTTP/1.1\r\nhOST: x\r\n\r\n"),
    (
        b"POST / HTTP/1.1\r\nContent-Length: 22\r\n\r\nGET / HTTP/1.1\r\nA: b\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 22\r\nHost:\r\n\r\nGET / HTTP/1.1\r\nA: b\r\n",
    ),
    (b"PUT / HTTP/1.1\r\nHost: x\r\ncontent-length: 4\r\n\r\n\r\n\r\n", b"PUT / HTTP/1.1\r\nHost: x\r\ncontent-length: 4\r\n\r\n\r\n\r\n"),
]
# After these nobody knows where the next request begins, so nothing is added any more.
LAST = [
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n12\r\nGET / HTTP/1.1\r\n\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    b"nonsense\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    b"POST / HTTP/1.0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    b"GET /" + b"x" * 300 + b" HTTP/1.1\r\n\r\n",
]


@few(200)
@given(requests=st.lists(st.sampled_from(REQUESTS), max_size=4), last=st.sampled_from([b"", *LAST]), cuts=st.lists(st.integers(min_value=0, max_value=400)))
def test_wherever_the_stream_is_cut(requests: list[tuple[bytes, bytes]], last: bytes, cuts: list[int]) -> None:
    sent = b"".join(before for before, _unused in requests) + last
    hosts, at, passed = Hosts(longest=200), 0, b""
    for cut in [*sorted(cuts), len(sent)]:
        passed += hosts.passed(sent[at:cut])
        at = max(at, cut)
    assert passed == b"".join(after for _unused, after in requests) + last
