# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fresh disk with a generated content: made, written, and marked as complete in the end."""

from __future__ import annotations

from typing import Any

from ._device_job import Job
from ._device_steps import Disk
from ._disk_extents import import_extents
from ._disk_former import replacing
from ._lookup import Found, Record
from ._render_devices import CONTENT, DISK_TYPE, OWNER, UNFINISHED, vdi
from ._run import marked, run_of
from ._storage_full import explained
from ._vdi_find import sr_or_default
from ._vdi_size import is_exact, refuse_without_room

# Of a new disk nobody knows these before it exists.
UNBORN = {"managed": True, "missing": False, "is_a_snapshot": False, "snapshot_of": "", "VBDs": [], "physical_utilisation": 0}
UNKNOWN_VDI = {"uuid", "used", "sm_config", "parent", "attachments"}


def owner_of(job: Job) -> str:
    """Whose the disks are: as asked for, else the VM's."""
    return str(job.params["owner"] or job.vm["uuid"])


def add_create(disk: Disk, former: Found | None) -> None:
    """Make it, write it, and mark it as complete in the end."""
    job, wanted = disk.job, disk.wanted
    content, name, timeout = wanted.content, wanted.name, float(job.params["timeout"])
    ref, sr = sr_or_default(job.session, job.view, job.params["sr"])
    refuse_without_room(sr, name, content.size, 0)
    keys = {DISK_TYPE: wanted.disk_type, OWNER: owner_of(job)}
    replaces = replacing(former)
    record: Record = {
        "name_label": name,
        "name_description": wanted.disk_type,
        "SR": ref,
        "virtual_size": content.size,
        "type": "user",
        "sharable": False,
        "read_only": False,
        "xenstore_data": {},
        "sm_config": {},
        "tags": [],
        "other_config": {**keys, **replaces, CONTENT: f"{UNFINISHED} {content.mark}"},
    }

    def create() -> None:
        # A call and no task: nothing is written here, whatever the size.
        disk.vdi = str(job.session.call("VDI.create", record))

    def write() -> None:
        session: Any = job.session  # The protocol of devices leaves out what streams need.
        size = content.size if is_exact(content.size) else session.call("VDI.get_virtual_size", disk.vdi)
        with explained(session, ref, f"disk {name!r}", size):
            disk.transfer = import_extents(session, disk.vdi, content.extents(), size, label=f"disk {name!r}", timeout=timeout)

    def mark() -> None:
        job.session.call("VDI.set_other_config", disk.vdi, marked({**keys, **replaces, CONTENT: content.mark}, run_of(job.session)))

    disk.is_new = True
    job.plan.add(f"create disk {name!r} on {sr['name_label']!r}", create, lambda: job.session.call("VDI.destroy", disk.vdi))
    # What is written goes with the disk: nothing is left to be undone, and so it counts as undone.
    job.plan.add(f"write the content of disk {name!r}", write, lambda: None)
    job.plan.add(f"mark the content of disk {name!r} as complete", mark, lambda: None)
    shown = vdi({**UNBORN, "uuid": "", **record, "other_config": {**keys, CONTENT: content.mark}}, job.view)
    unknown = UNKNOWN_VDI if is_exact(content.size) else {*UNKNOWN_VDI, "size"}
    disk.shown["vdi"] = {key: value for key, value in shown.items() if key not in unknown}
