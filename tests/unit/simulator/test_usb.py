# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""USB devices passed through to VMs (X/xapi_vusb.ml, xapi_vusb_helpers.ml, xapi_pusb.ml, xapi_usb_group.ml)."""

from __future__ import annotations

from typing import Any

import pytest

from simulator import Simulator, VirtualClock

from ._asking import fixtures
from ._graphics import world
from ._machines import GIB, attach, host_named, machine, only, refusal

NOBODY = "OpaqueRef:nobody"


simulator, session = fixtures(lambda: Simulator(world(), clock=VirtualClock()))


@pytest.fixture
def vm(session: Any) -> str:
    return machine(session)


@pytest.fixture
def stick(session: Any) -> str:
    return only(session.PUSB.get_all())


def change(simulator: Simulator, cls: str, ref: str, **values: Any) -> None:
    async def run() -> None:
        simulator.engine.db.update(cls, ref, **values)

    simulator.run(run())


def test_a_vm_has_the_stick_while_it_runs(session: Any, vm: str, stick: str) -> None:
    vusb = session.VUSB.create(vm, session.PUSB.get_USB_group(stick), {})
    assert session.VM.get_VUSBs(vm) == [vusb]
    session.VM.start(vm, False, False)
    assert session.VM.get_resident_on(vm) == host_named(session, "xs1")
    assert session.VUSB.get_currently_attached(vusb) is True
    assert set(session.VUSB.get_allowed_operations(vusb)) == {"attach", "unplug"}
    uuid = session.VUSB.get_uuid(vusb)
    refused = ["OPERATION_NOT_ALLOWED", f"VUSB '{uuid}' still attached to '{session.VM.get_uuid(vm)}'"]
    assert refusal(session.VUSB.destroy, vusb) == refused
    session.VUSB.unplug(vusb)
    assert refusal(session.VUSB.unplug, vusb) == ["DEVICE_ALREADY_DETACHED", vusb]
    session.VUSB.destroy(vusb)
    assert session.VM.get_VUSBs(vm) == []


def test_unplugging_wants_a_running_guest_with_qemu(session: Any, vm: str, stick: str) -> None:
    vusb = session.VUSB.create(vm, session.PUSB.get_USB_group(stick), {})
    assert refusal(session.VUSB.unplug, vusb) == ["VM_BAD_POWER_STATE", vm, "running", "halted"]
    session.VM.set_domain_type(vm, "pv")
    session.VM.start(vm, False, False)
    # vusb_unplug in X/xapi_xenops.ml
    assert refusal(session.VUSB.unplug, vusb) == ["INTERNAL_ERROR", f"vusb_unplug: Unable to unplug vusb {vusb}"]


def test_no_plug_changes_under_a_shutdown(simulator: Simulator, session: Any, vm: str, stick: str) -> None:
    vusb = session.VUSB.create(vm, session.PUSB.get_USB_group(stick), {})
    session.VM.start(vm, False, False)
    change(simulator, "VM", vm, current_operations={"OpaqueRef:task": "clean_shutdown"})
    refused = ["OPERATION_NOT_ALLOWED", f"Current operation on VM:{vm} is clean_shutdown"]
    assert refusal(session.VUSB.unplug, vusb) == refused


def test_where_the_vm_can_run(session: Any, vm: str, stick: str) -> None:
    elsewhere = host_named(session, "xs2")
    vusb = session.VUSB.create(vm, session.PUSB.get_USB_group(stick), {})
    refused = ["OPERATION_NOT_ALLOWED", f"VUSB {vusb} is not available on Host {elsewhere}"]
    assert refusal(session.VM.start_on, vm, elsewhere, False, False) == refused
    session.VM.start(vm, False, False)
    assert refusal(session.VM.snapshot, vm, "now") == ["VM_HAS_VUSBS", vm]


def test_what_vusb_create_refuses(simulator: Simulator, session: Any, vm: str, stick: str) -> None:
    sticks = session.PUSB.get_USB_group(stick)
    assert refusal(session.VUSB.create, NOBODY, sticks, {}) == ["HANDLE_INVALID", "VM", NOBODY]
    assert refusal(session.VUSB.create, vm, NOBODY, {}) == ["HANDLE_INVALID", "USB_group", NOBODY]
    session.VM.set_ha_restart_priority(vm, "restart")
    assert refusal(session.VUSB.create, vm, sticks, {})[0] == "OPERATION_NOT_ALLOWED"
    session.VM.set_ha_restart_priority(vm, "")
    session.VUSB.create(vm, sticks, {})
    assert refusal(session.VUSB.create, machine(session), sticks, {}) == ["USB_GROUP_CONFLICT", sticks]
    for number in range(5):
        session.VUSB.create(vm, session.USB_group.create(f"hub {number}", "", {}), {})
    assert refusal(session.VUSB.create, vm, session.USB_group.create("one more", "", {}), {}) == ["TOO_MANY_VUSBS", "6"]
    pool = simulator.engine.pool
    change(simulator, "pool", pool, restrictions={**session.pool.get_restrictions(pool), "restrict_usb_passthrough": "true"})
    # The licence comes before the VM.
    assert refusal(session.VUSB.create, NOBODY, sticks, {}) == ["LICENCE_RESTRICTION", "USB_passthrough"]


def test_switching_passthrough_off_takes_the_vusb_away(session: Any, vm: str, stick: str) -> None:
    session.PUSB.scan(host_named(session, "xs1"))
    session.PUSB.set_passthrough_enabled(stick, True)
    assert session.PUSB.get_passthrough_enabled(stick) is True
    vusb = session.VUSB.create(vm, session.PUSB.get_USB_group(stick), {})
    session.VM.start(vm, False, False)
    assert refusal(session.PUSB.set_passthrough_enabled, stick, False) == ["USB_ALREADY_ATTACHED", stick, vm]
    session.VUSB.unplug(vusb)
    session.PUSB.set_passthrough_enabled(stick, False)
    assert (session.VM.get_VUSBs(vm), session.PUSB.get_passthrough_enabled(stick)) == ([], False)


def test_a_stick_is_storage_or_passed_through(session: Any, vm: str, stick: str) -> None:
    host = host_named(session, "xs1")
    sr = session.SR.create(host, {"location": "/dev/xapi/block"}, GIB, "Removable storage", "", "udev", "disk", False, {})
    names = ("uuid", "name_label", "name_description", "SR", "type", "sharable", "read_only", "other_config", "location", "xenstore_data")
    values = dict(zip(names, ("5a0c1c3e-6d2b-4b1e-9a77-0f4d3c2b1a00", "stick", "", sr, "user", False, False, {}, "/dev/sdb", {}), strict=True))
    vdi = session.VDI.introduce(*values.values(), {"usb_path": session.PUSB.get_path(stick)})
    drive = attach(session, vm, vdi)
    assert refusal(session.PUSB.set_passthrough_enabled, stick, True) == ["PUSB_VDI_CONFLICT", stick, vdi]
    session.VBD.destroy(drive)
    session.PUSB.set_passthrough_enabled(stick, True)
    assert session.SR.get_VDIs(sr) == []


def test_a_group_goes_when_nothing_is_in_it(session: Any, vm: str, stick: str) -> None:
    sticks = session.PUSB.get_USB_group(stick)
    assert refusal(session.USB_group.destroy, sticks) == ["USB_GROUP_CONTAINS_PUSB", stick]
    vusb = session.VUSB.create(vm, sticks, {})
    session.VM.start(vm, False, False)
    assert refusal(session.USB_group.destroy, sticks) == ["USB_GROUP_CONTAINS_VUSB", vusb]
    empty = session.USB_group.create("empty", "", {})
    session.VUSB.create(vm, empty, {})
    session.USB_group.destroy(empty)
    assert session.VM.get_VUSBs(vm) == [vusb]
