# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from simulator import NULL, Rule, Simulator

from ..conftest import Outcome, Run
from ..scenario import Do, Scenario
from .vms import GIB, PVH, attach, create_disk, create_nic, create_vm, run_examples

FIRST = {
    "name": "web1",
    "memory": "2GiB",
    "vcpus": 2,
    "boot_mode": "hvm",
    "tags": ["web", "a"],
    "vcpu_weight": 512,
    "vcpu_mask": [3, 1],
    "bootable": False,
    "affinity": "xs1",
    "platform_device_id": 2,
}
SCENARIO = Scenario(
    Do(FIRST),
    Do({"name": "web1", "memory": "4GiB", "memory_dynamic_min": "1GiB", "vcpus": 4, "cores_per_socket": 2, "description": "Shop", "tags": []}),
    Do({"name": "web1", "vcpus": 1, "vcpus_max": 2, "vcpu_mask": [], "bootable": True, "blocked_operations": {"suspend": "keep"}}),
    Do({"name": "web1", "firmware": "uefi", "secure_boot": "auto", "boot_order": "cdn", "affinity": "", "xenstore_data": {"vm-data/a": 1}}),
    Do({"name": "web1", "boot_mode": "pygrub", "blocked_operations": {"suspend": None}, "other_config": {"folder": "/x"}}),
    Do({"name": "web1", "new_name": "web2"}),
    Do({"name": "web2", "state": "absent"}),
    Do({"name": "db1", "template": "Debian 12 (cloud image)", "memory": "3GiB", "description": "database"}),
    Do({"name": "db2", "source_vm": "db1", "full_copy": True, "vcpus": 2}),
    Do({"name": "db3", "template": "Debian Bookworm 12", "sr": "NFS storage", "memory": "3GiB"}),
    Do({"name": "db4", "template": "Debian Bookworm 12", "template_disks": False, "bootable": False}),
    Do({"name": "db1", "state": "absent", "destroy_disks": True, "destroy_owned": True, "purge_networks": True}, told=("removed", "left")),
    world="three_hosts",
)
MIB = 2**20

pytestmark = pytest.mark.world("three_hosts")


def named(simulator: Simulator, name: str) -> list[dict[str, Any]]:
    return [record for record in simulator.records("VM").values() if record["name_label"] == name]


def vm(simulator: Simulator, name: str) -> dict[str, Any]:
    (record,) = named(simulator, name)
    return record


def params_of(outcome: Outcome, method: str) -> list[Any]:
    """What the one call of this message was given."""
    (call,) = [call for call in outcome.calls if call.method == method]
    return list(call.params)


def disks(simulator: Simulator, record: dict[str, Any]) -> list[dict[str, Any]]:
    drives = [drive for ref, drive in simulator.records("VBD").items() if ref in record["VBDs"] and drive["type"] == "Disk"]
    return [simulator.records("VDI")[drive["VDI"]] for drive in sorted(drives, key=lambda drive: drive["userdevice"])]


# The table of driver-operations §3.2: what VM.create is given for 2 GiB and 2 virtual CPUs, whatever the mode.
EVERY_MODE = {
    "name_label": "web1",
    "name_description": "",
    "user_version": 0,
    "is_a_template": False,
    "affinity": NULL,
    "tags": [],
    "recommendations": "",
    "PCI_bus": "",
    "memory_static_max": 2 * GIB,
    "memory_dynamic_max": 2 * GIB,
    "memory_dynamic_min": 2 * GIB,
    "memory_target": 2 * GIB,
    "memory_static_min": 0,
    "VCPUs_max": 2,
    "VCPUs_at_startup": 2,
    "VCPUs_params": {},
    "actions_after_shutdown": "destroy",
    "actions_after_reboot": "restart",
    "actions_after_crash": "destroy",
    "xenstore_data": {"vm-data/allowvssprovider": "false"},
    "ha_always_run": False,
    "ha_restart_priority": "",
    "blocked_operations": {},
    "has_vendor_device": False,
    "other_config": {"nova_uuid": "4f0c"},
}
EVERY_PLATFORM = {"acpi": "true", "apic": "true", "pae": "true", "timeoffset": "0", "viridian": "false"}
MODES = {
    "pv_kernel": {
        "PV_args": "root=/dev/xvda1",
        "PV_kernel": "/boot/guest/k",
        "PV_ramdisk": "/boot/guest/r",
        "PV_bootloader": "",
        "HVM_boot_policy": "",
        "HVM_boot_params": {},
        "platform": {**EVERY_PLATFORM, "nx": "false"},
    },
    "pygrub": {
        "PV_args": "",
        "PV_kernel": "",
        "PV_ramdisk": "",
        "PV_bootloader": "pygrub",
        "HVM_boot_policy": "",
        "HVM_boot_params": {},
        "platform": {**EVERY_PLATFORM, "nx": "false"},
    },
    "hvm": {
        "PV_args": "",
        "PV_kernel": "",
        "PV_ramdisk": "",
        "PV_bootloader": "",
        "HVM_boot_policy": "BIOS order",
        "HVM_boot_params": {"order": "dc"},
        "platform": {**EVERY_PLATFORM, "nx": "true"},
    },
}


@pytest.mark.parametrize("mode", MODES)
def test_the_record_of_each_boot_mode(mode: str, run_module: Run, simulator: Simulator) -> None:
    kernel = {"pv_kernel": "/boot/guest/k", "pv_ramdisk": "/boot/guest/r"} if mode == "pv_kernel" else {}
    outcome = run_module("xen_vm", name="web1", memory="2GiB", vcpus=2, boot_mode=mode, other_config={"nova_uuid": "4f0c"}, **kernel)
    (sent,) = params_of(outcome, "VM.create")
    wanted = {**EVERY_MODE, **MODES[mode]}
    assert {key: sent[key] for key in wanted} == wanted
    record = vm(simulator, "web1")
    kept = {key: value for key, value in wanted.items() if key != "other_config"}
    assert {key: record[key] for key in kept} == kept
    assert record["other_config"]["nova_uuid"] == "4f0c"
    assert (record["power_state"], record["VBDs"], record["VIFs"]) == ("Halted", [], [])


@pytest.mark.parametrize(
    ("options", "mode", "viridian"),
    [
        ({}, "hvm", "false"),
        ({"os_type": "linux"}, "pygrub", "false"),
        ({"os_type": "windows", "image_format": "vhd"}, "hvm", "true"),
        ({"image_format": "vhd"}, "pygrub", "false"),
        ({"image_format": "raw"}, "hvm", "false"),
        ({"pv_kernel": "/boot/guest/k"}, "pv_kernel", "false"),
        ({"os_type": "linux", "boot_mode": "hvm"}, "hvm", "false"),
    ],
    ids=str,
)
def test_automatic_boot_mode(options: dict[str, Any], mode: str, viridian: str, run_module: Run) -> None:
    outcome = run_module("xen_vm", name="web1", memory="1GiB", **options)
    assert outcome["vm"]["boot_mode"] == mode
    assert outcome["vm"]["platform"]["viridian"] == viridian


def test_weight_mask_and_device_id(run_module: Run, simulator: Simulator) -> None:
    run_module("xen_vm", **{**FIRST, "affinity": None})
    record = vm(simulator, "web1")
    assert record["VCPUs_params"] == {"weight": "512", "cap": "0", "mask": "1,3"}
    assert record["platform"]["device_id"] == "0002"


def test_uefi_made_from_nothing_has_the_model_that_boots_it(run_module: Run, simulator: Simulator) -> None:
    run_module("xen_vm", name="web1", memory="1GiB", firmware="uefi", secure_boot="enabled")
    record = vm(simulator, "web1")
    assert record["HVM_boot_params"] == {"order": "dc", "firmware": "uefi"}
    assert (record["platform"]["secureboot"], record["platform"]["device-model"]) == ("true", "qemu-upstream-uefi")


def test_repeat_makes_no_write(run_module: Run) -> None:
    run_module("xen_vm", **FIRST)
    again = run_module("xen_vm", **FIRST)
    assert not again.changed
    assert again.writes == []


def test_left_out_options_leave_their_fields_alone(run_module: Run, simulator: Simulator) -> None:
    run_module("xen_vm", **FIRST)
    before = vm(simulator, "web1")
    outcome = run_module("xen_vm", name="web1", description="Shop")
    assert outcome.writes == ["VM.set_name_description"]
    assert {**before, "name_description": "Shop"} == vm(simulator, "web1")


def test_memory_is_set_in_one_call_whatever_the_direction(run_module: Run, simulator: Simulator) -> None:
    run_module("xen_vm", name="web1", memory="2GiB")
    for memory in ("8GiB", "1GiB"):
        assert run_module("xen_vm", name="web1", memory=memory).writes == ["VM.set_memory_limits"]
        assert vm(simulator, "web1")["memory_static_max"] == int(memory[0]) * GIB


def test_vcpus_never_exceed_the_maximum_on_the_way(run_module: Run, simulator: Simulator) -> None:
    run_module("xen_vm", name="web1", memory="1GiB", vcpus=4)
    down = run_module("xen_vm", name="web1", vcpus=1, vcpus_max=2)
    assert down.writes == ["VM.set_VCPUs_at_startup", "VM.set_VCPUs_max"]
    up = run_module("xen_vm", name="web1", vcpus=8)
    assert up.writes == ["VM.set_VCPUs_max", "VM.set_VCPUs_at_startup"]
    assert (vm(simulator, "web1")["VCPUs_at_startup"], vm(simulator, "web1")["VCPUs_max"]) == (8, 8)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"memory": "plenty"}, "memory 'plenty' is no size; write a number of bytes or something like 8GiB"),
        ({"memory": "8"}, "memory '8' is 8 bytes, with which no VM runs; write its unit, such as 8GiB"),
        ({}, "VM 'web1' does not exist, and making one from nothing needs memory"),
        ({"memory": "1GiB", "memory_dynamic_min": "2GiB"}, "memory_dynamic_min (2GiB) is more than memory_dynamic_max (1GiB)"),
        ({"memory": "1GiB", "vcpus": 0}, "0 vcpus of at most"),
        ({"memory": "1GiB", "vcpus": 4, "vcpus_max": 2}, "4 vcpus of at most 2"),
        ({"memory": "1GiB", "vcpu_weight": 70000}, "vcpu_weight 70000 is no weight"),
        ({"memory": "1GiB", "vcpus": 3, "cores_per_socket": 2}, "cores_per_socket 2 does not divide vcpus_max 3"),
        ({"memory": "1GiB", "secure_boot": "enabled"}, "secure_boot enabled needs firmware uefi"),
        ({"memory": "1GiB", "boot_mode": "pv_kernel"}, "boot_mode pv_kernel needs pv_kernel"),
        ({"memory": "1GiB", "boot_mode": "hvm", "pv_kernel": "/boot/k"}, "would not be used in boot_mode hvm"),
        ({"memory": "1GiB", "start_delay": -1}, "start_delay -1 is impossible"),
        ({"memory": "1GiB", "affinity": "xs9"}, "there is no host 'xs9' in this pool"),
        ({"memory": "1GiB", "suspend_sr": "nowhere"}, "there is no SR 'nowhere' in this pool"),
        ({"template": "No such"}, "there is no template 'No such' in this pool"),
        ({"source_vm": "No such"}, "there is no VM 'No such' in this pool"),
        ({"source_snapshot": "No such"}, "there is no snapshot 'No such' in this pool"),
        ({"template": "Windows 11", "sr": "nowhere"}, "there is no storage repository 'nowhere' in this pool"),
    ],
    ids=str,
)
def test_what_is_wrong_is_refused_before_anything_is_made(params: dict[str, Any], message: str, run_module: Run, simulator: Simulator) -> None:
    outcome = run_module("xen_vm", name="web1", **params)
    assert outcome.failed
    assert message in outcome.msg
    assert outcome.writes == []
    assert named(simulator, "web1") == []


def test_two_vms_of_one_name_are_told_apart_by_uuid(run_module: Run, simulator: Simulator) -> None:
    session = simulator.session()
    refs = [create_vm(session, "twin") for _unused in range(2)]
    outcome = run_module("xen_vm", name="twin", state="absent")
    assert outcome.failed
    assert "2 VMs are named 'twin'; select one by uuid" in outcome.msg
    uuid = session.VM.get_uuid(refs[0])
    assert uuid in outcome.msg
    assert run_module("xen_vm", uuid=uuid, state="absent").changed
    assert len(named(simulator, "twin")) == 1


def test_two_templates_of_one_name_are_told_apart_by_uuid(run_module: Run, simulator: Simulator) -> None:
    session = simulator.session()
    refs = [create_vm(session, "golden") for _unused in range(2)]
    for ref in refs:
        session.VM.set_is_a_template(ref, True)
    outcome = run_module("xen_vm", name="web1", template="golden")
    assert outcome.failed
    assert "2 templates are named 'golden'; select one by uuid" in outcome.msg
    assert outcome.writes == []
    assert run_module("xen_vm", name="web1", template=session.VM.get_uuid(refs[1])).changed


def test_a_template_of_the_name_is_no_vm(run_module: Run, simulator: Simulator) -> None:
    assert not run_module("xen_vm", name="Windows 11", state="absent").changed
    (template,) = named(simulator, "Windows 11")
    outcome = run_module("xen_vm", uuid=template["uuid"], description="mine")
    assert outcome.failed
    assert "'Windows 11' is a template and no VM; create a VM from it first (xen_vm with template: Windows 11)" in outcome.msg


def test_check_memory_counts_what_is_free_on_the_host(run_module: Run, simulator: Simulator) -> None:
    session = simulator.session()
    (host,) = [ref for ref, record in simulator.records("host").items() if record["name_label"] == "xs2"]
    free = session.host.compute_free_memory(host) // MIB
    too_much = run_module("xen_vm", name="web1", memory=f"{free + 1}MiB", check_memory=True, affinity="xs2")
    assert too_much.failed
    assert "VM.create" not in too_much.methods
    assert f"no host has {free + 1}MiB of memory free (xs2 " in too_much.msg
    assert run_module("xen_vm", name="web1", memory=f"{free}MiB", check_memory=True, affinity="xs2").changed


def test_check_memory_counts_where_it_will_be_started(run_module: Run, simulator: Simulator) -> None:
    session = simulator.session()
    hosts = {record["name_label"]: ref for ref, record in simulator.records("host").items()}
    free = {name: session.host.compute_free_memory(ref) for name, ref in hosts.items()}
    full = min(free, key=lambda name: free[name])
    ref = create_vm(session, "large")
    session.VM.set_memory_limits(ref, 0, 32 * 1024 * MIB, 32 * 1024 * MIB, 32 * 1024 * MIB)
    session.VM.start_on(ref, hosts[full], False, False)
    memory = f"{free[full] // MIB - 1024}MiB"
    assert f"no host has {memory}" in run_module("xen_vm", name="web1", memory=memory, check_memory=True, check_memory_on=full).msg
    assert run_module("xen_vm", name="web1", memory=memory, check_memory=True).changed


def test_check_memory_without_a_host_looks_at_all(run_module: Run) -> None:
    outcome = run_module("xen_vm", name="web1", memory="900TiB", check_memory=True)
    assert outcome.failed
    assert all(host in outcome.msg for host in ("xs1", "xs2", "xs3"))


# A running VM


@pytest.fixture
def running(simulator: Simulator) -> str:
    session = simulator.session()
    ref = create_vm(session, "web1", other_config={"simulator-guest": "none"})
    session.VM.start(ref, False, False)
    return ref


def test_one_error_names_all_that_needs_a_halted_vm(running: str, run_module: Run, simulator: Simulator) -> None:
    before = vm(simulator, "web1")
    outcome = run_module("xen_vm", name="web1", memory="1GiB", vcpus=2, has_vendor_device=True, description="not even this")
    assert outcome.failed
    assert "VM 'web1' is running, and vcpus_max, has_vendor_device, memory_static_max, vcpus can be changed only while it is halted" in outcome.msg
    assert "shut it down first (xen_power with state: halted)" in outcome.msg
    assert outcome.writes == []
    assert vm(simulator, "web1") == before


def test_what_can_change_live_does(running: str, run_module: Run, simulator: Simulator) -> None:
    outcome = run_module("xen_vm", name="web1", memory_dynamic_min="128MiB", description="Shop", xenstore_data={"vm-data/a": "1"}, vcpu_weight=1024)
    assert sorted(outcome.writes) == ["VM.set_VCPUs_params", "VM.set_memory_dynamic_range", "VM.set_name_description", "VM.set_xenstore_data"]
    record = vm(simulator, "web1")
    assert (record["memory_dynamic_min"], record["memory_dynamic_max"]) == (128 * MIB, 256 * MIB)
    assert record["power_state"] == "Running"


def test_vcpus_are_plugged_where_the_guest_can(run_module: Run, simulator: Simulator) -> None:
    session = simulator.session()
    ref = create_vm(session, "web1", VCPUs_max=4, **PVH)
    session.VM.start(ref, False, False)
    outcome = run_module("xen_vm", name="web1", vcpus=3)
    assert outcome.writes == ["VM.set_VCPUs_number_live", "VM.set_VCPUs_at_startup"]
    assert outcome["vm"]["vcpus"] == 3
    assert run_module("xen_vm", name="web1", vcpus=3).writes == []


def test_vcpus_that_the_guest_cannot_take_wait_until_it_is_halted(run_module: Run, simulator: Simulator) -> None:
    session = simulator.session()
    ref = create_vm(session, "web1", VCPUs_max=4, other_config={"simulator-guest": "none"})
    session.VM.start(ref, False, False)
    outcome = run_module("xen_vm", name="web1", vcpus=3)
    assert outcome.failed
    assert "VM 'web1' is running, and vcpus can be changed only while it is halted" in outcome.msg
    assert outcome.writes == []


def test_a_change_that_fails_is_taken_back(run_module: Run, simulator: Simulator) -> None:
    create_vm(simulator.session(), "web1", name_description="old")
    simulator.faults.add(Rule("VM.set_memory_limits", error=("INTERNAL_ERROR", "injected")))
    outcome = run_module("xen_vm", name="web1", description="new", memory="1GiB")
    assert outcome.failed
    assert outcome["undone"] == ["set description"]
    assert not outcome.changed
    assert vm(simulator, "web1")["name_description"] == "old"


# Made of something


def test_made_of_a_template_it_is_a_vm_with_disks_of_its_own(run_module: Run, simulator: Simulator) -> None:
    (template,) = named(simulator, "Debian 12 (cloud image)")
    outcome = run_module("xen_vm", name="db1", template="Debian 12 (cloud image)", memory="3GiB", vcpus=2, description="database")
    assert [method for method in outcome.methods if method in ("Async.VM.clone", "Async.VM.provision")] == ["Async.VM.clone", "Async.VM.provision"]
    record = vm(simulator, "db1")
    assert not record["is_a_template"]
    assert (record["memory_static_max"], record["VCPUs_max"], record["name_description"]) == (3 * GIB, 2, "database")
    (disk,) = disks(simulator, record)
    (original,) = disks(simulator, template)
    assert disk["uuid"] != original["uuid"]
    assert disk["virtual_size"] == original["virtual_size"]
    assert record["other_config"]["mac_seed"] != template["other_config"]["mac_seed"]
    assert outcome["vm"]["disks"][0]["vdi"] == disk["uuid"]


def test_made_of_a_vm_it_is_not_provisioned(run_module: Run, simulator: Simulator) -> None:
    create_vm(simulator.session(), "web1")
    outcome = run_module("xen_vm", name="web2", source_vm="web1")
    assert outcome.changed
    assert "Async.VM.provision" not in outcome.methods
    assert vm(simulator, "web2")["memory_static_max"] == 256 * MIB


def test_made_of_a_snapshot(run_module: Run, simulator: Simulator) -> None:
    session = simulator.session()
    session.VM.snapshot(create_vm(session, "web1"), "before")
    run_module("xen_vm", name="web2", source_snapshot="before", description="again")
    record = vm(simulator, "web2")
    assert not record["is_a_template"]
    assert not record["is_a_snapshot"]


def test_a_running_vm_is_no_source(running: str, run_module: Run, simulator: Simulator) -> None:
    outcome = run_module("xen_vm", name="web2", source_vm="web1")
    assert outcome.failed
    assert "only a halted VM can be cloned; shut it down, or take a snapshot and name that as source_snapshot" in outcome.msg
    assert outcome.writes == []


def test_a_snapshot_with_memory_is_no_source(run_module: Run, simulator: Simulator) -> None:
    session = simulator.session()
    ref = create_vm(session, "web1", **PVH)
    session.VM.start(ref, False, False)
    session.VM.checkpoint(ref, "with memory")
    outcome = run_module("xen_vm", name="web2", source_snapshot="with memory")
    assert outcome.failed
    assert "snapshot 'with memory' holds the memory of a running VM as well" in outcome.msg
    assert outcome.writes == []


def test_a_repository_means_a_full_copy_there(run_module: Run, simulator: Simulator) -> None:
    outcome = run_module("xen_vm", name="db1", template="Debian 12 (cloud image)", sr="NFS storage")
    assert "Async.VM.copy" in outcome.methods
    (disk,) = disks(simulator, vm(simulator, "db1"))
    assert simulator.records("SR")[disk["SR"]]["name_label"] == "NFS storage"
    assert "vhd-parent" not in disk["sm_config"]


def test_disks_a_template_describes_are_made_on_the_default_repository(run_module: Run, simulator: Simulator) -> None:
    run_module("xen_vm", name="install1", template="Debian Bookworm 12")
    record = vm(simulator, "install1")
    (disk,) = disks(simulator, record)
    (pool,) = simulator.records("pool").values()
    assert (disk["SR"], disk["virtual_size"]) == (pool["default_SR"], 10 * GIB)
    assert "disks" not in record["other_config"]


def test_disks_a_template_describes_can_be_left_out(run_module: Run, simulator: Simulator) -> None:
    run_module("xen_vm", name="install1", template="Debian Bookworm 12", template_disks=False)
    record = vm(simulator, "install1")
    assert disks(simulator, record) == []
    assert "disks" not in record["other_config"]


def test_no_default_repository_is_an_error_before_anything_is_made(run_module: Run, simulator: Simulator) -> None:
    (pool,) = simulator.records("pool")
    simulator.session().pool.set_default_SR(pool, NULL)
    outcome = run_module("xen_vm", name="install1", template="Debian Bookworm 12")
    assert outcome.failed
    assert "there is no storage repository 'default'" in outcome.msg
    assert outcome.writes == []


@pytest.mark.parametrize("broken", ["VM.provision", "VM.set_memory_limits"])
def test_a_making_that_fails_leaves_nothing(broken: str, run_module: Run, simulator: Simulator) -> None:
    vms, vdis = len(simulator.records("VM")), [record["uuid"] for record in simulator.records("VDI").values() if record["managed"]]
    simulator.faults.add(Rule(broken, error=("INTERNAL_ERROR", "injected")))
    outcome = run_module("xen_vm", name="db1", template="Debian 12 (cloud image)", memory="3GiB")
    assert outcome.failed
    assert not outcome.changed
    assert len(simulator.records("VM")) == vms
    assert sorted(record["uuid"] for record in simulator.records("VDI").values() if record["managed"]) == sorted(vdis)


# The boot lock


def test_the_boot_lock_keeps_other_blocks(run_module: Run, simulator: Simulator) -> None:
    session = simulator.session()
    ref = create_vm(session, "web1")
    session.VM.add_to_blocked_operations(ref, "destroy", "precious")
    locked = run_module("xen_vm", name="web1", bootable=False)
    assert locked["vm"]["bootable"] is False
    assert set(vm(simulator, "web1")["blocked_operations"]) == {"start", "start_on", "destroy"}
    assert run_module("xen_vm", name="web1", bootable=True)["vm"]["bootable"] is True
    assert vm(simulator, "web1")["blocked_operations"] == {"destroy": "precious"}


def test_a_lock_of_the_old_driver_counts_and_is_completed(run_module: Run, simulator: Simulator) -> None:
    session = simulator.session()
    session.VM.add_to_blocked_operations(create_vm(session, "web1"), "start", "")
    outcome = run_module("xen_vm", name="web1", bootable=False)
    assert outcome.writes == ["VM.add_to_blocked_operations"]
    assert vm(simulator, "web1")["blocked_operations"].keys() == {"start", "start_on"}


# Removed


def test_removed_without_disks_keeps_them(run_module: Run, simulator: Simulator) -> None:
    session = simulator.session()
    ref = create_vm(session, "web1")
    disk = create_disk(session, ref, "0")
    drives = set(vm(simulator, "web1")["VBDs"])
    assert run_module("xen_vm", name="web1", state="absent").changed
    assert named(simulator, "web1") == []
    assert not drives & set(simulator.records("VBD"))
    assert disk in simulator.records("VDI")


def test_removed_with_disks_takes_its_own_only(run_module: Run, simulator: Simulator) -> None:
    session = simulator.session()
    ref, other = create_vm(session, "web1"), create_vm(session, "web2")
    own = create_disk(session, ref, "0")
    uuid = session.VDI.get_uuid(own)
    volume = create_disk(session, ref, "1", mark={"osvol": "True"})
    shared = create_disk(session, ref, "2")
    attach(session, other, "0", shared)
    (iso,) = [vdi for vdi, record in simulator.records("VDI").items() if record["name_label"] == "debian-12.iso"]
    attach(session, ref, "3", iso, kind="CD")
    outcome = run_module("xen_vm", name="web1", state="absent", destroy_disks=True)
    assert outcome.writes == ["Async.VDI.destroy", "Async.VM.destroy"]
    left = simulator.records("VDI")
    assert own not in left
    assert {volume, shared, iso} <= set(left)
    told = str(outcome["warnings"])
    assert "stays: it is a network volume" in told
    assert "stays: another VM has it too" in told
    assert len(outcome["left"]) == 2
    assert all(entry["text"] in told for entry in outcome["left"])
    assert {entry["uuid"] for entry in outcome["left"]} == {left[volume]["uuid"], left[shared]["uuid"]}
    assert outcome["removed"] == [uuid]


def test_disks_that_an_interrupted_run_left_go_with_their_owner(run_module: Run, simulator: Simulator) -> None:
    session = simulator.session()
    ref, other = create_vm(session, "web1"), create_vm(session, "web2")
    owner = {"nova_instance_uuid": session.VM.get_uuid(ref)}
    left, attached, foreign = (create_disk(session, other, device) for device in ("0", "1", "2"))
    for disk in (left, attached):
        session.VDI.set_other_config(disk, owner)
    session.VBD.destroy(next(vbd for vbd, record in simulator.records("VBD").items() if record["VDI"] == left))
    snapshot = session.VDI.snapshot(left, {})
    assert not run_module("xen_vm", name="web1", state="absent", destroy_disks=True, destroy_owned=True).failed
    disks = simulator.records("VDI")
    assert left not in disks
    assert {attached, foreign, snapshot} <= set(disks)


def test_interim_networks_go_when_nobody_else_is_on_them(run_module: Run, simulator: Simulator) -> None:
    session = simulator.session()
    ref, other = create_vm(session, "web1"), create_vm(session, "web2")
    marks = {"name_description": "", "MTU": 1500, "tags": []}
    alone, shared = (session.network.create({"name_label": f"net-{number}", "other_config": {"xen_ansible:port_id": number}, **marks}) for number in "12")
    for network, machines in ((alone, [ref]), (shared, [ref, other])):
        for machine in machines:
            device = session.VM.get_allowed_VIF_devices(machine)[0]
            qos = {"qos_algorithm_type": "", "qos_algorithm_params": {}}
            session.VIF.create({"device": device, "network": network, "VM": machine, "MAC": "", "MTU": 1500, "other_config": {}, **qos})
    create_nic(session, ref, session.VM.get_allowed_VIF_devices(ref)[0])
    before = simulator.records("network").keys()
    # What was interrupted is repeated: a network whose interface is gone could not be told to be this VM's.
    rule = simulator.faults.add(Rule("VM.destroy", error=("INTERNAL_ERROR", "sent back"), times=1))
    assert run_module("xen_vm", name="web1", state="absent", purge_networks=True).writes[:1] == ["network.destroy"]
    assert rule.struck
    assert not run_module("xen_vm", name="web1", state="absent", purge_networks=True).failed
    assert before - simulator.records("network").keys() == {alone}


def test_a_running_vm_is_removed_only_by_force(running: str, run_module: Run, simulator: Simulator) -> None:
    refused = run_module("xen_vm", name="web1", state="absent")
    assert refused.failed
    assert "VM 'web1' is running and is not removed; shut it down first (xen_power), or set force to power it off" in refused.msg
    assert refused.writes == []
    forced = run_module("xen_vm", name="web1", state="absent", force=True)
    assert forced.writes == ["Async.VM.hard_shutdown", "Async.VM.destroy"]
    assert named(simulator, "web1") == []


def test_a_protected_vm_keeps_its_disks(run_module: Run, simulator: Simulator) -> None:
    session = simulator.session()
    ref = create_vm(session, "web1")
    disk = create_disk(session, ref, "0")
    session.VM.add_to_blocked_operations(ref, "destroy", "precious")
    outcome = run_module("xen_vm", name="web1", state="absent", destroy_disks=True)
    assert outcome.failed
    assert "VM 'web1' is protected against destroy (precious)" in outcome.msg
    assert disk in simulator.records("VDI")


def test_snapshots_that_remain_are_a_warning(run_module: Run, simulator: Simulator) -> None:
    session = simulator.session()
    session.VM.snapshot(create_vm(session, "web1"), "before")
    outcome = run_module("xen_vm", name="web1", state="absent")
    assert "1 snapshots of VM 'web1' remain" in str(outcome["warnings"])
    assert ["1 snapshots of VM 'web1' remain" in entry["text"] for entry in outcome["left"]] == [True]


def test_a_name_that_another_has_is_refused(run_module: Run, simulator: Simulator) -> None:
    session = simulator.session()
    create_vm(session, "web1")
    create_vm(session, "web2")
    outcome = run_module("xen_vm", name="web1", new_name="web2")
    assert outcome.failed
    assert "there is another VM named 'web2' already" in outcome.msg


def test_examples_run(pool_in_memory: Callable[[Simulator], None], simulator: Simulator) -> None:
    pool_in_memory(simulator)
    assert all(outcome.changed for outcome in run_examples(simulator, "xen_vm"))
    assert named(simulator, "web1") == named(simulator, "web1-old") == []
