# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""GPUs of hosts and what VMs get of them (X/xapi_vgpu.ml, xapi_pgpu.ml, xapi_pgpu_helpers.ml, xapi_gpu_group.ml, vgpuops.ml)."""

from __future__ import annotations

from typing import Any

import pytest

from simulator import NULL, Simulator

from ._asking import fixtures
from ._consistency import StandingSimulator
from ._graphics import K1, T4, gpus, group, kind, world
from ._machines import host_named, machine, refusal

NOBODY = "OpaqueRef:nobody"


simulator, session = fixtures(lambda: StandingSimulator(world()))


@pytest.fixture
def vm(session: Any) -> str:
    return machine(session)


def add(session: Any, vm: str, model: str = "GRID T4-4Q", card: dict[str, Any] | None = None, device: str = "0") -> str:
    return str(session.VGPU.create(vm, group(session, (card or T4)["name"]), device, {}, kind(session, model)))


def change(simulator: Simulator, cls: str, ref: str, **values: Any) -> None:
    async def run() -> None:
        simulator.engine.db.update(cls, ref, **values)

    simulator.run(run())


# VGPU.create


def test_a_vgpu_is_made_for_a_halted_vm(session: Any, vm: str) -> None:
    vgpu = session.VGPU.get_record(add(session, vm))
    assert (vgpu["VM"], vgpu["GPU_group"], vgpu["device"]) == (vm, group(session, T4["name"]), "0")
    assert (vgpu["currently_attached"], vgpu["resident_on"], vgpu["PCI"]) == (False, NULL, NULL)
    session.VM.start(vm, False, False)
    # assert_initial_power_state_is
    assert refusal(add, session, vm) == ["VM_BAD_POWER_STATE", vm, "halted", "running"]


def test_no_type_means_the_whole_gpu(session: Any, vm: str) -> None:
    vgpu = session.VGPU.create(vm, group(session, K1["name"]), "0", {}, NULL)
    assert session.VGPU.get_type(vgpu) == kind(session, "passthrough")


def test_what_vgpu_create_refuses(simulator: Simulator, session: Any, vm: str) -> None:
    cards = group(session, T4["name"])
    assert refusal(session.VGPU.create, NOBODY, cards, "0", {}, NULL) == ["HANDLE_INVALID", "VM", NOBODY]
    assert refusal(session.VGPU.create, vm, cards, "0", {}, NOBODY) == ["INVALID_VALUE", "type", NOBODY]
    assert refusal(session.VGPU.create, vm, cards, "first", {}, NULL)[0] == "INTERNAL_ERROR"
    assert refusal(session.VGPU.create, vm, cards, "21", {}, NULL) == ["INVALID_DEVICE", "21"]
    add(session, vm, device="11")
    assert refusal(add, session, vm, "GRID T4-4Q", T4, "11") == ["DEVICE_ALREADY_EXISTS", "11"]
    # One that stands in the list of the first type may come beside it, another may not.
    other = kind(session, "GRID T4-8Q")
    assert refusal(add, session, vm, "GRID T4-8Q") == ["VGPU_TYPE_NOT_COMPATIBLE", other]
    pool = simulator.engine.pool
    change(simulator, "pool", pool, restrictions={**session.pool.get_restrictions(pool), "restrict_gpu": "true"})
    assert refusal(add, session, vm) == ["FEATURE_RESTRICTED"]


def test_device_numbers_run_out(session: Any, vm: str) -> None:
    assert [session.VGPU.get_device(add(session, vm)) for _unused in range(21)] == [str(number) for number in range(21)]
    assert refusal(add, session, vm) == ["VM_PCI_BUS_FULL", vm]


def test_a_group_that_nobody_knows_has_no_gpu(session: Any, vm: str) -> None:
    vgpu = session.VGPU.create(vm, NOBODY, "0", {}, NULL)
    assert session.VGPU.get_GPU_group(vgpu) == NOBODY
    assert refusal(session.VM.start_on, vm, host_named(session, "xs1"), False, False) == ["VM_REQUIRES_GPU", vm, NOBODY]


# Which GPU


def test_a_running_vm_has_its_part_of_a_gpu(session: Any, vm: str) -> None:
    vgpu = add(session, vm)
    session.VM.start(vm, False, False)
    pgpu = session.VGPU.get_resident_on(vgpu)
    assert session.PGPU.get_resident_VGPUs(pgpu) == [vgpu]
    assert session.VGPU.get_currently_attached(vgpu) is True
    assert session.VM.get_resident_on(vm) == host_named(session, "xs1")
    small, large = kind(session, "GRID T4-4Q"), kind(session, "GRID T4-8Q")
    assert session.PGPU.get_remaining_capacity(pgpu, small) == 3
    # Beside one of another type there is no room, and no whole GPU either.
    assert (session.PGPU.get_remaining_capacity(pgpu, large), session.PGPU.get_remaining_capacity(pgpu, kind(session, "passthrough"))) == (0, 0)
    assert session.GPU_group.get_remaining_capacity(group(session, T4["name"]), small) == 7
    assert refusal(session.VGPU.destroy, vgpu) == ["OPERATION_NOT_ALLOWED", "vGPU currently attached to a running VM"]
    session.VM.hard_shutdown(vm)
    assert (session.VGPU.get_resident_on(vgpu), session.VGPU.get_currently_attached(vgpu)) == (NULL, False)
    assert session.PGPU.get_remaining_capacity(pgpu, small) == 4
    session.VGPU.destroy(vgpu)
    assert session.VM.get_VGPUs(vm) == []


def test_a_paused_vm_keeps_its_vgpu(session: Any, vm: str) -> None:
    vgpu = add(session, vm)
    session.VM.start(vm, True, False)
    # Helpers.is_running asks for a domain.
    assert refusal(session.VGPU.destroy, vgpu) == ["OPERATION_NOT_ALLOWED", "vGPU currently attached to a running VM"]


@pytest.mark.parametrize(("algorithm", "used"), [("depth_first", 1), ("breadth_first", 2)])
def test_gpus_fill_one_after_the_other_or_evenly(session: Any, algorithm: str, used: int) -> None:
    session.GPU_group.set_allocation_algorithm(group(session, T4["name"]), algorithm)
    homes = set()
    for _unused in range(2):
        vm = machine(session)
        vgpu = add(session, vm)
        session.VM.start(vm, False, False)
        homes.add(session.VGPU.get_resident_on(vgpu))
    assert len(homes) == used


def test_vgpus_of_one_vm_count_beside_each_other(session: Any, vm: str) -> None:
    host = host_named(session, "xs1")
    for _unused in range(4):
        add(session, vm, "GRID T4-8Q")
    session.VM.start(vm, False, False)
    assert sorted(len(session.PGPU.get_resident_VGPUs(pgpu)) for pgpu in gpus(session, T4["name"])) == [2, 2]
    other = machine(session)
    add(session, other, "GRID T4-8Q")
    told = [group(session, T4["name"]), kind(session, "GRID T4-8Q")]
    assert refusal(session.VM.start_on, other, host, False, False) == ["VM_REQUIRES_VGPU", other, *told]
    assert refusal(session.VM.start, other, False, False) == ["NO_HOSTS_AVAILABLE"]


def test_a_whole_gpu_belongs_to_one_vm(simulator: StandingSimulator, session: Any, vm: str) -> None:
    vgpu = add(session, vm, "passthrough", K1)
    (pgpu,) = gpus(session, K1["name"])
    session.VM.start(vm, False, False)
    assert session.VGPU.get_PCI(vgpu) == session.PGPU.get_PCI(pgpu)
    assert session.PGPU.get_remaining_capacity(pgpu, kind(session, "passthrough")) == 0
    other = machine(session)
    add(session, other, "passthrough", K1)
    refused = ["VM_REQUIRES_GPU", other, group(session, K1["name"])]
    assert refusal(session.VM.start_on, other, host_named(session, "xs1"), False, False) == refused
    # What has a device of its host stays there, once its tools would let it go.
    simulator.let_pass(60.0)
    assert refusal(session.VM.assert_operation_valid, vm, "checkpoint") == ["VM_HAS_PCI_ATTACHED", vm]
    session.VM.hard_reboot(vm)
    assert session.VGPU.get_PCI(vgpu) == session.PGPU.get_PCI(pgpu)
    session.VM.hard_shutdown(vm)
    assert session.VGPU.get_PCI(vgpu) == NULL
    session.VM.start(other, False, False)


def test_a_host_without_iommu_passes_nothing_through(simulator: Simulator, session: Any, vm: str) -> None:
    host = host_named(session, "xs1")
    change(simulator, "host", host, chipset_info={"iommu": "false"})
    add(session, vm, "passthrough", K1)
    assert refusal(session.VM.assert_can_boot_here, vm, host) == ["VM_REQUIRES_IOMMU", host]
    part = machine(session)
    add(session, part)
    session.VM.assert_can_boot_here(part, host)


def test_a_gpu_needs_a_guest_with_qemu(session: Any, vm: str) -> None:
    add(session, vm)
    session.VM.set_domain_type(vm, "pv")
    assert refusal(session.VM.start, vm, False, False) == ["FEATURE_REQUIRES_HVM", "vGPU- and GPU-passthrough needs HVM"]
    assert session.VM.get_power_state(vm) == "Halted"


def test_which_vgpus_sleep(simulator: Simulator, session: Any, vm: str) -> None:
    vgpu = add(session, vm)
    session.VM.start(vm, False, False)
    simulator.run(simulator.clock.sleep(5))
    pgpu = session.VGPU.get_resident_on(vgpu)
    # check_vgpu of X/xapi_vm_lifecycle.ml: NVIDIA's, where the driver told what it is compatible with.
    session.VM.suspend(vm)
    assert session.VGPU.get_resident_on(vgpu) == NULL
    session.VM.resume(vm, False, False)
    assert session.VGPU.get_resident_on(vgpu) == pgpu
    snapshot = session.VM.checkpoint(vm, "now")
    assert session.VGPU.get_resident_on(vgpu) == pgpu
    assert len(session.VM.get_VGPUs(snapshot)) == 1
    change(simulator, "VGPU_type", kind(session, "GRID T4-4Q"), implementation="gvt_g")
    assert refusal(session.VM.suspend, vm) == ["VM_HAS_VGPU", vm]
    change(simulator, "VGPU_type", kind(session, "GRID T4-4Q"), implementation="nvidia")
    change(simulator, "PGPU", pgpu, compatibility_metadata={})
    assert refusal(session.VM.suspend, vm) == ["VM_HAS_VGPU", vm]


def test_a_checkpoint_needs_no_second_gpu(simulator: Simulator, session: Any, vm: str) -> None:
    vgpus = [add(session, vm, "GRID T4-8Q") for _unused in range(4)]
    session.VM.start(vm, False, False)
    simulator.run(simulator.clock.sleep(5))
    homes = {vgpu: session.VGPU.get_resident_on(vgpu) for vgpu in vgpus}
    session.VM.checkpoint(vm, "now")
    assert {vgpu: session.VGPU.get_resident_on(vgpu) for vgpu in vgpus} == homes


# PGPU and GPU_group


def test_types_of_a_gpu_are_switched(session: Any, vm: str) -> None:
    pgpu, small, large = gpus(session, T4["name"])[0], kind(session, "GRID T4-4Q"), kind(session, "GRID T4-8Q")
    whole = kind(session, "passthrough")
    session.PGPU.remove_enabled_VGPU_types(pgpu, large)
    assert set(session.PGPU.get_enabled_VGPU_types(pgpu)) == {small, whole}
    assert session.PGPU.get_remaining_capacity(pgpu, large) == 0
    session.PGPU.add_enabled_VGPU_types(pgpu, large)
    assert session.PGPU.get_remaining_capacity(pgpu, large) == 2
    (other,) = gpus(session, K1["name"])
    # All that it does support, one parameter each (assert_VGPU_type_supported).
    assert refusal(session.PGPU.add_enabled_VGPU_types, other, large) == ["VGPU_TYPE_NOT_SUPPORTED", large, whole]
    assert refusal(session.PGPU.set_enabled_VGPU_types, other, [large]) == ["VGPU_TYPE_NOT_SUPPORTED", large, whole]
    for one in gpus(session, T4["name"]):
        session.PGPU.set_enabled_VGPU_types(one, [small])
    assert session.GPU_group.get_enabled_VGPU_types(group(session, T4["name"])) == [small]
    vgpu = add(session, vm)
    session.VM.start(vm, False, False)
    home = session.VGPU.get_resident_on(vgpu)
    assert refusal(session.PGPU.remove_enabled_VGPU_types, home, small) == ["PGPU_IN_USE_BY_VM", vm]
    assert refusal(session.PGPU.set_enabled_VGPU_types, home, []) == ["PGPU_IN_USE_BY_VM", vm]
    assert refusal(session.PGPU.set_GPU_group, home, group(session, K1["name"])) == ["PGPU_IN_USE_BY_VM", vm]


def test_an_unknown_type_has_no_room_anywhere(session: Any) -> None:
    # get_remaining_capacity turns every refusal into 0.
    assert session.PGPU.get_remaining_capacity(gpus(session, T4["name"])[0], NOBODY) == 0
    assert session.GPU_group.get_remaining_capacity(group(session, T4["name"]), NOBODY) == 0


def test_a_gpu_moves_between_groups(session: Any) -> None:
    cards, pgpu = group(session, T4["name"]), gpus(session, T4["name"])[0]
    told = ["10de/1eb8", "[10de/0ff2]"]
    assert refusal(session.PGPU.set_GPU_group, pgpu, group(session, K1["name"])) == ["PGPU_NOT_COMPATIBLE_WITH_GPU_GROUP", *told]
    new = session.GPU_group.create("apart", "", {})
    session.PGPU.set_GPU_group(pgpu, new)
    record = session.GPU_group.get_record(new)
    assert (record["PGPUs"], record["GPU_types"], record["allocation_algorithm"]) == ([pgpu], ["10de/1eb8"], "depth_first")
    assert set(record["supported_VGPU_types"]) == set(session.PGPU.get_supported_VGPU_types(pgpu))
    assert pgpu not in session.GPU_group.get_PGPUs(cards)
    assert refusal(session.GPU_group.destroy, new) == ["GPU_GROUP_CONTAINS_PGPU", pgpu]
    session.PGPU.set_GPU_group(pgpu, cards)
    session.GPU_group.destroy(new)


def test_a_group_with_a_vgpu_in_use_stays(session: Any, vm: str) -> None:
    vgpu = add(session, vm)
    session.VM.start(vm, False, False)
    assert refusal(session.GPU_group.destroy, group(session, T4["name"])) == ["GPU_GROUP_CONTAINS_VGPU", vgpu]


def test_dom0_gives_a_gpu_up(simulator: Simulator, session: Any) -> None:
    (pgpu,) = gpus(session, K1["name"])
    assert session.PGPU.disable_dom0_access(pgpu) == "disable_on_reboot"
    assert session.PCI.get_dom0_access_status(session.PGPU.get_PCI(pgpu)) == "disable_on_reboot"
    assert session.PGPU.enable_dom0_access(pgpu) == "enabled"
    pool = simulator.engine.pool
    restricted = {**session.pool.get_restrictions(pool), "restrict_integrated_gpu_passthrough": "true"}
    change(simulator, "pool", pool, restrictions=restricted)
    assert refusal(session.PGPU.disable_dom0_access, pgpu) == ["FEATURE_RESTRICTED"]


# Other PCI devices


def test_a_device_that_other_config_names_is_passed_through(session: Any, vm: str) -> None:
    host = host_named(session, "xs1")
    nic = next(pci for pci in session.host.get_PCIs(host) if session.PCI.get_class_name(pci) == "Ethernet controller")
    session.VM.add_to_other_config(vm, "pci", f"0/{session.PCI.get_pci_id(nic)},nonsense")
    session.VM.start_on(vm, host, False, False)
    assert session.VM.get_attached_PCIs(vm) == [nic]
    # A GPU that goes to a VM this way has no room for a VGPU.
    (pgpu,) = gpus(session, K1["name"])
    whole, other = kind(session, "passthrough"), machine(session)
    session.VM.add_to_other_config(other, "pci", f"0/{session.PCI.get_pci_id(session.PGPU.get_PCI(pgpu))}")
    assert session.PGPU.get_remaining_capacity(pgpu, whole) == 1
    session.VM.start_on(other, host, False, False)
    assert session.PGPU.get_remaining_capacity(pgpu, whole) == 0
    session.VM.hard_shutdown(vm)
    assert session.VM.get_attached_PCIs(vm) == []
