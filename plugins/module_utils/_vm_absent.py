# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Removing a VM, with its disks and its interim networks when asked to. What stays of its disks is told."""

from __future__ import annotations

from functools import partial
from typing import Any

from ._errors import ApiError, XenError
from ._interim import is_interim
from ._lookup import Found, View
from ._plan import Plan
from ._task import Session, run_task
from ._vm import word
from ._vm_disks import kept_disks, own_disks, owned_disks

# VM.destroy takes a suspended VM too, but leaves the image of its memory behind.
GONE = ("HANDLE_INVALID", "UUID_INVALID")


def plan_absent(session: Session, params: dict[str, Any], found: Found | None) -> Plan:
    """Off, when forced; then the disks, so that a run that breaks can be repeated; then the VM."""
    if found is None:
        return Plan(before={"state": "absent"}, after={"state": "absent"}, result={"removed": [], "left": []})
    ref, record = found
    name = record["name_label"]
    plan = Plan(before={"state": "present", "name": name, "disks": []}, after={"state": "absent"}, result={"removed": [], "left": []})
    _refuse(params, record)
    if record["power_state"] != "Halted":
        hard = partial(run_task, session, "VM.hard_shutdown", ref, timeout=params["timeout"], what=f"VM {name!r} to be powered off")
        plan.add(f"power VM {name!r} off", hard)
    view = View(session)
    if params["destroy_disks"] or params["destroy_owned"]:
        _add_disks(session, params, view, plan, found)
    if params["purge_networks"]:
        _add_networks(session, view, plan, found)
    # The VM goes last: as long as it is there, a run that was interrupted can be repeated.
    plan.add(f"remove VM {name!r}", partial(_destroy, session, "VM", ref, params["timeout"]))
    if record["snapshots"]:
        _tell(plan, record["uuid"], f"{len(record['snapshots'])} snapshots of VM {name!r} remain, and with them its disks as they were")
    return plan


def _tell(plan: Plan, uuid: str, text: str) -> None:
    """What stays is a warning, and part of the result: Ansible keeps warnings out of what a task registers."""
    plan.warnings.append(text)
    plan.result["left"].append({"uuid": uuid, "text": text})


def _add_disks(session: Session, params: dict[str, Any], view: View, plan: Plan, found: Found) -> None:
    ref, record = found
    disks = own_disks(view, ref) if params["destroy_disks"] else {}
    if params["destroy_owned"]:
        disks |= owned_disks(view, record["uuid"])
    for vdi, disk in disks.items():
        plan.before["disks"].append(disk["uuid"])
        plan.result["removed"].append(disk["uuid"])
        plan.add(f"remove its disk {disk['name_label']!r} ({disk['uuid']})", partial(_destroy, session, "VDI", vdi, params["timeout"]))
    for disk, why in kept_disks(view, ref, set(disks)) if params["destroy_disks"] else ():
        _tell(plan, disk["uuid"], f"disk {disk['name_label']!r} ({disk['uuid']}) of VM {record['name_label']!r} stays: {why}")


def _add_networks(session: Session, view: View, plan: Plan, found: Found) -> None:
    """The interim networks on which nobody else is."""
    ref, record = found
    nics = view.load("VIF", {"VM": ref}) if record["VIFs"] else {}
    view.fetch({"network": [nic["network"] for nic in nics.values()]})
    plan.before["networks"] = []
    for network_ref in sorted({nic["network"] for nic in nics.values()}):
        network = view.record("network", network_ref)
        if network and is_interim(network) and not network["PIFs"] and set(network["VIFs"]) <= nics.keys():
            plan.before["networks"].append(network["name_label"])
            # With its interfaces, in one call: once they are gone, a repeated run could not tell that the network was of this VM.
            plan.add(f"remove interim network {network['name_label']!r}", partial(_destroyed, session, network_ref))


def _refuse(params: dict[str, Any], record: dict[str, Any]) -> None:
    name = record["name_label"]
    blocked = next((operation for operation in ("destroy", "hard_shutdown") if operation in record["blocked_operations"]), None)
    if blocked == "destroy" or (blocked and record["power_state"] != "Halted"):
        reason = record["blocked_operations"][blocked]
        raise XenError(f"VM {name!r} is protected against {blocked} ({reason}); lift that first (xen_vm with blocked_operations: {{{blocked}: null}})")
    if record["power_state"] != "Halted" and not params["force"]:
        raise XenError(f"VM {name!r} is {word(record['power_state'])} and is not removed; shut it down first (xen_power), or set force to power it off")


def _destroyed(session: Session, network: str) -> None:
    try:
        session.call("network.destroy", network)
    except ApiError as error:
        if error.code not in GONE:
            raise


def _destroy(session: Session, xen_class: str, ref: str, timeout: float) -> None:
    try:
        run_task(session, f"{xen_class}.destroy", ref, timeout=timeout, what=f"the {xen_class} to be removed")
    except ApiError as error:
        if error.code not in GONE:
            raise
