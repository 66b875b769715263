# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""VMs that start and stop together (X/xapi_vm_appliance.ml, xapi_vm_appliance_lifecycle.ml)."""

from __future__ import annotations

from typing import Any

import pytest

from simulator import NULL, Simulator

from ._machines import TEMPLATE, machine, only, refusal


@pytest.fixture
def appliance(session: Any) -> str:
    return str(session.VM_appliance.create({"name_label": "shop", "name_description": "Web and database"}))


def members(session: Any, appliance: str, *orders: int) -> list[str]:
    return [machine(session, order=order, appliance=appliance) for order in orders]


def states(session: Any, vms: list[str]) -> list[str]:
    return [session.VM.get_power_state(vm) for vm in vms]


def test_an_empty_one_allows_nothing(session: Any, appliance: str) -> None:
    assert session.VM_appliance.get_allowed_operations(appliance) == []
    assert refusal(session.VM_appliance.start, appliance, False) == ["OPERATION_NOT_ALLOWED", "Appliance has no VMs."]


def test_what_is_allowed_follows_its_vms(session: Any, appliance: str) -> None:
    vms = members(session, appliance, 0, 0)
    assert set(session.VM_appliance.get_VMs(appliance)) == set(vms)
    assert session.VM_appliance.get_allowed_operations(appliance) == ["start"]
    assert refusal(session.VM_appliance.clean_shutdown, appliance) == ["OPERATION_NOT_ALLOWED", "There are no running VMs in this appliance."]
    for message in ("hard_shutdown", "shutdown"):
        refused = refusal(session.call, f"VM_appliance.{message}", appliance)
        assert refused == ["OPERATION_NOT_ALLOWED", "All VMs in this appliance are halted."]
    session.VM.start(vms[0], True, False)
    assert set(session.VM_appliance.get_allowed_operations(appliance)) == {"start", "hard_shutdown", "shutdown"}
    session.VM.unpause(vms[0])
    session.VM.start(vms[1], False, False)
    assert set(session.VM_appliance.get_allowed_operations(appliance)) == {"clean_shutdown", "hard_shutdown", "shutdown"}
    assert refusal(session.VM_appliance.start, appliance, False) == ["OPERATION_NOT_ALLOWED", "There are no halted VMs in this appliance."]


def test_the_lowest_order_starts_first_and_stops_last(simulator: Simulator, session: Any, appliance: str) -> None:
    vms = members(session, appliance, 2, 1, 0)
    session.VM_appliance.start(appliance, False)
    assert states(session, vms) == ["Running"] * 3
    domids = [session.VM.get_domid(vm) for vm in vms]
    assert domids == sorted(domids, reverse=True)
    for vm in vms:
        session.VM.set_shutdown_delay(vm, 5)
    simulator.run(simulator.clock.sleep(5))
    session.VM_appliance.clean_shutdown(appliance)
    assert states(session, vms) == ["Halted"] * 3
    # The highest stops first, and the next waits for it.
    ends = [ended(session, vm) for vm in vms]
    assert ends == sorted(set(ends))


def ended(session: Any, vm: str) -> str:
    """When the VM was told to be shut down."""
    found = [one for one in session.message.get_all_records().values() if one["obj_uuid"] == session.VM.get_uuid(vm)]
    return only([str(one["timestamp"]) for one in found if one["name"] == "VM_SHUTDOWN"])


def test_some_may_fail(session: Any, appliance: str) -> None:
    vms = members(session, appliance, 0, 0)
    session.VM.add_to_blocked_operations(vms[0], "start", "not today")
    assert refusal(session.VM_appliance.start, appliance, False) == ["OPERATION_PARTIALLY_FAILED", "VM_appliance.start", vms[0]]
    assert states(session, vms) == ["Halted", "Running"]
    session.VM_appliance.hard_shutdown(appliance)
    assert states(session, vms) == ["Halted", "Halted"]


def test_a_paused_start(session: Any, appliance: str) -> None:
    vms = members(session, appliance, 0)
    session.VM_appliance.start(appliance, True)
    assert states(session, vms) == ["Paused"]
    session.VM_appliance.shutdown(appliance)
    assert states(session, vms) == ["Halted"]


def test_who_cannot_be_a_member(session: Any, appliance: str) -> None:
    (template,) = session.VM.get_by_name_label(TEMPLATE)
    snapshot = session.VM.snapshot(machine(session), "now")
    dom0 = only([vm for vm, record in session.VM.get_all_records().items() if record["is_control_domain"]])
    for vm in (template, snapshot, dom0):
        assert refusal(session.VM.set_appliance, vm, appliance)[0] == "OPERATION_NOT_ALLOWED"


def test_a_member_becomes_no_template_until_the_appliance_is_gone(session: Any, appliance: str) -> None:
    (vm,) = members(session, appliance, 0)
    assert refusal(session.VM.set_is_a_template, vm, True) == ["VM_IS_PART_OF_AN_APPLIANCE", vm, appliance]
    session.VM_appliance.destroy(appliance)
    assert session.VM.get_appliance(vm) in (appliance, NULL)
    session.VM.set_is_a_template(vm, True)
