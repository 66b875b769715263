# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""VMs out of an archive (X/import.ml): what becomes of each object, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from simulator import NULL, Simulator, VirtualClock
from simulator.behaviour._vm_export import Export
from simulator.behaviour._vm_import_objects import Wanted
from simulator.engine.context import CURRENT, Context

from ._asking import fixtures
from ._graphics import K1, T4, gpus, group, kind, world
from ._machines import add_disk, add_nic, disks, host_named, machine, refusal, sr_named

UNKNOWN = "5a0c1c3e-6d2b-4b1e-9a77-0f4d3c2b1a00"


simulator, session = fixtures(lambda: Simulator(world(), clock=VirtualClock()))


@pytest.fixture
def sr(session: Any) -> str:
    return sr_named(session, "NFS storage")


def packed(simulator: Simulator, vm: str, **options: Any) -> list[dict[str, Any]]:
    """The VM as an archive has it that keeps power states and snapshots."""

    async def run() -> list[dict[str, Any]]:
        return Export(simulator.engine, [vm], **{"snapshots": True, "keep_state": True, **options}).objects

    return simulator.run(run())


def one(objects: list[dict[str, Any]], cls: str, **fields: Any) -> dict[str, Any]:
    """The record of the only object of a class, or of the one with these values."""
    found = [entry["snapshot"] for entry in objects if entry["class"] == cls]
    (record,) = [record for record in found if all(record[name] == value for name, value in fields.items())]
    return record


def taken(simulator: Simulator, objects: list[dict[str, Any]], **wanted: Any) -> list[str]:
    """What an import of these objects answers."""
    engine = simulator.engine
    vms: Any = engine.behaviours["VM"]

    async def run() -> list[str]:
        task = engine.tasks.create("VM.import", host=engine.coordinator)
        CURRENT.set(Context("VM.import", host=engine.coordinator, task=task))
        try:
            return list(vms.finish_import(await vms.import_objects(objects, Wanted(**wanted))))
        finally:
            engine.db.delete("task", task)
            engine.operations.refresh()

    return simulator.run(run())


def change(simulator: Simulator, cls: str, ref: str, **values: Any) -> None:
    async def run() -> None:
        simulator.engine.db.update(cls, ref, **values)

    simulator.run(run())


def counts(session: Any) -> dict[str, int]:
    return {cls: len(session.call(f"{cls}.get_all")) for cls in ("VM", "VDI", "VBD", "VIF", "VGPU", "GPU_group", "network", "VM_metrics", "VM_guest_metrics")}


def test_snapshots_and_sleepers(simulator: Simulator, session: Any, sr: str) -> None:
    vm = machine(session, start=True)
    simulator.run(simulator.clock.sleep(5))
    snapshot = session.VM.snapshot(vm, "before")
    session.VM.suspend(vm)
    known = set(session.VM.get_all())
    answered = taken(simulator, packed(simulator, vm), sr=sr)
    records = {session.VM.get_name_label(new): session.VM.get_record(new) for new in set(session.VM.get_all()) - known}
    # Snapshots are not answered when there is anything else.
    assert [session.VM.get_name_label(new) for new in answered] == [session.VM.get_name_label(vm)]
    assert records["before"]["snapshot_info"] == session.VM.get_snapshot_info(snapshot) != {}
    assert records["before"]["snapshot_of"] == answered[0]
    sleeper = records[session.VM.get_name_label(vm)]
    assert (sleeper["power_state"], sleeper["current_operations"]) == ("Suspended", {})
    # Which kind it resumes as is with its metrics.
    assert session.VM_metrics.get_current_domain_type(sleeper["metrics"]) == "hvm"


def test_a_sleeper_without_its_image_is_refused_or_forced_awake(simulator: Simulator, session: Any, sr: str) -> None:
    vm = machine(session, start=True)
    simulator.run(simulator.clock.sleep(5))
    session.VM.suspend(vm)
    objects = packed(simulator, vm)
    one(objects, "VM")["suspend_VDI"] = "Ref:99999"
    before = counts(session)
    assert refusal(lambda: taken(simulator, objects, sr=sr)) == ["IMPORT_ERROR_FAILED_TO_FIND_OBJECT", "Ref:99999"]
    assert counts(session) == before
    (new,) = taken(simulator, objects, sr=sr, force=True)
    assert (session.VM.get_power_state(new), session.VM.get_suspend_VDI(new)) == ("Halted", NULL)


def test_the_host_that_a_vm_likes_is_known_by_its_uuid(simulator: Simulator, session: Any, sr: str) -> None:
    host = host_named(session, "xs2")
    objects = packed(simulator, machine(session, affinity=host))
    (new,) = taken(simulator, objects, sr=sr)
    assert session.VM.get_affinity(new) == host
    one(objects, "host")["uuid"] = UNKNOWN
    (new,) = taken(simulator, objects, sr=sr)
    assert session.VM.get_affinity(new) == NULL


# Default templates


def test_a_default_template_is_the_one_of_that_name(simulator: Simulator, session: Any, sr: str) -> None:
    (template,) = session.VM.get_by_name_label("Other install media")
    objects = packed(simulator, template)
    before, record = counts(session), session.VM.get_record(template)
    assert taken(simulator, objects, sr=sr) == [template]
    assert counts(session) == {**before, "VM_metrics": before["VM_metrics"]}
    assert session.VM.get_record(template) == record
    # Whatever has the name: it need not be a template.
    vm = machine(session, "Windows 3.1")
    one(objects, "VM")["name_label"] = "Windows 3.1"
    assert taken(simulator, objects, sr=sr) == [vm]


@pytest.mark.parametrize("force", [False, True])
def test_a_default_template_that_is_not_here_becomes_an_ordinary_one(simulator: Simulator, session: Any, sr: str, force: bool) -> None:
    (template,) = session.VM.get_by_name_label("Other install media")
    objects = packed(simulator, template)
    one(objects, "VM")["name_label"] = "Windows 3.1"
    (new,) = taken(simulator, objects, sr=sr, force=force)
    record = session.VM.get_record(new)
    assert record["is_a_template"] is True
    assert (record["is_default_template"], "default_template" in record["other_config"]) == (False, force)


# restore and force


def test_a_restored_vm_replaces_the_one_with_its_uuid(simulator: Simulator, session: Any, sr: str) -> None:
    vm = machine(session)
    uuid, mac = session.VM.get_uuid(vm), session.VIF.get_MAC(session.VM.get_VIFs(vm)[0])
    objects = packed(simulator, vm)
    assert refusal(lambda: taken(simulator, objects, sr=sr, restore=True)) == ["VM_TO_IMPORT_IS_NOT_NEWER_VERSION", vm, "0", "0"]
    one(objects, "VM")["version"] = "4"
    old_disks = disks(session, vm)
    (new,) = taken(simulator, objects, sr=sr, restore=True)
    assert (session.VM.get_uuid(new), session.VM.get_version(new)) == (uuid, 5)
    assert session.VIF.get_MAC(session.VM.get_VIFs(new)[0]) == mac
    assert refusal(session.VM.get_record, vm) == ["HANDLE_INVALID", "VM", vm]
    # The disks of the one that went stay, and are nobody's.
    assert [session.VDI.get_VBDs(vdi) for vdi in old_disks] == [[] for _unused in old_disks]
    (again,) = taken(simulator, objects, sr=sr, restore=True, force=True)
    assert session.VM.get_uuid(again) == uuid


def test_a_running_vm_is_not_replaced(simulator: Simulator, session: Any, sr: str) -> None:
    vm = machine(session, start=True)
    objects = packed(simulator, vm)
    one(objects, "VM").update(version="4", power_state="Halted")
    before = counts(session)
    assert refusal(lambda: taken(simulator, objects, sr=sr, restore=True)) == ["VM_BAD_POWER_STATE", vm, "Halted", "Running"]
    assert counts(session) == before
    # Forced, the VM is passed over; its devices are there.
    assert taken(simulator, objects, sr=sr, restore=True, force=True) == []
    assert (session.VM.get_power_state(vm), session.VM.get_version(vm)) == ("Running", 0)
    # A drive that is new has no VM to go to then.
    one(objects, "VBD")["uuid"] = UNKNOWN
    failed = refusal(lambda: taken(simulator, objects, sr=sr, restore=True, force=True))
    assert failed == ["IMPORT_ERROR_FAILED_TO_FIND_OBJECT", one(objects, "VBD")["VM"]]


def test_nothing_is_tidied_up_after_a_forced_import(simulator: Simulator, session: Any, sr: str) -> None:
    objects = packed(simulator, machine(session))
    one(objects, "VIF")["network"] = "Ref:99999"
    before = counts(session)
    assert refusal(lambda: taken(simulator, objects, sr=sr)) == ["IMPORT_ERROR_FAILED_TO_FIND_OBJECT", "Ref:99999"]
    assert counts(session) == before
    assert refusal(lambda: taken(simulator, objects, sr=sr, force=True)) == ["IMPORT_ERROR_FAILED_TO_FIND_OBJECT", "Ref:99999"]
    after = counts(session)
    assert (after["VM"], after["VDI"], after["VBD"]) == (before["VM"] + 1, before["VDI"] + 1, before["VBD"] + 1)


def test_two_vms_never_have_one_seed(simulator: Simulator, session: Any, sr: str) -> None:
    vm = machine(session)
    snapshot = session.VM.snapshot(vm, "before")
    seed = session.VM.get_other_config(vm)["mac_seed"]
    objects = packed(simulator, vm)
    stranger = [
        {**entry, "snapshot": {**entry["snapshot"], "uuid": UNKNOWN}} if entry["class"] == "VM" else entry for entry in packed(simulator, vm, snapshots=False)
    ]
    assert refusal(lambda: taken(simulator, stranger, sr=sr, restore=True)) == ["DUPLICATE_MAC_SEED", seed]
    # Without restore it gets another one.
    taken(simulator, stranger, sr=sr)
    # A VM, its snapshot and the snapshot's VM are one family.
    for entry in objects:
        if entry["class"] == "VM":
            entry["snapshot"]["version"] = "7"
    taken(simulator, objects, sr=sr, restore=True)
    assert refusal(session.VM.get_record, snapshot)[0] == "HANDLE_INVALID"


def test_a_snapshot_of_somebody_else_has_not_our_seed(simulator: Simulator, session: Any, sr: str) -> None:
    vm = machine(session)
    snapshot = session.VM.snapshot(vm, "before")
    objects = packed(simulator, snapshot)
    record = one(objects, "VM")
    record.update(uuid=UNKNOWN, snapshot_of="OpaqueRef:nobody", snapshot_metadata="")
    assert refusal(lambda: taken(simulator, objects, sr=sr, restore=True))[0] == "DUPLICATE_MAC_SEED"


def test_8_2_names_the_vm_that_has_the_seed() -> None:
    with Simulator("one_host", api="8.2", clock=VirtualClock()) as simulator:
        session = simulator.session()
        vm = machine(session)
        objects = packed(simulator, vm, snapshots=False)
        one(objects, "VM")["uuid"] = UNKNOWN
        refused = refusal(lambda: taken(simulator, objects, sr=sr_named(session, "NFS storage"), restore=True))
        assert refused == ["DUPLICATE_VM", session.VM.get_uuid(vm)]


# Metadata alone


def test_disks_are_found_where_they_are(simulator: Simulator, session: Any, sr: str) -> None:
    vm = machine(session)
    disk = disks(session, vm)[0]
    objects = packed(simulator, vm)
    (new,) = taken(simulator, objects)
    assert disks(session, new) == [disk]
    location = one(objects, "VDI")["location"]
    one(objects, "VDI")["location"] = "elsewhere"
    assert refusal(lambda: taken(simulator, objects)) == ["VDI_LOCATION_MISSING", sr, "elsewhere"]
    (new,) = taken(simulator, objects, force=True)
    assert disks(session, new) == []
    other = add_disk(session, vm, sr)
    (new,) = taken(simulator, objects, swaps={session.VDI.get_uuid(disk): session.VDI.get_uuid(other)})
    assert disks(session, new) == [other]
    one(objects, "VDI")["location"] = location
    one(objects, "SR")["uuid"] = UNKNOWN
    assert refusal(lambda: taken(simulator, objects)) == ["VDI_CONTENT_ID_MISSING"]


def test_a_lun_is_the_same_wherever_it_is_seen(simulator: Simulator, session: Any, sr: str) -> None:
    vm = machine(session)
    objects = packed(simulator, vm)
    other = add_disk(session, vm, sr)
    change(simulator, "VDI", other, sm_config={"SCSIid": "3600a098"})
    one(objects, "VDI")["sm_config"] = {"SCSIid": "3600a098"}
    (new,) = taken(simulator, objects)
    assert disks(session, new) == [other]


def test_a_dry_run_makes_nothing(simulator: Simulator, session: Any, sr: str) -> None:
    vm = machine(session)
    session.VGPU.create(vm, group(session, T4["name"]), "0", {}, kind(session, "GRID T4-4Q"))
    objects = packed(simulator, vm)
    before = counts(session)
    for wanted in ({"sr": sr}, {}, {"live": True}):
        assert taken(simulator, objects, dry_run=True, **wanted) == []
        assert counts(session) == before
    assert refusal(lambda: taken(simulator, objects, dry_run=True, restore=True))[0] == "VM_TO_IMPORT_IS_NOT_NEWER_VERSION"
    one(objects, "VDI")["location"] = "elsewhere"
    assert refusal(lambda: taken(simulator, objects, dry_run=True))[0] == "VDI_LOCATION_MISSING"
    # A migration brings it along.
    assert taken(simulator, objects, dry_run=True, live=True) == []


def test_a_vm_that_comes_running_needs_its_memory(simulator: Simulator, session: Any) -> None:
    objects = packed(simulator, machine(session, start=True))
    record = one(objects, "VM")
    record.update({f"memory_{name}": str(1 << 40) for name in ("static_max", "dynamic_max", "dynamic_min")})
    assert refusal(lambda: taken(simulator, objects, live=True))[0] == "HOST_NOT_ENOUGH_FREE_MEMORY"
    taken(simulator, objects)


# Drives


def test_an_attached_cd_that_is_not_here(simulator: Simulator, session: Any, sr: str) -> None:
    vm = machine(session)
    (iso,) = session.VDI.get_by_name_label("debian-12.iso")
    values = {"userdevice": "3", "bootable": False, "mode": "RO", "type": "CD", "empty": False, "other_config": {}}
    session.VBD.create({"VM": vm, "VDI": iso, **values, "qos_algorithm_type": "", "qos_algorithm_params": {}})
    session.VM.start(vm, False, False)
    simulator.run(simulator.clock.sleep(5))
    session.VM.suspend(vm)
    objects = packed(simulator, vm)
    one(objects, "VDI", name_label="debian-12.iso")["location"] = "windows-311.iso"
    (new,) = taken(simulator, objects, sr=sr)
    (record,) = [session.VBD.get_record(vbd) for vbd in session.VM.get_VBDs(new) if session.VBD.get_type(vbd) == "CD"]
    # Only QEMU can eject it.
    assert (record["VDI"], record["empty"], record["currently_attached"]) == (NULL, True, True)
    one(objects, "VM").update(domain_type="pv", HVM_boot_policy="")
    assert refusal(lambda: taken(simulator, objects, sr=sr)) == ["IMPORT_ERROR_ATTACHED_DISKS_NOT_FOUND"]


def test_addresses_of_a_nic_need_the_feature(simulator: Simulator, session: Any, sr: str) -> None:
    vm = machine(session)
    vif = session.VM.get_VIFs(vm)[0]
    session.VIF.set_locking_mode(vif, "locked")
    session.VIF.add_ipv4_allowed(vif, "192.0.2.7")
    objects = packed(simulator, vm)
    (new,) = taken(simulator, objects, sr=sr)
    assert session.VIF.get_ipv4_allowed(session.VM.get_VIFs(new)[0]) == ["192.0.2.7"]
    pool = simulator.engine.pool
    change(simulator, "pool", pool, restrictions={**session.pool.get_restrictions(pool), "restrict_vif_locking": "true"})
    (new,) = taken(simulator, objects, sr=sr)
    record = session.VIF.get_record(session.VM.get_VIFs(new)[0])
    assert (record["locking_mode"], record["ipv4_allowed"]) == ("network_default", [])


# GPUs and TPMs


def test_a_vgpu_comes_along(simulator: Simulator, session: Any, sr: str) -> None:
    vm = machine(session)
    session.VGPU.create(vm, group(session, T4["name"]), "11", {}, kind(session, "GRID T4-4Q"))
    objects = packed(simulator, vm)
    (new,) = taken(simulator, objects, sr=sr)
    (vgpu,) = [session.VGPU.get_record(ref) for ref in session.VM.get_VGPUs(new)]
    assert (vgpu["GPU_group"], vgpu["type"], vgpu["device"]) == (group(session, T4["name"]), kind(session, "GRID T4-4Q"), "11")


def test_a_kind_of_gpu_that_is_not_here(simulator: Simulator, session: Any, sr: str) -> None:
    vm = machine(session)
    session.VGPU.create(vm, group(session, T4["name"]), "0", {}, kind(session, "GRID T4-4Q"))
    objects = packed(simulator, vm)
    one(objects, "GPU_group").update(GPU_types=["10de/ffff"], name_label="far away")
    one(objects, "VGPU_type").update(identifier="0001:nvidia,ffff,,ffff,0001", model_name="GRID X1")
    text = """INTERNAL_ERROR: [ Failure("Unable to find GPU group with matching GPU_types = '[10de/ffff]'") ]"""
    assert refusal(lambda: taken(simulator, objects)) == ["IMPORT_ERROR", text]
    (new,) = taken(simulator, objects, sr=sr)
    vgpu = session.VGPU.get_record(session.VM.get_VGPUs(new)[0])
    made = session.GPU_group.get_record(vgpu["GPU_group"])
    assert (made["name_label"], made["GPU_types"], made["PGPUs"]) == ("far away", ["10de/ffff"], [])
    record = session.VGPU_type.get_record(vgpu["type"])
    assert (record["model_name"], record["compatible_types_in_vm"]) == ("GRID X1", [vgpu["type"]])


def test_a_migrating_vgpu_needs_room_here(simulator: Simulator, session: Any) -> None:
    vm, other = machine(session), machine(session)
    session.VGPU.create(vm, group(session, K1["name"]), "0", {}, NULL)
    objects = packed(simulator, vm)
    session.VM.add_to_other_config(other, "pci", f"0/{session.PCI.get_pci_id(session.PGPU.get_PCI(gpus(session, K1['name'])[0]))}")
    session.VM.start_on(other, host_named(session, "xs1"), False, False)
    assert refusal(lambda: taken(simulator, objects, live=True))[0] == "VM_REQUIRES_GPU"
    taken(simulator, objects)


def test_a_tpm_comes_with_what_is_in_it(simulator: Simulator, session: Any, sr: str) -> None:
    vm = machine(session)
    vtpm = session.VTPM.create(vm, False)
    session.VTPM.set_contents(vtpm, "c2VjcmV0")
    objects = packed(simulator, vm)
    (new,) = taken(simulator, objects, sr=sr)
    (copy,) = session.VM.get_VTPMs(new)
    assert session.VTPM.get_contents(copy) == "c2VjcmV0"
    assert session.VTPM.get_uuid(copy) != session.VTPM.get_uuid(vtpm)
    one(objects, "VM")["version"] = "2"
    uuid = session.VTPM.get_uuid(vtpm)
    (again,) = taken(simulator, objects, sr=sr, restore=True)
    assert session.VTPM.get_uuid(session.VM.get_VTPMs(again)[0]) == uuid
    # As when its VM is passed over (precheck of VTPM).
    session.VM.start(again, False, False)
    refused = refusal(lambda: taken(simulator, objects, sr=sr, restore=True, force=True))
    assert refused == ["IMPORT_ERROR", f"A VTPM with UUID {uuid} already exists"]


def test_measurements_travel_since_2025() -> None:
    with Simulator("one_host", api="26", clock=VirtualClock()) as simulator:
        session = simulator.session()
        vm = machine(session, start=True)
        session.VM.hard_shutdown(vm)
        change(simulator, "VM_metrics", session.VM.get_metrics(vm), install_time="20250102T03:04:05Z")
        (new,) = taken(simulator, packed(simulator, vm), sr=sr_named(session, "NFS storage"))
        metrics = session.VM.get_metrics(new)
        assert metrics != session.VM.get_metrics(vm)
        assert str(session.VM_metrics.get_install_time(metrics)) == "20250102T03:04:05Z"
        assert len(session.VM_metrics.get_all()) == len({session.VM.get_metrics(one) for one in session.VM.get_all()} - {NULL})


def test_a_nic_of_an_unknown_network_makes_it(simulator: Simulator, session: Any, sr: str) -> None:
    vm = machine(session)
    network = session.network.create({"name_label": "lab", "name_description": "", "other_config": {}})
    add_nic(session, vm, network, device="3")
    objects = packed(simulator, vm)
    one(objects, "network", name_label="lab").update(name_label="far away", bridge="xapi77")
    (new,) = taken(simulator, objects, sr=sr)
    names = {session.network.get_name_label(session.VIF.get_network(vif)) for vif in session.VM.get_VIFs(new)}
    assert "far away" in names
