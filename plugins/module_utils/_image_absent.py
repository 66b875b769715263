# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks from images removed. The cached image stays; see ``_image_prune``."""

from __future__ import annotations

from ._errors import XenError
from ._image_place import Target
from ._image_upload import ImageJob
from ._lookup import Found, Record
from ._render_devices import CONTENT, UNFINISHED, is_volume, vdi
from ._task import run_task
from ._vdi_find import BY_NAME, names_of, one_or_none, refuse_in_use, users

OURS = "image "


def is_unfinished(record: Record) -> bool:
    return bool(record["other_config"].get(CONTENT, "").startswith(UNFINISHED))


def plan_absent(job: ImageJob, target: Target) -> None:
    """Detach and remove the disk at the place. One that was not made from an image goes only with force."""
    found = target.vdi if target.vm else _named(job, target)
    job.plan.before = job.plan.after = {"state": "absent"}
    job.plan.result = {"vdi": None}
    if found is None:
        return
    ref, record = found
    mark = record["other_config"].get(CONTENT, "").removeprefix(f"{UNFINISHED} ")
    if not mark.startswith(OURS) and not job.params["force"]:
        raise XenError(f"the disk {record['name_label']!r} at {target.place} was not made from an image; set force to remove it, or use xen_vdi")
    refuse_taken(job, target, record, "removed")
    job.plan.before = {"state": "present", **vdi(record, job.view)}
    if target.vbd:
        vbd = target.vbd[0]
        job.plan.add(f"detach disk {record['name_label']!r}", lambda: job.session.call("VBD.destroy", vbd))
    plan_destroy(job, ref, record)


def refuse_taken(job: ImageJob, target: Target, record: Record, purpose: str) -> None:
    """Refuse to take away what a VM uses, or what belongs to another one."""
    if target.vbd is not None and is_volume(target.vbd[1]):
        raise XenError(f"{target.place} is a network volume, which is never {purpose}; choose another userdevice")
    if users(job.view, record):
        refuse_in_use(job.view, record, purpose, "halt the VM first")
    others = [vbd for vbd in (job.view.record("VBD", ref) for ref in record["VBDs"]) if vbd and (target.vm is None or vbd["VM"] != target.vm[0])]
    if others:
        raise XenError(f"disk {record['name_label']!r} belongs to {names_of(job.view, others)} and is not {purpose}; give that VM, or detach it there first")


def plan_destroy(job: ImageJob, ref: str, record: Record) -> None:
    name = record["name_label"]
    job.plan.add(f"remove disk {name!r}", lambda: run_task(job.session, "VDI.destroy", ref, timeout=job.timeout, what=f"disk {name!r} to be removed"))


def _named(job: ImageJob, target: Target) -> Found | None:
    return one_or_none(job.view.load("VDI", {"name_label": target.name, "SR": job.sr[0], **BY_NAME}), "disk", target.name)
