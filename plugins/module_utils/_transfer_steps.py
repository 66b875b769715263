# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of a transfer of a disk: the new disk, its content, its marks, and what an interrupted one left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ._codec import format_bytes
from ._disk_extents import import_extents
from ._disk_job import TRANSFERRED, DiskJob
from ._disk_local import disk_extents
from ._disk_read import exported
from ._disk_swap import ON_THE_WAY
from ._errors import XenError
from ._lookup import Found, Record, View
from ._plan import Values
from ._render_devices import CONTENT, UNFINISHED, vdi
from ._run import marked
from ._storage_full import explained
from ._task import run_task
from ._transfer import Transfer
from ._vdi_size import data_at_least, refuse_without_room
from ._vhd_reader import SparseReader

# On the new disk until it is complete: the uuid of the snapshot that it holds, and of those before.
BASE = "xen_ansible:transfer_base"
# On the snapshot: the uuid of the new disk.
TARGET = "xen_ansible:transfer_target"
OURS = {TRANSFERRED, BASE, TARGET, *ON_THE_WAY}


@dataclass
class TransferJob(DiskJob):
    """A disk on its way to another place. ``ref`` is the new disk there; ``there`` and ``there_view`` are its pool."""

    counts_copies: bool = False
    there: Any = None
    there_view: View = field(default_factory=lambda: View(None))  # type: ignore[arg-type]
    snapshot: str = ""
    origin: Values = field(default_factory=dict)

    @property
    def same_pool(self) -> bool:
        return self.there is self.session

    def read(self) -> Values:
        self.view.forget()
        self.there_view.forget()
        result: Values = {"vdi": vdi(self.there.call("VDI.get_record", self.ref), self.there_view), "source": self.origin, **self.shown}
        if "transfer" in self.plan.result:
            told = self.transfer or Transfer(0, 0, 0.0)
            result["transfer"] = {"bytes_sent": told.bytes_sent, "bytes_total": told.bytes_total, "seconds": round(told.seconds, 3)} if self.transfer else {}
        return result


def snapshots(job: TransferJob, source: str) -> dict[str, Record]:
    records = job.view.load("VDI", {"snapshot_of": source, "is_a_snapshot": True})
    return {ref: record for ref, record in records.items() if TARGET in record["other_config"]}


def bases_of(target: Found | None) -> list[str]:
    """Uuids of the snapshots that the new disk held, the newest first."""
    return target[1]["other_config"].get(BASE, "").split() if target else []


def new_record(job: TransferJob, source: Record, sr: str, *, complete: bool) -> Record:
    kept = {key: source[key] for key in ("name_description", "type", "sharable", "tags", "xenstore_data", "virtual_size")}
    keys = {key: value for key, value in source["other_config"].items() if key not in OURS and key != "content_id"}
    mark = {} if complete else {CONTENT: f"{UNFINISHED} transfer {source['uuid']}"}
    name = job.params["dest_name"] or source["name_label"]
    return {
        **kept,
        "read_only": False,
        "sm_config": {},
        "name_label": name,
        "SR": sr,
        "other_config": marked({**keys, **mark, TRANSFERRED: source["uuid"]}, job.there.run_id),
    }


def add_create(job: TransferJob, found: Found, sr: Found) -> None:
    source = found[1]
    name = source["name_label"]
    refuse_without_room(sr[1], name, source["virtual_size"], data_at_least(job.view, source))
    record = new_record(job, source, sr[0], complete=False)

    def create() -> None:
        job.ref = run_task(job.there, "VDI.create", record, timeout=job.timeout, what=f"disk {name!r} to be created")

    what = f"create disk {record['name_label']!r} of {format_bytes(source['virtual_size'])} on {sr[1]['name_label']!r}"
    job.plan.add(what, create, lambda: job.there.call("VDI.destroy", job.ref))


def add_copy(job: TransferJob, name: str, source: Callable[[], str], sr: Found) -> None:
    """Byte for byte through the controller, without what is zero: into a disk that is zero."""

    def copy() -> None:
        size, label = job.session.call("VDI.get_virtual_size", source()), f"disk {name!r}"
        room = job.there.call("VDI.get_virtual_size", job.ref)
        with disk_extents(job.session, source(), size, label=label, timeout=job.timeout) as extents, explained(job.there, sr[0], label, room):
            job.transfer = import_extents(job.there, job.ref, extents, room, label=label, timeout=job.timeout)

    # What is written goes with the disk.
    job.plan.add(f"write the content of disk {name!r}", copy, lambda: None)


def add_snapshot(job: TransferJob, found: Found) -> None:
    ref, source = found
    what = f"a snapshot of disk {source['name_label']!r}"

    def take() -> None:
        job.snapshot = run_task(job.session, "VDI.snapshot", ref, {}, timeout=job.timeout, what=what)

    job.plan.add(f"take {what}", take, lambda: job.session.call("VDI.destroy", job.snapshot))
    # Its undo: the mark goes with the snapshot.
    job.plan.add("mark the snapshot", lambda: job.session.call("VDI.add_to_other_config", job.snapshot, TARGET, source["uuid"]), lambda: None)


def add_changes(job: TransferJob, name: str, source: Callable[[], str], base: str, sr: Found) -> None:
    """What was written to the disk since a snapshot of it, over what the new disk holds."""

    def write() -> None:
        size, label = job.there.call("VDI.get_virtual_size", job.ref), f"disk {name!r}"
        with (
            exported(job.session, source(), "vhd", label=label, timeout=job.timeout, base=base) as read,
            explained(job.there, sr[0], label, size),
        ):
            # Zeros are sent as well: what was there before is not to stay.
            job.transfer = import_extents(job.there, job.ref, SparseReader(read).extents(), size, label=label, timeout=job.timeout)

    job.plan.add(f"write what changed on disk {name!r} since", write)


def add_base_mark(job: TransferJob) -> None:
    """The new disk holds the snapshot. The undo goes before that of the snapshot, without which nothing could be sent on."""
    before: dict[str, str] = {}

    def mark() -> None:
        before.update(job.there.call("VDI.get_other_config", job.ref))
        uuid = job.session.call("VDI.get_uuid", job.snapshot)
        job.there.call("VDI.set_other_config", job.ref, {**before, BASE: f"{uuid} {before.get(BASE, '')}".strip()})
        job.origin = {**job.origin, "snapshot": uuid}

    job.plan.add("mark what the new disk holds", mark, lambda: job.there.call("VDI.set_other_config", job.ref, before))


def add_finish(job: TransferJob, source: Record) -> None:
    keys = new_record(job, source, "", complete=True)["other_config"]
    job.plan.add("mark the new disk as complete", lambda: job.there.call("VDI.set_other_config", job.ref, keys))


def add_leftover(job: TransferJob, target: Found | None) -> None:
    if target is not None:
        if target[1]["VBDs"]:
            raise XenError(f"disk {target[1]['uuid']} is an unfinished copy of this one, but it is attached to a VM; detach it first")
        add_destroy(job, job.there, target[0], f"remove what an interrupted transfer left of disk {target[1]['name_label']!r}")


def add_removal_of_snapshots(job: TransferJob, found: Found) -> None:
    for ref in snapshots(job, found[0]):
        add_destroy(job, job.session, ref, f"remove the snapshot of disk {found[1]['name_label']!r} of its transfer")
        job.plan.before, job.plan.after = {**job.plan.before, "snapshot": True}, {**job.plan.after, "snapshot": False}


def add_destroy(job: TransferJob, session: Any, ref: str, what: str) -> None:
    job.plan.add(what, lambda: run_task(session, "VDI.destroy", ref, timeout=job.timeout, what="a disk to be removed"))
