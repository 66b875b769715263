# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk copied to another storage repository, host or pool: at once, or most of it while its VM runs and the rest after
the VM was halted (driver-operations §19.7). The planner of ``xen_disk_transfer``.

The new disk says what it is from its first moment: unfinished, of this source. It gets the keys of the source when it is
complete, so an interrupted transfer is recognised, and a complete one is not repeated.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ._disk_content import is_unfinished
from ._disk_extents import exported, import_extents
from ._disk_job import find_disk
from ._errors import NotFound, XenError
from ._lookup import Found, Record, View
from ._plan import Plan
from ._render_devices import vdi
from ._storage_full import explained
from ._task import run_task
from ._transfer_place import destination
from ._transfer_steps import (
    BASE,
    SOURCE,
    TARGET,
    TransferJob,
    add_copy,
    add_create,
    add_finish,
    add_leftover,
    add_removal_of_snapshots,
    new_record,
    snapshots,
)
from ._vdi import UNBORN, is_exact
from ._vdi_find import BY_NAME, names_of, one_or_none, users
from ._vhd import SparseReader


def plan_transfer(session: Any, params: dict[str, Any], there: Any) -> Plan:
    """The plan of one phase."""
    job = TransferJob(session, params, View(session), there=there)
    job.there_view = job.view if job.same_pool else View(there)
    job.plan.read = job.read
    sr = destination(job.there, job.there_view, params)
    try:
        found = find_disk(job)
    except NotFound:
        # The source may go when its copy is complete.
        done = _arrived(job, sr, params["uuid"]) if params["uuid"] else None
        if done is None:
            raise
        _nothing_to_do(job, done)
        return job.plan
    _plan(job, found, sr)
    return job.plan


def _plan(job: TransferJob, found: Found, sr: Found) -> None:
    source = found[1]
    target = _arrived(job, sr, source["uuid"])
    name = job.params["dest_name"] or source["name_label"]
    if target is None and job.same_pool and sr[0] == source["SR"] and name == source["name_label"]:
        raise XenError(f"disk {name!r} lies on {sr[1]['name_label']!r} already; choose another dest_sr, or a dest_name for a second one there")
    if target is not None and not is_unfinished(target[1]):
        _nothing_to_do(job, target)
        if job.params["phase"] == "delta":
            add_removal_of_snapshots(job, found)
        return
    PHASES[job.params["phase"]](job, found, sr, target)


def _arrived(job: TransferJob, sr: Found, uuid: str) -> Found | None:
    """What came of this source before: complete or not."""
    records = job.there_view.load("VDI", {"SR": sr[0], **BY_NAME})
    return one_or_none({ref: record for ref, record in records.items() if record["other_config"].get(SOURCE) == uuid}, "copy of disk", uuid)


def _nothing_to_do(job: TransferJob, target: Found) -> None:
    job.ref = target[0]
    job.plan.result = {"vdi": vdi(target[1], job.there_view)}
    job.plan.before = job.plan.after = {"state": "transferred"}


# Phases


def _plan_full(job: TransferJob, found: Found, sr: Found, target: Found | None) -> None:
    _refuse_written(job, found[1], "use phase base while the VM runs, and phase delta when it is halted")
    add_leftover(job, target)
    add_create(job, found, sr)
    add_copy(job, found[1]["name_label"], lambda: found[0], sr)
    add_finish(job, found[1])
    _foretell(job, found[1], sr)


def _plan_base(job: TransferJob, found: Found, sr: Found, target: Found | None) -> None:
    """All of a snapshot. The VM goes on meanwhile."""
    ref, source = found
    name = source["name_label"]
    if target is not None and _base_of(job, found, target):
        _nothing_to_do(job, target)
        return
    add_leftover(job, target)
    add_removal_of_snapshots(job, found)

    def snapshot() -> None:
        job.snapshot = run_task(job.session, "VDI.snapshot", ref, {}, timeout=job.timeout, what=f"a snapshot of disk {name!r}")
        job.session.call("VDI.add_to_other_config", job.snapshot, TARGET, source["uuid"])

    def settle() -> None:
        job.there.call("VDI.add_to_other_config", job.ref, BASE, job.session.call("VDI.get_uuid", job.snapshot))

    job.plan.add(f"take a snapshot of disk {name!r}", snapshot, lambda: job.session.call("VDI.destroy", job.snapshot))
    add_create(job, found, sr)
    add_copy(job, name, lambda: job.snapshot, sr)
    job.plan.add("mark the base as complete", settle)
    _foretell(job, source, sr)


def _plan_delta(job: TransferJob, found: Found, sr: Found, target: Found | None) -> None:
    """What was written since the base, which completes the new disk. It may be repeated: it always starts from the base."""
    ref, source = found
    name = source["name_label"]
    base = _base_of(job, found, target) if target else None
    if target is None or base is None:
        raise XenError(f"there is no base of disk {name!r} on {sr[1]['name_label']!r} to complete; run phase base first, or phase full")
    _refuse_written(job, source, "halt the VM first")
    if source["virtual_size"] != base[1]["virtual_size"]:
        raise XenError(f"disk {name!r} was resized since its base was transferred; remove the new disk {target[1]['uuid']}, and run phase full")
    job.ref = target[0]

    def write() -> None:
        size, label = job.there.call("VDI.get_virtual_size", job.ref), f"disk {name!r}"
        with (
            exported(job.session, ref, "vhd", label=label, timeout=job.timeout, base=base[1]["uuid"]) as read,
            explained(job.there, sr[0], label, size),
        ):
            # Zeros are sent as well: what was there before is not to stay.
            job.transfer = import_extents(job.there, job.ref, SparseReader(read).extents(), size, label=label, timeout=job.timeout)  # type: ignore[arg-type]

    job.plan.add(f"write what changed on disk {name!r} since", write)
    add_finish(job, source)
    add_removal_of_snapshots(job, found)
    shown = vdi({**target[1], "other_config": new_record(job, source, sr[0], complete=True)["other_config"]}, job.there_view)
    job.plan.before, job.plan.after = {"state": "base"}, {"state": "delta"}
    job.plan.result = {"vdi": {key: value for key, value in shown.items() if key not in ("used", "other_config")}, "transfer": {}}


def _base_of(job: TransferJob, found: Found, target: Found) -> Found | None:
    """The snapshot that the new disk was made of, when it is there still."""
    uuid = target[1]["other_config"].get(BASE)
    return next((item for item in snapshots(job, found[0]).items() if item[1]["uuid"] == uuid), None)


def _refuse_written(job: TransferJob, record: Record, remedy: str) -> None:
    writers = [vbd for vbd in users(job.view, record) if vbd["mode"] == "RW"]
    if writers:
        raise XenError(f"disk {record['name_label']!r} is in use by {names_of(job.view, writers)} and would change meanwhile; {remedy}")


def _foretell(job: TransferJob, source: Record, sr: Found) -> None:
    record = {**UNBORN, **new_record(job, source, sr[0], complete=job.params["phase"] != "base")}
    unknown = {"uuid", "used", "sm_config", "other_config", "parent", *(() if is_exact(source["virtual_size"]) else ("size",))}
    shown = {key: value for key, value in vdi(record, job.there_view).items() if key not in unknown}
    job.plan.before, job.plan.after = {"state": "absent"}, {"state": job.params["phase"], **shown}
    job.plan.result = {"vdi": shown, "transfer": {}}


PHASES: dict[str, Callable[[TransferJob, Found, Found, Found | None], None]] = {"full": _plan_full, "base": _plan_base, "delta": _plan_delta}
