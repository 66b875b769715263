# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk rewritten as a whole or not at all: a clone of it is changed, and takes its place when it is complete.

The source is marked first with its own uuid, and a clone inherits its marks: so a clone is known from its first moment
by a mark that is another disk's, and no machine ever gets one that is half written. What an interrupted run left, a clone
or a source whose place is taken, goes in the next one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ._codec import format_bytes, parse_bytes
from ._device_names import device_number, number_or_none
from ._devices import load_vm
from ._disk_stream import Transfer
from ._errors import Ambiguous, NotFound, XenError
from ._lookup import Found, Record, View
from ._plan import Plan, Values
from ._render_devices import vdi
from ._task import run_task
from ._vdi import is_exact
from ._vdi_find import BY_NAME, get_sr, names_of, refuse_in_use

SOURCE_OPTIONS: dict[str, dict[str, Any]] = {
    "name": {"type": "str"},
    "uuid": {"type": "str"},
    "sr": {"type": "str"},
    "vm": {"type": "str"},
    "vm_uuid": {"type": "str"},
    "userdevice": {"type": "str", "default": "0"},
}
DISK_OPTIONS: dict[str, dict[str, Any]] = {**SOURCE_OPTIONS, "work_dir": {"type": "path"}}
SELECTORS = ("name", "uuid", "vm", "vm_uuid")
# On the source and its clone: the uuid of the source.
REWRITES = "xen_ansible:rewrites"
# On what took the place of a disk: its uuid.
REPLACES = "xen_ansible:replaces"
VBD_FIELDS = (
    "VM", "userdevice", "bootable", "mode", "type", "unpluggable", "empty", "other_config", "qos_algorithm_type", "qos_algorithm_params",
)  # fmt: skip
# Of the result, what is the same for a clone, or is known before it exists.
FORETOLD = ("name", "description", "sr", "type", "sharable", "read_only", "tags", "disk_type", "owner", "content", "managed", "is_snapshot")


@dataclass
class DiskJob:
    """One disk on its way. ``ref`` is the disk that is the result, set by the step that makes it."""

    session: Any
    params: dict[str, Any]
    view: View
    plan: Plan = field(default_factory=Plan)
    ref: str = ""
    transfer: Transfer | None = None
    shown: Values = field(default_factory=dict)
    leftovers: dict[str, Record] = field(default_factory=dict)

    @property
    def timeout(self) -> float:
        return float(self.params["timeout"])

    @property
    def size(self) -> int:
        size = parse_bytes(self.params["size"])
        if size <= 0:
            raise XenError(f"size {self.params['size']!r} is none that a disk can have")
        return size

    def read(self) -> Values:
        """The truth, after the steps."""
        self.view.forget()
        told = self.transfer
        sent = {"bytes_sent": told.bytes_sent, "bytes_total": told.bytes_total, "seconds": round(told.seconds, 3)} if told else {}
        return {"vdi": vdi(self.session.call("VDI.get_record", self.ref), self.view), **self.shown, **({"transfer": sent} if told else {})}


def find_disk(job: DiskJob) -> Found:
    """The disk at a device of a VM, or by uuid, or by name among those that are whole."""
    params, view = job.params, job.view
    if params["vm"] or params["vm_uuid"]:
        return _at_device(job)
    if params["uuid"]:
        records = view.load("VDI", {"uuid": params["uuid"]})
    else:
        sr = {"SR": get_sr(view, params["sr"])[0]} if params["sr"] is not None else {}
        records = _whole(job, view.load("VDI", {"name_label": params["name"], **BY_NAME, **sr}))
    text = params["uuid"] or params["name"]
    if not records:
        raise NotFound("disk", text, "see xen_vdi_info for what there is")
    if len(records) > 1:
        raise Ambiguous("disk", text, [record["uuid"] for record in records.values()])
    (found,) = records.items()
    _note_leftovers(job, found)
    return found


def _whole(job: DiskJob, records: Mapping[str, Record]) -> dict[str, Record]:
    replaced = {record["other_config"].get(REPLACES) for record in records.values()}
    return {ref: record for ref, record in records.items() if not _is_unfinished(record) and (record["VBDs"] or record["uuid"] not in replaced)}


def _at_device(job: DiskJob) -> Found:
    vm, machine = load_vm(job.view, job.params)
    number = device_number(job.params["userdevice"])
    vbds = job.view.load("VBD", {"VM": vm})
    vbd = next((record for record in vbds.values() if number_or_none(record["userdevice"]) == number), None)
    record = job.view.record("VDI", vbd["VDI"]) if vbd and vbd["type"] == "Disk" else None
    if vbd is None or record is None:
        raise XenError(f"there is no disk at device {number} of VM {machine['name_label']!r}; see xen_vm_info for its disks")
    found = (vbd["VDI"], record)
    _note_leftovers(job, found)
    return found


def _is_unfinished(record: Record) -> bool:
    return bool(record["other_config"].get(REWRITES, record["uuid"]) != record["uuid"])


def _note_leftovers(job: DiskJob, found: Found) -> None:
    """What an interrupted run left of this disk: a clone that is not complete, or the disk that was before."""
    ref, record = found
    for other, rest in job.view.load("VDI", {"name_label": record["name_label"], "SR": record["SR"], **BY_NAME}).items():
        if other == ref or rest["VBDs"]:
            continue
        if rest["other_config"].get(REWRITES) == record["uuid"] or rest["uuid"] == record["other_config"].get(REPLACES):
            job.leftovers[other] = rest


def add_leftovers(job: DiskJob) -> None:
    """Steps that remove what an interrupted run left."""
    for ref, record in job.leftovers.items():
        _add_destroy(job, ref, record["name_label"], "what an interrupted run left of disk")


def refuse_busy(job: DiskJob, record: Record, purpose: str) -> None:
    """Refuse unless every VM that has the disk is halted: a suspended one goes on with what it knows of its disks."""
    refuse_in_use(job.view, record, purpose, "halt the VM first")
    vbds = [vbd for vbd in (job.view.record("VBD", ref) for ref in record["VBDs"]) if vbd]
    awake = [vbd for vbd in vbds if (job.view.record("VM", vbd["VM"]) or {}).get("power_state", "Halted") != "Halted"]
    if awake:
        raise XenError(f"disk {record['name_label']!r} belongs to {names_of(job.view, awake)}, not halted; it cannot be {purpose} before")


def plan_rewrite(job: DiskJob, found: Found, *, size: int | None, write: Callable[[str, int], Transfer], keys: Callable[[int], Mapping[str, str]]) -> None:
    """Steps that put a changed clone in the place of a disk. ``write(clone, size)`` changes it; ``keys(size)`` are set at the end."""
    source, record = found
    name, uuid, session = record["name_label"], record["uuid"], job.session
    add_leftovers(job)
    job.plan.add(f"mark disk {name!r} as being rewritten", lambda: _set_key(session, source, REWRITES, uuid), lambda: _drop_key(session, source, REWRITES))

    def clone() -> None:
        job.ref = run_task(session, "VDI.clone", source, {}, timeout=job.timeout, what=f"a clone of disk {name!r}")

    def grow() -> None:
        run_task(session, "VDI.resize", job.ref, size, timeout=job.timeout, what=f"disk {name!r} to grow")

    def rewrite() -> None:
        job.transfer = write(job.ref, session.call("VDI.get_virtual_size", job.ref))

    def finish() -> None:
        for key, value in {**keys(session.call("VDI.get_virtual_size", job.ref)), REPLACES: uuid}.items():
            _set_key(session, job.ref, key, value)
        _drop_key(session, job.ref, REWRITES)

    job.plan.add(f"clone disk {name!r}", clone, lambda: session.call("VDI.destroy", job.ref))
    if size is not None:
        job.plan.add(f"grow the clone to {format_bytes(size)}", grow)
    job.plan.add(f"rewrite the clone of disk {name!r}", rewrite)
    job.plan.add("mark the clone as complete", finish)
    for vbd in record["VBDs"]:
        _add_swap(job, vbd, source, name)
    _add_destroy(job, source, name, "remove the former disk")


def foretell(job: DiskJob, record: Record, size: int | None) -> Values:
    """What is known of the disk that takes the place of one."""
    before = vdi(record, job.view)
    shown = {key: before[key] for key in FORETOLD}
    if size is None or is_exact(size):
        shown["size"] = size or record["virtual_size"]
    return shown


def _add_swap(job: DiskJob, vbd: str, source: str, name: str) -> None:
    record = job.view.record("VBD", vbd) or {}
    place = f"device {record['userdevice']} of {names_of(job.view, [record])}"
    made: list[str] = []

    def attach(disk: str) -> None:
        made.append(job.session.call("VBD.create", {**{key: record[key] for key in VBD_FIELDS}, "VDI": disk}))

    job.plan.add(f"detach disk {name!r}, {place}", lambda: job.session.call("VBD.destroy", vbd), lambda: attach(source))
    job.plan.add(f"attach the new disk {name!r} as {place}", lambda: attach(job.ref), lambda: job.session.call("VBD.destroy", made[0]))


def _add_destroy(job: DiskJob, ref: str, name: str, what: str) -> None:
    job.plan.add(f"{what} {name!r}", lambda: run_task(job.session, "VDI.destroy", ref, timeout=job.timeout, what=f"disk {name!r} to be removed"))


def _set_key(session: Any, ref: str, key: str, value: str) -> None:
    _drop_key(session, ref, key)
    session.call("VDI.add_to_other_config", ref, key, value)


def _drop_key(session: Any, ref: str, key: str) -> None:
    session.call("VDI.remove_from_other_config", ref, key)
