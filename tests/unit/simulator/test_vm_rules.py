# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""VM and its devices: rules that only xapi's source tells (each test names the file); how levels differ is in test_vm_levels."""

from __future__ import annotations

from typing import Any

import pytest

from simulator import NULL, Simulator

from ._machines import attach, disks, machine, only, refusal


@pytest.fixture
def vm(session: Any) -> str:
    return machine(session)


@pytest.fixture
def running(simulator: Simulator, session: Any, vm: str) -> str:
    session.VM.start(vm, False, False)
    simulator.run(simulator.clock.sleep(5))
    return vm


def run(simulator: Simulator, cls: str, ref: str, **fields: Any) -> None:
    """Write fields that no message writes."""

    async def update() -> None:
        simulator.engine.db.update(cls, ref, **fields)

    simulator.run(update())


# A VM that was a template (set_is_a_template in xapi_vm_helpers.ml, update_vm in xapi_xenops.ml)


def test_a_template_twice(session: Any, vm: str) -> None:
    session.VM.set_is_a_template(vm, True)
    assert session.VM.get_metrics(vm) == NULL
    session.VM.set_is_a_template(vm, False)
    # VM_metrics.destroy of what is not there raises, after all else is done.
    assert refusal(session.VM.set_is_a_template, vm, True) == ["HANDLE_INVALID", "VM_metrics", NULL]
    assert session.VM.get_is_a_template(vm) is False


def test_nobody_sees_a_former_template_run(session: Any, vm: str) -> None:
    session.VM.set_is_a_template(vm, True)
    session.VM.set_is_a_template(vm, False)
    session.VM.start(vm, False, False)
    record = session.VM.get_record(vm)
    assert (record["power_state"], record["domid"], record["consoles"]) == ("Halted", -1, [])
    assert record["resident_on"] != NULL
    told = ["INTERNAL_ERROR", "VM not in expected power state after completing operation", vm, "paused", "halted"]
    assert refusal(session.VM.start, vm, True, False) == told
    # A copy has metrics of its own.
    copy = session.VM.clone(vm, "copy")
    session.VM.start(copy, False, False)
    assert session.VM.get_power_state(copy) == "Running"


# Destroy (xapi_vm.ml, xapi_vtpm.ml)


def test_a_sleeping_vm_with_a_vtpm_is_not_destroyed(simulator: Simulator, session: Any, vm: str) -> None:
    vtpm = session.VTPM.create(vm, False)
    session.VM.start(vm, False, False)
    simulator.run(simulator.clock.sleep(5))
    session.VM.suspend(vm)
    assert refusal(session.VM.destroy, vm) == ["VM_BAD_POWER_STATE", vm, "halted", "suspended"]
    assert session.VM.get_VTPMs(vm) == [vtpm]


def test_what_goes_before_a_default_template_is_kept(session: Any, vm: str) -> None:
    # The key alone does it: the VM need not be a template. Its VTPM is gone by then.
    session.VTPM.create(vm, False)
    session.VM.add_to_other_config(vm, "default_template", "true")
    assert refusal(session.VM.destroy, vm) == ["VM_CANNOT_DELETE_DEFAULT_TEMPLATE"]
    assert session.VM.get_VTPMs(vm) == []


# What is looked at first (message_forwarding.ml)


def test_a_clone_of_a_sleeper_looks_for_the_image_first(session: Any, vm: str) -> None:
    assert refusal(session.VM.csvm, vm) == ["HANDLE_INVALID", "VDI", NULL]


def test_a_checkpoint_of_a_vm_that_does_not_run_needs_a_host_with_its_disks(simulator: Simulator, session: Any, vm: str) -> None:
    session.VM.start(vm, False, False)
    simulator.run(simulator.clock.sleep(5))
    session.VM.suspend(vm)
    sr = session.VDI.get_SR(disks(session, vm)[0])
    pbds = session.SR.get_PBDs(sr)
    for pbd in pbds:
        run(simulator, "PBD", pbd, currently_attached=False)
    try:
        assert refusal(session.VM.checkpoint, vm, "now") == ["NO_HOSTS_AVAILABLE"]
    finally:
        for pbd in pbds:
            run(simulator, "PBD", pbd, currently_attached=True)


def test_the_first_storage_of_a_template_that_nobody_knows(session: Any) -> None:
    template = session.VM.clone(session.VM.get_by_name_label("Other install media")[0], "two unknown")
    pair = [session.SR.introduce(uuid, "twin", "", "dummy", "", False, {}) for uuid in ("", "")]
    disk = '<disk device="{}" size="4194304" sr="{}" bootable="false" type="system"/>'
    text = "<provision>{}</provision>".format
    ambiguous = ["INTERNAL_ERROR", "Message_forwarding.Forward(Local).VM.Ambigious_provision_spec"]
    session.VM.add_to_other_config(template, "disks", text(disk.format("0", "twin") + disk.format("1", "nowhere")))
    assert refusal(session.VM.provision, template) == ambiguous
    session.VM.remove_from_other_config(template, "disks")
    session.VM.add_to_other_config(template, "disks", text(disk.format("0", "nowhere") + disk.format("1", "twin")))
    assert refusal(session.VM.provision, template) == ["UUID_INVALID", "sr", "nowhere"]
    for sr in pair:
        session.SR.forget(sr)


# Small ones


def test_a_name_for_one_blob(session: Any, vm: str) -> None:
    session.VM.create_new_blob(vm, "notes", "text/plain", False)
    before = len(session.blob.get_all())
    assert refusal(session.VM.create_new_blob, vm, "notes", "text/plain", False) == ["MAP_DUPLICATE_KEY", "VM", "blobs", vm, "notes"]
    assert len(session.blob.get_all()) == before + 1  # xapi_vm.ml: made before it is named
    assert refusal(session.VM.create_new_blob, vm, "", "text/plain", False) == ["INTERNAL_ERROR", "Db_exn.Empty_key_in_map"]


def test_more_cpus_for_a_running_control_domain(simulator: Simulator, session: Any, vm: str) -> None:
    session.VM.start(vm, False, False)
    run(simulator, "VM", vm, is_control_domain=True)
    session.VM.set_VCPUs_max(vm, 4)
    assert session.VM.get_requires_reboot(vm) is True
    run(simulator, "VM", vm, is_control_domain=False)


def test_a_sleeper_made_by_hand_has_a_kind(session: Any, vm: str) -> None:
    record = {**session.VM.get_record(vm), "power_state": "Suspended", "domain_type": "hvm", "last_booted_record": "x"}
    record |= {"last_boot_CPU_flags": {"vendor": "x"}, "suspend_VDI": disks(session, vm)[0]}
    made = session.VM.create(record)
    assert session.VM_metrics.get_current_domain_type(session.VM.get_metrics(made)) == "hvm"


def test_looking_again_looks_at_the_devices_too(session: Any, vm: str) -> None:
    copy = session.VM.clone(vm, "copy")
    drives = session.VM.get_VBDs(copy)
    assert [session.VBD.get_allowed_operations(vbd) for vbd in drives] == [[] for _unused in drives]
    session.VM.update_allowed_operations(copy)
    assert all("attach" in session.VBD.get_allowed_operations(vbd) for vbd in drives)


def test_groups_need_their_licence(simulator: Simulator, session: Any, vm: str) -> None:
    pool = only(session.pool.get_all())
    before = session.pool.get_restrictions(pool)
    run(simulator, "pool", pool, restrictions={**before, "restrict_vm_groups": "true"})
    try:
        assert refusal(session.VM.set_groups, vm, []) == ["LICENCE_RESTRICTION", "VM_groups"]
    finally:
        run(simulator, "pool", pool, restrictions=before)


def test_how_refusals_spell_types_of_disks(simulator: Simulator, session: Any, vm: str) -> None:
    disk = disks(session, vm)[0]
    for kind, spelt in (("redo_log", "Redo log"), ("ha_statefile", "HA statefile"), ("cbt_metadata", "CBT metadata")):
        run(simulator, "VDI", disk, type=kind)
        # vdi_type_to_string in record_util.ml
        assert refusal(lambda: attach(session, vm, disk, device="7")) == ["VDI_INCOMPATIBLE_TYPE", disk, spelt]
    run(simulator, "VDI", disk, type="user")


# Hosts (xapi_vm_helpers.ml, cpuid_helpers.ml, message_forwarding.ml)


NOWHERE = "OpaqueRef:00000000-0000-4000-8000-00000000dead"


def test_a_host_that_does_not_exist(session: Any, vm: str) -> None:
    # is_host_live takes any failure for no.
    assert refusal(session.VM.assert_can_boot_here, vm, NOWHERE) == ["HOST_NOT_LIVE"]
    # start_on reads the host's operations first, pool_migrate its CPU if the VM is awake.
    assert refusal(session.VM.start_on, vm, NOWHERE, False, False) == ["HANDLE_INVALID", "host", NOWHERE]
    assert refusal(session.VM.pool_migrate, vm, NOWHERE, {}) == ["VM_BAD_POWER_STATE", vm, "running", "halted"]
    session.VM.start(vm, True, False)
    assert refusal(session.VM.pool_migrate, vm, NOWHERE, {}) == ["HANDLE_INVALID", "host", NOWHERE]
    assert refusal(session.VM.pool_migrate, vm, NOWHERE, {"force": "true"}) == ["VM_BAD_POWER_STATE", vm, "running", "paused"]


def test_a_sleeper_from_another_vendors_cpu(simulator: Simulator, session: Any, running: str) -> None:
    session.VM.suspend(running)
    host = only(session.host.get_all())
    run(simulator, "VM", running, last_boot_CPU_flags={"vendor": "Other", "features": ""})
    told = ["VM_INCOMPATIBLE_WITH_THIS_HOST", running, host, "VM last booted on a host which had a CPU from a different vendor."]
    assert refusal(session.VM.assert_can_boot_here, running, host) == told
    assert refusal(session.VM.resume_on, running, host, False, False) == told
    assert refusal(session.VM.resume, running, False, False) == ["NO_HOSTS_AVAILABLE"]
    assert session.VM.get_possible_hosts(running) == [host]
    session.VM.resume_on(running, host, False, True)


def test_a_paused_vm_is_forgotten(session: Any, vm: str) -> None:
    session.VM.start(vm, True, False)
    session.VM.power_state_reset(vm)
    assert session.VM.get_power_state(vm) == "Halted"
