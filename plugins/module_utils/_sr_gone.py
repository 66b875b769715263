# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Storage repositories forgotten, which leaves what is on the storage, or destroyed."""

from __future__ import annotations

from ._errors import XenError
from ._lookup import Record
from ._pbd import plan_disconnection, refuse_used
from ._render import sr
from ._sr_job import NOUN, SrJob, find_sr
from ._task import run_task


def plan_gone(job: SrJob) -> None:
    """``forgotten`` leaves what is on the storage, ``absent`` removes it from there."""
    found = find_sr(job)
    state = job.params["state"]
    if found is None:
        job.plan.before = job.plan.after = {"state": state}
        return
    job.ref, record = found
    name, method = record["name_label"], "SR.forget" if state == "forgotten" else "SR.destroy"
    refuse_used(job, job.ref, name)
    if state == "absent":
        _refuse_disks(job, record)
    job.plan.before, job.plan.after = {"state": "present", **sr(record, job.view)}, {"state": state}
    plan_disconnection(job, name, job.connections(job.ref))
    verb = "forget" if state == "forgotten" else "destroy"
    job.plan.add(
        f"{verb} {NOUN} {name!r}",
        lambda: run_task(job.session, method, job.ref, timeout=job.timeout, what=f"{NOUN} {name!r} to go"),
    )


def _refuse_disks(job: SrJob, record: Record) -> None:
    name = record["name_label"]
    disks = sorted(disk["name_label"] for disk in job.view.load("VDI", {"SR": job.ref, "managed": True}).values() if disk["type"] != "rrd")
    if disks:
        some = ", ".join(repr(disk) for disk in disks[:3])
        raise XenError(f"{NOUN} {name!r} still holds {len(disks)} disks ({some}); remove them first, or use state forgotten, which leaves them")
    if not job.connections(job.ref):
        raise XenError(f"{NOUN} {name!r} is known to no host, so nothing on it can be removed; use state forgotten, or connect it by device_config first")
