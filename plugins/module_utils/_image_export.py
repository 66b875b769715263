# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks and snapshots into image files, only when the disk changed since. The planner of ``xen_image_export``."""

from __future__ import annotations

import os
from typing import Any

from ._codec import format_bytes
from ._errors import XenError
from ._export_job import Export
from ._export_record import is_ours, record_path
from ._export_write import write
from ._image_file import refuse_level
from ._lookup import is_null
from ._plan import Plan
from ._task import run_task
from ._vhd import LARGEST


def plan_export(session: Any, params: dict[str, Any]) -> Plan:
    """Compare the file with the disk, and plan to write it."""
    refuse_level(params["format"], params["compression_level"])
    job = Export(session, params)
    if job.size > LARGEST:
        raise XenError(f"disk {job.name!r} has {format_bytes(job.size)}, more than a VHD can carry ({format_bytes(LARGEST)}); use xen_vdi with state exported")
    _refuse_place(job)
    plan = Plan()
    if job.is_current():
        plan.before = plan.after = {"path": job.dest, "vdi": job.record["uuid"]}
        plan.result = {"image": job.shown(job.known or {})}
        return plan
    plan.before = {"path": job.dest, "content": (job.known or {}).get("content"), "exists": os.path.exists(job.dest)}
    plan.after = {"path": job.dest, "content": f"that of disk {job.record['uuid']} now", "exists": True}
    base = _base(job)
    if job.is_written:
        plan.add(f"take a snapshot of disk {job.name!r}", lambda: _snapshot(job), lambda: _discard(job))
    what = f"write what changed on disk {job.name!r} to {job.dest!r}" if base else f"write disk {job.name!r} to {job.dest!r}"
    plan.add(what, lambda: write(job, base))
    if job.is_written:
        plan.add(f"remove the snapshot of disk {job.name!r}", lambda: _discard(job))
    plan.result = {"image": job.shown({**job.asked, **job.origin}), "transfer": {"bytes_total": job.size}}
    plan.read = lambda: {"image": job.shown(job.facts), "transfer": job.transfer}
    return plan


def _refuse_place(job: Export) -> None:
    folder = os.path.dirname(job.dest)
    if not os.path.isdir(folder) or not os.access(folder, os.W_OK):
        raise XenError(f"dest {job.dest!r} cannot be written: {folder!r} is no folder that the module may write to")
    if not os.path.lexists(job.dest):
        return
    if not os.path.isfile(job.dest):
        raise XenError(f"dest {job.dest!r} is no file; name the file to write")
    if job.known is None and not is_ours(job.dest) and not job.params["force"]:
        hint = f"{record_path(job.dest)!r} does not tell of it"
        raise XenError(f"dest {job.dest!r} exists and is no export of xen_image_export ({hint}); set force to replace it, or choose another place")


def _base(job: Export) -> str | None:
    """The disk whose content the file holds, when what changed since can be written over it: an earlier snapshot of the same disk."""
    known = job.known
    if known is None or job.params["format"] != "raw" or known.get("format") != "raw" or known.get("disk_size") != job.size:
        return None
    found = job.view.load("VDI", {"uuid": known.get("vdi", "")})
    for ref, record in found.items():
        family = {job.ref, job.record["snapshot_of"]}
        if record["is_a_snapshot"] and ref != job.ref and not is_null(record["snapshot_of"]) and record["snapshot_of"] in family:
            return ref
    return None


def _snapshot(job: Export) -> None:
    what = f"a snapshot of disk {job.name!r}"
    job.source = run_task(job.session, "VDI.snapshot", job.ref, {}, timeout=float(job.params["timeout"]), what=what)


def _discard(job: Export) -> None:
    if job.source != job.ref:
        job.session.call("VDI.destroy", job.source)
