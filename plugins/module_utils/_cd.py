# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""CD drives of VMs: media put in, taken out and changed (driver-operations §5.4, attach_cd)."""

from __future__ import annotations

from typing import Any

from ._device_job import Job, find_number, start, what_is_at
from ._device_names import device_number
from ._devices import UNBORN
from ._disk_content import kind_of
from ._errors import NotFound, XenError
from ._lookup import NULL, Found, Record, is_null, iso_srs, looks_like_uuid
from ._plan import Plan, Values
from ._render_devices import vbd
from ._task import Session, run_task
from ._vbd import free_device
from ._vdi_find import BY_NAME, get_sr, get_vdi, one_or_none
from ._vm_disks import MADE_MEDIA

CD_OPTIONS: dict[str, dict[str, Any]] = {
    "userdevice": {"type": "str", "aliases": ["device"]},
    "iso": {"type": "str"},
    "sr": {"type": "str"},
    "bootable": {"type": "bool"},
}
# Where installers and templates expect the drive; HVM guests see four devices before their drivers load.
USUAL_DEVICE = 3
NEW_DRIVE: Record = {
    "VDI": NULL,
    "type": "CD",
    "mode": "RO",
    "unpluggable": False,
    "empty": True,
    "other_config": {},
    "qos_algorithm_type": "",
    "qos_algorithm_params": {},
}


def plan_cd(session: Session, params: dict[str, Any]) -> Plan:
    """Compare the drive with what shall be in it."""
    number = None if params["userdevice"] is None else device_number(params["userdevice"])
    job = start(session, {**params, "userdevice": number}, "VBD")
    iso = _iso(job) if params["state"] == "inserted" else None
    drive = _drive(job, iso)
    if params["state"] == "absent":
        _plan_absent(job, drive)
    elif drive is None:
        _plan_new(job, iso)
    else:
        _plan_medium(job, drive, iso)
    return job.plan


def _iso(job: Job) -> Found:
    """The medium: by uuid anywhere, by name on ``sr`` or on the repositories for ISO images."""
    text, sr = job.params["iso"], job.params["sr"]
    if sr is not None:
        return get_vdi(job.view, text, get_sr(job.view, sr)[0])
    if looks_like_uuid(text) and (found := job.view.load("VDI", {"uuid": text})):
        return next(iter(found.items()))
    named = job.view.load("VDI", {"name_label": text, **BY_NAME})
    isos = iso_srs(job.session)
    image = one_or_none({ref: record for ref, record in named.items() if record["SR"] in isos}, "ISO image", text)
    if image is None:
        elsewhere = "; a disk of this name is on another repository, give its sr or uuid to use it as a CD" if named else ""
        raise NotFound("ISO image", text, "the names are those of the files in the ISO repositories, see xen_vdi_info" + elsewhere)
    return image


def _drive(job: Job, iso: Found | None) -> Found | None:
    """The drive with the number, else the one that holds the medium already, else the only one that is free for it."""
    number = job.params["userdevice"]
    if number is not None:
        at = find_number(job, number)
        if at and at[1]["type"] != "CD":
            raise XenError(f"device {number} {job.of_vm} is {what_is_at(job, at[1])} and no CD drive; choose another device")
        return at
    drives = {ref: record for ref, record in job.devices.items() if record["type"] == "CD"}
    holding = {ref: record for ref, record in drives.items() if iso and record["VDI"] == iso[0]}
    usable = holding or {ref: record for ref, record in drives.items() if not _is_taken(job, record)}
    if len(usable) > 1 and not holding:
        numbers = ", ".join(sorted(record["userdevice"] for record in usable.values()))
        raise XenError(f"VM {job.vm['name_label']!r} has {len(usable)} CD drives (devices {numbers}); say which by userdevice")
    return next(iter(usable.items()), None)


def _is_taken(job: Job, drive: Record) -> bool:
    """Whether the drive is that of a config drive or of iPXE, which the guest needs in its place: other media get a drive of their own."""
    medium = job.view.record("VDI", drive["VDI"])
    return medium is not None and kind_of(medium) in MADE_MEDIA


def _plan_absent(job: Job, drive: Found | None) -> None:
    job.plan.before = job.plan.after = {"state": "absent"}
    if drive is None:
        return
    ref, record = drive
    job.plan.before = {"state": "present", **vbd(record, job.view)}
    if record["currently_attached"] and job.vm["power_state"] != "Halted":
        # xapi has no unplug for the CD drive of an HVM guest (facts §3.4).
        raise XenError(f"the CD drive of a VM is removed while it is halted, but VM {job.vm['name_label']!r} is not; eject the medium, or halt it first")
    job.plan.add(f"remove CD drive {job.of_vm}", lambda: job.session.call("VBD.destroy", ref))


def _plan_new(job: Job, iso: Found | None) -> None:
    """A new drive is created empty and then filled. Nothing to eject is no reason to add one."""
    if iso is None:
        job.plan.before = job.plan.after = {"empty": True}
        job.plan.result = {"vbd": None}
        return
    number = free_device(job, USUAL_DEVICE) if job.params["userdevice"] is None else job.params["userdevice"]
    record = {**NEW_DRIVE, "VM": job.vm_ref, "userdevice": str(number), "bootable": job.params["bootable"] is not False}

    def create() -> None:
        job.ref = job.session.call("VBD.create", record)

    job.plan.add(f"add a CD drive {job.of_vm}", create, lambda: job.session.call("VBD.destroy", job.ref))
    _add_insert(job, iso)
    if job.vm["power_state"] != "Halted":
        job.plan.warnings.append(f"VM {job.vm['name_label']!r} is not halted: it sees its new CD drive after its next start")
    shown = vbd({**UNBORN, **record, "VDI": iso[0], "empty": False}, job.view)
    shown = {key: value for key, value in shown.items() if key not in ("uuid", "device")}
    job.plan.before, job.plan.after = {"state": "absent"}, {"state": "present", **shown}
    _results(job, shown)


def _plan_medium(job: Job, drive: Found, iso: Found | None) -> None:
    job.ref, record = drive
    predicted = dict(record)
    bootable = job.params["bootable"]
    if iso and bootable is not None and bootable != record["bootable"]:
        job.plan.add(f"set bootable of the CD drive {job.of_vm}", lambda: job.session.call("VBD.set_bootable", job.ref, bootable))
        predicted["bootable"] = bootable
    wanted = iso[0] if iso else NULL
    if wanted != record["VDI"]:
        _plan_change(job, record, iso)
        predicted |= {"VDI": wanted, "empty": iso is None}
    before, shown = vbd(record, job.view), vbd(predicted, job.view)
    job.plan.before, job.plan.after = {"state": "present", **before}, {"state": "present", **shown}
    _results(job, shown)


def _plan_change(job: Job, record: Record, iso: Found | None) -> None:
    if job.vm["power_state"] == "Suspended":
        raise XenError(f"the medium of a suspended VM cannot change; resume VM {job.vm['name_label']!r}, or halt it")
    if not is_null(record["VDI"]):
        name = (job.view.record("VDI", record["VDI"]) or {}).get("name_label", "medium")
        job.plan.add(f"eject {name!r} {job.of_vm}", lambda: _eject(job), lambda: _insert(job, record["VDI"]))
    if iso:
        _add_insert(job, iso)


def _add_insert(job: Job, iso: Found) -> None:
    job.plan.add(f"insert {iso[1]['name_label']!r} {job.of_vm}", lambda: _insert(job, iso[0]), lambda: _eject(job))


def _insert(job: Job, vdi: str) -> None:
    run_task(job.session, "VBD.insert", job.ref, vdi, timeout=job.params["timeout"], what=f"the CD {job.of_vm} to be inserted")


def _eject(job: Job) -> None:
    run_task(job.session, "VBD.eject", job.ref, timeout=job.params["timeout"], what=f"the CD {job.of_vm} to be ejected")


def _results(job: Job, shown: Values) -> None:
    job.plan.result = {"vbd": shown}
    job.plan.read = lambda: {"vbd": vbd(job.session.call("VBD.get_record", job.ref), job.view)}
