# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One disk whose content is worked on: which one is meant, also when an interrupted run left two in its place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ._device_job import load_vm
from ._device_names import device_number, number_or_none
from ._disk_content import is_unfinished
from ._disk_swap import REWRITES, Place, has_begun, lost_disk, missing_places, places_of
from ._errors import Ambiguous, NotFound, XenError
from ._lookup import Found, Record, View
from ._plan import Plan, Values
from ._render_devices import REPLACES, vdi
from ._transfer import Transfer
from ._vdi_find import BY_NAME, get_sr
from ._vdi_size import disk_size

SOURCE_OPTIONS: dict[str, dict[str, Any]] = {
    "name": {"type": "str"},
    "uuid": {"type": "str"},
    "sr": {"type": "str"},
    "vm": {"type": "str"},
    "vm_uuid": {"type": "str"},
    "userdevice": {"type": "str", "default": "0"},
}
DISK_OPTIONS: dict[str, dict[str, Any]] = {**SOURCE_OPTIONS, "work_dir": {"type": "path"}}
# On a disk that was transferred from another: the uuid of that.
TRANSFERRED = "xen_ansible:transferred"
SELECTORS = ("name", "uuid", "vm", "vm_uuid")


@dataclass
class DiskJob:
    """One disk on its way. ``ref`` is the disk that is the result, set by the step that makes it."""

    session: Any
    params: dict[str, Any]
    view: View
    plan: Plan = field(default_factory=Plan)
    ref: str = ""
    # Whether a disk and what was transferred from it, both of that name, are two to choose from.
    counts_copies: bool = True
    transfer: Transfer | None = None
    shown: Values = field(default_factory=dict)
    leftovers: dict[str, Record] = field(default_factory=dict)
    # Of the disk that was found: where an interrupted run took it away, and where it did not come to the new one yet.
    found: Found = ("", {})
    missing: list[Place] = field(default_factory=list)
    pending: list[Place] = field(default_factory=list)

    @property
    def timeout(self) -> float:
        return float(self.params["timeout"])

    @property
    def size(self) -> int:
        return disk_size(self.params["size"])

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
    return _settled(job, found)


def _whole(job: DiskJob, records: Mapping[str, Record]) -> dict[str, Record]:
    """Without the disks that are not complete, and of a disk and what shall replace it without the one that does not count."""
    uuids = {record["uuid"] for record in records.values()}
    whole = {ref: record for ref, record in records.items() if not (_is_unfinished(record) or _is_copy(job, record, uuids))}
    for ref, record in list(whole.items()):
        source = next((item for item in whole.items() if item[1]["uuid"] == record["other_config"].get(REPLACES)), None)
        if source:
            del whole[source[0] if has_begun(job.view, record, source[1]) else ref]
    return whole


def _at_device(job: DiskJob) -> Found:
    vm, machine = load_vm(job.view, job.params)
    number = device_number(job.params["userdevice"])
    vbds = job.view.load("VBD", {"VM": vm})
    vbd = next((record for record in vbds.values() if number_or_none(record["userdevice"]) == number), None)
    record = job.view.record("VDI", vbd["VDI"]) if vbd and vbd["type"] == "Disk" else None
    if vbd and record:
        return _settled(job, (vbd["VDI"], record))
    lost = None if vbd else lost_disk(job.view.load("VDI", BY_NAME), machine, number)
    if lost is None:
        raise XenError(f"there is no disk at device {number} of VM {machine['name_label']!r}; see xen_vm_info for its disks")
    job.missing = missing_places(job.view, lost[1])
    return _settled(job, lost)


def _is_unfinished(record: Record) -> bool:
    return bool(record["other_config"].get(REWRITES, record["uuid"]) != record["uuid"])


def _is_copy(job: DiskJob, record: Record, uuids: set[str]) -> bool:
    """What a transfer made, when that is not complete, or is not to be taken for its source."""
    source = record["other_config"].get(TRANSFERRED)
    return source is not None and (is_unfinished(record) or (not job.counts_copies and source in uuids - {record["uuid"]}))


def _settled(job: DiskJob, found: Found) -> Found:
    """The disk that counts, when an interrupted run left two: the one that was found, or what is on its way into its place.

    Notes what else it left: a clone that is not complete or came into no place, the disk that was before, places that are empty.
    """
    name, sr = found[1]["name_label"], found[1]["SR"]
    rivals = {ref: rest for ref, rest in job.view.load("VDI", {"name_label": name, "SR": sr, **BY_NAME}).items() if ref != found[0]}
    for other, rest in rivals.items():
        replaces = not _is_unfinished(rest) and rest["other_config"].get(REPLACES) == found[1]["uuid"]
        if replaces and has_begun(job.view, rest, found[1]):
            rivals = {**rivals, found[0]: found[1]}
            found = (other, rivals.pop(other))
            break
    job.found, record = found, found[1]
    for other, rest in rivals.items():
        if rest["uuid"] == record["other_config"].get(REPLACES) and has_begun(job.view, record, rest):
            job.leftovers[other] = rest
            job.pending = places_of(job.view, rest)
            job.missing = missing_places(job.view, record)
        elif record["uuid"] in (rest["other_config"].get(REWRITES), rest["other_config"].get(REPLACES)) and not rest["VBDs"]:
            job.leftovers[other] = rest
    return found
