# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""VMs and appliances recovered into another pool that sees their storage (X/xapi_dr.ml, xapi_vm_appliance.ml)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from simulator import NULL, Simulator, VirtualClock, worlds

from ._machines import disks, machine, refusal, sr_named


@pytest.fixture
def pools() -> Iterator[tuple[Simulator, Simulator]]:
    """Two pools with storage of the same uuids: the second was made as a copy of the first."""
    blueprint = json.loads((worlds.HERE / "one_host.json").read_text(encoding="utf-8"))
    with Simulator(blueprint, clock=VirtualClock()) as lost, Simulator(blueprint, clock=VirtualClock()) as safe:
        yield lost, safe
        assert lost.problems == safe.problems == []


def seen(lost: Simulator, safe: Simulator, vdi: str) -> str:
    """A disk of the first pool as a scan of the same storage finds it in the second."""
    record = lost.session().VDI.get_record(vdi)
    there = safe.session()
    ref = safe.session().VDI.create(
        {
            "SR": sr_named(there, "NFS storage"),
            "name_label": record["name_label"],
            "virtual_size": record["virtual_size"],
            "type": "user",
            "sharable": False,
            "read_only": False,
            "other_config": {},
        }
    )

    async def place() -> None:
        safe.engine.db.set("VDI", ref, "location", record["location"])

    safe.run(place())
    return str(ref)


def test_a_vm_is_restored_where_its_storage_is(pools: tuple[Simulator, Simulator]) -> None:
    lost, safe = pools
    here, there = lost.session(), safe.session()
    vm = machine(here, "web")
    uuid, known = here.VM.get_uuid(vm), set(there.VM.get_all())
    assert refusal(here.VM.recover, vm, there.ref, False) == ["VDI_LOCATION_MISSING", sr_named(there, "NFS storage"), here.VDI.get_location(disks(here, vm)[0])]
    disk = seen(lost, safe, disks(here, vm)[0])
    here.VM.recover(vm, there.ref, False)
    (new,) = set(there.VM.get_all()) - known
    assert (there.VM.get_uuid(new), there.VM.get_name_label(new), disks(there, new)) == (uuid, "web", [disk])
    assert here.VM.get_uuid(vm) == uuid
    # It is there now, one version on: what comes again is older.
    assert refusal(here.VM.recover, vm, there.ref, False) == ["VM_TO_IMPORT_IS_NOT_NEWER_VERSION", new, "1", "0"]
    there.VM.start(new, False, False)
    assert refusal(here.VM.recover, vm, there.ref, False) == ["VM_BAD_POWER_STATE", new, "Halted", "Running"]
    here.VM.recover(vm, there.ref, True)
    assert there.VM.get_power_state(new) == "Running"


def change(pool: Simulator, cls: str, ref: str, **values: Any) -> None:
    async def run() -> None:
        pool.engine.db.update(cls, ref, **values)

    pool.run(run())


def test_what_else_recovery_looks_at(pools: tuple[Simulator, Simulator]) -> None:
    lost, safe = pools
    here, there = lost.session(), safe.session()
    vm, stranger, sr = machine(here), machine(there), sr_named(there, "NFS storage")
    seen(lost, safe, disks(here, vm)[0])
    # A stranger with the same MAC seed is none of its business, unlike that of an import (handle_all alone runs).
    seed = here.VM.get_other_config(vm)["mac_seed"]
    change(safe, "VM", stranger, other_config={**there.VM.get_other_config(stranger), "mac_seed": seed})
    change(safe, "SR", sr, introduced_by="OpaqueRef:task")
    restrictions = there.pool.get_restrictions(safe.engine.pool)
    change(safe, "pool", safe.engine.pool, restrictions={**restrictions, "restrict_dr": "true"})
    assert refusal(here.VM.recover, vm, there.ref, False) == ["LICENCE_RESTRICTION", "DR"]
    change(safe, "pool", safe.engine.pool, restrictions=restrictions)
    here.VM.recover(vm, there.ref, False)
    assert there.SR.get_introduced_by(sr) == NULL


def test_storage_that_is_not_plugged_there(pools: tuple[Simulator, Simulator]) -> None:
    here, there = (pool.session() for pool in pools)
    vm, sr = machine(here), sr_named(there, "NFS storage")
    for pbd in there.SR.get_PBDs(sr):
        there.PBD.unplug(pbd)
    assert here.VM.get_SRs_required_for_recovery(vm, there.ref) == [sr_named(here, "NFS storage")]
    assert refusal(here.VM.recover, vm, there.ref, False) == ["VM_REQUIRES_SR", vm, sr]


def test_an_appliance_comes_with_its_vms(pools: tuple[Simulator, Simulator]) -> None:
    lost, safe = pools
    here, there = lost.session(), safe.session()
    appliance = here.VM_appliance.create({"name_label": "shop", "name_description": "Web and database"})
    vms = [machine(here, name, appliance=appliance) for name in ("web", "database")]
    for vm in vms:
        seen(lost, safe, disks(here, vm)[0])
    here.VM_appliance.recover(appliance, there.ref, False)
    (new,) = there.VM_appliance.get_all()
    record = there.VM_appliance.get_record(new)
    assert (record["uuid"], record["name_label"], record["name_description"]) == (here.VM_appliance.get_uuid(appliance), "shop", "Web and database")
    assert {there.VM.get_name_label(vm) for vm in record["VMs"]} == {"web", "database"}
    assert record["allowed_operations"] == ["start"]
    # Once more: the one that is there is filled anew.
    here.VM_appliance.set_name_label(appliance, "store")
    machine(there, "guest", appliance=new)
    here.VM_appliance.recover(appliance, there.ref, True)
    assert [there.VM_appliance.get_name_label(one) for one in there.VM_appliance.get_all()] == ["store"]
    assert {there.VM.get_name_label(vm) for vm in there.VM_appliance.get_VMs(new)} == {"web", "database"}
