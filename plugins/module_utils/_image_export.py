# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks and snapshots into image files, only when the disk changed since. The planner of ``xen_image_export``."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import Any

from ._codec import format_bytes
from ._device_names import device_number, number_or_none
from ._devices import load_vm
from ._disk_extents import exported
from ._errors import NotFound, XenError
from ._export_record import is_ours, mark_unfinished, read_record, record_path, replacing, write_record
from ._image_file import changes, checksum, file_digest, patch, read_digest, refuse_level, write_file
from ._lookup import Found, View, is_null
from ._plan import Plan, Values
from ._task import run_task
from ._vdi_find import get_sr, get_vdi, users
from ._vhd import LARGEST

EXPORT_OPTIONS: dict[str, dict[str, Any]] = {
    "dest": {"type": "path", "required": True},
    "format": {"type": "str", "choices": ["raw", "vhd", "qcow2", "tgz"], "default": "raw"},
    "compression_level": {"type": "int"},
    "vdi": {"type": "str"},
    "sr": {"type": "str"},
    "vm": {"type": "str"},
    "vm_uuid": {"type": "str"},
    "userdevice": {"type": "str", "default": "0"},
    "properties": {"type": "dict"},
    "force": {"type": "bool", "default": False},
}


class Export:
    """One disk on its way into a file."""

    def __init__(self, session: Any, params: dict[str, Any]) -> None:
        self.session, self.params = session, params
        self.view = View(session)
        self.dest = os.path.abspath(params["dest"])
        self.ref, self.record = _source(self.view, params)
        self.source = self.ref  # or a snapshot of it
        self.size: int = self.record["virtual_size"]
        self.name: str = self.record["name_label"]
        self.known = read_record(self.dest)
        self.facts: Values = {}
        self.transfer: Values = {}

    @property
    def is_fixed(self) -> bool:
        """Whether the content of the disk cannot change any more."""
        return bool(self.record["is_a_snapshot"] or self.record["read_only"])

    @property
    def is_written(self) -> bool:
        """Whether a VM may write to the disk at this moment."""
        return any(vbd["mode"] == "RW" for vbd in users(self.view, self.record))

    @property
    def asked(self) -> Values:
        """What a file must have been made with to be the one that is asked for."""
        level, properties = self.params["compression_level"], self.params["properties"] or {}
        return {"format": self.params["format"], "compression_level": level, "properties": {key: str(value) for key, value in properties.items()}}

    @property
    def origin(self) -> Values:
        return {"vdi": self.record["uuid"], "disk_size": self.size}

    def stream(self, base: str | None = None) -> Any:
        return exported(self.session, self.source, "vhd", label=f"disk {self.name!r}", timeout=float(self.params["timeout"]), base=base)

    def is_current(self) -> bool:
        """Whether the file holds what the disk holds. A disk that can change is read for that, and compared by fingerprint."""
        known = self.known
        if known is None or any(known.get(key) != value for key, value in {**self.asked, **self.origin}.items()):
            return False
        if self.is_fixed:
            return True
        if self.is_written:
            return False
        with self.stream() as read:
            return read_digest(read, self.size) == known.get("content")

    def shown(self, facts: Values) -> Values:
        keys = ("vdi", "format", "compression_level", "properties", "disk_size", "checksum")
        return {"path": self.dest, **{key: facts[key] for key in keys if key in facts}, **({"size": facts["file"][0]} if "file" in facts else {})}


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
    plan.add(what, lambda: _write(job, base))
    if job.is_written:
        plan.add(f"remove the snapshot of disk {job.name!r}", lambda: _discard(job))
    plan.result = {"image": job.shown({**job.asked, **job.origin}), "transfer": {"bytes_total": job.size}}
    plan.read = lambda: {"image": job.shown(job.facts), "transfer": job.transfer}
    return plan


def _source(view: View, params: dict[str, Any]) -> Found:
    """The disk by uuid or name, or what is at a device of a VM."""
    if params["vdi"] is not None:
        sr = get_sr(view, params["sr"])[0] if params["sr"] is not None else None
        return get_vdi(view, params["vdi"], sr)
    if params["vm"] is None and params["vm_uuid"] is None:
        raise XenError("it is not said which disk is meant; give vdi, or vm or vm_uuid")
    vm, record = load_vm(view, params)
    number = device_number(params["userdevice"])
    for vbd in view.load("VBD", {"VM": vm}).values():
        disk = view.record("VDI", vbd["VDI"])
        if number_or_none(vbd["userdevice"]) == number and vbd["type"] == "Disk" and disk:
            return vbd["VDI"], disk
    raise NotFound(f"disk of VM {record['name_label']!r} at device", params["userdevice"], "see xen_vdi_info for what there is")


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


def _write(job: Export, base: str | None) -> None:
    began = time.monotonic()
    received = _write_changes(job, base) if base else None
    if received is None:
        received = _write_whole(job)
    job.transfer = {"bytes_sent": received, "bytes_total": job.size, "seconds": round(time.monotonic() - began, 3)}


def _write_whole(job: Export) -> int:
    with replacing(job.dest) as (file, path):
        with job.stream() as read:
            counted = Counted(read)
            content = write_file(counted, file, job.params["format"], job.size, job.params["compression_level"])
        file.flush()
        _remember(job, path, content)
    return counted.bytes


def _write_changes(job: Export, base: str) -> int | None:
    """Only what differs from the disk that the file holds; None when the pool cannot tell, and the whole has to be written."""
    mark_unfinished(job.dest)
    try:
        with open(job.dest, "r+b", buffering=0) as file, job.stream(base) as read:
            counted = Counted(read)
            patch(changes(counted, job.size), file)
            os.fsync(file.fileno())
    except OSError as error:
        raise XenError(f"dest {job.dest!r} cannot be written: {error.strerror or error}") from error
    except XenError:
        return None
    _remember(job, job.dest, file_digest(job.dest, job.size))
    return counted.bytes


def _remember(job: Export, path: str, content: str) -> None:
    facts = {**job.asked, **job.origin, "content": content, "checksum": checksum(path)}
    write_record(job.dest, path, facts)
    with suppress(OSError):
        status = os.stat(path)
        job.facts = {**facts, "file": [status.st_size, status.st_mtime_ns]}


class Counted:
    """A function that reads, and how much it read."""

    def __init__(self, read: Any) -> None:
        self._read, self.bytes = read, 0

    def __call__(self, most: int) -> bytes:
        data: bytes = self._read(most)
        self.bytes += len(data)
        return data
