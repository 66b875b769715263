# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ending a run: well, or by taking back all that it made and nothing else. What it made carries its mark (see ``_run``)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ._errors import XenError
from ._lookup import Record, View, is_null
from ._plan import Plan
from ._plug import wait_for_news
from ._render_devices import is_volume
from ._run import CACHED, CACHED_BY, RUN, is_of
from ._run_finished import DONE, plan_finished
from ._task import FINISHED, Session, run_task
from ._wait import Records, wait_until

RUN_OPTIONS: dict[str, dict[str, Any]] = {"vm_uuid": {"type": "str"}}
TAKEN = "MAP_DUPLICATE_KEY"
# Seconds within which a run that is alive goes on with what it just made.
MOMENTS = 3.0


def plan_run(session: Session, params: dict[str, Any]) -> Plan:
    """End the run."""
    return plan_finished(session, params) if params["state"] == "finished" else _plan_undone(session, params)


@dataclass
class Rollback:
    """What the run made. Removing goes on when something cannot be removed, and what is left is told in the end."""

    session: Session
    params: dict[str, Any]
    view: View
    plan: Plan = field(default_factory=Plan)
    left: list[str] = field(default_factory=list)

    @property
    def run_id(self) -> str:
        return str(self.params["run_id"])

    def marked(self, xen_class: str) -> dict[str, Record]:
        """The objects of a class that carry the mark. Snapshots inherit it from what they are of."""
        records = self.view.load(xen_class)
        return {ref: record for ref, record in records.items() if record["other_config"].get(RUN) == self.run_id and not record.get("is_a_snapshot")}

    def add(self, what: str, *calls: Callable[[], Any]) -> None:
        """Remove one thing."""

        def apply() -> None:
            for call in calls:
                try:
                    call()
                except XenError as error:
                    if getattr(error, "code", "") == TAKEN:
                        return
                    if getattr(error, "code", "") not in DONE:
                        self.left.append(f"{what}: {error}")
                        return

        self.plan.add(f"remove {what}", apply)
        self.plan.result["removed"].append(what)

    def call(self, method: str, *arguments: Any) -> Callable[[], Any]:
        """A call that may take its time."""
        return partial(run_task, self.session, method, *arguments, timeout=float(self.params["timeout"]), what=f"{method} to end")


def _plan_undone(session: Session, params: dict[str, Any]) -> Plan:
    """VMs first, then what is attached to others, then disks, which nobody uses then, and networks and tasks."""
    from ._rollback_clones import lost_vms  # only when something has failed

    undo = Rollback(session, params, View(session))
    undo.plan.result["removed"] = []
    tasks = _ended_tasks(undo)
    marked, unclaimed = undo.marked("VM"), lost_vms(session, undo.view, undo.run_id, MOMENTS)
    vms, vbds = {**marked, **unclaimed}, undo.view.load("VBD")
    disks = {**undo.marked("VDI"), **_cached(undo), **_born_with(undo, vms, vbds)}
    lost = _lost_clones(undo)
    _add_vms(undo, marked, unclaimed)
    _add_devices(undo, vms)
    _add_disks(undo, disks, lost)
    _add_networks(undo, vms)
    _add_tasks(undo, tasks)
    undo.plan.before, undo.plan.after = {"made": undo.plan.result["removed"]}, {"made": []}
    if undo.plan.steps:
        undo.plan.add("see that nothing is left", lambda: _refuse_leftovers(undo))
    return undo.plan


def _add_vms(undo: Rollback, vms: dict[str, Record], lost: dict[str, Record]) -> None:
    for ref, record in lost.items():
        claim = partial(undo.session.call, "VM.add_to_other_config", ref, RUN, undo.run_id)
        undo.add(f"lost clone {record['name_label']!r} ({record['uuid']})", claim, undo.call("VM.destroy", ref))
    for ref, record in vms.items():
        off = [] if record["power_state"] == "Halted" else [undo.call("VM.hard_shutdown", ref)]
        undo.add(f"VM {record['name_label']!r} ({record['uuid']})", *off, undo.call("VM.destroy", ref))


def _add_devices(undo: Rollback, vms: dict[str, Record]) -> None:
    """What was attached to VMs that were there before."""
    for xen_class in ("VBD", "VIF", "VGPU"):
        for ref, record in undo.marked(xen_class).items():
            if record["VM"] not in vms:
                _add_detach(undo, xen_class, ref, record)


def _add_disks(undo: Rollback, disks: dict[str, Record], lost: dict[str, Record]) -> None:
    for ref, record in disks.items():
        undo.add(f"disk {record['name_label']!r} ({record['uuid']})", undo.call("VDI.destroy", ref))
    for ref, record in lost.items():
        # Claimed first: a run that is alive may do so at this moment, and keeps it then (see _image_clone).
        claim = partial(undo.session.call, "VDI.add_to_other_config", ref, RUN, undo.run_id)
        undo.add(f"lost clone of {record['name_label']!r} ({record['uuid']})", claim, undo.call("VDI.destroy", ref))


def _add_networks(undo: Rollback, vms: dict[str, Record]) -> None:
    """Unless VMs that were there before are on it by now."""
    for ref, record in undo.marked("network").items():
        vifs = [vif for vif in (undo.view.record("VIF", item) for item in record["VIFs"]) if vif]
        if all(vif["VM"] in vms or vif["other_config"].get(RUN) == undo.run_id for vif in vifs):
            undo.add(f"network {record['name_label']!r} ({record['uuid']})", partial(undo.session.call, "network.destroy", ref))


def _add_tasks(undo: Rollback, tasks: dict[str, Record]) -> None:
    for ref, record in tasks.items():
        # A pending task would only go when it ends, and nobody is left who ends it.
        end = [] if record["status"] in FINISHED else [partial(undo.session.call, "task.set_status", ref, "cancelled")]
        undo.add(f"task {record['name_label']!r}", *end, partial(undo.session.call, "task.destroy", ref))


def _refuse_leftovers(undo: Rollback) -> None:
    if undo.left:
        raise XenError(f"{len(undo.left)} things of run {undo.run_id} are left: {'; '.join(undo.left)}; remove what keeps them, and run the task again")


def _ended_tasks(undo: Rollback) -> dict[str, Record]:
    """The tasks of the run, when they have ended: an operation whose answer was lost goes on and may still make something."""
    tasks = {ref: record for ref, record in undo.view.load("task").items() if is_of(undo.run_id, record)}
    # Those of clients end when their client ends them, so for the disk transfers that broke nobody does.
    pending = [ref for ref, record in tasks.items() if record["status"] not in FINISHED and not record["name_description"]]

    def ended(records: Records) -> bool:
        return all(ref not in records or records[ref]["status"] in FINISHED for ref in pending)

    if pending:
        subjects = [f"task/{ref}" for ref in pending]
        wait_until(undo.session, lambda _records: subjects, ended, timeout=float(undo.params["timeout"]), what="what the run began to end")
    return tasks


def _cached(undo: Rollback) -> dict[str, Record]:
    """The images that the run cached. Their clones inherit the mark, but not the uuid that it goes with."""
    disks = undo.view.load("VDI")
    keys = {ref: record["other_config"] for ref, record in disks.items()}
    return {ref: disks[ref] for ref in disks if keys[ref].get(CACHED_BY) == undo.run_id and keys[ref].get(CACHED) == disks[ref]["uuid"]}


def _lost_clones(undo: Rollback) -> dict[str, Record]:
    """Clones of cached images that nobody claims. Their makers do so within moments, unless they are dead or never heard of them."""

    def unclaimed() -> dict[str, Record]:
        disks = {ref: record for ref, record in undo.view.load("VDI").items() if record["managed"] and not record["is_a_snapshot"] and not record["VBDs"]}
        return {
            ref: record
            for ref, record in disks.items()
            if record["other_config"].get(CACHED, record["uuid"]) != record["uuid"] and RUN not in record["other_config"]
        }

    found = unclaimed()
    if found:
        wait_for_news(undo.session, [f"VDI/{ref}" for ref in found], MOMENTS)
        undo.view.forget("VDI")
        found = {ref: record for ref, record in unclaimed().items() if ref in found}
    return found


def _born_with(undo: Rollback, vms: dict[str, Record], vbds: dict[str, Record]) -> dict[str, Record]:
    """The disks that came with a VM when it was cloned: what was attached later, by a module, has our mark at its attachment.

    A clone of a VM that another run built inherits that one's marks.
    """
    found: dict[str, Record] = {}
    for ref in vms:
        for vbd in (vbd for vbd in vbds.values() if vbd["VM"] == ref and vbd["type"] == "Disk" and not is_null(vbd["VDI"])):
            disk = undo.view.record("VDI", vbd["VDI"])
            alone = disk is not None and all(other in vbds and vbds[other]["VM"] in vms for other in disk["VBDs"])
            if disk and alone and vbd["other_config"].get(RUN) != undo.run_id and not is_volume(vbd):
                found[vbd["VDI"]] = disk
    return found


def _add_detach(undo: Rollback, xen_class: str, ref: str, record: Record) -> None:
    """From a VM that was there before."""
    vm = (undo.view.record("VM", record["VM"]) or {"name_label": "?"})["name_label"]
    device = record.get("userdevice", record["device"])
    unplug = [undo.call(f"{xen_class}.unplug", ref)] if record["currently_attached"] and xen_class != "VGPU" else []
    undo.add(f"{xen_class} {device} of VM {vm!r}", *unplug, undo.call(f"{xen_class}.destroy", ref))
