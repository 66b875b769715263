# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Devices of a host handed to a VM: PCI devices by address, and virtual GPUs by type and group (driver-operations §23)."""

from __future__ import annotations

import re
from typing import Any

from ._device_job import Job, load_vm, only_one
from ._errors import XenError
from ._lookup import Caller, Found, Record, View, is_null, looks_like_uuid
from ._plan import Plan, Values
from ._vm import word

PCI = "pci"
ADDRESS = re.compile(r"(?:0/)?(?:([0-9a-f]{4}):)?([0-9a-f]{2}):([01][0-9a-f])\.([0-7])", re.IGNORECASE)
PCI_OPTIONS: dict[str, dict[str, Any]] = {"devices": {"type": "list", "elements": "str"}}
VGPU_OWNER = "nova-instance-uuid"
VGPU_OPTIONS: dict[str, dict[str, Any]] = {"type": {"type": "str"}, "group": {"type": "str"}, "owner": {"type": "str"}}


def plan_pci(session: Caller, params: dict[str, Any]) -> Plan:
    """Write the list that the VM's next domain gets. The whole list is the wanted one."""
    devices = list(dict.fromkeys(pci_address(text) for text in params["devices"] or [])) if params["state"] == "present" else []
    ref, vm = load_vm(View(session), params)
    current, wanted = vm["other_config"].get(PCI), ",".join(f"0/{device}" for device in devices) or None
    plan = Plan(before={"devices": _listed(current)}, after={"devices": devices}, result={"devices": devices})
    if current == wanted:
        return plan

    def write() -> None:
        if current is not None:
            session.call("VM.remove_from_other_config", ref, PCI)
        if wanted is not None:
            session.call("VM.add_to_other_config", ref, PCI, wanted)

    plan.add(f"set the PCI devices of VM {vm['name_label']!r}", write)
    plan.before, plan.after = {PCI: current}, {PCI: wanted}
    if vm["power_state"] != "Halted":
        plan.warnings.append(f"VM {vm['name_label']!r} is {word(vm['power_state'])}: it gets its PCI devices at its next start")
    return plan


def pci_address(text: str) -> str:
    """``0000:87:00.0``, the domain filled in."""
    match = ADDRESS.fullmatch(text.strip())
    if match is None:
        raise XenError(f"devices {text!r} is no address of a PCI device; write it as 0000:87:00.0, see lspci on the host")
    domain, bus, slot, function = match.groups()
    return f"{domain or '0000'}:{bus}:{slot}.{function}".lower()


def _listed(text: str | None) -> list[str]:
    return [item.partition("/")[2] or item for item in text.split(",")] if text else []


def find_vgpu(job: Job) -> Found | None:
    """The virtual GPU of the type and the group that are asked for; any, when none is."""
    kind, group = _type(job), _group(job)
    found = {ref: record for ref, record in job.devices.items() if kind in (None, record["type"]) and group in (None, record["GPU_group"])}
    return only_one(found, "virtual GPU", f"of VM {job.vm['name_label']}", "") if found else None


def vgpu_record(job: Job) -> tuple[str, str]:
    """Type and group of a new one: the first group with room for it."""
    kind = _type(job)
    if kind is None:
        raise XenError(f"VM {job.vm['name_label']!r} has no virtual GPU; give type to add one")
    if job.vm["power_state"] != "Halted":
        raise XenError(f"VM {job.vm['name_label']!r} is {word(job.vm['power_state'])}, and a virtual GPU is added only while it is halted; shut it down first")
    asked = _group(job)
    groups = {ref: record for ref, record in job.view.load("GPU_group").items() if asked in (None, ref)}
    offering = [ref for ref in sorted(groups, key=lambda ref: groups[ref]["uuid"]) if kind in groups[ref]["enabled_VGPU_types"]]
    for group in offering:
        if int(job.session.call("GPU_group.get_remaining_capacity", group, kind)) > 0:
            return kind, group
    name = vgpu_type_name(job.view, kind)
    why = "has room for another one; stop a VM that uses one" if offering else "offers it; enable the type on a GPU"
    raise XenError(f"no GPU group {why} (virtual GPU {name!r}), or choose another type")


def _type(job: Job) -> str | None:
    """By uuid or by model name, as XenCenter shows it."""
    text = job.params["type"]
    if text is None:
        return None
    types = job.view.load("VGPU_type", {"uuid": text} if looks_like_uuid(text) else {"model_name": text})
    return only_one(types, "virtual GPU type", text, "see xe vgpu-type-list for what the GPUs of the pool offer")[0]


def _group(job: Job) -> str | None:
    text = job.params["group"]
    if text is None:
        return None
    return only_one(job.view.load("GPU_group", {"uuid": text} if looks_like_uuid(text) else {"name_label": text}), "GPU group", text)[0]


def vgpu_type_name(view: View, ref: str) -> str | None:
    """The model name of a type."""
    record = None if is_null(ref) else view.record("VGPU_type", ref)
    return record["model_name"] if record else None


def vgpu(record: Record, view: View) -> Values:
    """A virtual GPU as the documented result."""
    group = view.record("GPU_group", record["GPU_group"])
    return {
        "uuid": record["uuid"],
        "vm": view.uuid("VM", record["VM"]),
        "device": record["device"],
        "type": view.uuid("VGPU_type", record["type"]),
        "type_name": vgpu_type_name(view, record["type"]),
        "group": group["uuid"] if group else None,
        "group_name": group["name_label"] if group else None,
        "attached": record["currently_attached"],
        "owner": record["other_config"].get(VGPU_OWNER),
    }


def plan_vgpu(session: Any, params: dict[str, Any]) -> Plan:
    """A virtual GPU there, or not."""
    view = View(session)
    vm_ref, vm = load_vm(view, params)
    job = Job(session, params, view, vm_ref, vm, view.load("VGPU", {"VM": vm_ref}) if vm["VGPUs"] else {})
    found, plan = find_vgpu(job), job.plan
    plan.before = {"state": "present", **vgpu(found[1], view)} if found else {"state": "absent"}
    if params["state"] == "absent":
        plan.after = {"state": "absent"}
        if found:
            _refuse_live(vm)
            plan.add(f"remove the virtual GPU {job.of_vm}", lambda: session.call("VGPU.destroy", found[0]))
    elif found:
        plan.after, plan.result = plan.before, {"vgpu": vgpu(found[1], view)}
    else:
        _plan_new(job)
    return plan


def _refuse_live(vm: Record) -> None:
    if vm["power_state"] != "Halted":
        raise XenError(f"VM {vm['name_label']!r} is {word(vm['power_state'])}, and its virtual GPU is removed only while it is halted; shut it down first")


def _plan_new(job: Job) -> None:
    kind, group = vgpu_record(job)
    owner = job.params["owner"] or job.vm["uuid"]
    keys = {VGPU_OWNER: owner}
    record: Record = {"uuid": "", "VM": job.vm_ref, "device": "0", "type": kind, "GPU_group": group, "currently_attached": False, "other_config": keys}

    def create() -> None:
        # Device 0 lets the pool take the first free one.
        job.ref = job.session.call("VGPU.create", job.vm_ref, group, "0", keys, kind)

    job.plan.add(f"add a virtual GPU {job.of_vm}", create, lambda: job.session.call("VGPU.destroy", job.ref))
    shown = {key: value for key, value in vgpu(record, job.view).items() if key not in ("uuid", "device")}
    job.plan.after, job.plan.result = {"state": "present", **shown}, {"vgpu": shown}
    job.plan.read = lambda: {"vgpu": vgpu(job.session.call("VGPU.get_record", job.ref), job.view)}
