# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""VM: where it can run, memory and VCPUs, and its move to another host (facts 3.3; recordings pool_two_hosts, shared_sr)."""

from __future__ import annotations

from typing import Any

import pytest

from simulator import NULL, Simulator

from ._asking import fixtures
from ._consistency import StandingSimulator
from ._machines import GIB, MIB, add_disk, add_nic, disks, gone, host_named, machine, messages_of, only, refusal, sr_named

ORDER = ["MEMORY_CONSTRAINT_VIOLATION_ORDER"]


simulator, session = fixtures(lambda: StandingSimulator("three_hosts"), "module")


@pytest.fixture
def vm(session: Any) -> str:
    return machine(session)


@pytest.fixture(scope="module")
def hosts(session: Any) -> list[str]:
    return [host_named(session, name) for name in ("xs1", "xs2", "xs3")]


@pytest.fixture(scope="module")
def local(session: Any) -> dict[str, str]:
    """Host → the SR that only it has."""
    return {session.PBD.get_host(session.SR.get_PBDs(sr)[0]): sr for sr in session.SR.get_by_name_label("Local storage")}


@pytest.fixture
def running(simulator: Simulator, session: Any, hosts: list[str]) -> str:
    vm = machine(session)
    session.VM.start_on(vm, hosts[1], False, False)
    simulator.run(simulator.clock.sleep(5))
    return vm


# Where it can run


def test_everywhere(session: Any, vm: str, hosts: list[str]) -> None:
    assert set(session.VM.get_possible_hosts(vm)) == set(hosts)
    for host in hosts:
        session.VM.assert_can_boot_here(vm, host)


def test_a_disabled_host(session: Any, vm: str, hosts: list[str]) -> None:
    session.host.disable(hosts[2])
    try:
        assert refusal(session.VM.start_on, vm, hosts[2], False, False) == ["HOST_DISABLED", hosts[2]]
        assert set(session.VM.get_possible_hosts(vm)) == set(hosts[:2])
    finally:
        session.host.enable(hosts[2])


def test_too_little_memory(session: Any, vm: str, hosts: list[str]) -> None:
    session.VM.set_memory(vm, 100 * GIB)
    code, needed, available = refusal(session.VM.start_on, vm, hosts[1], False, False)
    assert code == "HOST_NOT_ENOUGH_FREE_MEMORY"
    assert int(needed) > 100 * GIB > 64 * GIB > int(available)
    assert refusal(session.VM.start, vm, False, False) == ["NO_HOSTS_AVAILABLE"]


def test_memory_runs_out(session: Any, hosts: list[str]) -> None:
    free = session.host.compute_free_memory(hosts[2])
    vms = [machine(session, memory=free // 2 - 256 * MIB) for _unused in range(3)]
    for vm in vms[:2]:
        session.VM.start_on(vm, hosts[2], False, False)
    assert refusal(session.VM.start_on, vms[2], hosts[2], False, False)[0] == "HOST_NOT_ENOUGH_FREE_MEMORY"
    session.VM.hard_shutdown(vms[0])
    session.VM.start_on(vms[2], hosts[2], False, False)
    for vm in vms[1:]:
        session.VM.hard_shutdown(vm)
    assert session.host.compute_free_memory(hosts[2]) == free


def test_too_many_vcpus(session: Any, vm: str, hosts: list[str]) -> None:
    session.VM.set_VCPUs_max(vm, 17)
    assert refusal(session.VM.start_on, vm, hosts[0], False, False) == ["HOST_NOT_ENOUGH_PCPUS", "17", "16"]
    session.VM.add_to_platform(vm, "vcpu-unrestricted", "true")
    session.VM.start_on(vm, hosts[0], False, False)


def test_a_network_that_a_host_does_not_have(session: Any, vm: str, hosts: list[str]) -> None:
    network = session.network.create({"name_label": "lonely", "name_description": "", "MTU": 1500, "other_config": {}, "tags": []})
    first = machine(session)
    add_nic(session, first, network, device="1")
    session.VM.start_on(first, hosts[1], False, False)
    add_nic(session, vm, network, device="1")
    # A network without a NIC is where its first VM is.
    assert refusal(session.VM.start_on, vm, hosts[2], False, False) == ["VM_REQUIRES_NETWORK", vm, network]
    session.VM.start_on(vm, hosts[1], False, False)


def test_affinity_is_preferred_not_required(session: Any, vm: str, hosts: list[str]) -> None:
    session.VM.set_affinity(vm, hosts[2])
    session.VM.start(vm, False, False)
    assert session.VM.get_resident_on(vm) == hosts[2]
    session.VM.hard_shutdown(vm)
    session.host.disable(hosts[2])
    try:
        session.VM.start(vm, False, False)
        assert session.VM.get_resident_on(vm) in hosts[:2]
    finally:
        session.host.enable(hosts[2])


# Memory


def test_bounds_of_memory_keep_their_order(session: Any, vm: str) -> None:
    session.VM.set_memory_limits(vm, 128 * MIB, 2 * GIB, 512 * MIB, GIB)
    row = session.VM.get_record(vm)
    assert [row[f"memory_{name}"] // MIB for name in ("static_min", "dynamic_min", "dynamic_max", "static_max")] == [128, 512, 1024, 2048]
    assert refusal(session.VM.set_memory_static_min, vm, 600 * MIB) == ORDER
    assert refusal(session.VM.set_memory_dynamic_min, vm, 64 * MIB) == ORDER
    assert refusal(session.VM.set_memory_dynamic_max, vm, 3 * GIB) == ORDER
    assert refusal(session.VM.set_memory_static_max, vm, 600 * MIB) == ORDER
    assert session.VM.get_record(vm) == row
    session.VM.set_memory_dynamic_min(vm, 128 * MIB)
    assert session.VM.get_memory_target(vm) == 128 * MIB


def test_overhead_follows(session: Any, vm: str) -> None:
    before = session.VM.get_memory_overhead(vm)
    session.VM.set_memory(vm, 8 * GIB)
    assert session.VM.get_memory_overhead(vm) > before
    assert session.VM.get_memory_overhead(vm) == session.VM.compute_memory_overhead(vm)


def test_nested_virtualisation_and_ballooning_exclude_each_other(session: Any, vm: str) -> None:
    session.VM.add_to_platform(vm, "nested-virt", "true")
    session.VM.set_memory_limits(vm, MIB, GIB, 512 * MIB, GIB)
    assert refusal(session.VM.start, vm, False, False) == ["MEMORY_CONSTRAINT_VIOLATION_MAXPIN", "nested virt"]
    session.VM.set_memory(vm, GIB)
    session.VM.start(vm, False, False)
    assert refusal(session.VM.set_memory_dynamic_range, vm, 512 * MIB, 512 * MIB) == ["VM_IS_USING_NESTED_VIRT", vm]


def test_the_largest_that_fits(session: Any, vm: str) -> None:
    largest = session.VM.maximise_memory(vm, 8 * GIB, False)
    assert largest % MIB == 0
    assert largest < 8 * GIB
    session.VM.set_memory(vm, largest)
    assert largest + session.VM.get_memory_overhead(vm) <= 8 * GIB < largest + MIB + session.VM.get_memory_overhead(vm) + 2 * MIB
    assert session.VM.maximise_memory(vm, 8 * GIB, True) < largest


# VCPUs


def test_vcpus_keep_their_order(session: Any, vm: str) -> None:
    rule = "VCPU values must satisfy: 0 < VCPUs_at_startup ≤ VCPUs_max"
    assert refusal(session.VM.set_VCPUs_at_startup, vm, 2) == ["INVALID_VALUE", rule, "2"]
    session.VM.set_VCPUs_max(vm, 4)
    session.VM.set_VCPUs_at_startup(vm, 3)
    assert refusal(session.VM.set_VCPUs_max, vm, 2) == ["INVALID_VALUE", rule, "2"]
    assert refusal(session.VM.set_VCPUs_at_startup, vm, 0) == ["INVALID_VALUE", rule, "0"]


# To another host


def test_a_running_vm_moves(session: Any, running: str, hosts: list[str]) -> None:
    before = session.VM.get_record(running)
    session.VM.pool_migrate(running, hosts[0], {"live": "true"})
    after = session.VM.get_record(running)
    assert (after["resident_on"], after["power_state"]) == (hosts[0], "Running")
    assert after["VBDs"] == before["VBDs"]
    assert all(session.VBD.get_currently_attached(vbd) for vbd in after["VBDs"])
    assert all(session.console.get_location(console).startswith("https://127.0.0.1/") for console in after["consoles"])
    assert messages_of(session, running)[-1] == "VM_MIGRATED"
    # The tools go on.
    assert "clean_shutdown" in after["allowed_operations"]


def test_a_move_needs_what_a_start_needs(session: Any, running: str, hosts: list[str], local: dict[str, str]) -> None:
    vdi = add_disk(session, running, local[hosts[1]])
    (vbd,) = session.VDI.get_VBDs(vdi)
    session.VBD.plug(vbd)
    assert refusal(session.VM.pool_migrate, running, hosts[0], {}) == ["VM_REQUIRES_SR", running, local[hosts[1]]]
    assert session.VM.get_resident_on(running) == hosts[1]
    session.host.disable(hosts[2])
    try:
        assert refusal(session.VM.pool_migrate, running, hosts[2], {})[0] in ("HOST_DISABLED", "VM_REQUIRES_SR")
    finally:
        session.host.enable(hosts[2])


def test_only_running_vms_move(session: Any, vm: str, hosts: list[str]) -> None:
    assert refusal(session.VM.pool_migrate, vm, hosts[0], {}) == ["VM_BAD_POWER_STATE", vm, "running", "halted"]


def test_a_vm_may_move_to_where_it_is(session: Any, running: str, hosts: list[str]) -> None:
    domid = session.VM.get_domid(running)
    session.VM.pool_migrate(running, hosts[1], {})
    assert session.VM.get_resident_on(running) == hosts[1]
    assert session.VM.get_domid(running) != domid


def test_a_vm_without_tools_moves_only_by_force(simulator: Simulator, session: Any, hosts: list[str]) -> None:
    vm = machine(session, other_config={"simulator-guest": "none"})
    session.VM.start_on(vm, hosts[1], False, False)
    simulator.run(simulator.clock.sleep(60))
    assert refusal(session.VM.pool_migrate, vm, hosts[0], {}) == ["VM_LACKS_FEATURE", vm]
    session.VM.pool_migrate(vm, hosts[0], {"force": "true"})
    assert session.VM.get_resident_on(vm) == hosts[0]


# With its disks


def receive(session: Any, host: str) -> dict[str, str]:
    network = only(session.network.get_by_name_label("Pool-wide network associated with eth0"))
    return session.host.migrate_receive(host, network, {})


def test_what_a_receiver_says(session: Any, hosts: list[str]) -> None:
    answer = receive(session, hosts[0])
    assert set(answer) == {"SM", "host", "xenops", "session_id", "master"}
    assert answer["host"] == hosts[0]


def test_a_running_vm_moves_with_its_disk(session: Any, running: str, hosts: list[str], local: dict[str, str]) -> None:
    (disk,) = disks(session, running)
    uuid = session.VDI.get_uuid(disk)
    moved = session.VM.migrate_send(running, receive(session, hosts[0]), True, {disk: local[hosts[0]]}, {}, {})
    assert moved == running
    (there,) = disks(session, running)
    assert session.VM.get_resident_on(running) == hosts[0]
    assert session.VDI.get_SR(there) == local[hosts[0]]
    assert session.VDI.get_uuid(there) != uuid
    assert gone(session, "VDI", disk)


def test_a_halted_vm_moves_its_disk(session: Any, vm: str, hosts: list[str], local: dict[str, str]) -> None:
    (disk,) = disks(session, vm)
    session.VM.migrate_send(vm, receive(session, hosts[2]), True, {disk: local[hosts[2]]}, {}, {})
    assert session.VM.get_power_state(vm) == "Halted"
    assert session.VM.get_possible_hosts(vm) == [hosts[2]]


def test_every_disk_needs_a_place(session: Any, running: str, hosts: list[str]) -> None:
    (disk,) = disks(session, running)
    assert refusal(session.VM.migrate_send, running, receive(session, hosts[0]), True, {}, {}, {}) == ["VDI_NOT_IN_MAP", disk]


def test_networks_are_not_changed_within_a_pool(session: Any, running: str, hosts: list[str]) -> None:
    (disk,), (nic,) = disks(session, running), session.VM.get_VIFs(running)
    places = {disk: sr_named(session, "NFS storage")}
    network = only(session.network.get_by_name_label("VLAN 100"))
    assert refusal(session.VM.migrate_send, running, receive(session, hosts[0]), True, places, {nic: network}, {})[0] == "OPERATION_NOT_ALLOWED"


def test_an_sr_without_migration(session: Any, running: str, hosts: list[str]) -> None:
    (disk,) = disks(session, running)
    library = sr_named(session, "ISO library")
    answer = refusal(session.VM.migrate_send, running, receive(session, hosts[0]), True, {disk: library}, {}, {})
    assert answer[:2] == ["SR_DOES_NOT_SUPPORT_MIGRATION", library]


def test_what_a_receiver_says_must_be_whole(session: Any, running: str, hosts: list[str]) -> None:
    (disk,) = disks(session, running)
    dest = {key: value for key, value in receive(session, hosts[0]).items() if key != "xenops"}
    assert refusal(session.VM.migrate_send, running, dest, True, {disk: sr_named(session, "NFS storage")}, {}, {})[0] == "INTERNAL_ERROR"


def test_asking_beforehand_changes_nothing(session: Any, running: str, hosts: list[str], local: dict[str, str]) -> None:
    (disk,) = disks(session, running)
    before = session.VM.get_record(running)
    session.VM.assert_can_migrate(running, receive(session, hosts[0]), True, {disk: local[hosts[0]]}, {}, {})
    assert session.VM.get_record(running) == before
    assert session.VM.get_current_operations(running) == {}
    assert session.VM.get_scheduled_to_be_resident_on(running) == NULL
