# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/import_raw_vdi and /export_raw_vdi over sockets (facts 4.1, 4.2; recordings http, images)."""

from __future__ import annotations

import base64
import http.client
import struct
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from simulator import Simulator
from simulator.server import Server

from ._asking import fixtures

MIB = 1024 * 1024
END_MARK = bytes(12)


simulator, session = fixtures(lambda: Simulator("three_hosts"), "module")


@pytest.fixture(scope="module")
def server(simulator: Simulator) -> Server:
    return simulator.serve(tls=False, http=True)


@pytest.fixture
def disk(session: Any) -> str:
    return make(session, "NFS storage")


def make(session: Any, sr: str, size: int = 4 * MIB) -> str:
    record = {"SR": session.SR.get_by_name_label(sr)[0], "virtual_size": size, "type": "user", "sharable": False, "read_only": False}
    return session.VDI.create({"name_label": "over http", **record, "other_config": {}})


class Client:
    """Sends one request; keeps status, headers and body of the answer."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.address = (parts.hostname or "", parts.port or 0)

    def send(self, verb: str, path: str, body: Any = None, headers: Any = None, **query: str) -> Client:
        connection = http.client.HTTPConnection(*self.address, timeout=10)
        try:
            connection.request(verb, f"{path}?{urlencode(query)}", body, headers or {})
            response = connection.getresponse()
            self.status = response.status
            self.headers = {name.lower(): value for name, value in response.getheaders()}
            self.body = response.read()
        except ConnectionResetError:
            self.body = b""  # the server did not take the whole upload
        finally:
            connection.close()
        return self


@pytest.fixture
def client(server: Server) -> Client:
    return Client(server.http_url)


@pytest.fixture
def put(session: Any, client: Client) -> Callable[..., list[str]]:
    """Upload under a task; returns its status, and its result or error."""

    def upload(body: bytes, **query: str) -> list[str]:
        task = session.task.create("upload", "")
        client.send("PUT", "/import_raw_vdi", body, session_id=session.ref, task_id=task, **query)
        record = session.task.get_record(task)
        return [record["status"], *([record["result"]] if record["status"] == "success" else record["error_info"])]

    return upload


def chunk(offset: int, data: bytes) -> bytes:
    return struct.pack("<QI", offset, len(data)) + data


def export(session: Any, client: Client, vdi: str, **query: str) -> bytes:
    return client.send("GET", "/export_raw_vdi", session_id=session.ref, vdi=vdi, **query).body


# What goes in comes out


def test_raw_bytes_survive_the_way_in_and_out(session: Any, client: Client, put: Any, disk: str) -> None:
    content = bytes(range(256)) * (4 * MIB // 256)
    assert put(content, vdi=disk) == ["success", f"<value>{disk}</value>"]
    assert client.headers["content-type"] == "application/octet-stream"
    assert "content-length" not in client.headers
    assert export(session, client, disk) == content
    uuid = session.VDI.get_uuid(disk)
    assert client.headers["content-disposition"] == f'attachment; filename="{uuid}.raw"'


def test_a_disk_may_be_named_by_its_uuid(session: Any, client: Client, put: Any, disk: str) -> None:
    assert put(b"x" * 4 * MIB, vdi=session.VDI.get_uuid(disk))[0] == "success"


def test_less_than_the_disk_leaves_the_rest_and_more_is_dropped(session: Any, client: Client, put: Any, disk: str) -> None:
    assert put(b"a" * 4 * MIB, vdi=disk)[0] == "success"
    assert put(b"b" * 1000, vdi=disk)[0] == "success"
    assert export(session, client, disk) == b"b" * 1000 + b"a" * (4 * MIB - 1000)
    assert put(b"c" * (4 * MIB + 512), vdi=disk)[0] == "success"
    assert export(session, client, disk) == b"c" * 4 * MIB


def test_chunks_in_any_order(session: Any, client: Client, put: Any, disk: str) -> None:
    body = chunk(MIB, b"2" * 4096) + chunk(0, b"1" * 512) + chunk(4 * MIB - 512, b"3" * 4096) + END_MARK
    assert put(body, vdi=disk, chunked="1")[0] == "success"
    expected = bytearray(4 * MIB)
    expected[:512], expected[MIB : MIB + 4096], expected[-512:] = b"1" * 512, b"2" * 4096, b"3" * 512
    assert export(session, client, disk) == bytes(expected)


@pytest.mark.parametrize("body", [chunk(7, b"D") + END_MARK, chunk(0, b"D") + END_MARK], ids=["odd offset", "odd length"])
def test_the_disk_takes_whole_sectors_only(put: Any, disk: str, body: bytes) -> None:
    assert put(body, vdi=disk, chunked="1") == ["failure", "VDI_IO_ERROR", "Device I/O errors"]


def test_without_an_end_mark_xapi_waits_and_fails_when_the_client_leaves(session: Any, server: Server, disk: str) -> None:
    task = session.task.create("no end", "")
    connection = http.client.HTTPConnection(*Client(server.http_url).address, timeout=1)
    query = urlencode({"session_id": session.ref, "task_id": task, "vdi": disk, "chunked": "1"})
    connection.request("PUT", f"/import_raw_vdi?{query}", chunk(0, b"x" * 4096))
    response = connection.getresponse()
    with pytest.raises(TimeoutError):
        response.read()
    assert session.task.get_status(task) == "pending"
    response.close()
    connection.close()
    deadline = time.monotonic() + 5
    while session.task.get_status(task) == "pending" and time.monotonic() < deadline:
        time.sleep(0.05)
    assert session.task.get_error_info(task) == ["VDI_IO_ERROR", "Device I/O errors"]


def test_into_an_sr_makes_a_disk_as_large_as_the_body(session: Any, client: Client, put: Any) -> None:
    sr = session.SR.get_uuid(session.SR.get_by_name_label("NFS storage")[0])
    status, result = put(b"x" * 3 * MIB, sr_uuid=sr)
    vdi = result.removeprefix("<value>").removesuffix("</value>")
    assert (status, session.VDI.get_name_label(vdi), session.VDI.get_virtual_size(vdi)) == ("success", "Imported VDI", 4 * MIB)


def test_a_vhd_comes_back_as_it_went(session: Any, client: Client, put: Any, disk: str) -> None:
    other = make(session, "Local storage")
    assert put(b"\xab" * 2 * MIB + bytes(2 * MIB), vdi=disk)[0] == "success"
    vhd = export(session, client, disk, format="vhd")
    # Footer, header, the locator's sector, one sector of table, bitmap and data of one block, footer (recording http).
    assert len(vhd) == 2100736
    assert (vhd[:8], vhd[512:520], vhd[-512:-504]) == (b"conectix", b"cxsparse", b"conectix")
    assert client.headers["content-type"] == "application/vhd"
    assert put(vhd, vdi=other, format="vhd")[0] == "success"
    assert export(session, client, other) == b"\xab" * 2 * MIB + bytes(2 * MIB)


def test_a_delta_has_what_changed_since(session: Any, client: Client, put: Any, disk: str) -> None:
    put(b"a" * 4 * MIB, vdi=disk)
    snapshot = session.VDI.snapshot(disk)
    put(chunk(0, b"b" * 512) + END_MARK, vdi=disk, chunked="1")
    delta = export(session, client, disk, format="vhd", base=snapshot)
    assert len(delta) == 2100736
    assert struct.unpack_from(">I", delta, 60)[0] == 4  # differencing
    restored = session.VDI.copy(snapshot, session.VDI.get_SR(disk))
    put(delta, vdi=restored, format="vhd")
    assert export(session, client, restored) == b"b" * 512 + b"a" * (4 * MIB - 512)


def test_a_running_disk_is_not_protected(session: Any, client: Client, put: Any, disk: str) -> None:
    # Recording images: nothing but a client's own check keeps it from writing below a VM.
    vm = session.VM.clone(session.VM.get_by_name_label("Other install media")[0], "uses it")
    session.VM.provision(vm)
    drive = {"VM": vm, "VDI": disk, "userdevice": "0", "bootable": True, "mode": "RW", "type": "Disk", "empty": False, "other_config": {}}
    session.VBD.create({**drive, "qos_algorithm_type": "", "qos_algorithm_params": {}})
    session.VM.start(vm, False, False)
    assert put(b"x" * 4 * MIB, vdi=disk)[0] == "success"
    session.VM.hard_shutdown(vm)


# Refusals


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        pytest.param({"format": "nonsense"}, ["failure", "INTERNAL_ERROR", "Unknown format nonsense"], id="format"),
        pytest.param({"format": "qcow2"}, ["failure", "INTERNAL_ERROR", "Unknown format qcow2"], id="a format of a later level"),
        pytest.param({"format": "vhd", "chunked": "1"}, ["failure", "INTERNAL_ERROR", "Cannot handle chunked VHD"], id="chunked VHD"),
        pytest.param({"format": "vhd"}, ["failure", "VDI_IO_ERROR", "Device I/O errors"], id="no VHD"),
    ],
)
def test_what_an_upload_may_not_be(client: Client, put: Any, disk: str, query: dict[str, str], expected: list[str]) -> None:
    assert put(b"x" * 4096, vdi=disk, **query) == expected


def test_neither_disk_nor_sr(client: Client, put: Any) -> None:
    assert put(b"x") == ["failure", "VDI_MISSING"]
    assert client.status == 400


def test_http_chunks_are_not_understood(session: Any, server: Server, disk: str) -> None:
    task = session.task.create("chunks", "")
    connection = http.client.HTTPConnection(*Client(server.http_url).address, timeout=5)
    query = urlencode({"session_id": session.ref, "task_id": task, "vdi": disk})
    connection.putrequest("PUT", f"/import_raw_vdi?{query}")
    connection.putheader("Transfer-Encoding", "chunked")
    # The answer comes before any chunk, and the connection ends with it.
    connection.endheaders()
    assert connection.getresponse().status == 404
    assert session.task.get_error_info(task) == ["INTERNAL_ERROR", "Cannot handle encoding: chunked"]


@pytest.mark.parametrize("query", [{}, {"session_id": "OpaqueRef:bogus"}], ids=["no session", "a session that is none"])
def test_who_is_not_logged_in(client: Client, disk: str, query: dict[str, str]) -> None:
    client.send("GET", "/export_raw_vdi", vdi=disk, **query)
    assert client.status == 401
    assert client.headers["www-authenticate"] == 'Basic realm="get_export_raw_vdi"'


def test_basic_credentials_do(simulator: Simulator, session: Any, client: Client, disk: str) -> None:
    before = set(simulator.records("session"))
    token = base64.b64encode(f"{simulator.username}:{simulator.password}".encode()).decode()
    assert client.send("GET", "/export_raw_vdi", None, {"Authorization": f"Basic {token}"}, vdi=disk).status == 200
    assert set(simulator.records("session")) == before


def test_a_cookie_does(session: Any, client: Client, disk: str) -> None:
    assert client.send("GET", "/export_raw_vdi", None, {"Cookie": f"session_id={session.ref}"}, vdi=disk).status == 200


def test_an_unknown_disk_is_a_page_and_the_task_stays_as_it_is(session: Any, client: Client, put: Any) -> None:
    assert put(b"x", vdi="OpaqueRef:x")[0] == "pending"
    assert client.status == 500
    assert b"Db_exn.Read_missing_uuid(&quot;VDI&quot;, &quot;&quot;, &quot;OpaqueRef:x&quot;)" in client.body


def test_without_a_task_the_answer_names_one_that_goes_with_it(simulator: Simulator, session: Any, client: Client, disk: str) -> None:
    client.send("PUT", "/import_raw_vdi", b"x" * 512, session_id=session.ref, vdi=disk)
    assert client.headers["task-id"].startswith("OpaqueRef:")
    assert client.headers["task-id"] not in simulator.records("task")


def test_a_disk_of_another_host_is_a_redirect_there(simulator: Simulator, session: Any, client: Client, server: Server) -> None:
    host = session.host.get_by_name_label("xs2")[0]
    local = next(sr for sr in session.SR.get_by_name_label("Local storage") if session.PBD.get_host(session.SR.get_PBDs(sr)[0]) == host)
    record = {"SR": local, "virtual_size": 2 * MIB, "type": "user", "sharable": False, "read_only": False, "other_config": {}}
    vdi = session.VDI.create(record)
    client.send("GET", "/export_raw_vdi", session_id=session.ref, vdi=vdi)
    assert client.status == 302
    location = client.headers["location"]
    assert urlsplit(location).netloc == urlsplit(server.urls["xs2"]).netloc
    there = Client(location).send("GET", "/export_raw_vdi", session_id=session.ref, vdi=vdi)
    assert (there.status, there.body) == (200, bytes(2 * MIB))


def test_the_disk_is_in_use_during_an_upload(simulator: Simulator, session: Any, server: Server, disk: str) -> None:
    connection = http.client.HTTPConnection(*Client(server.http_url).address, timeout=5)
    query = urlencode({"session_id": session.ref, "vdi": disk})
    connection.putrequest("PUT", f"/import_raw_vdi?{query}")
    connection.putheader("Content-Length", str(4 * MIB))
    connection.endheaders(b"x" * MIB)
    upload = connection.sock
    response = connection.getresponse()
    (drive,) = session.VDI.get_VBDs(disk)
    assert session.VM.get_is_control_domain(session.VBD.get_VM(drive)) is True
    assert "destroy" not in session.VDI.get_allowed_operations(disk)
    finish = threading.Thread(target=lambda: upload.sendall(b"x" * 3 * MIB))
    finish.start()
    assert response.read() == b""
    finish.join()
    assert session.VDI.get_VBDs(disk) == []
    session.VDI.destroy(disk)


def test_a_full_sr_fails_the_upload(simulator: Simulator, session: Any, put: Any) -> None:
    host = session.host.get_all()[0]
    sr = session.SR.create(host, {"device": "/dev/small"}, 3 * MIB, "small", "", "ext", "user", False, {})
    record = {"SR": sr, "virtual_size": 4 * MIB, "type": "user", "sharable": False, "read_only": False, "other_config": {}}
    assert put(b"x" * 4 * MIB, vdi=session.VDI.create(record)) == ["failure", "VDI_IO_ERROR", "Device I/O errors"]


@pytest.mark.parametrize("form", ["raw", "vhd"])
def test_a_base_that_is_no_disk_fails_the_task_after_the_200(session: Any, client: Client, disk: str, form: str) -> None:
    """X/export_raw_vdi.ml: base_vdi_of_req runs behind the headers, for raw as for vhd; Http_svr then writes its page 500 into the body."""
    task = session.task.create("export", "")
    client.send("GET", "/export_raw_vdi", session_id=session.ref, vdi=disk, format=form, base="OpaqueRef:x", task_id=task)
    record = session.task.get_record(task)
    assert client.status == 200
    assert client.body.startswith(b"HTTP/1.1 500 Internal Error\r\n")
    assert client.body.endswith(b"</h1>Db_exn.Read_missing_uuid(&quot;VDI&quot;, &quot;&quot;, &quot;OpaqueRef:x&quot;)</body></html>")
    # X/exnHelper.ml error_of_exn.
    assert (record["status"], record["error_info"]) == ("failure", ["UUID_INVALID", "VDI", "OpaqueRef:x"])


def test_an_empty_format_is_an_unknown_one(session: Any, client: Client, put: Any, disk: str) -> None:
    """X/importexport.ml Format.of_req: raw is meant only where there is no such parameter."""
    assert put(b"x", vdi=disk, format="") == ["failure", "INTERNAL_ERROR", "Unknown format "]
    assert client.send("GET", "/export_raw_vdi", session_id=session.ref, vdi=disk, format="").status == 404
