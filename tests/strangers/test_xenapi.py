# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The `XenAPI` package, which comes with xapi: what its users write, over XML-RPC and TLS."""

from __future__ import annotations

import re
import time
import xmlrpc.client
from collections.abc import Iterator
from typing import Any

import pytest
import XenAPI

from simulator import NULL, Simulator
from simulator.server import Server

TEMPLATE = "Debian 12 (cloud image)"


@pytest.fixture(scope="module")
def session(server: Server) -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        # The client leaves the check of certificates to Python's defaults.
        patch.setenv("SSL_CERT_FILE", str(server.ca_path))
        session = XenAPI.Session(server.url)
        session.xenapi.login_with_password(server.username, server.password, "1.0", "strangers")
        yield session
        session.xenapi.session.logout()


@pytest.fixture
def vm(session: Any) -> Iterator[str]:
    template = session.xenapi.VM.get_by_name_label(TEMPLATE)[0]
    vm = session.xenapi.VM.clone(template, "strange")
    session.xenapi.VM.provision(vm)
    yield vm
    if session.xenapi.VM.get_power_state(vm) != "Halted":
        session.xenapi.VM.hard_shutdown(vm)
    session.xenapi.VM.destroy(vm)


def finished(session: Any, task: str) -> Any:
    """The task's record once it has ended, waited for as the client's examples do."""
    deadline = time.monotonic() + 30
    while session.xenapi.task.get_status(task) == "pending":
        assert time.monotonic() < deadline, session.xenapi.task.get_record(task)
        time.sleep(0.05)
    record = session.xenapi.task.get_record(task)
    session.xenapi.task.destroy(task)
    return record


def until_allowed(session: Any, vm: str, operation: str) -> None:
    """Wait on events until the VM may do that: a guest has to report before it can be suspended."""
    token = ""
    for _unused in range(100):
        batch = session.xenapi.event_from([f"vm/{vm}"], token, 30.0)
        token = batch["token"]
        if any(operation in event["snapshot"]["allowed_operations"] for event in batch["events"]):
            return
    raise AssertionError(f"{operation} never became possible")


def test_values_arrive_as_this_client_has_always_got_them(session: Any, vm: str) -> None:
    record = session.xenapi.VM.get_record(vm)
    assert record["memory_static_max"] == str(1 << 30)
    assert record["is_a_template"] is False
    assert record["affinity"] == NULL
    assert isinstance(session.xenapi.VM.get_snapshot_time(vm), xmlrpc.client.DateTime)
    assert session.xenapi.VM.set_name_description(vm, "<&> ü") == ""
    assert session.xenapi.VM.get_name_description(vm) == "<&> ü"


def test_the_life_of_a_vm(session: Any, vm: str) -> None:
    xenapi = session.xenapi
    xenapi.VM.start(vm, False, False)
    assert xenapi.VM.get_power_state(vm) == "Running"
    assert xenapi.host.get_name_label(xenapi.VM.get_resident_on(vm)) in {"xs1", "xs2", "xs3"}
    snapshot = xenapi.VM.snapshot(vm, "before")
    assert xenapi.VM.get_snapshots(vm) == [snapshot]
    until_allowed(session, vm, "suspend")
    xenapi.VM.suspend(vm)
    xenapi.VM.resume(vm, False, False)
    xenapi.VM.hard_reboot(vm)
    xenapi.VM.hard_shutdown(vm)
    assert xenapi.VM.get_power_state(vm) == "Halted"
    xenapi.VM.destroy(snapshot)
    assert xenapi.VM.get_snapshots(vm) == []


def test_failures_carry_the_code_and_what_it_is_about(session: Any, vm: str) -> None:
    with pytest.raises(XenAPI.Failure) as caught:
        session.xenapi.VM.resume(vm, False, False)
    assert caught.value.details == ["VM_BAD_POWER_STATE", vm, "suspended", "halted"]
    with pytest.raises(XenAPI.Failure) as caught:
        session.xenapi.VM.no_such_message(vm)
    assert caught.value.details == ["MESSAGE_METHOD_UNKNOWN", "VM.no_such_message"]


def test_tasks(session: Any, vm: str) -> None:
    record = finished(session, session.xenapi.Async.VM.clone(vm, "copied"))
    assert record["status"] == "success"
    copied = re.fullmatch(r"<value>(OpaqueRef:[-0-9a-f]{36})</value>", record["result"])
    assert copied is not None
    session.xenapi.VM.destroy(copied[1])
    refused = finished(session, session.xenapi.Async.VM.unpause(vm))
    assert (refused["status"], refused["error_info"]) == ("failure", ["VM_BAD_POWER_STATE", vm, "paused", "halted"])


def test_events(session: Any, vm: str) -> None:
    first = session.xenapi.event_from(["vm"], "", 5.0)
    assert {"add"} == {event["operation"] for event in first["events"]}
    session.xenapi.VM.set_name_label(vm, "renamed")
    after = session.xenapi.event_from([f"vm/{vm}"], first["token"], 5.0)
    assert [(event["operation"], event["snapshot"]["name_label"]) for event in after["events"]] == [("mod", "renamed")]


def test_a_lost_session_is_renewed_by_the_client(session: Any, simulator: Simulator) -> None:
    before = session.handle
    simulator.restart_toolstack()
    assert len(session.xenapi.pool.get_all()) == 1
    assert session.handle != before


def test_a_member_sends_its_clients_to_the_coordinator(server: Server, session: Any) -> None:
    with pytest.raises(XenAPI.Failure) as caught:
        XenAPI.Session(server.urls["xs2"]).xenapi.login_with_password(server.username, server.password, "1.0", "strangers")
    assert caught.value.details == ["HOST_IS_SLAVE", server.url.split("/")[2].partition(":")[0]]


def test_a_certificate_of_another_authority_is_refused_by_the_client(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
        XenAPI.Session(server.url).xenapi.login_with_password(server.username, server.password, "1.0", "strangers")
