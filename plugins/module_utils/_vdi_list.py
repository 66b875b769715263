# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of ``xen_vdi_info``: which disks are listed, and the chains below them."""

from __future__ import annotations

from typing import Any

from ._device_job import load_vm
from ._device_names import device_number, number_or_none
from ._errors import NotFound, XenError
from ._lookup import Caller, Record, View, is_null
from ._plan import Plan
from ._render_devices import is_volume, vdi
from ._vdi_find import get_sr

VDI_INFO_OPTIONS: dict[str, dict[str, Any]] = {
    "vm": {"type": "str"},
    "vm_uuid": {"type": "str"},
    "sr": {"type": "str"},
    "userdevice": {"type": "str", "aliases": ["device"]},
    "min_userdevice": {"type": "int"},
    "owned": {"type": "bool"},
    "is_snapshot": {"type": "bool"},
    "chain": {"type": "bool", "default": False},
}
OF_VM = ("userdevice", "min_userdevice", "owned")
# Up to so many objects are read one by one; beyond, their whole class in one call.
FEW = 4


def plan_vdis(session: Caller, params: dict[str, Any]) -> Plan:
    """A plan without steps. No match is an empty list and no error, but for a device of a VM."""
    view = View(session)
    if params["vm"] is not None or params["vm_uuid"] is not None:
        records = _of_vm(view, params)
    elif any(params[option] is not None for option in OF_VM):
        raise XenError("userdevice, min_userdevice and owned say which disks of a VM; give vm or vm_uuid too")
    else:
        records = view.load("VDI", _conditions(view, params) or None)
    records = {ref: record for ref, record in records.items() if _is_asked_for(params, record)}
    _load_neighbours(view, records)
    parents = _parents(view, records) if params["chain"] else {}
    listed = [{**vdi(record, view), **({"chain": _chain(record, parents)} if params["chain"] else {})} for record in records.values()]
    return Plan(result={"vdis": sorted(listed, key=lambda item: (item["name"], item["uuid"]))})


def _conditions(view: View, params: dict[str, Any]) -> dict[str, Any]:
    """What the pool filters by itself."""
    asked = {"uuid": params["uuid"], "name_label": params["name"], "is_a_snapshot": params["is_snapshot"]}
    asked["SR"] = get_sr(view, params["sr"])[0] if params["sr"] is not None else None
    return {field: value for field, value in asked.items() if value is not None}


def _is_asked_for(params: dict[str, Any], record: Record) -> bool:
    """Internal parts of chains are no disks, and listed only by uuid."""
    return (
        (record["managed"] or params["uuid"] is not None)
        and params["uuid"] in (None, record["uuid"])
        and params["name"] in (None, record["name_label"])
        and params["is_snapshot"] in (None, record["is_a_snapshot"])
    )


def _of_vm(view: View, params: dict[str, Any]) -> dict[str, Record]:
    """The disks of the VM's devices; an empty drive has none (driver-operations §5.5)."""
    vm_ref, machine = load_vm(view, params)
    vbds = [vbd for vbd in view.load("VBD", {"VM": vm_ref}).values() if not is_null(vbd["VDI"])]
    if params["userdevice"] is not None:
        number = device_number(params["userdevice"])
        vbds = [vbd for vbd in vbds if number_or_none(vbd["userdevice"]) == number]
        if not vbds:
            raise NotFound("disk", f"at device {number}", f"see xen_vm_info for what VM {machine['name_label']!r} has")
    if params["min_userdevice"] is not None:
        vbds = [vbd for vbd in vbds if (number_or_none(vbd["userdevice"]) or 0) >= params["min_userdevice"]]
    if len(vbds) > FEW:
        view.load("VDI")
    chosen = {vbd["VDI"]: (vbd, view.record("VDI", vbd["VDI"])) for vbd in vbds}
    sr = get_sr(view, params["sr"])[0] if params["sr"] is not None else None
    records = {ref: (vbd, record) for ref, (vbd, record) in chosen.items() if record and sr in (None, record["SR"])}
    return {ref: record for ref, (vbd, record) in records.items() if params["owned"] in (None, is_owned(vbd, record))}


def is_owned(vbd: Record, record: Record) -> bool:
    """Whether a disk may go with its VM: no volume, no CD, nothing that another VM has too."""
    return not is_volume(vbd) and vbd["type"] == "Disk" and len(record["VBDs"]) == 1


def _load_neighbours(view: View, records: dict[str, Record]) -> None:
    """Whole classes when many objects need them, for the results."""
    if len(records) > FEW:
        view.load("SR")
    if sum(len(record["VBDs"]) for record in records.values()) > FEW:
        view.load("VBD")
        view.load("VM")


def _parents(view: View, records: dict[str, Record]) -> dict[str, str]:
    """By uuid, the next part of the chain, for everything on the same repositories: a chain never leaves one."""
    parts = [part for sr in {record["SR"] for record in records.values()} for part in view.load("VDI", {"SR": sr}).values()]
    return {part["uuid"]: part["sm_config"]["vhd-parent"] for part in parts if "vhd-parent" in part["sm_config"]}


def _chain(record: Record, parents: dict[str, str]) -> list[str]:
    """The disk, its parent, the parent of that, and so on."""
    chain = [record["uuid"]]
    while (parent := parents.get(chain[-1])) and parent not in chain:
        chain.append(parent)
    return chain
