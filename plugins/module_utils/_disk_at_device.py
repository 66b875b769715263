# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk with a generated content at a device of a VM: the one rule of all modules that generate disks.

What is at the device decides. The same mark: nothing is to be done, and nothing is read. Ours, but unfinished: made
anew. Ours of other inputs: made anew when nothing on it is a loss, else only with ``force``. Anybody else's: refused
without ``force``. A disk is always made anew as a fresh disk, which reads as zeros, so only what is not zero is sent;
the one before is removed when the new one has taken its place (driver-operations §6.1), if not by this run, then by the
next one (``_disk_former``).
"""

from __future__ import annotations

from typing import Any

from ._codec import format_bytes
from ._device_job import Job, find_number, what_is_at
from ._device_steps import NEW_VBD, Disk, Wanted, add_attach, add_detach, add_medium, add_removal, goes_live, refuse_not_ours_alone
from ._disk_content import is_unfinished, kind_of, mark_of
from ._disk_former import add_destroy, add_destroy_former, add_mark_of_place, add_settling, is_on_its_way, settled
from ._disk_new import add_create, owner_of
from ._errors import XenError
from ._lookup import Found, Record
from ._plan import Values
from ._render_devices import CONTENT, OWNER, vbd, vdi
from ._vdi_find import BY_NAME, get_sr, refuse_in_use

DISK_OPTIONS: dict[str, dict[str, Any]] = {
    "name": {"type": "str"},
    "owner": {"type": "str"},
    "sr": {"type": "str"},
    "force": {"type": "bool", "default": False},
}


def plan_disk(job: Job, wanted: Wanted) -> Disk:
    """The steps that bring one disk about, and what will be there."""
    disk = Disk(job, wanted)
    found = find_number(job, wanted.number)
    current = _disk_of(job, found)
    disk.before = {"vdi": vdi(current[1], job.view) if current else None, "vbd": vbd(found[1], job.view) if found else None}
    if found and current and current[1]["other_config"].get(CONTENT) == wanted.content.mark:
        disk.vdi, disk.vbd = current[0], found[0]
        _refuse_elsewhere(job, current[1])
        _plan_attachment(disk, found, settled(current))
        add_settling(job, current)
        return disk
    if found:
        _refuse_foreign(job, wanted, found, current)
    _plan_new(disk, found, current)
    return disk


def plan_absent(job: Job, number: int, name: str, kind: str) -> Values | None:
    """Remove the disk of this kind, else what an interrupted run left of it. A disk of others at the device stays."""
    found = find_number(job, number)
    current = _disk_of(job, found)
    if not found or not current or kind_of(current[1]) != kind:
        _remove_leftovers(job, name, kind, None, disposable=True)
        return None
    refuse_not_ours_alone(job, found, current)
    add_removal(job, found, current)
    add_destroy_former(job, current)
    add_destroy(job, *current)
    return vdi(current[1], job.view)


def _disk_of(job: Job, found: Found | None) -> Found | None:
    record = job.view.record("VDI", found[1]["VDI"]) if found else None
    return (found[1]["VDI"], record) if found and record else None


def _refuse_elsewhere(job: Job, record: Record) -> None:
    if job.params["sr"] is not None and record["SR"] != (sr := get_sr(job.view, job.params["sr"]))[0]:
        here = (job.view.record("SR", record["SR"]) or {}).get("name_label")
        raise XenError(f"disk {record['name_label']!r} lies on {here!r} and does not move to {sr[1]['name_label']!r}; remove it first, or leave sr out")


def _refuse_foreign(job: Job, wanted: Wanted, found: Found, current: Found | None) -> None:
    """Refuse to replace what somebody may want to keep."""
    number, drive = wanted.number, found[1]["type"] == "CD"
    device = f"device {number} {job.of_vm}"
    ours = current is not None and kind_of(current[1]) == wanted.content.kind
    if drive != wanted.cd and not ours:
        raise XenError(f"{device} is {what_is_at(job, found[1])}, which is no place for {wanted.name!r}; choose another userdevice")
    if current is None:
        return
    refuse_not_ours_alone(job, found, current)
    if not (drive and wanted.cd):
        refuse_in_use(job.view, current[1], "replaced", "halt the VM, or unplug the disk first")
    if job.params["force"] or (ours and (wanted.content.disposable or is_unfinished(current[1]))):
        return
    size = format_bytes(current[1]["virtual_size"])
    if ours:
        why = f"holds disk {current[1]['name_label']!r} of {size}, made with other options than these"
    else:
        why = f"is in use by {what_is_at(job, {**found[1], 'type': 'Disk'})} of {size}, which this module did not make"
    raise XenError(f"{device} {why}; set force to replace it and lose what is on it, or choose another userdevice")


def _plan_attachment(disk: Disk, found: Found, current: Found) -> None:
    """The content is right; attach it the other way when it is attached otherwise."""
    job, wanted = disk.job, disk.attachment
    disk.shown = {"vdi": vdi(current[1], job.view), "vbd": vbd(found[1], job.view)}
    if all(found[1][name] == wanted[name] for name in ("type", "mode")):
        return
    if job.vm["power_state"] != "Halted":
        raise XenError(f"disk {current[1]['name_label']!r} is attached in another way than asked for, which changes while the VM is halted; halt it first")
    add_detach(job, found)
    add_attach(disk)
    _foretell_vbd(disk)
    disk.shown["vdi"].pop("attachments")


def _plan_new(disk: Disk, found: Found | None, current: Found | None) -> None:
    job, wanted = disk.job, disk.wanted
    adopted = _remove_leftovers(job, wanted.name, wanted.content.kind, wanted.content.mark, disposable=wanted.content.disposable)
    # A CD of others is only ejected.
    former = current if current and found and (found[1]["type"] == "Disk" or kind_of(current[1]) == wanted.content.kind) else None
    if adopted:
        disk.vdi = adopted[0]
        disk.shown["vdi"] = {key: value for key, value in vdi(settled(adopted)[1], job.view).items() if key != "attachments"}
    else:
        add_create(disk, former)
    drive = found if found and wanted.cd and found[1]["type"] == "CD" else None
    if drive:
        disk.vbd = drive[0]
        add_medium(disk, drive, current)
    else:
        if found:
            add_detach(job, found)
        add_attach(disk)
    if former:
        add_destroy_former(job, former)
        add_destroy(job, *former)
    if adopted:
        add_settling(job, adopted)
    elif former:
        add_mark_of_place(job, lambda: disk.vdi, wanted.name)
    _foretell_vbd(disk, drive[1] if drive else None)


def _remove_leftovers(job: Job, name: str, kind: str, mark: str | None, *, disposable: bool) -> Found | None:
    """What an interrupted run left, attached to nothing, goes; but a complete disk with the mark is the one that is wanted.

    A complete one of other options goes too when nothing on it is a loss, and it was on its way into the place of another.
    """
    adopted: Found | None = None
    for ref, record in job.view.load("VDI", {"name_label": name, **BY_NAME}).items():
        if record["VBDs"] or kind_of(record) != kind or record["other_config"].get(OWNER) != owner_of(job):
            continue
        right_place = job.params["sr"] is None or record["SR"] == get_sr(job.view, job.params["sr"])[0]
        if adopted is None and right_place and not is_unfinished(record) and mark_of(record) == mark:
            adopted = (ref, record)
        elif is_unfinished(record):
            add_destroy(job, ref, record)
        elif disposable and is_on_its_way(record):
            add_destroy_former(job, (ref, record))
            add_destroy(job, ref, record)
    return adopted


def _foretell_vbd(disk: Disk, drive: Record | None = None) -> None:
    """What is known of the attachment. The disk of it may not exist yet."""
    job = disk.job
    base = drive or {**NEW_VBD, **disk.attachment, "currently_attached": goes_live(disk)}
    shown = vbd({**base, "VDI": "", "empty": False}, job.view)
    unknown = {"vdi", "size", "device", *(() if drive else ("uuid",))}
    disk.shown["vbd"] = {key: value for key, value in shown.items() if key not in unknown} | {"vdi_name": disk.wanted.name}
