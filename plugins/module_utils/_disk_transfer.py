# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk copied to another storage repository, host or pool: at once, or most of it while its VM runs and the rest after
the VM was halted (driver-operations §19.7). The planner of ``xen_disk_transfer``.

The new disk says what it is from its first moment: unfinished, of this source. It gets the keys of the source when it is
complete, so an interrupted transfer is recognised, and a complete one is not repeated.
"""

from __future__ import annotations

from typing import Any

from ._disk_content import is_unfinished
from ._disk_job import TRANSFERRED, find_disk
from ._errors import NotFound, XenError
from ._lookup import Found, View
from ._plan import Plan
from ._transfer_phases import PHASES, nothing_to_do
from ._transfer_place import destination
from ._transfer_steps import TransferJob, add_removal_of_snapshots
from ._vdi_find import BY_NAME, one_or_none

TRANSFER_OPTIONS: dict[str, dict[str, Any]] = {
    "phase": {"type": "str", "choices": list(PHASES), "default": "full"},
    "base": {"type": "str"},
}


def plan_transfer(session: Any, params: dict[str, Any], there: Any) -> Plan:
    """The plan of one phase."""
    if params["base"] is not None and params["phase"] == "full":
        raise XenError("base is for phase send and phase import, and phase full sends all of the disk; leave base out, or set phase")
    job = TransferJob(session, params, View(session), there=there)
    job.there_view = job.view if job.same_pool else View(there)
    job.plan.read = job.read
    sr = destination(job.there, job.there_view, params)
    try:
        found = find_disk(job)
    except NotFound:
        # The source may go when its copy is complete.
        done = _arrived(job, sr, params["uuid"]) if params["uuid"] else None
        if done is None or is_unfinished(done[1]):
            raise
        nothing_to_do(job, params["uuid"], done)
        return job.plan
    _plan(job, found, sr)
    return job.plan


def _plan(job: TransferJob, found: Found, sr: Found) -> None:
    source = found[1]
    target = _arrived(job, sr, source["uuid"])
    name = job.params["dest_name"] or source["name_label"]
    if target is None and job.same_pool and sr[0] == source["SR"] and name == source["name_label"]:
        if TRANSFERRED in source["other_config"]:  # The copy itself, whose source is gone.
            nothing_to_do(job, source["other_config"][TRANSFERRED], found)
            return
        raise XenError(f"disk {name!r} lies on {sr[1]['name_label']!r} already; choose another dest_sr, or a dest_name for a second one there")
    if target is not None and not is_unfinished(target[1]):
        nothing_to_do(job, source["uuid"], target)
        if job.params["phase"] == "import":
            add_removal_of_snapshots(job, found)
        return
    PHASES[job.params["phase"]](job, found, sr, target)


def _arrived(job: TransferJob, sr: Found, uuid: str) -> Found | None:
    """What came of this source before: complete or not."""
    records = job.there_view.load("VDI", {"SR": sr[0], **BY_NAME})
    return one_or_none({ref: record for ref, record in records.items() if record["other_config"].get(TRANSFERRED) == uuid}, "copy of disk", uuid)
