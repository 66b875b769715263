# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each kind of fault strikes calls as it says, whether its rule was there from the start or came through the control endpoint."""

from __future__ import annotations

import http.client
import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from simulator import Failure, Simulator, VirtualClock
from simulator.command import begin_with_faults
from simulator.control import Control
from simulator.server import Server

from ._machines import machine

MIB = 1 << 20
CUT: Any = "the connection was cut"


@pytest.fixture(params=["from the start", "at run time"])
def faulty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., Client]]:
    """A pool with a rule, and a client of it over HTTP."""
    with Simulator("three_hosts") as simulator:

        def begin(**rule: Any) -> Client:
            if request.param == "from the start":
                path = tmp_path / "rules.json"
                path.write_text(json.dumps([rule]), encoding="utf-8")
                begin_with_faults(simulator, path)
            client = Client(simulator, simulator.serve(tls=False, http=True))
            if request.param == "at run time":
                add(simulator, rule)
            return client

        yield begin
        assert simulator.problems == []


def add(simulator: Simulator, rule: dict[str, Any]) -> None:
    control = Control([simulator])
    control.open()
    try:
        headers = {"authorization": f"Bearer {control.token}"}
        with urllib.request.urlopen(urllib.request.Request(f"{control.url}/faults", json.dumps(rule).encode(), headers)) as answer:
            assert answer.status == 201
    finally:
        control.close()


class Client:
    """JSON-RPC over HTTP; every call has a connection of its own."""

    def __init__(self, simulator: Simulator, server: Server) -> None:
        self.simulator = simulator
        parts = urlsplit(server.http_url)
        self.address = parts.hostname or "", parts.port or 0
        self.session = simulator.session()
        self.ref = self.session.ref

    def request(self, verb: str, path: str, body: bytes = b"") -> Any:
        connection = http.client.HTTPConnection(*self.address, timeout=5)
        try:
            connection.request(verb, path, body)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (ConnectionError, TimeoutError, http.client.HTTPException):
            # Who connects in the moment in which a host stops may hear nothing at all.
            return CUT
        finally:
            connection.close()

    def call(self, method: str, *params: Any) -> Any:
        """A result, a refusal as a list, or CUT."""
        body = {"jsonrpc": "2.0", "method": method, "params": [self.ref, *params], "id": 1}
        answer = self.request("POST", "/jsonrpc", json.dumps(body).encode())
        if answer is CUT:
            return CUT
        told = json.loads(answer[1])
        return told["result"] if "result" in told else [told["error"]["message"], *told["error"]["data"]]

    def transfer(self, verb: str, path: str, body: bytes = b"", **query: str) -> Any:
        return self.request(verb, f"{path}?{urlencode({'session_id': self.ref, **query})}", body)

    def until(self, met: Callable[[], bool]) -> bool:
        end = time.monotonic() + 10
        while not met() and time.monotonic() < end:
            time.sleep(0.01)
        return met()

    @property
    def sr(self) -> str:
        (sr,) = self.session.SR.get_by_name_label("NFS storage")
        return str(sr)

    def make_disk(self, size: int = 4 * MIB) -> Any:
        record = {"name_label": "d", "name_description": "", "SR": self.sr, "virtual_size": size, "type": "user", "sharable": False}
        return self.call("VDI.create", {**record, "read_only": False, "other_config": {}})

    def names(self) -> list[str]:
        return [row["name_label"] for row in self.simulator.records("VDI").values()]


def tag(client: Client) -> Any:
    return client.call("pool.add_tags", client.simulator.engine.pool, "there")


def tags(client: Client) -> Any:
    return client.simulator.records("pool")[client.simulator.engine.pool]["tags"]


def test_the_nth_call_is_refused_with_any_code(faulty: Callable[..., Client]) -> None:
    client = faulty(method="pool.add_tags", nth=2, error=["ANY_CODE", "one", "two"])
    assert [tag(client) for _unused in range(3)] == ["", ["ANY_CODE", "one", "two"], ""]


def test_a_connection_is_cut_before_the_effect(faulty: Callable[..., Client]) -> None:
    client = faulty(method="pool.add_tags", cut="before", times=1)
    assert (tag(client), tags(client)) == (CUT, [])
    assert (tag(client), tags(client)) == ("", ["there"])


def test_a_connection_is_cut_after_the_effect(faulty: Callable[..., Client]) -> None:
    client = faulty(method="pool.add_tags", cut="after", times=1)
    assert (tag(client), tags(client)) == (CUT, ["there"])
    assert tag(client) == ""


def test_a_refusal_is_not_heard_either(faulty: Callable[..., Client]) -> None:
    client = faulty(method="VM.get_by_uuid", cut="after", times=1)
    assert client.call("VM.get_by_uuid", "nothing") == CUT
    # Nothing of it is left to the calls after it.
    assert [client.call("VM.get_by_uuid", "nothing") for _unused in range(20)] == [["UUID_INVALID", "VM", "nothing"]] * 20


def test_the_work_of_a_task_has_no_connection_to_cut(faulty: Callable[..., Client]) -> None:
    client = faulty(method="pool.sync_database", cut="before")
    task = client.call("Async.pool.sync_database")
    assert client.until(lambda: client.simulator.records("task")[task]["status"] == "success")
    assert client.call("pool.sync_database") == CUT


def test_a_call_stalls(faulty: Callable[..., Client]) -> None:
    client = faulty(method="pool.add_tags", stall=0.4, times=1)
    began = time.monotonic()
    assert tag(client) == ""
    assert time.monotonic() - began >= 0.4
    began = time.monotonic()
    assert tag(client) == ""
    assert time.monotonic() - began < 0.4


def test_a_session_is_dropped(faulty: Callable[..., Client]) -> None:
    client = faulty(method="pool.add_tags", drop=True)
    assert tag(client) == ["SESSION_INVALID", client.ref]
    assert client.call("VM.get_all") == ["SESSION_INVALID", client.ref]
    assert tags(client) == []


def test_an_sr_fills(faulty: Callable[..., Client]) -> None:
    client = faulty(method="VDI.create", fill="NFS storage", nth=2)
    assert client.make_disk(64 * MIB).startswith("OpaqueRef:")
    assert client.make_disk(64 * MIB)[0] == "SR_BACKEND_FAILURE_44"


@pytest.mark.parametrize("name", ["xs2", "coordinator", "here"])
def test_a_host_crashes_when_call_n_arrives(faulty: Callable[..., Client], name: str) -> None:
    client = faulty(method="pool.add_tags", crash=name, nth=2)
    assert tag(client) == ""
    (member,) = client.session.host.get_by_name_label("xs2")
    # A host that stops answers nobody, not even who made it stop.
    assert tag(client) == ("" if name == "xs2" else CUT)
    if name == "xs2":
        assert client.simulator.engine.down == {member}
    else:
        assert client.until(lambda: client.call("VM.get_all") == CUT)


def test_the_work_of_a_task_ends_with_its_host(faulty: Callable[..., Client]) -> None:
    client = faulty(method="pool.sync_database", crash="here")
    task = client.call("Async.pool.sync_database")
    assert client.until(lambda: client.call("VM.get_all") == CUT)
    assert client.simulator.records("task")[task]["status"] == "pending"


# Transfers


def upload(client: Client) -> tuple[str, list[str]]:
    """How the task of an upload of 4 MiB ends."""
    disk, task = client.make_disk(), client.session.task.create("upload", "")
    client.transfer("PUT", "/import_raw_vdi", b"x" * 4 * MIB, vdi=disk, task_id=task)
    assert client.until(lambda: client.simulator.records("task")[task]["status"] != "pending")
    record = client.simulator.records("task")[task]
    return record["status"], record["error_info"]


def test_a_transfer_fails_at_byte_n(faulty: Callable[..., Client]) -> None:
    client = faulty(method="PUT /import_raw_vdi", at=MIB + 1, error=["VDI_IO_ERROR", "Device I/O errors"], nth=1)
    assert upload(client) == ("failure", ["VDI_IO_ERROR", "Device I/O errors"])
    assert upload(client) == ("success", [])


def test_an_sr_fills_at_byte_n(faulty: Callable[..., Client]) -> None:
    client = faulty(method="PUT /import_raw_vdi", at=MIB, fill="NFS storage")
    assert upload(client)[0] == "failure"


def test_a_session_that_goes_at_byte_n_does_not_end_the_transfer(faulty: Callable[..., Client]) -> None:
    client = faulty(method="GET /export_raw_vdi", at=MIB, drop=True)
    disk = client.make_disk()
    assert client.transfer("GET", "/export_raw_vdi", vdi=disk) == (200, bytes(4 * MIB))
    assert client.call("VM.get_all") == ["SESSION_INVALID", client.ref]


def test_a_host_crashes_at_byte_n(faulty: Callable[..., Client]) -> None:
    client = faulty(method="GET /export_raw_vdi", at=MIB, crash="here")
    answer = client.transfer("GET", "/export_raw_vdi", vdi=client.make_disk())
    assert answer == CUT or len(answer[1]) < 4 * MIB
    assert client.until(lambda: client.call("VM.get_all") == CUT)


def test_a_transfer_that_was_done_is_cut(faulty: Callable[..., Client]) -> None:
    client = faulty(method="PUT /import_raw_vdi", cut="after")
    assert upload(client) == ("success", [])
    transfer = next(call for call in client.simulator.calls if call.method == "PUT /import_raw_vdi")
    assert (transfer.error, transfer.result) == (["DISCONNECTED"], 4 * MIB)


# Time


def test_messages_take_as_long_as_they_are_told() -> None:
    latency = {"VM.start": 2.0, "session.login_with_password": 0.4}
    with Simulator("one_host", clock=VirtualClock(), latency=latency) as simulator:
        began = simulator.clock.time()
        session = simulator.session()
        assert simulator.clock.time() - began == pytest.approx(0.4, abs=0.01)
        machine(session, start=True)
        calls = {call.method: call for call in simulator.calls}
        assert (calls["VM.start"].ended or 0) - calls["VM.start"].started == pytest.approx(2.0, abs=0.01)
        assert (calls["VM.clone"].ended or 0) - calls["VM.clone"].started < 0.4
        assert simulator.problems == []


def test_a_task_tells_its_progress() -> None:
    with Simulator("one_host", clock=VirtualClock(), rates={"VDI.copy": 10.0 * MIB}) as simulator:
        session = simulator.session()
        (sr,) = session.SR.get_by_name_label("Local storage")
        disk = {"name_label": "d", "SR": sr, "virtual_size": 100 * MIB, "type": "user", "sharable": False, "read_only": False, "other_config": {}}
        vdi, told = session.VDI.create(disk), []

        def look(cls: str, ref: str) -> None:
            if cls == "task" and simulator.engine.db.exists("task", ref):
                told.append(simulator.engine.db.get("task", ref, "progress"))

        simulator.engine.db.watchers.append(look)
        task = session.call("Async.VDI.copy", vdi, sr)
        simulator.run(simulator.clock.sleep(60))
        assert session.task.get_status(task) == "success"
        assert told == sorted(told)
        assert len({value for value in told if 0 < value < 1}) > 50


def test_a_rule_is_counted_for_calls_of_its_own_name_only() -> None:
    with Simulator("one_host") as simulator:
        add(simulator, {"method": "VM.get_a*", "nth": 2, "error": "STOP"})
        session = simulator.session()
        session.VM.get_all()
        session.SR.get_all()
        with pytest.raises(Failure, match="STOP"):
            session.VM.get_all_records()
