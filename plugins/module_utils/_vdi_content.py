# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is on a disk: written from a raw file, recognised by its fingerprint, read back into a file."""

from __future__ import annotations

import os
from typing import Any

from ._disk_export import export_file
from ._disk_stream import import_raw
from ._errors import XenError
from ._lookup import Record, View
from ._raw_file import RawFile
from ._render_devices import CONTENT, UNFINISHED, vdi
from ._storage_full import explained
from ._task import run_task
from ._transfer import Transfer
from ._vdi import VdiJob, refuse_too_large
from ._vdi_find import refuse_in_use, users

# Keys of the result that change by reading or writing a disk: the pool gives it a new content_id among its keys.
TOUCHED = {"used", "other_config"}
# What cannot be done with a disk in use, and what to do first.
NOT_IN_USE = ("written", "halt the VM, or detach the disk first")


def is_left_over(job: VdiJob, record: Record) -> bool:
    """Whether a disk is the rest of an interrupted run that nobody needs: its uuid is not asked for, and it is attached to nothing."""
    unfinished = record["other_config"].get(CONTENT, "").startswith(UNFINISHED)
    return unfinished and job.raw is not None and job.params["uuid"] is None and not record["VBDs"]


def plan_content(job: VdiJob, predicted: Record) -> set[str]:
    """Write the file to an existing disk that lacks it. Returns the keys of the result that nobody can foretell then."""
    if job.raw is None:
        return set()
    mark, name = predicted["other_config"].get(CONTENT, ""), predicted["name_label"]
    if mark == job.raw.fingerprint:
        return set()
    if not (mark.startswith(UNFINISHED) or job.params["overwrite"]):
        what = f"content {mark}" if mark else "content of unknown origin"
        raise XenError(f"disk {name!r} exists and has {what}, not that of {job.raw.path!r}; set overwrite to replace what is on it, or choose another name")
    refuse_too_large(job.raw, predicted["virtual_size"])
    # xapi would import into a disk that a running VM uses, and say success (recording "images").
    refuse_in_use(job.view, predicted, *NOT_IN_USE)
    fingerprint = job.raw.fingerprint
    job.plan.add(f"mark disk {name!r} as unfinished", lambda: _mark(job, f"{UNFINISHED} {fingerprint}"))
    fill(job, whole=True)
    predicted["other_config"] = {**predicted["other_config"], CONTENT: fingerprint}
    return TOUCHED


def fill(job: VdiJob, *, whole: bool) -> None:
    """Steps that write the file and then its fingerprint. The mark comes last: without it the disk counts as unfinished."""
    raw = job.raw
    if raw is None:
        return
    job.plan.add(f"write {raw.path!r} to the disk", lambda: _write(job, raw, whole))
    job.plan.add("mark the content as complete", lambda: _mark(job, raw.fingerprint))
    if not whole:
        job.plan.result["transfer"] = {"bytes_total": raw.size}


def _write(job: VdiJob, raw: RawFile, whole: bool) -> None:
    record = job.session.call("VDI.get_record", job.ref)
    size = record["virtual_size"]
    refuse_too_large(raw, size)
    if whole:  # Its VM may have been started since the plan was made.
        refuse_in_use(View(job.session), record, *NOT_IN_USE)
    with explained(job.session, record["SR"], f"disk {record['name_label']!r}", size):
        job.transfer = _told(import_raw(job.session, job.ref, raw, size, whole=whole, timeout=job.timeout), raw.size)


def _mark(job: VdiJob, text: str) -> None:
    # Key by key, so that what others set meanwhile stays; removing a key that is not there is no error (facts §6).
    job.session.call("VDI.remove_from_other_config", job.ref, CONTENT)
    job.session.call("VDI.add_to_other_config", job.ref, CONTENT, text)


def _told(transfer: Transfer, total: int) -> dict[str, Any]:
    return {"bytes_sent": transfer.bytes_sent, "bytes_total": total, "seconds": round(transfer.seconds, 3)}


def plan_export(job: VdiJob, record: Record, dest: str) -> None:
    """Read a disk into a file. A disk that a VM writes to is read from a snapshot, so the file is of one moment."""
    job.plan.result["dest"] = dest
    job.plan.before = {"dest": dest, "exists": os.path.exists(dest)}
    job.plan.after = {"dest": dest, "exists": True}
    if os.path.exists(dest):
        if not os.path.isfile(dest):
            raise XenError(f"dest {dest!r} is no file; name the file to write")
        if not job.params["overwrite"]:
            return
        job.plan.before["replaced"], job.plan.after["replaced"] = False, True
    folder = os.path.dirname(dest)
    if not os.access(folder, os.W_OK):
        raise XenError(f"dest {dest!r} cannot be written: {folder!r} is no folder that the module may write to")
    name, size = record["name_label"], record["virtual_size"]
    source = Source(job, job.ref, name)
    if any(vbd["mode"] == "RW" for vbd in users(job.view, record)):
        job.plan.add(f"take a snapshot of disk {name!r}", source.snapshot, source.discard)
        job.plan.add(f"write disk {name!r} to {dest!r}", lambda: source.export(size, dest))
        job.plan.add(f"remove the snapshot of disk {name!r}", source.discard)
    else:
        job.plan.add(f"write disk {name!r} to {dest!r}", lambda: source.export(size, dest))
    shown = job.plan.result["vdi"]
    job.plan.result["vdi"] = {key: value for key, value in shown.items() if key not in TOUCHED}
    job.plan.result["transfer"] = {"bytes_total": size}
    job.plan.read = lambda: {"vdi": vdi(job.session.call("VDI.get_record", job.ref), job.view), "dest": dest, "transfer": job.transfer}


class Source:
    """The disk that is read: itself, or a snapshot of it for the time of reading."""

    def __init__(self, job: VdiJob, ref: str, name: str) -> None:
        self._job, self._ref, self._name = job, ref, name

    def snapshot(self) -> None:
        what = f"a snapshot of disk {self._name!r}"
        self._ref = run_task(self._job.session, "VDI.snapshot", self._ref, {}, timeout=self._job.timeout, what=what)

    def export(self, size: int, dest: str) -> None:
        self._job.transfer = _told(export_file(self._job.session, self._ref, size, dest, timeout=self._job.timeout), size)

    def discard(self) -> None:
        self._job.session.call("VDI.destroy", self._ref)
