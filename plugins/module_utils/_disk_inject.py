# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files written into the filesystem of a disk that no VM uses (driver-operations §16): the planner of ``xen_disk_inject``."""

from __future__ import annotations

import secrets
from typing import Any

from . import _ext
from ._debugfs import DEBUGFS, Filesystem
from ._disk_content import secret_identity_of
from ._disk_extents import import_extents
from ._disk_job import DiskJob, find_disk
from ._disk_layout import HEAD, Layout, Unsuitable, layout_around, partition_of
from ._disk_local import LocalPartition, read_head
from ._disk_rewrite import add_leftovers, foretell, known, plan_rewrite, refuse_busy
from ._errors import XenError
from ._guest_files import INPUTS, add_files, check_inputs
from ._lookup import Found, View
from ._partition import SECTOR
from ._plan import Plan
from ._render_devices import vdi
from ._tool import find_tool
from ._transfer import Transfer
from ._vdi_size import refuse_without_room

# On a disk: salt and hash of what was written into it, and of the partition.
INJECTED = "xen_ansible:injected"
# So far into the disk a partition is looked for.
FARTHEST = 1024**3


def plan_inject(session: Any, params: dict[str, Any]) -> Plan:
    """Write once: what is in the disk is known by a mark, and nothing is read then."""
    check_inputs(params)
    job = DiskJob(session, params, View(session))
    job.plan.read = job.read
    found = find_disk(job)
    job.ref, record = found
    salt, _colon, _identity = record["other_config"].get(INJECTED, "").partition(":")
    mark = _mark(params, salt or secrets.token_hex(8))
    if record["other_config"].get(INJECTED) == mark:
        add_leftovers(job)
        job.plan.result = {"vdi": known(job, vdi(record, job.view))}
        left = sorted(item["uuid"] for item in job.leftovers.values())
        job.plan.before, job.plan.after = {"leftovers": left}, {"leftovers": []}
        return job.plan
    refuse_busy(job, record, "written into")
    find_tool(DEBUGFS)
    _ext.check_tools()
    layout = _look(job, found)
    sr = job.view.record("SR", record["SR"])
    if sr:
        refuse_without_room(sr, record["name_label"], record["virtual_size"], 0)
    plan_rewrite(job, found, size=None, write=lambda clone, size: _write(job, found, layout, clone, size), keys=lambda _size: {INJECTED: mark})
    job.shown = {"filesystem": layout.filesystem.type}
    shown = foretell(job, record, None)
    job.plan.before = {"vdi": vdi(record, job.view), "injected": record["other_config"].get(INJECTED, "").partition(":")[2][:16] or None}
    job.plan.after = {"vdi": shown, "injected": sorted(name for name in INPUTS if params[name] is not None)}
    job.plan.result = {"vdi": shown, **job.shown, "transfer": {}}
    return job.plan


def _mark(params: dict[str, Any], salt: str) -> str:
    return f"{salt}:{secret_identity_of({name: params[name] for name in (*INPUTS, 'partition')}, salt)}"


def _look(job: DiskJob, found: Found) -> Layout:
    """The partition, which may begin behind others: then more of the disk is read."""
    record, number = found[1], job.params["partition"]
    label = f"disk {record['name_label']!r}"
    try:
        head = read_head(job.session, found[0], record["virtual_size"], label=label, timeout=job.timeout)
        reach = partition_of(head, number).start * SECTOR + 2048
        if reach > FARTHEST:
            raise Unsuitable(f"partition {number} begins at byte {reach - 2048}, later than is looked for")
        if reach > HEAD:
            head = read_head(job.session, found[0], record["virtual_size"], label=label, timeout=job.timeout, count=reach)
        return layout_around(head, number)
    except Unsuitable as error:
        raise XenError(f"nothing can be written into {label}: {error}; use a config drive (xen_configdrive) instead") from None


def _write(job: DiskJob, found: Found, layout: Layout, clone: str, size: int) -> Transfer:
    """Change the filesystem in a file on the controller, and send what changed."""
    label = f"disk {found[1]['name_label']!r}"
    local = LocalPartition(layout, job.params["work_dir"])
    try:
        local.fetch(job.session, clone, size, label=label, timeout=job.timeout)
        _ext.check(local.path)
        add_files(Filesystem(local.path), job.params)
        _ext.check(local.path)
        return import_extents(job.session, clone, local.changes(), size, label=label, timeout=job.timeout)
    finally:
        local.close()
