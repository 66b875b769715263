# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks that grow with what is in them, and smaller copies (driver-operations §7): the planner of ``xen_disk_resize``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from . import _ext
from ._codec import format_bytes
from ._disk_extents import import_extents
from ._disk_job import DiskJob, find_disk
from ._disk_layout import Layout, Unsuitable, layout_of
from ._disk_local import LocalPartition, read_head
from ._disk_rewrite import add_leftovers, foretell, known, plan_rewrite, refuse_busy
from ._disk_shrink import plan_shrink
from ._errors import XenError
from ._extent import Extent
from ._lookup import Found, View
from ._plan import Plan
from ._render_devices import vdi
from ._task import run_task
from ._transfer import Transfer
from ._vdi_size import grows_to, is_exact, refuse_without_room

RESIZE_OPTIONS: dict[str, dict[str, Any]] = {
    "mode": {"type": "str", "choices": ["grow", "auto_configure", "shrink_copy"], "default": "grow"},
    "size": {"type": "str", "required": True},
    "copy_name": {"type": "str"},
    "copy_sr": {"type": "str"},
}
# On a disk: the size up to which partition and filesystem were grown.
CONFIGURED = "xen_ansible:configured"


def plan_resize(session: Any, params: dict[str, Any]) -> Plan:
    """The plan for one disk."""
    job = DiskJob(session, params, View(session))
    job.plan.read = job.read
    found = find_disk(job)
    job.ref = found[0]
    MODES[params["mode"]](job, found)
    return job.plan


def _plan_grow(job: DiskJob, found: Found) -> None:
    """The disk alone; what is in it is left to the guest."""
    ref, record = found
    wanted = grows_to(record, job.size)
    add_leftovers(job)
    predicted = dict(record)
    if wanted is not None:
        # VDI.resize is refused while plugged, and resize_online is missing from 7.3 up to 26.16 (facts §3.6).
        refuse_busy(job, record, "resized")
        sr = job.view.record("SR", record["SR"])
        if sr:
            refuse_without_room(sr, record["name_label"], wanted - record["virtual_size"], 0)
        predicted["virtual_size"] = wanted
        what = f"disk {record['name_label']!r} to grow"
        job.plan.add(
            f"grow disk {record['name_label']!r} to {format_bytes(wanted)}",
            lambda: run_task(job.session, "VDI.resize", ref, wanted, timeout=job.timeout, what=what),
        )
    _predict_same(job, found, predicted, wanted)


def _predict_same(job: DiskJob, found: Found, predicted: dict[str, Any], wanted: int | None) -> None:
    job.plan.before, shown = {"vdi": vdi(found[1], job.view)}, known(job, vdi(predicted, job.view))
    leftovers = sorted(record["uuid"] for record in job.leftovers.values())
    job.plan.after = {"vdi": shown}
    if leftovers:
        job.plan.before["leftovers"], job.plan.after["leftovers"] = leftovers, []
    unknown = set() if wanted is None else {"used"} if is_exact(wanted) else {"used", "size"}
    job.plan.result = {"vdi": {key: value for key, value in shown.items() if key not in unknown}}


def _plan_auto_configure(job: DiskJob, found: Found) -> None:
    """The disk, its partition and its filesystem. A disk that is not simple enough only grows, with a warning."""
    _ref, record = found
    wanted = grows_to(record, job.size)
    size = wanted or record["virtual_size"]
    if wanted is None and record["other_config"].get(CONFIGURED) == str(size):
        _plan_grow(job, found)
        return
    refuse_busy(job, record, "resized")
    try:
        layout = layout_of(_head(job, found))
        filled = layout.fills(size)
    except Unsuitable as error:
        _plan_grow(job, found)
        job.plan.warnings.append(f"partition and filesystem of disk {record['name_label']!r} stay as they are: {error}")
        return
    if wanted is None and filled:
        _plan_grow(job, found)
        return
    _ext.check_tools()
    sr = job.view.record("SR", record["SR"])
    if sr:
        refuse_without_room(sr, record["name_label"], size, 0)
    plan_rewrite(job, found, size=wanted, write=_grower(job, found, layout), keys=lambda real: {CONFIGURED: str(real)})
    shown = foretell(job, record, wanted)
    job.shown = {"filesystem": layout.filesystem.type}
    # Only what is foretold: the other fields would look in the diff as if they went.
    present = vdi(record, job.view)
    job.plan.before = {"vdi": {key: present[key] for key in shown}, "configured": record["other_config"].get(CONFIGURED)}
    job.plan.after = {"vdi": shown, "configured": str(size)}
    job.plan.result = {"vdi": shown, **job.shown, "transfer": {}}


def _head(job: DiskJob, found: Found) -> bytes:
    label = f"disk {found[1]['name_label']!r}"
    return read_head(job.session, found[0], found[1]["virtual_size"], label=label, timeout=job.timeout)


def _grower(job: DiskJob, found: Found, layout: Layout) -> Callable[[str, int], Transfer]:
    """Grow in a file on the controller, and send what changed."""
    label = f"disk {found[1]['name_label']!r}"

    def write(clone: str, size: int) -> Transfer:
        local = LocalPartition(layout, job.params["work_dir"])
        try:
            local.fetch(job.session, clone, size, label=label, timeout=job.timeout)
            _ext.check(local.path)
            with local.path.open("r+b") as file:
                file.truncate(layout.size_on(size))
            _ext.resize(local.path, layout.size_on(size))

            def extents() -> Iterator[Extent]:
                yield from local.changes()
                yield from layout.on(size)

            return import_extents(job.session, clone, extents(), size, label=label, timeout=job.timeout)
        finally:
            local.close()

    return write


def _plan_shrink_copy(job: DiskJob, found: Found) -> None:
    """A smaller copy; conditions that are not met are errors here."""
    if job.params["copy_name"] is None:
        raise XenError("a smaller copy needs a name; give copy_name")
    plan_shrink(job, found, lambda: layout_of(_head(job, found)))


MODES: dict[str, Callable[[DiskJob, Found], None]] = {"grow": _plan_grow, "auto_configure": _plan_auto_configure, "shrink_copy": _plan_shrink_copy}
