# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk rewritten as a whole or not at all: a clone of it is changed, and takes its place when it is complete.

The source is marked first with its own uuid, and a clone inherits its marks: so a clone is known from its first moment
by a mark that is another disk's, and no machine ever gets one that is half written. What an interrupted run left, a clone
or a source whose place is taken, goes in the next one; and a place that it left empty is filled (``_disk_swap``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ._codec import format_bytes
from ._disk_job import DiskJob
from ._disk_swap import PLACES, REWRITES, Place, add_return, add_swap, places_of, refuse_awake, written
from ._errors import XenError
from ._lookup import Found, Record
from ._plan import Values
from ._render_devices import REPLACES, vdi
from ._storage_full import explained
from ._task import run_task
from ._transfer import Transfer
from ._vdi_find import names_of, refuse_in_use
from ._vdi_size import is_exact

# Of the result, what is the same for a clone, or is known before it exists.
FORETOLD = ("name", "description", "sr", "type", "sharable", "read_only", "tags", "disk_type", "owner", "content", "managed", "is_snapshot")


def add_leftovers(job: DiskJob) -> None:
    """Steps that give the disk back to VMs that an interrupted run took it from, and remove what that run left."""
    (ref, record), session = job.found, job.session
    name = record["name_label"]
    former = next((other for other, rest in job.leftovers.items() if rest["uuid"] == record["other_config"].get(REPLACES)), "")
    for place in job.missing:
        add_return(job.plan, session, place, name, lambda: ref)
    for place in job.pending:
        refuse_awake(place, name)
        add_swap(job.plan, session, place, name, lambda: former, lambda: ref)
    if job.missing or job.pending or (former and PLACES in record["other_config"]):
        job.plan.add(f"mark disk {name!r} as being in its place", lambda: _drop_keys(session, ref))
    for other in job.leftovers:
        _add_destroy(job, other, name, "remove what an interrupted run left of disk")


def known(job: DiskJob, shown: Values) -> Values:
    """Of a disk that stays, what is known beforehand: not the attachments that an interrupted run left to be made."""
    return {key: value for key, value in shown.items() if not (job.leftovers or job.missing) or key not in ("attachments", "other_config")}


def refuse_busy(job: DiskJob, record: Record, purpose: str) -> None:
    """Refuse unless every VM that has the disk is halted: a suspended one goes on with what it knows of its disks."""
    refuse_in_use(job.view, record, purpose, "halt the VM first")
    vbds = [vbd for vbd in (job.view.record("VBD", ref) for ref in record["VBDs"]) if vbd]
    awake = [vbd for vbd in vbds if (job.view.record("VM", vbd["VM"]) or {}).get("power_state", "Halted") != "Halted"]
    if awake:
        raise XenError(f"disk {record['name_label']!r} belongs to {names_of(job.view, awake)}, not halted; it cannot be {purpose} before")


def plan_rewrite(job: DiskJob, found: Found, *, size: int | None, write: Callable[[str, int], Transfer], keys: Callable[[int], Mapping[str, str]]) -> None:
    """Steps that put a changed clone in the place of a disk. ``write(clone, size)`` changes it; ``keys(size)`` are set at the end."""
    source, record = found
    name, uuid, session = record["name_label"], record["uuid"], job.session
    add_leftovers(job)
    places = [*places_of(job.view, record), *job.pending, *job.missing]
    _add_marks(job, found, places)

    def clone() -> None:
        job.ref = run_task(session, "VDI.clone", source, {}, timeout=job.timeout, what=f"a clone of disk {name!r}")

    def grow() -> None:
        run_task(session, "VDI.resize", job.ref, size, timeout=job.timeout, what=f"disk {name!r} to grow")

    def rewrite() -> None:
        room = session.call("VDI.get_virtual_size", job.ref)
        with explained(session, record["SR"], f"disk {name!r}", room):
            job.transfer = write(job.ref, room)

    def finish() -> None:
        for key, value in {**keys(session.call("VDI.get_virtual_size", job.ref)), REPLACES: uuid}.items():
            _set_key(session, job.ref, key, value)
        _drop_key(session, job.ref, REWRITES)

    job.plan.add(f"clone disk {name!r}", clone, lambda: session.call("VDI.destroy", job.ref))
    if size is not None:
        job.plan.add(f"grow the clone to {format_bytes(size)}", grow, lambda: None)
    # What is done to the clone goes with it.
    job.plan.add(f"rewrite the clone of disk {name!r}", rewrite, lambda: None)
    job.plan.add("mark the clone as complete", finish, lambda: None)
    for place in places:
        add_swap(job.plan, session, place, name, lambda: source, lambda: job.ref)
    if places:
        job.plan.add(f"mark the new disk {name!r} as being in its place", lambda: _drop_keys(session, job.ref))
    _add_destroy(job, source, name, "remove the former disk")


def _add_marks(job: DiskJob, found: Found, places: list[Place]) -> None:
    """What the clone inherits: whose it is, and where it shall be."""
    (source, record), session = found, job.session
    name, uuid = record["name_label"], record["uuid"]

    def unmark() -> None:
        # A place that could not be taken back stays known to the next run.
        if len(session.call("VDI.get_VBDs", source)) >= len(places):
            _drop_keys(session, source)

    job.plan.add(f"mark disk {name!r} as being rewritten", lambda: _set_key(session, source, REWRITES, uuid), unmark)
    if places:
        # Taken back by the step before.
        job.plan.add(f"note where disk {name!r} is attached", lambda: _set_key(session, source, PLACES, written(places)), lambda: None)


def foretell(job: DiskJob, record: Record, size: int | None) -> Values:
    """What is known of the disk that takes the place of one."""
    before = vdi(record, job.view)
    shown = {key: before[key] for key in FORETOLD}
    if size is None or is_exact(size):
        shown["size"] = size or record["virtual_size"]
    return shown


def _add_destroy(job: DiskJob, ref: str, name: str, what: str) -> None:
    job.plan.add(f"{what} {name!r}", lambda: run_task(job.session, "VDI.destroy", ref, timeout=job.timeout, what=f"disk {name!r} to be removed"))


def _set_key(session: Any, ref: str, key: str, value: str) -> None:
    _drop_key(session, ref, key)
    session.call("VDI.add_to_other_config", ref, key, value)


def _drop_key(session: Any, ref: str, key: str) -> None:
    session.call("VDI.remove_from_other_config", ref, key)


def _drop_keys(session: Any, ref: str) -> None:
    for key in (REWRITES, PLACES):
        _drop_key(session, ref, key)
