# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""VMs out of an archive: what the records keep (ocaml/xapi/import.ml, VM.handle)."""

from __future__ import annotations

from typing import Any

from simulator import Simulator
from simulator.behaviour._vm_export import Export
from simulator.behaviour._vm_import_objects import Wanted
from simulator.engine.context import CURRENT, Context

from ._machines import machine


def taken_in(simulator: Simulator, vm: str, sr: str) -> list[str]:
    """The VM and its snapshots once more, as an archive that keeps their power states would bring them."""
    engine = simulator.engine
    vms: Any = engine.behaviours["VM"]

    async def run() -> list[str]:
        task = engine.tasks.create("VM.import", host=engine.coordinator)
        CURRENT.set(Context("VM.import", host=engine.coordinator, task=task))
        done = await vms.import_objects(Export(engine, [vm], snapshots=True, keep_state=True).objects, Wanted(sr=sr))
        vms.finish_import(done)
        return list(done.vms)

    return simulator.run(run())


def test_snapshots_and_sleepers(simulator: Simulator, session: Any) -> None:
    vm = machine(session, start=True)
    simulator.run(simulator.clock.sleep(5))
    snapshot = session.VM.snapshot(vm, "before")
    session.VM.suspend(vm)
    (sr,) = {session.VDI.get_SR(session.VBD.get_VDI(vbd)) for vbd in session.VM.get_VBDs(vm) if session.VBD.get_type(vbd) == "Disk"}
    records = {record["name_label"]: record for record in (session.VM.get_record(new) for new in taken_in(simulator, vm, sr))}
    assert records["before"]["snapshot_info"] == session.VM.get_snapshot_info(snapshot) != {}
    sleeper = records[session.VM.get_name_label(vm)]
    assert sleeper["power_state"] == "Suspended"
    # Which kind it resumes as is with its metrics.
    assert session.VM_metrics.get_current_domain_type(sleeper["metrics"]) == "hvm"
