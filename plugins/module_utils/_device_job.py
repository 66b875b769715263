# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A VM and its devices of one class, as every module that puts something at a device begins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ._device_names import number_or_none
from ._errors import Ambiguous, NotFound
from ._lookup import Found, Record, View
from ._plan import Plan
from ._task import Session
from ._vm import missing_vm


@dataclass
class Job:
    """One device on its way: what is wanted, the VM, the device (``ref`` is set by the step that creates it)."""

    session: Session
    params: dict[str, Any]
    view: View
    vm_ref: str
    vm: Record
    devices: dict[str, Record]
    plan: Plan = field(default_factory=Plan)
    ref: str = ""

    @property
    def running(self) -> bool:
        return bool(self.vm["power_state"] == "Running")

    @property
    def of_vm(self) -> str:
        return f"of VM {self.vm['name_label']!r}"


def start(session: Session, params: dict[str, Any], xen_class: str) -> Job:
    """Read the VM and its devices of a class: two calls, one when it says that it has none."""
    view = View(session)
    vm_ref, vm = load_vm(view, params)
    return Job(session, params, view, vm_ref, vm, view.load(xen_class, {"VM": vm_ref}) if vm[f"{xen_class}s"] else {})


def load_vm(view: View, params: Mapping[str, Any]) -> Found:
    """The VM of ``vm`` or ``vm_uuid``. By name only real VMs count; snapshots and templates often share the name."""
    if params["vm_uuid"] is not None:
        return only_one(view.load("VM", {"uuid": params["vm_uuid"]}), "VM", params["vm_uuid"])
    named = view.load("VM", {"name_label": params["vm"], "is_a_template": False})
    if not named:
        raise missing_vm(view.session, name=params["vm"])
    return only_one(named, "VM", params["vm"])


def only_one(records: dict[str, Record], noun: str, text: str, hint: str = "") -> Found:
    """The one record; none and many are errors."""
    if not records:
        raise NotFound(noun, text, hint)
    if len(records) > 1:
        raise Ambiguous(noun, text, [record["uuid"] for record in records.values()])
    return next(iter(records.items()))


def find_number(job: Job, number: int) -> Found | None:
    """The VBD with this device number, however its number was written."""
    return next((item for item in job.devices.items() if number_or_none(item[1]["userdevice"]) == number), None)


def what_is_at(job: Job, record: Record) -> str:
    """For messages: what a VBD holds."""
    if record["type"] == "CD":
        return "a CD drive"
    disk = job.view.record("VDI", record["VDI"])
    return f"disk {disk['name_label']!r}" if disk else "a disk that is gone"
