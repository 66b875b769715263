# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks attached to VMs: which one is meant, and what may not be attached."""

from __future__ import annotations

from typing import Any

from ._device_job import Job, find_number, what_is_at
from ._device_names import device_number, number_or_none
from ._errors import XenError
from ._lookup import Found, Record
from ._render_devices import VOLUME
from ._vdi_find import find_vdi, get_sr, get_vdi, names_of, users

VBD_OPTIONS: dict[str, dict[str, Any]] = {
    "userdevice": {"type": "str", "aliases": ["device"]},
    "vdi": {"type": "str"},
    "sr": {"type": "str"},
    "volume": {"type": "bool"},
}


def prepare_vbd(params: dict[str, Any]) -> dict[str, Any]:
    """The device as a number, and the mark of a volume among the keys of ``other_config``."""
    if params["userdevice"] is None and params["vdi"] is None:
        raise XenError("it is not said which disk is meant; give userdevice or vdi")
    number = None if params["userdevice"] is None else device_number(params["userdevice"])
    other = params["other_config"]
    if params["volume"] is not None:
        # The old driver wrote True with a capital, and looked for the key alone: without the mark the key must go.
        other = {**(other or {}), VOLUME: "True" if params["volume"] else None}
    return {**params, "userdevice": number, "other_config": other}


def find_vbd(job: Job) -> Found | None:
    """By number, else by disk. What is at the number must be the disk that is asked for."""
    number, vdi = job.params["userdevice"], _wanted(job)
    at_number = find_number(job, number) if number is not None else None
    of_disk = next((item for item in job.devices.items() if vdi and item[1]["VDI"] == vdi[0]), None)
    if job.params["state"] == "absent":
        return _to_remove(job, at_number, of_disk)
    if at_number and vdi and at_number[1]["VDI"] != vdi[0]:
        raise XenError(f"device {number} {job.of_vm} is in use by {what_is_at(job, at_number[1])}; choose another device, or remove that first")
    if at_number is None and of_disk and number is not None:
        place = number_or_none(of_disk[1]["userdevice"])
        raise XenError(f"disk {job.params['vdi']!r} is attached already as device {place} {job.of_vm}; remove it there first, or leave userdevice out")
    found = at_number or of_disk
    if found and found[1]["type"] == "CD":
        raise XenError(f"device {number_or_none(found[1]['userdevice'])} {job.of_vm} is a CD drive; use xen_cd")
    return found


def _to_remove(job: Job, at_number: Found | None, of_disk: Found | None) -> Found | None:
    """What both the number and the disk mean, where both are given; never a CD drive."""
    number, vdi = job.params["userdevice"], job.params["vdi"]
    found = at_number if number is not None else of_disk
    if found and vdi is not None and (of_disk is None or of_disk[0] != found[0]):
        return None
    if found and found[1]["type"] == "CD":
        raise XenError(f"device {number} {job.of_vm} is a CD drive; use xen_cd")
    return found


def vbd_record(job: Job) -> Record:
    """The fields of a new VBD that are no options of their own."""
    vdi = _wanted(job)
    if vdi is None:
        raise XenError(f"there is no disk at device {job.params['userdevice']} {job.of_vm}; give vdi to attach one")
    mode = (job.params["mode"] or "rw").upper()
    if vdi[1]["read_only"] and mode == "RW":
        raise XenError(f"disk {vdi[1]['name_label']!r} is read-only; attach it with mode ro")
    _refuse_taken(job, vdi[1], mode)
    _refuse_read_only(job, vdi[1], mode)
    number = job.params["userdevice"]
    return {"VDI": vdi[0], "type": "Disk", "empty": False, "userdevice": str(free_device(job) if number is None else number)}


def _refuse_taken(job: Job, vdi: Record, mode: str) -> None:
    """Before plugging: a disk is written by one VM at a time, unless it is made for more (facts §3.4)."""
    if not job.running or job.params["plugged"] is False or vdi["sharable"]:
        return
    rivals = [vbd for vbd in users(job.view, vdi) if "RW" in (vbd["mode"], mode)]
    if rivals:
        raise XenError(f"disk {vdi['name_label']!r} is in use by {names_of(job.view, rivals)}; detach it there first, or halt that VM")


def _refuse_read_only(job: Job, vdi: Record, mode: str) -> None:
    """xapi plugs no read-only disk into an HVM guest (recording ``images``), which check mode can tell as well."""
    hvm = job.vm["domain_type"] == "hvm" or (job.vm["domain_type"] == "unspecified" and job.vm["HVM_boot_policy"])
    if mode == "RO" and hvm and job.running and job.params["plugged"] is not False:
        raise XenError(
            f"disk {vdi['name_label']!r} cannot be plugged read-only into VM {job.vm['name_label']!r}, an HVM guest that runs; "
            "attach it with plugged false, which the guest sees after its next start, give an ISO to xen_cd, or halt the VM"
        )


def free_device(job: Job, preferred: int | None = None) -> int:
    """The preferred device when it is free, else the first free one."""
    free = sorted(int(number) for number in job.session.call("VM.get_allowed_VBD_devices", job.vm_ref))
    if not free:
        raise XenError(f"VM {job.vm['name_label']!r} has no device free for another disk; remove one first")
    return preferred if preferred in free else free[0]


def _wanted(job: Job) -> Found | None:
    """The disk of the option ``vdi``. When it is to be detached, one that is gone is no error."""
    text = job.params["vdi"]
    if text is None:
        return None
    sr = get_sr(job.view, job.params["sr"])[0] if job.params["sr"] is not None else None
    found: Found | None = job.params.get("vdi_found")
    if found is None:
        found = find_vdi(job.view, text, sr) if job.params["state"] == "absent" else get_vdi(job.view, text, sr)
        job.params["vdi_found"] = found
    return found
