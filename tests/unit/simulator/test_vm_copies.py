# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""VM: clones, copies, snapshots, checkpoints and the way back (facts 3.3; recording snapshots)."""

from __future__ import annotations

from typing import Any

import pytest

from simulator import NULL, Simulator

from ._machines import MIB, add_disk, add_nic, disks, gone, machine, only, refusal, sr_named


@pytest.fixture
def nfs(session: Any) -> str:
    return sr_named(session, "NFS storage")


@pytest.fixture
def vm(session: Any) -> str:
    """One disk, one CD drive, one NIC, and something in every field that copies treat in their own way."""
    vm = machine(session, tags=["kept"], start_delay=5, order=3, ha_restart_priority="best-effort")
    session.VM.set_blocked_operations(vm, {"pause": "no"})
    session.VM.set_xenstore_data(vm, {"vm-data/a": "1"})
    session.VM.add_to_other_config(vm, "mine", "yes")
    record = {"VM": vm, "VDI": NULL, "userdevice": "3", "bootable": False, "mode": "RO", "type": "CD", "empty": True, "other_config": {}}
    session.VBD.create({**record, "qos_algorithm_type": "", "qos_algorithm_params": {}})
    return vm


@pytest.fixture
def running(simulator: Simulator, session: Any) -> str:
    vm = machine(session, start=True)
    simulator.run(simulator.clock.sleep(5))
    return vm


def write(simulator: Simulator, vdi: str, data: bytes) -> None:
    async def act() -> None:
        simulator.engine.behaviours["VDI"].volume(vdi).write(0, data)

    simulator.run(act())


def read(simulator: Simulator, vdi: str, length: int) -> bytes:
    async def act() -> bytes:
        return bytes(simulator.engine.behaviours["VDI"].volume(vdi).read(0, length))

    return simulator.run(act())


def macs(session: Any, vm: str) -> list[str]:
    return [session.VIF.get_MAC(vif) for vif in session.VM.get_VIFs(vm)]


# Clone and copy


@pytest.mark.parametrize("message", ["clone", "copy"])
def test_a_copy_is_a_vm_of_its_own(session: Any, vm: str, message: str) -> None:
    copied = session.call(f"VM.{message}", vm, "another", *([NULL] if message == "copy" else []))
    old, new = session.VM.get_record(vm), session.VM.get_record(copied)
    assert new["name_label"] == "another"
    for field in ("tags", "xenstore_data", "memory_static_max", "VCPUs_max", "platform", "HVM_boot_params", "name_description"):
        assert new[field] == old[field], field
    assert (new["start_delay"], new["order"], new["blocked_operations"], new["is_a_template"]) == (0, 0, {}, False)
    assert new["other_config"]["mine"] == "yes"
    assert new["other_config"]["mac_seed"] != old["other_config"]["mac_seed"]
    assert "base_template_name" in new["other_config"]
    assert macs(session, copied) != macs(session, vm)
    assert len(macs(session, copied)) == 1
    assert set(disks(session, copied)).isdisjoint(disks(session, vm))
    assert sorted(session.VBD.get_type(vbd) for vbd in new["VBDs"]) == ["CD", "Disk"]


def test_a_copy_has_the_bytes(simulator: Simulator, session: Any, vm: str) -> None:
    (disk,) = disks(session, vm)
    write(simulator, disk, b"before")
    (cloned,), (copied,) = disks(session, session.VM.clone(vm, "c")), disks(session, session.VM.copy(vm, "d", NULL))
    write(simulator, disk, b"after!")
    assert read(simulator, cloned, 6) == read(simulator, copied, 6) == b"before"


def test_a_copy_may_go_to_another_storage(session: Any, vm: str) -> None:
    local = sr_named(session, "Local storage")
    (copied,) = disks(session, session.VM.copy(vm, "there", local))
    assert session.VDI.get_SR(copied) == local
    library = sr_named(session, "ISO library")
    assert refusal(session.VM.copy, vm, "nowhere", library)[0] == "OPERATION_NOT_ALLOWED"


def test_what_was_made_goes_when_a_copy_fails(simulator: Simulator, session: Any, nfs: str) -> None:
    vm = machine(session)
    write(simulator, add_disk(session, vm, nfs, size=64 * MIB), b"x" * (32 * MIB))
    before = set(session.VDI.get_all()), set(session.VM.get_all())
    local = sr_named(session, "Local storage")
    simulator.fill(local, leave=16 * MIB)
    try:
        assert refusal(session.VM.copy, vm, "half", local)[0] == "VDI_IO_ERROR"
        assert (set(session.VDI.get_all()), set(session.VM.get_all())) == before
    finally:
        simulator.fill(local, leave=100 << 30)


def test_a_snapshot_can_be_cloned_into_a_vm(session: Any, vm: str) -> None:
    snapshot = session.VM.snapshot(vm, "then")
    cloned = session.VM.clone(snapshot, "born of a snapshot")
    row = session.VM.get_record(cloned)
    assert (row["is_a_snapshot"], row["is_a_template"], row["snapshot_of"]) == (False, True, NULL)
    assert row["other_config"]["base_template_name"] == session.VM.get_other_config(vm)["base_template_name"]
    session.VM.provision(cloned)
    session.VM.start(cloned, False, False)


# Snapshots


def test_a_snapshot(session: Any, vm: str) -> None:
    snapshot = session.VM.snapshot(vm, "then")
    row = session.VM.get_record(snapshot)
    assert (row["is_a_snapshot"], row["is_a_template"], row["snapshot_of"], row["power_state"]) == (True, True, vm, "Halted")
    assert row["snapshot_info"]["power-state-at-snapshot"] == "Halted"
    assert row["snapshot_time"] != "19700101T00:00:00Z"
    assert row["other_config"]["mac_seed"] == session.VM.get_other_config(vm)["mac_seed"]
    assert macs(session, snapshot) == macs(session, vm)
    assert session.VM.get_snapshots(vm) == [snapshot]
    (old,), (new,) = disks(session, vm), disks(session, snapshot)
    assert (session.VDI.get_is_a_snapshot(new), session.VDI.get_snapshot_of(new)) == (True, old)


def test_snapshots_are_a_chain(session: Any, vm: str) -> None:
    first, second = session.VM.snapshot(vm, "1"), session.VM.snapshot(vm, "2")
    assert session.VM.get_parent(first) == NULL
    assert session.VM.get_parent(second) == first
    assert session.VM.get_parent(vm) == second
    session.VM.revert(first)
    assert session.VM.get_parent(vm) == first
    third = session.VM.snapshot(vm, "3")
    assert set(session.VM.get_children(first)) == {second, third}


def test_disks_may_be_left_out(session: Any, vm: str, nfs: str) -> None:
    big = add_disk(session, vm, nfs)
    snapshot = session.VM.snapshot(vm, "small", [big])
    assert [session.VDI.get_snapshot_of(vdi) for vdi in disks(session, snapshot)] == disks(session, vm)[:1]


def test_a_checkpoint_of_a_running_vm_sleeps(session: Any, running: str) -> None:
    checkpoint = session.VM.checkpoint(running, "asleep")
    assert session.VM.get_power_state(running) == "Running"
    row = session.VM.get_record(checkpoint)
    assert row["power_state"] == "Suspended"
    assert session.VDI.get_type(row["suspend_VDI"]) == "suspend"
    assert row["snapshot_info"]["power-state-at-snapshot"] == "Running"
    session.VM.hard_shutdown(running)
    session.VM.revert(checkpoint)
    assert session.VM.get_power_state(running) == "Suspended"
    session.VM.resume(running, False, False)


def test_a_checkpoint_of_a_halted_vm(session: Any, vm: str) -> None:
    assert refusal(session.VM.checkpoint, vm, "x") == ["VM_BAD_POWER_STATE", vm, "paused, suspended, running", "halted"]


# The way back


def test_revert_brings_disks_and_fields_back(simulator: Simulator, session: Any, vm: str, nfs: str) -> None:
    (disk,) = disks(session, vm)
    write(simulator, disk, b"before")
    uuid, mac = session.VM.get_uuid(vm), macs(session, vm)
    snapshot = session.VM.snapshot(vm, "then")
    write(simulator, disk, b"after!")
    name = session.VM.get_name_label(vm)
    session.VM.set_name_label(vm, "renamed")
    session.VM.set_tags(vm, ["of today"])
    session.VM.set_name_description(vm, "changed")
    session.VM.set_VCPUs_max(vm, 4)
    added = add_disk(session, vm, nfs)
    add_nic(session, vm, only(session.network.get_by_name_label("Private")), device="1")
    session.VM.revert(snapshot)
    assert session.VM.get_uuid(vm) == uuid
    # Fields are those of the VM at that time; tags, for one, stay.
    assert session.VM.get_name_label(vm) == name
    assert session.VM.get_tags(vm) == ["of today"]
    assert (session.VM.get_name_description(vm), session.VM.get_VCPUs_max(vm)) == (session.VM.get_name_description(snapshot), 1)
    (back,) = disks(session, vm)
    assert read(simulator, back, 6) == b"before"
    assert gone(session, "VDI", disk)
    # A disk that the snapshot knows nothing of is let go, not destroyed.
    assert session.VDI.get_VBDs(added) == []
    assert macs(session, vm) == mac
    assert session.VDI.get_snapshot_of(only(disks(session, snapshot))) == back


def test_revert_stops_a_running_vm(session: Any, running: str) -> None:
    snapshot = session.VM.snapshot(running, "then")
    session.VM.revert(snapshot)
    assert session.VM.get_power_state(running) == "Halted"


def test_revert_makes_a_vm_that_is_gone_anew(session: Any, vm: str) -> None:
    uuid = session.VM.get_uuid(vm)
    snapshot = session.VM.snapshot(vm, "then")
    session.VM.destroy(vm)
    session.VM.revert(snapshot)
    anew = session.VM.get_by_uuid(uuid)
    assert session.VM.get_is_a_template(anew) is False
    assert len(disks(session, anew)) == 1
    session.VM.start(anew, False, False)


def test_destroying_a_snapshot_leaves_its_disks(session: Any, vm: str) -> None:
    snapshot = session.VM.snapshot(vm, "then")
    (disk,) = disks(session, snapshot)
    session.VM.destroy(snapshot)
    assert session.VDI.get_snapshot_of(disk) == only(disks(session, vm))
    assert session.VM.get_snapshots(vm) == []


# Templates


def test_a_template_of_a_vm(session: Any, vm: str) -> None:
    metrics = session.VM.get_metrics(vm)
    session.VM.set_is_a_template(vm, True)
    assert session.VM.get_metrics(vm) == NULL
    assert gone(session, "VM_metrics", metrics)
    cloned = session.VM.clone(vm, "of it")
    assert session.VM.get_is_a_template(cloned)
    session.VM.provision(cloned)
    assert not session.VM.get_is_a_template(cloned)
    assert session.VM_metrics.get_install_time(session.VM.get_metrics(cloned)) != "19700101T00:00:00Z"


def test_a_template_brings_its_disks(session: Any, nfs: str) -> None:
    template = only(session.VM.get_by_name_label("Debian Bookworm 12"))
    vm = session.VM.clone(template, "made")
    text = session.VM.get_other_config(vm)["disks"]
    uuid = session.SR.get_uuid(nfs)
    session.VM.remove_from_other_config(vm, "disks")
    session.VM.add_to_other_config(vm, "disks", text.replace('sr=""', f'sr="{uuid}"'))
    session.VM.provision(vm)
    (disk,) = disks(session, vm)
    assert session.VDI.get_virtual_size(disk) == 10 << 30
    assert session.VDI.get_SR(disk) == nfs
    assert "disks" not in session.VM.get_other_config(vm)
    (vbd,) = session.VM.get_VBDs(vm)
    assert (session.VBD.get_userdevice(vbd), session.VBD.get_bootable(vbd), "owner" in session.VBD.get_other_config(vbd)) == ("0", True, True)


def test_a_template_whose_storage_is_unknown(session: Any) -> None:
    template = only(session.VM.get_by_name_label("Other install media"))
    vm = session.VM.clone(template, "made")
    session.VM.add_to_other_config(vm, "disks", f'<provision><disk device="0" size="{MIB}" sr="nowhere" bootable="true"/></provision>')
    assert refusal(session.VM.provision, vm) == ["UUID_INVALID", "sr", "nowhere"]
    assert session.VM.get_VBDs(vm) == []
