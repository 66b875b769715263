# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes over the wire, to the byte: framing, envelopes, values, pages, limits (facts 1.1 to 1.4; recording wire)."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from collections.abc import Callable, Iterator
from typing import Any
from xml.sax.saxutils import escape

import pytest

from simulator import Simulator
from simulator.server import Server

from ._asking import fixtures

CORS = "Access-Control-Allow-Origin: *\r\nAccess-Control-Allow-Headers: X-Requested-With\r\n"
Ask = Callable[..., tuple[str, str, bytes]]


simulator, session = fixtures(lambda: Simulator("three_hosts"), "module")


@pytest.fixture(scope="module")
def server(simulator: Simulator) -> Server:
    return simulator.serve(tls=False)


def receive(connection: socket.socket) -> tuple[str, str, bytes]:
    """Status line, headers and body of one answer; the body by its length, else to the end."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            return "", "", b""
        data += piece
    head, _unused, body = data.partition(b"\r\n\r\n")
    status, _line, headers = head.decode().partition("\r\n")
    lengths = [line.partition(":")[2] for line in headers.splitlines() if line.lower().startswith("content-length:")]
    while not lengths or len(body) < int(lengths[0]):
        piece = connection.recv(65536)
        if not piece:
            break
        body += piece
    return status, headers + "\r\n", body


@pytest.fixture
def connect(server: Server) -> Iterator[Callable[..., socket.socket]]:
    opened = []

    def one(name: str = "xs1") -> socket.socket:
        host, _unused, port = server.urls[name].removeprefix("http://").partition(":")
        connection = socket.create_connection((host, int(port)), timeout=10)
        opened.append(connection)
        return connection

    yield one
    for connection in opened:
        connection.close()


@pytest.fixture
def ask(connect: Callable[..., socket.socket]) -> Ask:
    def exchange(head: str, body: bytes = b"", at: str = "xs1") -> tuple[str, str, bytes]:
        connection = connect(at)
        connection.sendall(head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body)
        return receive(connection)

    return exchange


def xml(method: str, *params: str) -> bytes:
    """Parameters as XML of their own."""
    inner = "".join(f"<param><value>{param}</value></param>" for param in params)
    return f"<?xml version='1.0'?>\n<methodCall><methodName>{method}</methodName><params>{inner}</params></methodCall>".encode()


def post(ask: Ask, path: str, body: bytes, *headers: str, version: str = "1.1", at: str = "xs1") -> tuple[str, str, bytes]:
    lines = [f"POST {path} HTTP/{version}", "Host: x", f"Content-Length: {len(body)}", *headers]
    return ask("\n".join(lines), body, at)


def value(answer: bytes) -> str:
    """What stands in the Value of a success."""
    text = answer.decode()
    assert "<name>Status</name><value>Success</value>" in text, text
    return text.partition("<name>Value</name>")[2].partition("</member>")[0]


def refused(answer: bytes) -> list[str]:
    text = answer.decode()
    assert "<name>Status</name><value>Failure</value>" in text, text
    inner = text.partition("<name>ErrorDescription</name>")[2].partition("<data>")[2].partition("</data>")[0]
    return [part.partition("</value>")[0] for part in inner.split("<value>")[1:]]


# HTTP


def test_the_headers_of_an_answer(ask: Ask) -> None:
    status, headers, body = post(ask, "/", xml("session.login_with_password", "root", "simulated"))
    assert status == "HTTP/1.1 200 OK"
    common = "connection: keep-alive\r\ncache-control: no-cache, no-store\r\ncontent-type: text/xml\r\n"
    assert headers == f"content-length: {len(body)}\r\n{common}{CORS}"
    assert body.startswith(b'<?xml version="1.0"?><methodResponse><params><param><value><struct><member><name>Status</name><value>Success</value></member>')


@pytest.mark.parametrize(
    ("version", "headers", "expected"),
    [("1.1", (), "keep-alive"), ("1.1", ("Connection: close",), "close"), ("1.0", (), "close")],
)
def test_who_closes(ask: Ask, version: str, headers: tuple[str, ...], expected: str) -> None:
    status, answered, _unused = post(ask, "/RPC2", xml("host.get_all", "none"), *headers, version=version)
    assert f"connection: {expected}\r\n" in answered
    assert status == f"HTTP/{version} 200 OK"


def test_one_connection_many_calls(connect: Callable[..., socket.socket]) -> None:
    connection = connect()
    body = xml("session.login_with_password", "root", "simulated")
    for _unused in range(3):
        connection.sendall(f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        assert receive(connection)[0] == "HTTP/1.1 200 OK"


@pytest.mark.parametrize("path", ["/", "/RPC2", "/json", "/whatever", "/RPC2/deeper"])
def test_any_path_is_the_root_of_rpc(ask: Ask, path: str) -> None:
    assert refused(post(ask, path, xml("host.get_all", "none"))[2]) == ["SESSION_INVALID", "none"]


@pytest.mark.parametrize("verb", ["DELETE", "HEAD", "PATCH"])
def test_verbs_that_nobody_serves(ask: Ask, verb: str) -> None:
    status, headers, body = ask(f"{verb} / HTTP/1.1\nHost: x\nContent-Length: 0")
    assert status == "HTTP/1.1 501 Method not implemented"
    assert "connection: close\r\n" in headers
    if verb != "HEAD":
        assert b"HTTP 501 Method Not Implemented" in body


def test_what_may_not_be_put(ask: Ask) -> None:
    status, headers, body = ask("PUT /nowhere HTTP/1.1\nHost: x\nContent-Length: 0")
    assert status == "HTTP/1.1 403 Forbidden"
    assert "connection: close\r\n" in headers
    assert b"HTTP 403 forbidden" in body


def test_preflight(ask: Ask) -> None:
    status, headers, body = ask("OPTIONS /jsonrpc HTTP/1.1\nHost: x\nAccess-Control-Request-Headers: content-type")
    assert (status, body) == ("HTTP/1.1 200 OK", b"")
    assert "Access-Control-Allow-Headers: content-type, X-Requested-With\r\n" in headers
    assert "Access-Control-Allow-Methods: PUT\r\n" in headers


def test_a_call_needs_its_length(ask: Ask) -> None:
    status, _unused, body = ask("POST / HTTP/1.1\nHost: x\nTransfer-Encoding: chunked", b"0\r\n\r\n")
    assert status == "HTTP/1.1 500 Internal Error"
    assert b"We require a content-length: HTTP header" in body


def test_a_call_of_300_kib_and_one_byte_more(ask: Ask) -> None:
    limit = 300 * 1024
    fitting = xml("VM.start", "x" * (limit - len(xml("VM.start", ""))))
    assert len(fitting) == limit
    assert post(ask, "/", fitting)[0] == "HTTP/1.1 200 OK"
    status, _unused, body = ask(f"POST / HTTP/1.1\nHost: x\nContent-Length: {limit + 1}")
    assert status == "HTTP/1.1 500 Internal Error"
    assert b"Client_requested_size_over_limit" in body


def test_headers_of_a_kilobyte(ask: Ask) -> None:
    head = "GET /nothing HTTP/1.1\nHost: x\nX-Filler: "
    room = 1024 - len(head.replace("\n", "\r\n")) - len("\r\n\r\n")
    assert ask(head + "f" * (room - 40))[0].endswith("301 Moved Permanently")  # plain HTTP sends a client that says where it is to HTTPS
    assert ask(head + "f" * 2000)[0].endswith("431 Request Header Fields Too Large")


def test_an_http_client_that_is_none(connect: Callable[..., socket.socket]) -> None:
    connection = connect()
    connection.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n")
    status, _unused, body = receive(connection)
    assert status.endswith(" 500 Internal Error")
    assert b"The HTTP headers could not be parsed." in body


# XML


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", 'Xmlm.Error(1:1, "unexpected end of input")'),
        (b"hello", "expected root element"),
        (b"<methodCall><methodName>a.b</methodName>", "unexpected end of input"),
        (b"<methodCall><params/></methodCall>", "Parse_error"),
        (b"<!DOCTYPE x [<!ENTITY a 'b'>]><methodCall><methodName>&a;</methodName></methodCall>", "unknown entity reference"),
        (b"<methodCall>" + b"<a>" * 100000, "500"),
    ],
)
def test_bodies_that_are_no_call(ask: Ask, body: bytes, text: str) -> None:
    status, headers, answer = post(ask, "/", body)
    assert status == "HTTP/1.1 500 Internal Error"
    assert "connection: close\r\n" in headers
    assert escape(text, {'"': "&quot;"}) in answer.decode() or text in answer.decode()


def test_values_as_xml(ask: Ask, session: Any) -> None:
    def get(message: str, *params: str) -> str:
        return value(post(ask, "/", xml(message, session.ref, *params))[2])

    vm = session.VM.get_by_name_label("Debian 12 (cloud image)")[0]
    assert get("VM.get_name_label", vm) == "<value>Debian 12 (cloud image)</value>"
    assert get("VM.get_VCPUs_max", vm) == "<value>1</value>"  # an int is bare text
    assert get("VM.get_is_a_template", vm) == "<value><boolean>1</boolean></value>"
    assert get("VM.get_HVM_shadow_multiplier", vm) == "<value><double>1</double></value>"
    assert get("VM.get_affinity", vm) == "<value>OpaqueRef:NULL</value>"
    assert get("VM.get_tags", vm) == "<value><array><data></data></array></value>" or get("VM.get_tags", vm) == "<value><array><data/></array></value>"
    assert get("VM.set_name_description", vm, "") == "<value></value>" or get("VM.set_name_description", vm, "") == "<value/>"
    assert get("VM.get_snapshot_time", vm) == "<value><dateTime.iso8601>19700101T00:00:00Z</dateTime.iso8601></value>"


@pytest.mark.parametrize("text", ["a < b & c > d", "tab\tline\n", "Grüße, 世界", 'quo"te'])
def test_text_comes_back(ask: Ask, session: Any, text: str) -> None:
    pool = session.pool.get_all()[0]
    post(ask, "/", xml("pool.set_name_description", session.ref, pool, escape(text)))
    assert session.pool.get_name_description(pool) == text
    answer = value(post(ask, "/", xml("pool.get_name_description", session.ref, pool))[2])
    assert answer == f"<value>{escape(text, {chr(34): '&quot;'})}</value>"


@pytest.mark.parametrize(
    ("written", "accepted"),
    [
        ("3", True),
        ("<string>3</string>", True),
        ("<int>3</int>", True),
        ("<i4>3</i4>", True),
        ("<i8>3</i8>", True),
        ("<double>3</double>", False),
        ("x", False),
    ],
)
def test_what_is_an_int(ask: Ask, session: Any, written: str, accepted: bool) -> None:
    vm = session.VM.get_by_name_label("Debian 12 (cloud image)")[0]
    answer = post(ask, "/", xml("VM.set_user_version", session.ref, vm, written))[2]
    if accepted:
        value(answer)
        assert session.VM.get_user_version(vm) == 3
    else:
        assert refused(answer)[0] == "INTERNAL_ERROR"


def test_a_bool_is_no_text(ask: Ask, session: Any) -> None:
    vm = session.VM.get_by_name_label("Debian 12 (cloud image)")[0]
    assert refused(post(ask, "/", xml("VM.set_is_a_template", session.ref, vm, "true"))[2])[0] == "INTERNAL_ERROR"


def test_an_enum_has_no_case(ask: Ask, session: Any) -> None:
    network = session.network.create({"name_label": "n", "other_config": {}})
    value(post(ask, "/", xml("network.set_default_locking_mode", session.ref, network, "DISABLED"))[2])
    assert session.network.get_default_locking_mode(network) == "disabled"


def test_list_methods_has_no_envelope(ask: Ask) -> None:
    body = post(ask, "/", xml("system.listMethods"))[2].decode()
    assert body.startswith('<?xml version="1.0"?><methodResponse><params><param><value><array><data><value>')
    assert "<value>VM.start</value>" in body


# Order of checks


@pytest.mark.parametrize(
    ("method", "params", "expected"),
    [
        ("VM.nothing", (), ["MESSAGE_METHOD_UNKNOWN", "VM.nothing"]),
        ("VM.nothing", ("none",), ["SESSION_INVALID", "none"]),
        ("VM.start", ("none",), ["MESSAGE_PARAMETER_COUNT_MISMATCH", "VM.start", "3", "0"]),
        ("VM.start", (), ["MESSAGE_PARAMETER_COUNT_MISMATCH", "VM.start", "3", "-1"]),
        ("Async.VM.start", ("none",), ["MESSAGE_PARAMETER_COUNT_MISMATCH", "VM.start", "3", "0"]),
        ("VM.get_all", ("none",), ["SESSION_INVALID", "none"]),
    ],
)
def test_what_is_looked_at_first(ask: Ask, method: str, params: tuple[str, ...], expected: list[str]) -> None:
    assert refused(post(ask, "/", xml(method, *params))[2]) == expected


def test_types_are_looked_at_before_the_session(ask: Ask) -> None:
    assert refused(post(ask, "/", xml("VM.start", "none", "vm", "not a bool", "x"))[2])[0] == "INTERNAL_ERROR"


def test_an_alias_is_the_same_message(ask: Ask, session: Any) -> None:
    vm = session.VM.get_by_name_label("Debian 12 (cloud image)")[0]
    assert value(post(ask, "/", xml("VM_get_name_label", session.ref, vm))[2]) == "<value>Debian 12 (cloud image)</value>"


# JSON


def json_call(ask: Ask, **body: Any) -> tuple[str, Any]:
    status, _unused, answer = post(ask, "/jsonrpc", json.dumps(body).encode(), "Content-Type: application/json")
    return status, json.loads(answer) if status.endswith("200 OK") else answer.decode()


def test_json_of_both_versions(ask: Ask, session: Any) -> None:
    params = [session.ref, session.VM.get_by_name_label("Debian 12 (cloud image)")[0]]
    assert json_call(ask, jsonrpc="2.0", method="VM.get_VCPUs_max", params=params, id=7) == ("HTTP/1.1 200 OK", {"jsonrpc": "2.0", "result": 1, "id": 7})
    assert json_call(ask, method="VM.get_VCPUs_max", params=params, id="x") == ("HTTP/1.1 200 OK", {"result": 1, "error": None, "id": "x"})


def test_refusals_as_json(ask: Ask) -> None:
    error = {"code": 1, "message": "SESSION_INVALID", "data": ["none"]}
    assert json_call(ask, jsonrpc="2.0", method="VM.get_all", params=["none"], id=1)[1] == {"jsonrpc": "2.0", "error": error, "id": 1}
    assert json_call(ask, method="VM.get_all", params=["none"], id=1)[1] == {"result": None, "error": ["SESSION_INVALID", "none"], "id": 1}


@pytest.mark.parametrize("body", [b"", b"[", b"null", b'{"method": "VM.get_all", "params": []}', b"[" * 100000])
def test_json_that_is_no_call(ask: Ask, body: bytes) -> None:
    assert post(ask, "/jsonrpc", body)[0] == "HTTP/1.1 500 Internal Error"


# Members


def test_a_member_tells_the_fingerprint_of_its_coordinator() -> None:
    with Simulator("three_hosts") as simulator:
        server = simulator.serve()
        host, _unused, port = server.urls["xs2"].removeprefix("https://").partition(":")
        connection = http.client.HTTPSConnection(host, int(port), context=ssl.create_default_context(cafile=str(server.ca_path)))
        asked = {"X-XenAPI-Request-Host-Certificate-Thumbprint": "sha-256:master"}
        connection.request("POST", "/", xml("session.login_with_password", "root", "simulated"), asked)
        answer = connection.getresponse()
        assert refused(answer.read()) == ["HOST_IS_SLAVE", "127.0.0.1"]
        assert answer.headers["x-xenapi-response-host-certificate-thumbprint"] == server.fingerprint
        connection.close()
        assert simulator.problems == []
