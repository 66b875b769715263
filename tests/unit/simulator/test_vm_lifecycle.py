# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""VM: from start to destroy (facts 3.3; recordings vm_lifecycle, vm_with_tools)."""

from __future__ import annotations

from typing import Any

import pytest

from simulator import NULL, Simulator

from ._asking import fixtures
from ._consistency import StandingSimulator
from ._machines import GIB, MIB, add_disk, attach, disks, gone, host_named, machine, messages_of, only, refusal, sr_named

EPOCH = "19700101T00:00:00Z"


simulator, session = fixtures(lambda: StandingSimulator("three_hosts"), "module")


@pytest.fixture
def wait(simulator: Simulator) -> Any:
    return lambda seconds: simulator.run(simulator.clock.sleep(seconds))


@pytest.fixture
def running(session: Any, wait: Any) -> str:
    vm = machine(session, start=True)
    wait(5)
    return vm


def drives(session: Any, vm: str) -> list[dict[str, Any]]:
    return [session.VBD.get_record(vbd) for vbd in session.VM.get_VBDs(vm)]


def nics(session: Any, vm: str) -> list[dict[str, Any]]:
    return [session.VIF.get_record(vif) for vif in session.VM.get_VIFs(vm)]


# Start


def test_start_makes_a_domain(session: Any) -> None:
    vm = machine(session)
    session.VM.start(vm, False, False)
    row = session.VM.get_record(vm)
    assert row["power_state"] == "Running"
    assert row["domid"] > 0
    assert row["resident_on"] in session.host.get_all()
    assert row["scheduled_to_be_resident_on"] == NULL
    assert row["bios_strings"]["bios-vendor"] == "Xen"
    assert [drive["currently_attached"] for drive in drives(session, vm)] == [True]
    assert [drive["device"] for drive in drives(session, vm)] == ["xvda"]
    assert [nic["currently_attached"] for nic in nics(session, vm)] == [True]
    assert {session.console.get_protocol(console) for console in row["consoles"]} == {"rfb", "vt100"}
    metrics = session.VM_metrics.get_record(row["metrics"])
    assert metrics["start_time"] != EPOCH
    assert metrics["current_domain_type"] == "hvm"
    assert messages_of(session, vm) == ["VM_STARTED"]


def test_a_vm_may_start_paused(session: Any) -> None:
    vm = machine(session)
    session.VM.start(vm, True, False)
    assert session.VM.get_power_state(vm) == "Paused"
    session.VM.unpause(vm)
    assert session.VM.get_power_state(vm) == "Running"


def test_a_vm_that_starts_paused_boots_when_it_is_let(session: Any, wait: Any) -> None:
    vm = machine(session)
    session.VM.start(vm, True, False)
    wait(60)
    assert session.VM_guest_metrics.get_os_version(session.VM.get_guest_metrics(vm)) == {}
    session.VM.unpause(vm)
    wait(5)
    assert session.VM_guest_metrics.get_os_version(session.VM.get_guest_metrics(vm))["distro"] == "debian"


def test_domains_are_numbered(session: Any) -> None:
    host = host_named(session, "xs2")
    first, second = machine(session), machine(session)
    for vm in (first, second):
        session.VM.start_on(vm, host, False, False)
    before = session.VM.get_domid(second)
    assert session.VM.get_domid(first) < before
    session.VM.hard_reboot(second)
    assert session.VM.get_domid(second) > before


def test_a_disk_that_another_vm_writes(session: Any) -> None:
    first, second = machine(session), machine(session)
    shared = add_disk(session, first, sr_named(session, "NFS storage"))
    attach(session, second, shared)
    session.VM.start(first, False, False)
    assert refusal(session.VM.start, second, False, False)[:2] == ["VDI_IN_USE", shared]
    assert session.VM.get_power_state(second) == "Halted"
    assert not any(drive["currently_attached"] for drive in drives(session, second))
    session.VM.hard_shutdown(first)
    session.VM.start(second, False, False)


def test_a_storage_that_no_host_has(session: Any) -> None:
    vm = machine(session)
    local = sorted(sr for sr in session.SR.get_by_name_label("Local storage"))
    homes = {session.PBD.get_host(session.SR.get_PBDs(sr)[0]): sr for sr in local}
    (first, on_first), (second, on_second), *_rest = homes.items()
    add_disk(session, vm, on_first)
    assert refusal(session.VM.start_on, vm, second, False, False) == ["VM_REQUIRES_SR", vm, on_first]
    assert session.VM.get_possible_hosts(vm) == [first]
    add_disk(session, vm, on_second)
    assert session.VM.get_possible_hosts(vm) == []
    assert refusal(session.VM.start, vm, False, False) == ["NO_HOSTS_AVAILABLE"]


def test_start_delay_passes_within_the_call(simulator: Simulator, session: Any) -> None:
    vm = machine(session, start_delay=300, shutdown_delay=120)
    before = simulator.clock.time()
    session.VM.start(vm, False, False)
    assert 300 <= simulator.clock.time() - before < 420
    before = simulator.clock.time()
    session.VM.hard_shutdown(vm)
    assert 120 <= simulator.clock.time() - before < 240
    assert refusal(session.VM.set_start_delay, vm, -1)[0] == "INVALID_VALUE"


# Stop


def test_shutdown_leaves_a_halted_vm(session: Any, running: str) -> None:
    session.VM.clean_shutdown(running)
    row = session.VM.get_record(running)
    assert (row["power_state"], row["domid"], row["resident_on"], row["consoles"]) == ("Halted", -1, NULL, [])
    assert not any(device["currently_attached"] for device in (*drives(session, running), *nics(session, running)))
    # The name that the drive had stays.
    assert [drive["device"] for drive in drives(session, running)] == ["xvda"]
    assert messages_of(session, running) == ["VM_STARTED", "VM_SHUTDOWN"]


def test_reboot_keeps_host_and_devices(session: Any, running: str, wait: Any) -> None:
    before = session.VM.get_record(running)
    wait(100)
    session.VM.clean_reboot(running)
    after = session.VM.get_record(running)
    assert after["resident_on"] == before["resident_on"]
    assert after["domid"] != before["domid"]
    assert all(drive["currently_attached"] for drive in drives(session, running))
    assert messages_of(session, running)[-1] == "VM_REBOOTED"


def test_shutdown_takes_whatever_state(session: Any, running: str) -> None:
    session.VM.shutdown(running)
    assert session.VM.get_power_state(running) == "Halted"
    session.VM.start(running, True, False)
    session.VM.shutdown(running)
    assert session.VM.get_power_state(running) == "Halted"
    assert refusal(session.VM.shutdown, running) == ["VM_BAD_POWER_STATE", running, "paused, suspended, running", "halted"]


def test_power_state_reset(session: Any, running: str) -> None:
    assert refusal(session.VM.power_state_reset, running)[0] in ("DOMAIN_EXISTS", "HOST_IS_LIVE")
    assert session.VM.get_power_state(running) == "Running"


# Sleep


def test_suspend_and_resume(session: Any, running: str) -> None:
    host = session.VM.get_resident_on(running)
    session.VM.suspend(running)
    row = session.VM.get_record(running)
    image = row["suspend_VDI"]
    assert (row["power_state"], row["resident_on"], row["domid"]) == ("Suspended", NULL, -1)
    assert session.VDI.get_type(image) == "suspend"
    assert session.VDI.get_SR(image) == sr_named(session, "NFS storage")
    assert all(device["currently_attached"] for device in (*drives(session, running), *nics(session, running)))
    session.VM.resume(running, False, False)
    assert session.VM.get_power_state(running) == "Running"
    assert session.VM.get_suspend_VDI(running) == NULL
    assert gone(session, "VDI", image)
    # The tools had not stopped.
    assert "clean_shutdown" in session.VM.get_allowed_operations(running)
    assert host in session.host.get_all()


def test_resume_on_another_host(session: Any, running: str) -> None:
    other = next(host for host in session.host.get_all() if host != session.VM.get_resident_on(running))
    session.VM.suspend(running)
    session.VM.resume_on(running, other, True, False)
    assert (session.VM.get_resident_on(running), session.VM.get_power_state(running)) == (other, "Paused")


def test_a_hard_shutdown_throws_the_image_away(session: Any, running: str) -> None:
    session.VM.suspend(running)
    image = session.VM.get_suspend_VDI(running)
    session.VM.hard_shutdown(running)
    assert session.VM.get_power_state(running) == "Halted"
    assert gone(session, "VDI", image)


def test_a_place_for_the_image(session: Any, running: str) -> None:
    local = next(
        sr for sr in session.SR.get_by_name_label("Local storage") if session.PBD.get_host(session.SR.get_PBDs(sr)[0]) == session.VM.get_resident_on(running)
    )
    session.VM.set_suspend_SR(running, local)
    session.VM.suspend(running)
    assert session.VDI.get_SR(session.VM.get_suspend_VDI(running)) == local
    elsewhere = next(host for host in session.host.get_all() if host != session.PBD.get_host(session.SR.get_PBDs(local)[0]))
    assert refusal(session.VM.resume_on, running, elsewhere, False, False) == ["VM_REQUIRES_SR", running, local]


# What the record says about the end


@pytest.mark.parametrize(("field", "what", "expected"), [("actions_after_shutdown", "poweroff", "Halted"), ("actions_after_reboot", "reboot", "Running")])
def test_a_guest_may_stop_by_itself(simulator: Simulator, session: Any, running: str, wait: Any, field: str, what: str, expected: str) -> None:
    before = session.VM.get_domid(running)
    guest(simulator, running, what)
    wait(60)
    assert session.VM.get_power_state(running) == expected
    assert session.VM.get_domid(running) != before
    # And the other way round.
    vm = machine(session, start=True)
    session.call(f"VM.set_{field}", vm, {"Halted": "restart", "Running": "destroy"}[expected])
    wait(60)
    guest(simulator, vm, what)
    wait(60)
    assert session.VM.get_power_state(vm) == {"Halted": "Running", "Running": "Halted"}[expected]


def test_a_guest_that_crashes_soon_is_not_started_over_and_over(simulator: Simulator, session: Any, wait: Any) -> None:
    vm = machine(session, actions_after_crash="restart", start=True)
    wait(10)
    guest(simulator, vm, "crash")
    wait(60)
    assert session.VM.get_power_state(vm) == "Halted"
    session.VM.start(vm, False, False)
    wait(600)
    guest(simulator, vm, "crash")
    wait(60)
    assert session.VM.get_power_state(vm) == "Running"


def guest(simulator: Simulator, vm: str, what: str) -> None:
    async def act() -> None:
        simulator.engine.behaviours["VM"].guest_does(vm, what)

    simulator.run(act())


# Settings of a running VM


def test_memory_of_a_running_vm(session: Any) -> None:
    running = machine(session)
    session.VM.set_memory_limits(running, 256 * MIB, GIB, GIB, GIB)
    session.VM.start(running, False, False)
    session.VM.set_memory_dynamic_range(running, 512 * MIB, GIB)
    assert session.VM.get_memory_target(running) == 512 * MIB
    assert refusal(session.VM.set_memory_dynamic_range, running, 512 * MIB, 2 * GIB) == ["MEMORY_CONSTRAINT_VIOLATION_ORDER"]


def test_vcpus_of_a_running_vm(session: Any, wait: Any) -> None:
    vm = machine(session, VCPUs_max=4, start=True)
    wait(5)
    session.VM.set_VCPUs_number_live(vm, 3)
    assert session.VM.get_VCPUs_at_startup(vm) == 3
    assert session.VM_metrics.get_VCPUs_number(session.VM.get_metrics(vm)) == 3
    assert refusal(session.VM.set_VCPUs_number_live, vm, 5)[0] == "INVALID_VALUE"
    assert refusal(session.VM.set_VCPUs_max, vm, 8) == ["VM_BAD_POWER_STATE", vm, "halted", "running"]


# Destroy


def test_destroy_leaves_the_disks(session: Any) -> None:
    vm = machine(session)
    row, (disk,) = session.VM.get_record(vm), disks(session, vm)
    session.VM.destroy(vm)
    assert gone(session, "VM", vm)
    assert all(gone(session, "VBD", vbd) for vbd in row["VBDs"])
    assert all(gone(session, "VIF", vif) for vif in row["VIFs"])
    assert gone(session, "VM_metrics", row["metrics"])
    assert session.VDI.get_VBDs(disk) == []


def test_destroy_keeps_snapshots_and_mends_their_chain(session: Any) -> None:
    vm = machine(session)
    first = session.VM.snapshot(vm, "first")
    second = session.VM.snapshot(vm, "second")
    third = session.VM.snapshot(vm, "third")
    session.VM.destroy(second)
    assert session.VM.get_parent(third) == first
    session.VM.destroy(vm)
    assert session.VM.get_snapshot_of(first) == vm
    assert session.VM.get_name_label(first) == "first"


def test_a_default_template_is_not_destroyed(session: Any) -> None:
    template = only(session.VM.get_by_name_label("Other install media"))
    session.VM.set_is_a_template(template, False)
    try:
        assert refusal(session.VM.destroy, template) == ["VM_CANNOT_DELETE_DEFAULT_TEMPLATE"]
    finally:
        session.VM.set_is_a_template(template, True)


# Create


def test_create_asks_little(session: Any) -> None:
    texts = ("name_label", "name_description", "PV_bootloader", "PV_kernel", "PV_ramdisk", "PV_args", "PV_bootloader_args", "PV_legacy_args", "PCI_bus")
    numbers = ("user_version", "memory_static_max", "memory_dynamic_max", "memory_dynamic_min", "memory_static_min", "VCPUs_max", "VCPUs_at_startup")
    actions = {"actions_after_shutdown": "destroy", "actions_after_reboot": "restart", "actions_after_crash": "destroy"}
    maps = ("VCPUs_params", "HVM_boot_params", "platform", "other_config")
    record = {**dict.fromkeys(texts, ""), **dict.fromkeys(numbers, 0), **{name: {} for name in maps}, **actions, "is_a_template": False, "affinity": NULL}
    record |= {"HVM_boot_policy": "BIOS order", "recommendations": "", "blocked_operations": {"start": "ignored"}, "power_state": "Running"}
    vm = session.VM.create(record)
    row = session.VM.get_record(vm)
    assert (row["power_state"], row["domain_type"], row["domid"]) == ("Halted", "hvm", -1)
    assert row["blocked_operations"] == {}
    assert set(row["other_config"]) == {"mac_seed"}
    # The reason is hidden unless one asks about a host.
    assert refusal(session.VM.start, vm, False, False) == ["NO_HOSTS_AVAILABLE"]
    assert refusal(session.VM.start_on, vm, host_named(session, "xs2"), False, False) == ["INVALID_VALUE", "VCPUs_max", "0"]
    session.VM.destroy(vm)
