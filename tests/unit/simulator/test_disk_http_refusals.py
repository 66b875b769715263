# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How /import_raw_vdi, /export_raw_vdi, /import and /export refuse: status line, what follows it, and the client's task, to the byte."""

from __future__ import annotations

import io
import socket
import tarfile
import uuid
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode

import pytest

from simulator import Simulator

from ._hostile import Answer, Wire

MIB = 1024 * 1024
# H/http.ml http_400_badrequest, and the page of H/http_svr.ml response_internal_error.
BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nCache-Control: no-cache, no-store\r\n\r\n"
PAGE = b"HTTP/1.1 500 Internal Error\r\ncontent-length: "
Put = Callable[..., tuple[Answer, list[str]]]


@pytest.fixture(scope="module")
def wire() -> Iterator[Wire]:
    with Simulator("three_hosts") as simulator:
        yield Wire(simulator)
        assert simulator.problems == []


@pytest.fixture(scope="module")
def session(wire: Wire) -> Any:
    return wire.pool.session()


@pytest.fixture
def sr(session: Any) -> str:
    master = session.pool.get_master(session.pool.get_all()[0])
    return str(session.SR.create(master, {"location": f"/srv/{uuid.uuid4()}"}, 0, "files", "", "file", "user", False, {}))


@pytest.fixture
def disk(session: Any, sr: str) -> str:
    record = {"name_label": "d", "SR": sr, "virtual_size": 4 * MIB, "type": "user", "sharable": False, "read_only": False, "other_config": {}}
    return str(session.VDI.create(record))


@pytest.fixture
def ask(wire: Wire, session: Any) -> Put:
    """One request under a task of the client's; the answer, and how the task ended."""

    def send(body: bytes = b"x", path: str = "/import_raw_vdi", verb: str = "PUT", headers: str = "", **query: str) -> tuple[Answer, list[str]]:
        task = session.task.create("t", "")
        query = {"session_id": session.ref, "task_id": task, **query}
        headers = headers or f"Content-Length: {len(body)}\r\n"
        answer = wire.send(f"{verb} {path}?{urlencode(query)} HTTP/1.1\r\nHost: x\r\n{headers}\r\n".encode() + body)
        return answer, [session.task.get_status(task), *session.task.get_error_info(task)]

    return send


def unplug(session: Any, sr: str) -> None:
    for pbd in session.SR.get_PBDs(sr):
        session.PBD.unplug(pbd)


def printed(answer: Answer, text: str) -> bool:
    return answer.body.startswith(PAGE) and answer.body.endswith(f"</h1>{text}</body></html>".encode())


# X/import_raw_vdi.ml import: fail_task_in_request answers 400 and the exception goes on to Http_svr, whose page follows.


def test_an_sr_that_no_host_sees(session: Any, ask: Put, disk: str, sr: str) -> None:
    unplug(session, sr)
    for query in ({"vdi": disk}, {"sr_id": sr}, {"sr_uuid": session.SR.get_uuid(sr)}):
        answer, task = ask(**query)
        assert (answer.status, task) == (400, ["failure", "NO_HOSTS_AVAILABLE"])
        assert printed(answer, "NO_HOSTS_AVAILABLE: [  ]")


def test_an_export_has_the_page_alone_and_leaves_the_task(session: Any, ask: Put, disk: str, sr: str) -> None:
    """X/export_raw_vdi.ml export_raw: find_host_for_sr runs under a task of xapi's own."""
    unplug(session, sr)
    answer, task = ask(b"", "/export_raw_vdi", "GET", vdi=disk)
    assert (answer.status, task) == (500, ["pending"])
    assert b"</h1>NO_HOSTS_AVAILABLE: [  ]</body>" in answer.body


def test_sr_id_is_a_reference_and_sr_uuid_a_uuid(session: Any, ask: Put, sr: str) -> None:
    """X/importexport.ml sr_of_req: any text is a reference, which no host sees; an unknown uuid is one that the database misses."""
    for text in ("OpaqueRef:x", session.SR.get_uuid(sr)):
        answer, task = ask(sr_id=text)
        assert (answer.status, task) == (400, ["failure", "NO_HOSTS_AVAILABLE"])
    answer, task = ask(sr_uuid=sr)
    assert (answer.status, task) == (400, ["failure", "UUID_INVALID", "SR", sr])
    assert printed(answer, f"Db_exn.Read_missing_uuid(&quot;SR&quot;, &quot;&quot;, &quot;{sr}&quot;)")


def test_a_disk_that_cannot_be_made(ask: Put, sr: str) -> None:
    """What VDI.create refuses goes the same way."""
    answer, task = ask(b"", headers=f"Content-Length: {4096 * 1024**3}\r\n", sr_id=sr)
    code = ["SR_BACKEND_FAILURE_79", "", "VDI Invalid size [opterr=VDI size must be between 1 MB and 2088960 MB]", ""]
    assert (answer.status, task) == (400, ["failure", *code])
    assert printed(answer, f"{code[0]}: [ {'; '.join(code[1:])} ]")


def test_a_failure_behind_the_200(ask: Put, disk: str) -> None:
    answer, task = ask(b"x" * 4096, vdi=disk, format="vhd")
    assert (answer.status, task) == (200, ["failure", "VDI_IO_ERROR", "Device I/O errors"])
    assert answer.body.startswith(BAD_REQUEST + PAGE)
    assert answer.body.endswith(b"</h1>VDI_IO_ERROR: [ Device I/O errors ]</body></html>")


# Bare status lines, in HTTP/1.0 where the handler says so


@pytest.mark.parametrize("encoding", ["chunked", "gzip", "identity", "chunked, gzip", "deflate, chunked", ""])
@pytest.mark.parametrize("length", ["", "Content-Length: 1\r\n"], ids=["no length", "a length"])
def test_no_transfer_encoding_is_understood(ask: Put, disk: str, encoding: str, length: str) -> None:
    headers = f"Transfer-Encoding: {encoding}\r\n{length}"
    answer, task = ask(b"x" if length else b"1\r\nx\r\n0\r\n\r\n", headers=headers, vdi=disk)
    assert (answer.status, answer.body) == (404, b"")
    assert task == ["failure", "INTERNAL_ERROR", f"Cannot handle encoding: {encoding}"]


def status_line(wire: Wire, session: Any, verb: str, path: str, **query: str) -> bytes:
    target = f"{path}?{urlencode({'session_id': session.ref, **query})}"
    with socket.create_connection(wire.address, timeout=5) as connection:
        connection.sendall(f"{verb} {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode())
        return connection.makefile("rb").readline().strip()


def test_versions_of_status_lines(wire: Wire, session: Any, disk: str, sr: str) -> None:
    """X/import_raw_vdi.ml, export_raw_vdi.ml, export.ml: http_404_missing ~version:"1.0" and the like, whatever the client speaks."""
    assert status_line(wire, session, "PUT", "/import_raw_vdi", vdi=disk, format="x") == b"HTTP/1.0 404 Not Found"
    assert status_line(wire, session, "GET", "/export_raw_vdi", vdi=disk, format="x") == b"HTTP/1.0 404 Not Found"
    assert status_line(wire, session, "PUT", "/import_raw_vdi", sr_id=sr, format="vhd") == b"HTTP/1.0 400 Bad Request"
    assert status_line(wire, session, "PUT", "/import_raw_vdi") == b"HTTP/1.1 400 Bad Request"
    assert status_line(wire, session, "GET", "/export_raw_vdi", vdi=disk) == b"HTTP/1.1 200 OK"
    vm = next(vm for vm, record in session.VM.get_all_records().items() if record["is_a_template"])
    assert status_line(wire, session, "GET", "/export", ref=vm) == b"HTTP/1.0 200 OK"


def test_a_cookie_names_the_task_before_the_query(wire: Wire, session: Any, disk: str) -> None:
    """X/xapi_http.ml lookup_param_of_req; the disk is the query's first (X/importexport.ml vdi_of_req)."""
    tasks = [session.task.create(name, "") for name in ("cookie", "query")]
    query = urlencode({"session_id": session.ref, "task_id": tasks[1], "vdi": disk, "format": "raw"})
    cookie = f"Cookie: task_id={tasks[0]}; format=nonsense\r\n"
    wire.send(f"PUT /import_raw_vdi?{query} HTTP/1.1\r\nHost: x\r\n{cookie}Content-Length: 1\r\n\r\nx".encode())
    assert [session.task.get_status(task) for task in tasks] == ["success", "pending"]


# Archives (X/import.ml handler, X/export.ml handler)


def test_archives_that_are_refused_before_they_are_read(session: Any, ask: Put) -> None:
    isos = next(sr for sr, record in session.SR.get_all_records().items() if record["content_type"] == "iso")
    answer, task = ask(path="/import", sr_id=isos)
    assert (answer.status, task) == (400, ["failure", "SR_OPERATION_NOT_SUPPORTED"])
    assert printed(answer, "SR_OPERATION_NOT_SUPPORTED: [  ]")
    answer, task = ask(b"0\r\n\r\n", "/import", headers="Transfer-Encoding: chunked\r\n")
    assert (answer.status, task) == (403, ["failure", "IMPORT_ERROR_CANNOT_HANDLE_CHUNKED"])
    assert printed(answer, "IMPORT_ERROR_CANNOT_HANDLE_CHUNKED: [  ]")


def test_an_archive_for_an_sr_that_no_host_sees_leaves_the_task(session: Any, ask: Put, sr: str) -> None:
    unplug(session, sr)
    for text in (sr, "OpaqueRef:x"):
        answer, task = ask(path="/import", sr_id=text)
        assert (answer.status, task) == (500, ["pending"])
        assert b"</h1>NO_HOSTS_AVAILABLE: [  ]</body>" in answer.body


def test_a_pool_without_default_sr(session: Any, ask: Put) -> None:
    pool = session.pool.get_all()[0]
    before = session.pool.get_default_SR(pool)
    session.pool.set_default_SR(pool, "OpaqueRef:gone")
    answer, task = ask(path="/import")
    session.pool.set_default_SR(pool, before)
    assert (answer.status, task) == (500, ["pending"])
    assert b"</h1>DEFAULT_SR_NOT_FOUND: [ OpaqueRef:gone ]</body>" in answer.body


def test_an_archive_that_fails_behind_the_200(ask: Put) -> None:
    """Its refusal is printed as it is: X/xapi_http.ml add_handler makes a Generic_error of it, which Http_svr does not escape."""
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode="w") as archive:
        archive.addfile(tarfile.TarInfo('a"<b>'))
    answer, task = ask(body.getvalue(), "/import")
    assert (answer.status, task) == (200, ["failure", "IMPORT_ERROR_UNEXPECTED_FILE", "ova.xml", 'a"<b>'])
    assert printed(answer, 'IMPORT_ERROR_UNEXPECTED_FILE: [ ova.xml; a"<b> ]')


def test_a_vm_that_is_none(ask: Put) -> None:
    """A reference: no host sees its disks, and the handler hangs up without a word. A uuid is looked up through the API, under another task."""
    answer, task = ask(b"", "/export", "GET", ref="OpaqueRef:x")
    assert (answer.status, task) == (0, ["failure", "NO_HOSTS_AVAILABLE"])
    answer, task = ask(b"", "/export", "GET", uuid="x")
    assert (answer.status, task) == (500, ["pending"])
    assert b"</h1>UUID_INVALID: [ VM; x ]</body>" in answer.body
    answer, task = ask(b"", "/export", "GET")
    assert (answer.status, task) == (500, ["pending"])
    assert b"</h1>Not_found</body>" in answer.body
