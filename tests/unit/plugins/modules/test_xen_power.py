# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from simulator import Rule, Simulator

from ..conftest import Run
from ..scenario import Do, Scenario
from .vms import PVH, create_disk, create_nic, create_vm, run_examples

SCENARIO = Scenario(
    Do({"name": "web1", "state": "running", "host": "xs1"}),
    Do({"name": "web1", "state": "paused"}),
    Do({"name": "web1", "state": "running"}),
    Do({"name": "web1", "state": "rebooted", "force": True}, again=True),
    Do({"name": "web1", "state": "halted", "force": True, "boot_allowed": False}),
    Do({"name": "web1", "state": "halted", "boot_allowed": True}),
    Do({"name": "web1", "state": "paused"}),
    Do({"name": "web1", "state": "halted", "force": True}),
    Do({"name": "absent", "state": "halted", "boot_allowed": False}, changes=False),
    Do({"name": "tools1", "state": "running"}),
    Do({"name": "tools1", "state": "suspended"}),
    Do({"name": "tools1", "state": "running"}),
    Do({"name": "tools1", "state": "rebooted"}, again=True),
    Do({"name": "tools1", "state": "halted"}),
    world="three_hosts",
    prepare=lambda session: (create_vm(session, "web1"), create_vm(session, "tools1", **PVH)),
)
pytestmark = pytest.mark.world("three_hosts")


def vm(simulator: Simulator, name: str = "web1") -> dict[str, Any]:
    (record,) = [record for record in simulator.records("VM").values() if record["name_label"] == name]
    return record


def host(simulator: Simulator, name: str) -> str:
    (ref,) = [ref for ref, record in simulator.records("host").items() if record["name_label"] == name]
    return ref


@pytest.fixture
def web1(simulator: Simulator) -> str:
    """A halted HVM guest without tools."""
    return create_vm(simulator.session(), "web1", other_config={"simulator-guest": "none"})


@pytest.fixture
def tools1(simulator: Simulator) -> str:
    """A running guest that does what it is asked."""
    session = simulator.session()
    ref = create_vm(session, "tools1", **PVH)
    session.VM.start(ref, False, False)
    return ref


def test_started_on_a_host_its_domain_is_noted(web1: str, run_module: Run, simulator: Simulator) -> None:
    outcome = run_module("xen_power", name="web1", state="running", host="xs2")
    assert "Async.VM.start_on" in outcome.writes
    record = vm(simulator)
    assert (record["power_state"], record["resident_on"]) == ("Running", host(simulator, "xs2"))
    assert record["other_config"]["last_dom_id"] == str(record["domid"]) == str(outcome["vm"]["domid"])
    assert outcome["vm"]["host"] == simulator.records("host")[record["resident_on"]]["uuid"]
    again = run_module("xen_power", name="web1", state="running", host="xs2")
    assert (again.changed, again.writes) == (False, [])


def test_live_on_another_host_is_an_error(web1: str, run_module: Run, simulator: Simulator) -> None:
    run_module("xen_power", name="web1", state="running", host="xs2")
    outcome = run_module("xen_power", name="web1", state="running", host="xs1")
    assert outcome.failed
    assert "VM 'web1' is live on host 'xs2' and not on 'xs1'; migrate it, or leave host out" in outcome.msg
    assert outcome.writes == []


def test_a_halted_vm_is_left_alone(web1: str, run_module: Run) -> None:
    for force in (False, True):
        outcome = run_module("xen_power", name="web1", state="halted", force=force)
        assert (outcome.changed, outcome.writes) == (False, [])


def test_a_guest_that_can_be_asked_is(tools1: str, run_module: Run, simulator: Simulator) -> None:
    outcome = run_module("xen_power", name="tools1", state="halted")
    assert outcome.writes == ["Async.VM.clean_shutdown"]
    assert vm(simulator, "tools1")["power_state"] == "Halted"


def test_a_guest_that_cannot_be_asked_is_an_error(web1: str, run_module: Run, simulator: Simulator) -> None:
    run_module("xen_power", name="web1", state="running")
    outcome = run_module("xen_power", name="web1", state="halted")
    assert outcome.failed
    assert outcome["xenapi_error"]["code"] == "VM_LACKS_FEATURE"
    assert vm(simulator)["power_state"] == "Running"
    assert "VM.hard_shutdown" not in " ".join(outcome.writes)


def test_with_shutdown_timeout_it_is_powered_off_then(web1: str, run_module: Run, simulator: Simulator) -> None:
    run_module("xen_power", name="web1", state="running")
    outcome = run_module("xen_power", name="web1", state="halted", shutdown_timeout=5)
    assert outcome.writes == ["Async.VM.clean_shutdown", "Async.VM.hard_shutdown"]
    assert vm(simulator)["power_state"] == "Halted"
    assert "VM 'web1' was not shut down by its guest" in str(outcome["warnings"])


def test_a_guest_that_takes_too_long_is_powered_off(tools1: str, run_module: Run, simulator: Simulator) -> None:
    simulator.engine.latency["VM.clean_shutdown"] = 0.5
    outcome = run_module("xen_power", name="tools1", state="halted", shutdown_timeout=0.1)
    assert not outcome.failed, outcome.result
    assert "task.cancel" in outcome.methods
    assert outcome.writes == ["Async.VM.clean_shutdown", "Async.VM.hard_shutdown"]
    assert vm(simulator, "tools1")["power_state"] == "Halted"


def test_without_shutdown_timeout_taking_too_long_is_an_error(tools1: str, run_module: Run, simulator: Simulator) -> None:
    simulator.engine.latency["VM.clean_shutdown"] = 0.5
    outcome = run_module("xen_power", name="tools1", state="halted", timeout=0.1)
    assert outcome.failed
    assert "gave up waiting for VM 'tools1' to shut down after 0.1 seconds" in outcome.msg
    assert vm(simulator, "tools1")["power_state"] == "Running"


def test_forced_nobody_is_asked(tools1: str, run_module: Run) -> None:
    outcome = run_module("xen_power", name="tools1", state="halted", force=True)
    assert outcome.writes == ["Async.VM.hard_shutdown"]


def test_rebooted_asks_the_guest_or_does_not(tools1: str, run_module: Run) -> None:
    asked = run_module("xen_power", name="tools1", state="rebooted")
    assert asked.writes[0] == "Async.VM.clean_reboot"
    forced = run_module("xen_power", name="tools1", state="rebooted", force=True)
    assert forced.writes[0] == "Async.VM.hard_reboot"


def test_a_halted_vm_that_is_rebooted_starts(web1: str, run_module: Run, simulator: Simulator) -> None:
    outcome = run_module("xen_power", name="web1", state="rebooted")
    assert outcome.writes[0] == "Async.VM.start"
    assert vm(simulator)["power_state"] == "Running"


def test_a_vm_that_goes_off_before_its_reboot_is_started(tools1: str, run_module: Run, simulator: Simulator) -> None:
    simulator.faults.add(Rule("VM.clean_reboot", error=("VM_BAD_POWER_STATE", tools1, "running", "halted")))
    simulator.session().VM.hard_shutdown(tools1)
    simulator.session().VM.start(tools1, True, False)
    simulator.session().VM.unpause(tools1)
    outcome = run_module("xen_power", name="tools1", state="rebooted")
    assert "Async.VM.start" in outcome.writes


def test_suspended_it_is_locked_and_resumed_it_is_not(tools1: str, run_module: Run, simulator: Simulator) -> None:
    outcome = run_module("xen_power", name="tools1", state="suspended")
    assert outcome.writes.index("VM.add_to_blocked_operations") < outcome.writes.index("Async.VM.suspend")
    record = vm(simulator, "tools1")
    assert (record["power_state"], set(record["blocked_operations"])) == ("Suspended", {"start", "start_on"})
    assert not run_module("xen_power", name="tools1", state="suspended").changed
    resumed = run_module("xen_power", name="tools1", state="running")
    (call,) = [call for call in resumed.calls if call.method == "Async.VM.resume"]
    assert call.params == [tools1, False, True]
    record = vm(simulator, "tools1")
    assert (record["power_state"], record["blocked_operations"]) == ("Running", {})


def test_a_suspension_that_fails_leaves_no_lock(web1: str, run_module: Run, simulator: Simulator) -> None:
    run_module("xen_power", name="web1", state="running")
    outcome = run_module("xen_power", name="web1", state="suspended")
    assert outcome.failed
    assert outcome["xenapi_error"]["code"] == "VM_LACKS_FEATURE"
    assert vm(simulator)["blocked_operations"] == {}
    assert not outcome.changed


def test_soft_delete_and_restore(web1: str, run_module: Run, simulator: Simulator) -> None:
    simulator.session().VM.add_to_blocked_operations(web1, "destroy", "precious")
    run_module("xen_power", name="web1", state="running")
    run_module("xen_power", name="web1", state="halted", force=True, boot_allowed=False)
    record = vm(simulator)
    assert (record["power_state"], set(record["blocked_operations"])) == ("Halted", {"start", "start_on", "destroy"})
    refused = run_module("xen_power", name="web1", state="running")
    assert refused.failed
    assert "VM 'web1' may not be started (starting is not allowed (xapi.xenserver)); set boot_allowed to true to lift that" in refused.msg
    assert refused.writes == []
    run_module("xen_power", name="web1", state="running", boot_allowed=True)
    record = vm(simulator)
    assert (record["power_state"], record["blocked_operations"]) == ("Running", {"destroy": "precious"})


def test_started_and_then_not_again(web1: str, run_module: Run, simulator: Simulator) -> None:
    outcome = run_module("xen_power", name="web1", state="running", boot_allowed=False)
    assert not outcome.failed, outcome.result
    assert vm(simulator)["power_state"] == "Running"
    assert outcome["vm"]["bootable"] is False


def test_a_vm_that_is_gone_is_soft_deleted_with_a_warning(run_module: Run) -> None:
    outcome = run_module("xen_power", name="gone", state="halted", boot_allowed=False)
    assert not outcome.failed
    assert (outcome.changed, outcome["vm"]) == (False, None)
    assert "there is no VM 'gone' to be halted" in str(outcome["warnings"])


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"name": "gone", "state": "halted"}, "there is no VM 'gone' in this pool"),
        ({"name": "gone", "state": "running", "boot_allowed": False}, "there is no VM 'gone' in this pool"),
        ({"name": "Windows 11", "state": "running"}, "'Windows 11' is a template and no VM; create a VM from it first (xen_vm with template: Windows 11)"),
        ({"name": "web1", "state": "suspended"}, "a halted VM cannot become suspended"),
        ({"name": "web1", "state": "running", "host": "xs9"}, "there is no host 'xs9' in this pool"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused(params: dict[str, Any], message: str, web1: str, run_module: Run) -> None:
    outcome = run_module("xen_power", **params)
    assert outcome.failed
    assert message in outcome.msg
    assert outcome.writes == []


def test_a_snapshot_is_not_started(web1: str, run_module: Run, simulator: Simulator) -> None:
    session = simulator.session()
    uuid = session.VM.get_uuid(session.VM.snapshot(web1, "before"))
    outcome = run_module("xen_power", name="before", state="running")
    assert outcome.failed
    assert f"'before' is a snapshot and no VM; create a VM from it first (xen_vm with source_snapshot: {uuid})" in outcome.msg


def test_a_dead_volume_is_detached_when_asked(web1: str, run_module: Run, simulator: Simulator) -> None:
    session = simulator.session()
    create_disk(session, web1, "0")
    create_disk(session, web1, "1", mark={"osvol": "True"})
    simulator.faults.add(Rule("VM.start", error=("SR_BACKEND_FAILURE_46", "", "The VDI is not available", "dead"), times=1))
    simulator.faults.add(Rule("SR.scan", error=("SR_BACKEND_FAILURE_40", "", "The SR scan failed", "dead")))
    outcome = run_module("xen_power", name="web1", state="running", detach_bad_volumes=True)
    assert not outcome.failed, outcome.result
    assert [method for method in outcome.writes if "VBD" in method or "start" in method] == ["Async.VM.start", "VBD.destroy", "Async.VM.start"]
    drives = [simulator.records("VBD")[ref] for ref in vm(simulator)["VBDs"]]
    assert [drive["userdevice"] for drive in drives] == ["0"]
    assert "detached: devices 1" in str(outcome["warnings"])


def test_a_dead_volume_is_an_error_otherwise(web1: str, run_module: Run, simulator: Simulator) -> None:
    create_disk(simulator.session(), web1, "1", mark={"osvol": "True"})
    simulator.faults.add(Rule("VM.start", error=("SR_BACKEND_FAILURE_46", "", "The VDI is not available", "dead")))
    outcome = run_module("xen_power", name="web1", state="running")
    assert outcome.failed
    assert outcome["xenapi_error"]["code"] == "SR_BACKEND_FAILURE_46"
    assert len(vm(simulator)["VBDs"]) == 1


# Waiting


def test_tools_that_do_not_come_are_an_error_and_the_vm_runs_on(web1: str, run_module: Run, simulator: Simulator) -> None:
    outcome = run_module("xen_power", name="web1", state="running", wait_for="tools", wait_timeout=0.2)
    assert outcome.failed
    assert outcome.changed
    assert (
        "could not see it ready: gave up waiting for the tools in the guest of VM 'web1' to report after 0.2 seconds; "
        "its tools have not reported; look at its console" in outcome.msg
    )
    assert vm(simulator)["power_state"] == "Running"


def test_waits_until_the_tools_report_and_the_guest_has_an_address(run_module: Run, simulator: Simulator) -> None:
    create_nic(simulator.session(), create_vm(simulator.session(), "web2"))
    outcome = run_module("xen_power", name="web2", state="running", wait_for="address", wait_timeout=30)
    assert not outcome.failed, outcome.result
    assert outcome["vm"]["guest"]["tools"] is True
    assert outcome["vm"]["addresses"]
    assert [method for method in outcome.methods if method.startswith("VM.get_")] == ["VM.get_all_records_where", "VM.get_record", "VM.get_record"]
    again = run_module("xen_power", name="web2", state="running", wait_for="tools")
    assert not again.changed
    assert again["vm"] == outcome["vm"]


def test_an_address_elsewhere_is_told_when_the_one_in_the_network_does_not_come(run_module: Run, simulator: Simulator) -> None:
    create_nic(simulator.session(), create_vm(simulator.session(), "web2"))
    address = run_module("xen_power", name="web2", state="running", wait_for="address")["vm"]["addresses"][0]
    outcome = run_module("xen_power", name="web2", state="running", wait_for="address", wait_network="203.0.113.0/24", wait_timeout=0.2)
    assert outcome.failed
    assert f"gave up waiting for an address of VM 'web2' in 203.0.113.0/24 after 0.2 seconds; its tools report {address}" in outcome.msg


def test_check_mode_waits_for_nothing(web1: str, run_module: Run) -> None:
    run_module("xen_power", name="web1", state="running")
    outcome = run_module("xen_power", name="web1", state="running", wait_for="tools", wait_timeout=60, check=True)
    assert not outcome.failed
    # One look at what is there; a wait would be a subscription with time to spare.
    assert [call.params[2] for call in outcome.calls if call.method == "event.from"] == [0.0]


def test_a_vm_that_halts_meanwhile_is_not_waited_for(web1: str, run_module: Run, simulator: Simulator) -> None:
    run_module("xen_power", name="web1", state="running")
    stop = threading.Timer(0.3, lambda: simulator.session().VM.hard_shutdown(web1))
    stop.start()
    outcome = run_module("xen_power", name="web1", state="running", wait_for="tools", wait_timeout=20)
    stop.join()
    assert outcome.failed
    assert "VM 'web1' halted while it was waited for; look at its console" in outcome.msg


def test_examples_run(pool_in_memory: Callable[[Simulator], None], simulator: Simulator) -> None:
    pool_in_memory(simulator)
    create_nic(simulator.session(), create_vm(simulator.session(), "web1"))
    outcomes = run_examples(simulator, "xen_power")
    assert all(outcome.changed for outcome in outcomes)
    assert [outcome["vm"]["power_state"] for outcome in outcomes] == ["running", "running", "suspended", "running", "halted", "running"]


class TestAddress:
    """Which address is waited for."""

    def test_of_a_device_in_a_network(self, run_module: Run, simulator: Simulator) -> None:
        create_nic(simulator.session(), create_vm(simulator.session(), "web2"))
        outcome = run_module("xen_power", name="web2", state="running", wait_for="address", wait_device=0, wait_timeout=30)
        assert not outcome.failed, outcome.result
        address = outcome["vm"]["addresses"][0]
        assert not run_module("xen_power", name="web2", state="running", wait_for="address", wait_network=f"{address}/32", wait_timeout=5).failed

    def test_that_never_comes_is_named(self, web1: str, run_module: Run) -> None:
        outcome = run_module("xen_power", name="web1", state="running", wait_for="address", wait_device=3, wait_network="203.0.113.0/24", wait_timeout=0.2)
        assert outcome.failed
        assert "on interface 3 in 203.0.113.0/24" in outcome.msg

    def test_what_is_no_network_is_refused(self, web1: str, run_module: Run) -> None:
        outcome = run_module("xen_power", name="web1", state="running", wait_network="192.0.2.1/24")
        assert outcome.failed
        assert "wait_network '192.0.2.1/24' is no network" in outcome.msg
        assert outcome.writes == []
