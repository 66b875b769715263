# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk from an image: cloned from the cached image or written directly, grown, attached to a VM. The planner of ``xen_image``."""

from __future__ import annotations

import os
from typing import Any

from ._errors import XenError
from ._image_absent import is_unfinished, plan_absent, refuse_taken
from ._image_bytes import Origin
from ._image_cache import find_cached, named
from ._image_former import add_note, add_removal, settle
from ._image_kind import FORMATS
from ._image_made import keys_of, plan_from_cache, plan_growth, plan_upload
from ._image_place import Target, plan_attachment
from ._image_upload import BLANK, ImageJob, refuse_smaller
from ._lookup import Found, Record, View
from ._plan import Plan, Values
from ._render_devices import CONTENT, DISK_TYPE, OWNER, UNBORN, UNFINISHED, vdi
from ._run import run_of
from ._vdi_find import one_or_none, refuse_in_use, sr_or_default
from ._vdi_size import data_at_least, grows_to, is_exact, refuse_without_room, rounding

IMAGE_OPTIONS: dict[str, dict[str, Any]] = {
    "image": {"type": "str"},
    "checksum": {"type": "str"},
    "format": {"type": "str", "choices": list(FORMATS), "default": "auto"},
    "url_headers": {"type": "dict", "no_log": True},
    "url_ca_path": {"type": "path"},
    "image_id": {"type": "str"},
    "cache": {"type": "bool", "default": True},
    "full_copy": {"type": "bool", "default": False},
    "name": {"type": "str"},
    "sr": {"type": "str"},
    "size": {"type": "str"},
    "vm": {"type": "str"},
    "vm_uuid": {"type": "str"},
    "userdevice": {"type": "str", "default": "0"},
    "disk_type": {"type": "str"},
    "owner": {"type": "str"},
    "properties": {"type": "dict"},
    "force": {"type": "bool", "default": False},
}


def plan_image(session: Any, params: dict[str, Any]) -> Plan:
    """Find the disk by its fingerprint, or plan it."""
    origin = Origin(os.path.expanduser(params["image"] or ""), params["checksum"], params["url_headers"] or {}, params["url_ca_path"])
    job = ImageJob(session, params, View(session), origin)
    job.sr = sr_or_default(session, job.view, params["sr"])
    target = Target(job)
    if params["state"] == "absent":
        plan_absent(job, target)
        return job.plan
    found = target.vdi if target.vm and target.vbd else _lying_ready(job, target)
    if found and found[1]["other_config"].get(CONTENT) == job.fingerprint:
        _plan_existing(job, target, *found)
    else:
        _plan_new(job, target, found)
    return job.plan


def _lying_ready(job: ImageJob, target: Target) -> Found | None:
    """The disk of this name. For a VM only one that nobody has: it is attached, as its making was interrupted there.

    For a run only the owner's: of a VM that was removed, the disk may have stayed, with the mark and with what the guest has written since.
    """
    records = named(job, target.name)
    if target.vm is not None:
        if run_of(job.session):
            records = {ref: record for ref, record in records.items() if record["other_config"].get(OWNER) == job.params["owner"]}
        marks = [job.fingerprint, f"{UNFINISHED} {job.fingerprint}"]  # a complete one is better
        free = [item for item in records.items() if not item[1]["VBDs"] and item[1]["other_config"].get(CONTENT) in marks]
        return min(free, key=lambda item: (marks.index(item[1]["other_config"][CONTENT]), item[1]["uuid"]), default=None)
    return one_or_none(records, "disk", target.name)


# A disk with the right content


def _plan_existing(job: ImageJob, target: Target, ref: str, record: Record) -> None:
    job.ref, predicted = ref, dict(record)
    name = record["name_label"]
    if target.name != name and job.params["name"] is not None:
        predicted["name_label"] = target.name
        job.plan.add(f"rename disk {name!r} to {target.name!r}", lambda: job.session.call("VDI.set_name_label", ref, target.name))
    keys = keys_of(job, record["other_config"])
    if keys != record["other_config"]:
        predicted["other_config"] = keys
        job.plan.add(f"set other_config of disk {name!r}", lambda: job.session.call("VDI.set_other_config", ref, keys))
    wanted = grows_to(record, target.size)
    if wanted is not None:
        refuse_in_use(job.view, record, "resized", "halt the VM, or detach the disk first")
        predicted["virtual_size"] = wanted
        plan_growth(job, name, wanted)
    shown = vdi(predicted, job.view)
    if wanted is not None:
        shown = {key: value for key, value in shown.items() if key != "used" and (key != "size" or is_exact(wanted))}
    job.plan.before, job.plan.after = {"state": "present", **vdi(record, job.view)}, {"state": "present", **shown}
    plan_attachment(job, target, shown)
    settle(job, record)
    _results(job, shown)


# A disk to be made


def _plan_new(job: ImageJob, target: Target, found: Found | None) -> None:
    replaced = _replaced(job, target, found)
    if target.vm and target.vm[1]["power_state"] not in ("Halted", "Running"):
        raise XenError(f"VM {target.vm[1]['name_label']!r} is {target.vm[1]['power_state'].lower()}; a disk is attached to a halted or running VM")
    from_cache = job.params["cache"] and job.sr[1]["content_type"] != "iso"
    job.cached = find_cached(job) if from_cache else None
    # An ISO is read, never written: clones of it would gain nothing (driver-operations §8.1).
    from_cache = from_cache and (job.cached is not None or job.look().format != "iso")
    size = _size(job, target)
    if size is not None:
        # Only a full copy of a cached image takes room that is known beforehand.
        data = data_at_least(job.view, job.cached[1]) if job.cached and job.params["full_copy"] else 0
        refuse_without_room(job.sr[1], target.name, size, data)
    keys = plan_from_cache(job, target) if from_cache else plan_upload(job, target)
    record = {
        **UNBORN,
        **BLANK,
        "name_label": target.name,
        "name_description": keys.get(DISK_TYPE, ""),
        "SR": job.sr[0],
        "virtual_size": size or 0,
        "other_config": {**keys, CONTENT: job.fingerprint},
    }
    shown = {key: value for key, value in vdi(record, job.view).items() if key not in _unknown(job, size)}
    add_note(job, target, found)
    job.plan.before = {"state": "present", "content": replaced["other_config"].get(CONTENT)} if replaced else {"state": "absent"}
    job.plan.after = {"state": "present", **shown}
    plan_attachment(job, target, shown)
    _results(job, shown)
    if job.cached is None:
        job.plan.result["transfer"] = {} if job.look().size is None else {"bytes_total": job.look().size}
    add_removal(job, target, found)


def _size(job: ImageJob, target: Target) -> int | None:
    """The size of the new disk, None when nobody knows it before the image is unpacked. Refuses an image that is too large."""
    if job.cached is None:
        image = job.look().size
        refuse_smaller(job, image, target.size)
        return target.size or image
    size: int = job.cached[1]["virtual_size"]
    # Storage rounds up, so a cached image may be a little larger than the image.
    if target.size is not None and target.size <= size - rounding(job.cached[1]):
        refuse_smaller(job, size, target.size)
    return max(size, target.size or 0)


def _unknown(job: ImageJob, size: int | None) -> set[str]:
    """What only the pool knows of the new disk, or only the whole image."""
    unknown = {"uuid", "used", "sm_config", "parent"}
    unknown |= set() if size and (is_exact(size) or (job.cached and job.cached[1]["virtual_size"] == size)) else {"size"}
    guessed = job.image is not None and job.image.size is None and job.params["disk_type"] is None
    return unknown | ({"disk_type", "description", "other_config"} if guessed else set())


def _replaced(job: ImageJob, target: Target, found: Found | None) -> Record | None:
    """What is in the way: an unfinished disk of ours goes, anything else only with force."""
    if found is None:
        if target.vbd is not None:
            raise XenError(f"{target.place} is in use by a CD drive or a disk that is gone; remove that first, or choose another userdevice")
        return None
    record = found[1]
    mark = record["other_config"].get(CONTENT, "")
    if not is_unfinished(record) and not job.params["force"]:
        what = f"content {mark!r}" if mark else "content of unknown origin"
        raise XenError(
            f"there is a disk at {target.place} already, with {what} and not that of {job.origin.shown}; set force to replace it, or choose another place"
        )
    refuse_taken(job, target, record, "replaced")
    return record


def _results(job: ImageJob, shown: Values) -> None:
    job.plan.result = {"vdi": shown}

    def read() -> Values:
        job.view.forget("VDI", "VBD")
        job.view.fetch({"VDI": [job.ref], "VBD": [job.vbd]})
        result = {"vdi": vdi(job.view.get("VDI", job.ref), job.view)}
        return {**result, "transfer": job.transfer} if job.transfer else {**result, **({"transfer": {}} if "transfer" in job.plan.result else {})}

    job.plan.read = read
