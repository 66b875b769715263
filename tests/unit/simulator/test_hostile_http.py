# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests that no honest client sends: one of xapi's pages or the end of the connection, and the next client is served (facts 1.1)."""

from __future__ import annotations

import gzip
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator import Simulator

from ._hostile import HONEST, Wire, bounded, drifting, few, shaped

CALL = b"<methodCall><methodName>VM.get_all</methodName><params><param><value>x</value></param></params></methodCall>"


@pytest.fixture(scope="module")
def opened() -> Iterator[Wire]:
    with Simulator("three_hosts") as simulator:
        yield Wire(simulator)


@pytest.fixture
def wire(opened: Wire, capfd: pytest.CaptureFixture[str]) -> Iterator[Wire]:
    """Afterwards nothing was broken, nothing complained, and an honest call is answered."""
    opened.pool.problems.clear()
    SHARED[:] = [opened]
    yield opened
    opened.check_alive()
    assert capfd.readouterr().err == ""


@pytest.fixture
def session(opened: Wire) -> Any:
    return opened.pool.session()


# Property tests run many times within one test, which fixtures do not.
SHARED: list[Wire] = []


def request(first: str, *headers: str, body: bytes = b"") -> bytes:
    lines = "".join(f"{line}\r\n" for line in (first, *headers))
    return f"{lines}\r\n".encode("utf-8", "surrogateescape") + body


HOST, CLOSE = "Host: x", "Connection: close"
UNREADABLE = {
    "a first line of two words": request("GET /rrdHTTP/1.1", HOST),
    "a negative length": request("POST / HTTP/1.1", HOST, "Content-Length: -5", body=b"hello"),
    "two lengths": request("POST / HTTP/1.1", HOST, "Content-Length: 5", "Content-Length: 6", body=b"hello!"),
    "a length twice": request("POST / HTTP/1.1", HOST, "Content-Length: 5", "Content-Length: 5", body=b"hello"),
    "lengths with a comma": request("POST / HTTP/1.1", HOST, "Content-Length: 5, 5", body=b"hello"),
    "a length that is none": request("POST / HTTP/1.1", HOST, "Content-Length: five", body=b"hello"),
    "a length in hexadecimal": request("POST / HTTP/1.1", HOST, "Content-Length: 0x5", body=b"hello"),
    "a length with a sign": request("POST / HTTP/1.1", HOST, "Content-Length: +5", body=b"hello"),
    "an empty length": request("POST / HTTP/1.1", HOST, "Content-Length: ", body=b"hello"),
    "a length beyond 64 bits": request("POST / HTTP/1.1", HOST, f"Content-Length: {'9' * 30}", body=b"hello"),
    "a length and chunks": request("POST / HTTP/1.1", HOST, "Content-Length: 5", "Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "chunks of no length": request("POST / HTTP/1.1", HOST, "Transfer-Encoding: chunked", body=b"ZZZ\r\nhello\r\n"),
    "chunks of a negative length": request("POST / HTTP/1.1", HOST, "Transfer-Encoding: chunked", body=b"-5\r\nhello\r\n"),
    "chunks beyond 64 bits": request("POST / HTTP/1.1", HOST, "Transfer-Encoding: chunked", body=b"F" * 17 + b"\r\nhello\r\n"),
    "an encoding that nobody knows": request("POST / HTTP/1.1", HOST, "Transfer-Encoding: gzip, foo", body=b"hello"),
    "thousands of headers": request("GET / HTTP/1.1", HOST, *(f"X-{number}: y" for number in range(5000))),
    "a header of ten megabytes": request("GET / HTTP/1.1", HOST, f"X: {'y' * 10_000_000}"),
    "a name of a header without end": request("GET / HTTP/1.1", HOST, f"{'y' * 100_000}: y"),
    "a path of a megabyte": request(f"GET /{'a' * 1_000_000} HTTP/1.1", HOST),
    "a header without a colon": request("GET / HTTP/1.1", HOST, "nocolon"),
    "a header without a name": request("GET / HTTP/1.1", HOST, ": value"),
    "a header with a blank": request("GET / HTTP/1.1", HOST, "X Y: z"),
    "a header with a zero": request("GET / HTTP/1.1", HOST, "X: a\0b"),
    "a folded header": request("GET / HTTP/1.1", HOST, "X: a", "  folded"),
    "two hosts": request("GET / HTTP/1.1", HOST, "Host: y"),
    "another version": request("GET / HTTP/9.9", HOST),
    "another protocol": request("GET / HTTX/1.1", HOST),
    "http/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "no first line": b"\r\n\r\n\r\n\r\n\0\r\n\r\n",
    "no path": request("GET  HTTP/1.1", HOST),
    "a path with a blank": request("GET /a b HTTP/1.1", HOST),
    "a path of bytes": request("GET /\udcff\udcfe HTTP/1.1", HOST),
    "an address without an end": request("GET http://[::1 HTTP/1.1", HOST),
    "a port that is none": request("GET http://a:99999999/ HTTP/1.1", HOST),
    "a verb of bytes": request("G\udcffT / HTTP/1.1", HOST),
}


@pytest.mark.parametrize("data", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_what_is_no_request(wire: Wire, data: bytes) -> None:
    with bounded():
        answer = wire.send(data)
    assert shaped(answer), answer
    assert answer.status in (0, 431, 500), answer


@pytest.mark.parametrize("verb", ["FOO", "get", "TRACE", "DELETE", "PROPFIND", "A" * 60, "<b>"])
def test_verbs_that_nobody_knows(wire: Wire, verb: str) -> None:
    answer = wire.send(request(f"{verb} / HTTP/1.1", HOST, CLOSE))
    assert answer.status == 501
    assert f"Unknown {verb.replace('<', '&lt;').replace('>', '&gt;')} not supported".encode() in answer.body


@pytest.mark.parametrize("target", ["evil:443", "/nothing", "/", "*", "http://127.0.0.1:1/console"])
def test_tunnels_to_elsewhere(wire: Wire, target: str) -> None:
    assert wire.send(request(f"CONNECT {target} HTTP/1.1", HOST, CLOSE)).status in (403, 500)


def test_a_body_is_not_unpacked(wire: Wire) -> None:
    """What is some bytes on the way must not become gigabytes here; xapi unpacks nothing."""
    packed = gzip.compress(bytes(200 << 20), 9)
    with bounded(mebibytes=100):
        answer = wire.request("POST", "/", packed, headers={"Content-Encoding": "gzip"})
    assert (answer.status, b"expected root element" in answer.body) == (500, True)
    for encoding in ("gzip", "deflate", "br", "zstd", "nonsense"):
        assert wire.request("POST", "/", b"no packed body", headers={"Content-Encoding": encoding}).status == 500


@pytest.mark.parametrize("length", ["307201", "1000000000", "9223372036854775807"])
def test_a_declared_length_is_not_waited_for(wire: Wire, length: str) -> None:
    """Refused by what it says alone, before anything is read or set aside."""
    with bounded(seconds=5, mebibytes=50):
        for path in ("/", "/jsonrpc", "/RPC2"):
            answer = wire.send(request(f"POST {path} HTTP/1.1", HOST, f"Content-Length: {length}"))
            assert (answer.status, b"size_over_limit" in answer.body) == (500, True)


def test_a_body_that_never_comes_holds_up_nobody(wire: Wire) -> None:
    opened = [socket.create_connection(wire.address, timeout=5) for _unused in range(50)]
    try:
        for number, connection in enumerate(opened):
            connection.sendall(request("POST / HTTP/1.1", HOST, "Content-Length: 5000", body=b"<methodCall>")[: 40 + number])
        with bounded(seconds=5):
            wire.check_alive()
    finally:
        for connection in opened:
            connection.close()


def test_requests_in_one_piece_are_answered_in_turn(wire: Wire) -> None:
    one = request("POST /jsonrpc HTTP/1.1", HOST, f"Content-Length: {len(HONEST)}", body=HONEST)
    with socket.create_connection(wire.address, timeout=5) as connection:
        connection.sendall(one * 3 + request("POST /jsonrpc HTTP/1.1", HOST, CLOSE, "Content-Length: 1", body=b"x"))
        received = b""
        while piece := connection.recv(65536):
            received += piece
    assert received.count(b'"result":"OpaqueRef:') == 3
    assert received.count(b"HTTP/1.1 500") == 1


@pytest.mark.parametrize(
    "name", ["task-id", "subtask-of", "originator", "x-http-other-config-a", "x-xenapi-request-host-certificate-thumbprint", "traceparent", "user-agent"]
)
@pytest.mark.parametrize("value", ["", "\udcff\udcfe", "OpaqueRef:NULL", "../..", "x" * 500, "\u00e4", "{}"])
def test_headers_that_are_honoured(wire: Wire, session: Any, name: str, value: str) -> None:
    """Whatever they say gets into tasks and sessions, which are kept, and told to others."""
    vm = session.VM.get_all()[0]
    body = CALL.replace(b"VM.get_all", b"Async.VM.assert_operation_valid").replace(
        b"<param><value>x</value></param>", b"".join(b"<param><value>%s</value></param>" % text.encode() for text in (session.ref, vm, "start"))
    )
    answer = wire.request("POST", "/", body, headers={name: value})
    assert answer.status == 200
    # A task of the caller's own is answered as it was named, whatever it is.
    assert name == "task-id" or b"<value>OpaqueRef:" in answer.body
    for record in session.task.get_all_records().values():
        "".join([record["name_label"], *record["other_config"].values()]).encode()
    login = wire.request("POST", "/jsonrpc", HONEST, headers={name: value})
    assert login.status == 200


@pytest.mark.parametrize(
    "credentials", ["", "Basic", "Basic \udcff", "Basic ====", "Basic /////", "Bearer x", "basic " + "A" * 800, "Basic ²", "Basic Og", "cm9vdDp4"]
)
def test_credentials_of_an_unknown_kind(wire: Wire, credentials: str) -> None:
    """H/http.ml authorization_of_string: what is not `Basic ` and base64 of name:password; X/xapi_http.ml assert_credentials_ok then fails."""
    for verb, path in (("GET", "/export"), ("PUT", "/import_raw_vdi"), ("GET", "/rrd_updates"), ("GET", "/vncsnapshot")):
        answer = wire.request(verb, path, headers={"Authorization": credentials})
        assert answer.status == 500
        assert b"Failure(&quot;Unknown authorization header: " + credentials[:5].encode() in answer.body


@pytest.mark.parametrize("credentials", ["Basic Og==", "Basic cm9vdDo="])
def test_credentials_of_nobody(wire: Wire, credentials: str) -> None:
    for verb, path in (("GET", "/export"), ("PUT", "/import_raw_vdi"), ("GET", "/rrd_updates"), ("GET", "/vncsnapshot")):
        answer = wire.request(verb, path, headers={"Authorization": credentials})
        assert answer.status == 401
        assert answer.headers["www-authenticate"].startswith('Basic realm="')


@pytest.mark.parametrize(
    "cookie", ["", ";", "=", "session_id", "session_id=", "session_id=\udcff", 'session_id="', "session_id=x; session_id=y", "$Version=1; a=\\x"]
)
def test_cookies(wire: Wire, cookie: str) -> None:
    assert wire.request("GET", "/export", headers={"Cookie": cookie}).status == 401


SPLITTING = "x%0d%0aSet-Cookie:%20a=b%0d%0a%0d%0a<html>"


@pytest.mark.parametrize(
    "target",
    [
        f"/{SPLITTING}",
        f"/export?session_id={{session}}&task_id={SPLITTING}&uuid={{vm}}",
        f"/export_raw_vdi?session_id={{session}}&task_id={SPLITTING}&vdi={{vdi}}",
    ],
    ids=["a file", "the task of an export", "the task of a download"],
)
def test_nobody_writes_headers_for_others(wire: Wire, session: Any, target: str) -> None:
    vm = next(record["uuid"] for record in session.VM.get_all_records().values() if record["power_state"] == "Halted")
    vdi = next(record["uuid"] for record in session.VDI.get_all_records().values() if record["managed"] and record["type"] == "user")
    for host in (HOST, f"Host: x{SPLITTING}"):
        answer = wire.send(request(f"GET {target.format(session=session.ref, vm=vm, vdi=vdi)} HTTP/1.1", host, CLOSE))
        assert "set-cookie" not in answer.headers
        assert answer.status in (200, 301, 302, 404, 500)


QUERIES = [
    "",
    "&&&&",
    "=",
    "%",
    "%zz",
    "%00=%00",
    "vdi",
    "vdi=",
    "vdi=&vdi=",
    "ref=%ff",
    "start=",
    "start=-1",
    "start=x",
    "interval=9",
    "json=",
    "uuid=..",
    "%F0%9F%98%80=1",
]
QUERIES += [
    "start=" + "9" * 400,
    "start=0&interval=-5",
    "start=0&interval=" + "9" * 300,
    "start=0&cf=NONE",
    "start=0&vm_uuid=..",
    "use_compression=lzma",
    "format=exe",
    "chunked",
]
HANDLERS = [
    ("GET", path) for path in ("/export", "/export_metadata", "/export_raw_vdi", "/blob", "/host_rrd", "/rrd_updates", "/vm_rrd", "/vncsnapshot", "/console")
]
HANDLERS += [("PUT", path) for path in ("/import", "/import_metadata", "/import_raw_vdi", "/blob")] + [("CONNECT", "/console")]


@pytest.mark.parametrize(("verb", "path"), HANDLERS)
def test_queries(wire: Wire, session: Any, verb: str, path: str) -> None:
    for query in QUERIES:
        answer = wire.send(request(f"{verb} {path}?session_id={session.ref}&{query} HTTP/1.1", HOST, CLOSE, "Content-Length: 0"))
        assert shaped(answer), (query, answer)


REQUESTS = (
    request("POST / HTTP/1.1", HOST, CLOSE, f"Content-Length: {len(CALL)}", body=CALL),
    request("POST /jsonrpc HTTP/1.1", HOST, f"Content-Length: {len(HONEST)}", body=HONEST),
    request("GET /rrd_updates?start=0&session_id=x&host=true HTTP/1.1", HOST, CLOSE, "Accept: application/json"),
    request("PUT /import_raw_vdi?vdi=x&format=vhd&session_id=x HTTP/1.1", HOST, "Content-Length: 5", "Cookie: session_id=x", body=b"hello"),
    request("CONNECT /console?ref=x&session_id=x HTTP/1.1", "Content-Length: 0"),
    request("OPTIONS /json HTTP/1.1", HOST, CLOSE, "Access-Control-Request-Headers: a"),
)


@few(200)
@given(data=drifting(*REQUESTS))
def test_requests_with_faults(wire: Wire, data: bytes) -> None:
    check(data)


@few(100)
@given(data=st.binary(max_size=300))
def test_anything_as_a_request(wire: Wire, data: bytes) -> None:
    check(data)
    check(data + b"\r\n\r\n")


def check(data: bytes) -> None:
    """What is no whole request yet may be waited for: the client ends it."""
    answer = SHARED[0].send(data, patience=0.3, half_close=True)
    assert answer.status == -1 or shaped(answer), (data, answer)
    assert SHARED[0].pool.problems == [], data
