# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Drives, NICs and disks of VMs: rules that only xapi's source tells (each test names the file)."""

from __future__ import annotations

from typing import Any

import pytest

from simulator import NULL, Simulator

from ._machines import add_nic, attach, disks, machine, refusal


@pytest.fixture
def vm(session: Any) -> str:
    return machine(session)


def test_an_attached_nic_of_a_paused_vm(session: Any, vm: str) -> None:
    nic = add_nic(session, vm, session.network.get_all()[0], "5")
    session.VM.start(vm, True, False)
    # Helpers.is_running asks for a domain.
    assert refusal(session.VIF.destroy, nic) == ["OPERATION_NOT_ALLOWED", "VIF currently attached to a running VM"]


def test_system_domains_share_disks(session: Any, vm: str) -> None:
    other = machine(session)
    attach(session, other, disks(session, vm)[0], device="5")
    session.VM.start(vm, False, False)
    assert refusal(session.VM.start, other, False, False)[0] == "VDI_IN_USE"
    # system_domains.ml: a key of other_config makes one.
    session.VM.add_to_other_config(other, "is_system_domain", "true")
    session.VM.start(other, False, False)


# When allowed_operations of drives and disks are looked at (xapi_vbd_helpers.ml, message_forwarding.ml, xapi_xenops.ml)


@pytest.fixture
def running(simulator: Simulator, session: Any, vm: str) -> str:
    session.VM.start(vm, False, False)
    simulator.run(simulator.clock.sleep(5))
    return vm


def drive(session: Any, vm: str, vdi: str = NULL) -> str:
    """A CD drive."""
    record = {"VM": vm, "VDI": vdi, "userdevice": "autodetect", "bootable": False, "mode": "RO", "type": "CD", "empty": vdi == NULL}
    return str(session.VBD.create({**record, "other_config": {}, "qos_algorithm_type": "", "qos_algorithm_params": {}}))


def test_setting_a_field_has_no_drive_looked_at(session: Any, vm: str) -> None:
    disk = session.VM.get_VBDs(session.VM.clone(vm, "copy"))[0]
    session.VBD.set_bootable(disk, True)
    session.VBD.set_unpluggable(disk, False)
    assert session.VBD.get_allowed_operations(disk) == []
    cd = drive(session, vm)
    session.VBD.set_type(cd, "Disk")
    assert sorted(session.VBD.get_allowed_operations(cd)) == ["attach", "insert"]
    assert refusal(session.VBD.insert, cd, disks(session, vm)[0]) == ["VBD_NOT_REMOVABLE_MEDIA", cd]


def test_starting_has_them_looked_at(simulator: Simulator, session: Any, vm: str) -> None:
    copy = session.VM.clone(vm, "copy")
    session.VM.start(copy, False, False)
    simulator.run(simulator.clock.sleep(5))
    # The guest's tools are there: update_vm asks for VM.update_allowed_operations.
    for vbd in session.VM.get_VBDs(copy):
        if session.VBD.get_type(vbd) == "Disk":
            assert "unplug" in session.VBD.get_allowed_operations(vbd)


def test_nobody_looks_at_a_disk_that_was_ejected(session: Any, running: str) -> None:
    (sr,) = {session.VDI.get_SR(vdi) for vdi in disks(session, running)}
    values = {"SR": sr, "virtual_size": 1 << 22, "type": "user", "sharable": False, "read_only": False, "other_config": {}}
    vdi = session.VDI.create({**values, "name_label": "image"})
    cd = drive(session, running)
    session.VM.hard_reboot(running)
    session.VBD.insert(cd, vdi)
    used = set(session.VDI.get_allowed_operations(vdi))
    assert "destroy" not in used
    session.VBD.eject(cd)
    # update_vbd_and_vdi_operations looks at the disk of a drive that is not empty.
    assert set(session.VDI.get_allowed_operations(vdi)) == used
    session.VDI.destroy(vdi)


def test_an_image_in_a_guest_without_qemu_comes_and_goes_with_its_drive(simulator: Simulator, session: Any, vm: str) -> None:
    session.VM.set_domain_type(vm, "pv")
    cd = drive(session, vm)
    session.VM.start(vm, False, False)
    assert session.VBD.get_currently_attached(cd) is False
    (sr,) = {session.VDI.get_SR(vdi) for vdi in disks(session, vm)}
    values = {"SR": sr, "virtual_size": 1 << 22, "type": "user", "sharable": False, "read_only": False, "other_config": {}}
    session.VBD.insert(cd, session.VDI.create({**values, "name_label": "image"}))
    assert session.VBD.get_currently_attached(cd) is True
    session.VBD.eject(cd)
    assert session.VBD.get_currently_attached(cd) is False


def test_nobody_looks_at_the_disks_of_a_sleeper_that_is_destroyed(session: Any, running: str) -> None:
    session.VM.suspend(running)
    disk = disks(session, running)[0]
    used = set(session.VDI.get_allowed_operations(disk))
    assert "destroy" not in used
    session.VM.destroy(running)
    # Xapi_vm_helpers.destroy removes the rows of drives, and that is all.
    assert set(session.VDI.get_allowed_operations(disk)) == used
    session.VDI.destroy(disk)


def test_resetting_the_power_state_has_no_device_looked_at(simulator: Simulator, session: Any, vm: str) -> None:
    nic = add_nic(session, vm, session.network.get_all()[0], "5")
    session.VM.start(vm, False, False)
    simulator.run(simulator.clock.sleep(5))
    drive_now = {vbd: set(session.VBD.get_allowed_operations(vbd)) for vbd in session.VM.get_VBDs(vm)}
    nic_now = set(session.VIF.get_allowed_operations(nic))
    assert "unplug" in nic_now

    async def pause() -> None:
        simulator.engine.db.set("VM", vm, "power_state", "Paused")

    simulator.run(pause())
    session.VM.power_state_reset(vm)
    # force_state_reset looks at devices that an operation runs on.
    assert {vbd: set(session.VBD.get_allowed_operations(vbd)) for vbd in drive_now} == drive_now
    assert set(session.VIF.get_allowed_operations(nic)) == nic_now
