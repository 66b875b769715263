# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults and speeds of disks and their transfers: what a rule says happens, at the byte it says, and is in the log of calls."""

from __future__ import annotations

import http.client
import struct
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from simulator import Failure, Rule, Simulator, VirtualClock
from simulator.server import Server

from ._asking import fixtures

MIB = 1024 * 1024
CONTENT = bytes(range(1, 256)) * (4 * MIB // 255 + 1)


simulator, session = fixtures(lambda: Simulator("one_host"), "module")


@pytest.fixture(scope="module")
def server(simulator: Simulator) -> Server:
    return simulator.serve(tls=False, http=True)


@pytest.fixture
def disk(session: Any) -> str:
    return make(session, session.SR.get_by_name_label("Local storage")[0])


@pytest.fixture(autouse=True)
def no_faults(simulator: Simulator) -> Iterator[None]:
    yield
    simulator.faults.clear()
    simulator.engine.rates.clear()


def make(session: Any, sr: str, size: int = 4 * MIB) -> str:
    record = {"SR": sr, "virtual_size": size, "type": "user", "sharable": False, "read_only": False, "other_config": {}}
    return session.VDI.create({"name_label": "faulty", **record})


def request(server: Server, verb: str, path: str, body: bytes | None = None, **query: str) -> tuple[int, bytes]:
    """Status and body of the answer, as far as it came; status 0 without any."""
    parts = urlsplit(server.http_url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 0, timeout=10)
    status, came = 0, b""
    try:
        connection.request(verb, f"{path}?{urlencode(query)}", body)
        response = connection.getresponse()
        status = response.status
        while piece := response.read1():
            came += piece
    except ConnectionError:
        pass
    finally:
        connection.close()
    return status, came


def put(session: Any, server: Server, disk: str, body: bytes, **query: str) -> list[str]:
    """Upload under a task; its status and error once it has ended."""
    task = session.task.create("upload", "")
    request(server, "PUT", "/import_raw_vdi", body, session_id=session.ref, task_id=task, vdi=disk, **query)
    deadline = time.monotonic() + 10
    while session.task.get_status(task) == "pending" and time.monotonic() < deadline:
        time.sleep(0.02)
    return [session.task.get_status(task), *session.task.get_error_info(task)]


def get(session: Any, server: Server, disk: str) -> tuple[int, bytes]:
    return request(server, "GET", "/export_raw_vdi", session_id=session.ref, vdi=disk)


def test_an_upload_is_refused_before_it_begins(simulator: Simulator, server: Server, session: Any, disk: str) -> None:
    simulator.faults.add(Rule("PUT /import_raw_vdi", error=("SR_BACKEND_FAILURE_46", "", "no such volume"), times=1))
    assert put(session, server, disk, CONTENT[: 4 * MIB]) == ["failure", "SR_BACKEND_FAILURE_46", "", "no such volume"]
    assert put(session, server, disk, CONTENT[: 4 * MIB]) == ["success"]


def test_an_upload_fails_at_a_byte(simulator: Simulator, server: Server, session: Any, disk: str) -> None:
    simulator.faults.add(Rule("PUT /import_raw_vdi", error=("VDI_IO_ERROR", "Device I/O errors"), at=2 * MIB, nth=1))
    assert put(session, server, disk, CONTENT[: 4 * MIB]) == ["failure", "VDI_IO_ERROR", "Device I/O errors"]
    assert get(session, server, disk) == (200, CONTENT[: 2 * MIB] + bytes(2 * MIB))
    assert put(session, server, disk, CONTENT[: 4 * MIB]) == ["success"]


def test_an_upload_that_is_cut_ends_like_one_whose_client_left(simulator: Simulator, server: Server, session: Any, disk: str) -> None:
    simulator.faults.add(Rule("PUT /import_raw_vdi", cut="before", at=MIB))
    assert put(session, server, disk, CONTENT[: 4 * MIB]) == ["failure", "VDI_IO_ERROR", "Device I/O errors"]
    assert get(session, server, disk) == (200, CONTENT[:MIB] + bytes(3 * MIB))


def test_a_download_is_cut_at_a_byte(simulator: Simulator, server: Server, session: Any, disk: str) -> None:
    assert put(session, server, disk, CONTENT[: 4 * MIB]) == ["success"]
    simulator.faults.add(Rule("GET /export_raw_vdi", cut="before", at=3 * MIB + 5, times=1))
    status, came = get(session, server, disk)
    # What a reset connection still held is lost to the client: never more than passed, and all of it right.
    assert status == 200
    assert len(came) <= 3 * MIB + 5
    assert came == CONTENT[: len(came)]
    assert simulator.calls[-1].error == ["DISCONNECTED"]
    assert simulator.calls[-1].result == 3 * MIB + 5
    assert get(session, server, disk) == (200, CONTENT[: 4 * MIB])


def test_the_error_of_a_download_lands_in_its_body(simulator: Simulator, server: Server, session: Any, disk: str) -> None:
    simulator.faults.add(Rule("GET /export_raw_vdi", error=("VDI_IO_ERROR", "Device I/O errors"), at=MIB))
    status, came = get(session, server, disk)
    assert status == 200
    assert came[:MIB] == bytes(MIB)
    assert came[MIB:].startswith(b"HTTP/1.1 500 Internal Error\r\n")
    assert b"VDI_IO_ERROR: [ Device I/O errors ]" in came


def test_a_stalled_download_goes_on(simulator: Simulator, server: Server, session: Any, disk: str) -> None:
    simulator.faults.add(Rule("GET /export_raw_vdi", stall=0.3, at=MIB))
    began = time.monotonic()
    assert get(session, server, disk) == (200, bytes(4 * MIB))
    assert time.monotonic() - began >= 0.3


def test_a_cut_before_the_beginning_gives_no_answer(simulator: Simulator, server: Server, session: Any, disk: str) -> None:
    simulator.faults.add(Rule("GET /export_raw_vdi", cut="before", times=1))
    assert request(server, "GET", "/export_raw_vdi", session_id=session.ref, vdi=disk)[0] == 0


def test_a_transfer_takes_as_long_as_its_rate_says(simulator: Simulator, server: Server, session: Any, disk: str) -> None:
    simulator.engine.rates["PUT /import_raw_vdi"] = 10.0 * MIB
    began = time.monotonic()
    assert put(session, server, disk, CONTENT[: 4 * MIB]) == ["success"]
    assert 0.35 <= time.monotonic() - began < 3


def test_transfers_are_in_the_log_without_the_session(simulator: Simulator, server: Server, session: Any, disk: str) -> None:
    put(session, server, disk, CONTENT[: 4 * MIB], format="raw")
    upload = next(call for call in reversed(simulator.calls) if call.method == "PUT /import_raw_vdi")
    assert (upload.writes, upload.outcome, upload.result, upload.session) == (True, "ok", 4 * MIB, session.ref)
    assert upload.params[0].keys() == {"task_id", "vdi", "format"}
    get(session, server, disk)
    assert (simulator.calls[-1].method, simulator.calls[-1].writes) == ("GET /export_raw_vdi", False)
    request(server, "GET", "/export_raw_vdi", session_id=session.ref, vdi="nothing")
    assert simulator.calls[-1].error == ["HTTP 500"]


def test_an_sr_that_is_full_has_no_room_for_disks_nor_for_their_bytes(simulator: Simulator, server: Server, session: Any) -> None:
    sr = session.SR.get_by_name_label("Local storage")[0]
    disk = make(session, sr)
    simulator.fill(sr)
    assert session.SR.get_physical_utilisation(sr) == session.SR.get_physical_size(sr)
    with pytest.raises(Failure, match="SR_BACKEND_FAILURE_44"):
        make(session, sr, 64 * MIB)
    assert put(session, server, disk, CONTENT[: 4 * MIB])[:2] == ["failure", "VDI_IO_ERROR"]
    simulator.fill(sr, leave=128 * MIB)
    make(session, sr, 64 * MIB)
    assert put(session, server, disk, CONTENT[: 4 * MIB]) == ["success"]


def test_a_copy_takes_as_long_as_its_rate_says() -> None:
    with Simulator("one_host", clock=VirtualClock(), rates={"VDI.copy": 100.0 * MIB}) as simulator:
        session = simulator.session()
        sr = session.SR.get_by_name_label("Local storage")[0]
        disk = make(session, sr, 1000 * MIB)
        began = simulator.clock.time()
        session.VDI.copy(disk, sr)
        assert simulator.clock.time() - began == pytest.approx(10.0)
        assert simulator.problems == []


def test_a_copy_that_is_cancelled_leaves_nothing(simulator: Simulator, session: Any, disk: str) -> None:
    sr = session.VDI.get_SR(disk)
    simulator.engine.rates["VDI.copy"] = 1.0 * MIB
    before = set(session.SR.get_VDIs(sr))
    task = session.call("Async.VDI.copy", disk, sr)
    deadline = time.monotonic() + 5
    while session.task.get_progress(task) == 0 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(session.SR.get_VDIs(sr)) == len(before) + 1
    session.task.cancel(task)
    while session.task.get_status(task) == "pending" and time.monotonic() < deadline:
        time.sleep(0.01)
    assert session.task.get_status(task) == "cancelled"
    assert set(session.SR.get_VDIs(sr)) == before


def test_chunks_count_with_their_headers(simulator: Simulator, server: Server, session: Any, disk: str) -> None:
    simulator.faults.add(Rule("PUT /import_raw_vdi", error=("VDI_IO_ERROR", "Device I/O errors"), at=12 + 512))
    first, second = (struct.pack("<QI", at, 512) + b"x" * 512 for at in (0, MIB))
    assert put(session, server, disk, first + second + bytes(12), chunked="1")[0] == "failure"
    assert get(session, server, disk)[1][:MIB] == b"x" * 512 + bytes(MIB - 512)
