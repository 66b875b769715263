# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A smaller copy of a disk: its filesystem is made smaller in a file on the controller; the disk itself stays as it is."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from . import _ext
from ._codec import format_bytes
from ._disk_content import Content, identity_of, is_unfinished, mark_of
from ._disk_extents import import_extents
from ._disk_job import DiskJob
from ._disk_layout import Layout
from ._disk_local import LocalPartition
from ._disk_rewrite import refuse_busy
from ._disk_swap import ON_THE_WAY
from ._errors import XenError
from ._extent import Extent
from ._lookup import Found, Record
from ._render_devices import CONTENT, UNBORN, UNFINISHED, vdi
from ._run import marked
from ._storage_full import explained
from ._task import run_task
from ._vdi_find import BY_NAME, get_sr, one_or_none
from ._vdi_size import is_exact, refuse_without_room

KIND = "shrunk"


def plan_shrink(job: DiskJob, found: Found, look: Callable[[], Layout]) -> None:
    """The copy is known by a mark of what it was made from, so it is made once; one that is not complete is made anew."""
    _ref, record = found
    name, size = job.params["copy_name"], job.size
    sr = get_sr(job.view, job.params["copy_sr"]) if job.params["copy_sr"] else (record["SR"], job.view.record("SR", record["SR"]) or {})
    content = Content(KIND, identity_of({"source": record["uuid"], "size": size}), size, lambda: iter(()))
    existing = one_or_none(job.view.load("VDI", {"name_label": name, "SR": sr[0], **BY_NAME}), "disk", name)
    if existing and existing[1]["other_config"].get(CONTENT) == content.mark:
        job.ref = existing[0]
        job.plan.result = {"vdi": vdi(existing[1], job.view)}
        return
    if existing and not (is_unfinished(existing[1]) and mark_of(existing[1]).startswith(KIND) and not existing[1]["VBDs"]):
        raise XenError(f"disk {name!r} exists on {sr[1].get('name_label')!r} and is no copy of {record['name_label']!r} of this size; choose another copy_name")
    if size >= record["virtual_size"]:
        raise XenError(
            f"disk {record['name_label']!r} has {format_bytes(record['virtual_size'])}, and a smaller copy of {format_bytes(size)} is none; give a smaller size"
        )
    refuse_busy(job, record, "copied")
    layout = look()
    if layout.size_on(size) <= 0:
        raise XenError(f"a disk of {format_bytes(size)} has no room for a partition at byte {layout.start}; give a larger size")
    _ext.check_tools()
    refuse_without_room(sr[1], name, size, 0)
    if existing:
        job.plan.add(
            f"remove what an interrupted run left of disk {name!r}",
            lambda: run_task(job.session, "VDI.destroy", existing[0], timeout=job.timeout, what=f"disk {name!r} to be removed"),
        )
    _add_steps(job, found, layout, content, sr[0])
    _foretell(job, record, sr[0], content)
    job.shown = {"filesystem": layout.filesystem.type}
    job.plan.result |= {**job.shown, "transfer": {}}


def _add_steps(job: DiskJob, found: Found, layout: Layout, content: Content, sr: str) -> None:
    """First all that can fail for what is in the disk; only then anything is made in the pool."""
    source, record = found
    label, name = f"disk {record['name_label']!r}", job.params["copy_name"]
    local: list[LocalPartition] = []

    def close() -> None:
        local[0].close()

    def shrink() -> None:
        local.append(LocalPartition(layout, job.params["work_dir"]))
        try:
            local[0].fetch(job.session, source, record["virtual_size"], label=label, timeout=job.timeout)
            _ext.check(local[0].path)
            _ext.resize(local[0].path, layout.size_on(content.size))
            os.truncate(local[0].path, layout.size_on(content.size))
        except BaseException:
            close()
            raise

    def create() -> None:
        job.ref = run_task(job.session, "VDI.create", _new(job, record, sr, content, complete=False), timeout=job.timeout, what=f"disk {name!r} to be created")

    def write() -> None:
        size = job.session.call("VDI.get_virtual_size", job.ref)

        def extents() -> Iterator[Extent]:
            # The storage may have rounded the size up: tables lie where the disk really ends.
            yield from local[0].content()
            yield from layout.on(size if layout.gpt else content.size)

        with explained(job.session, sr, f"disk {name!r}", size):
            job.transfer = import_extents(job.session, job.ref, extents(), size, label=f"disk {name!r}", timeout=job.timeout)

    def finish() -> None:
        job.session.call("VDI.set_other_config", job.ref, _new(job, record, sr, content, complete=True)["other_config"])
        close()

    job.plan.add(f"read {label} and make its filesystem smaller", shrink, close)
    job.plan.add(f"create disk {name!r}", create, lambda: job.session.call("VDI.destroy", job.ref))
    # What is written goes with the disk.
    job.plan.add(f"write the content of disk {name!r}", write, lambda: None)
    job.plan.add(f"mark the content of disk {name!r} as complete", finish)


def _new(job: DiskJob, source: Record, sr: str, content: Content, *, complete: bool) -> Record:
    """The copy keeps whose disk it is and what for, not what was said of the content of its source."""
    keys = {key: value for key, value in source["other_config"].items() if key not in {CONTENT, *ON_THE_WAY}}
    kept = {key: source[key] for key in ("name_description", "type", "sharable", "tags", "xenstore_data")}
    mark = content.mark if complete else f"{UNFINISHED} {content.mark}"
    fixed: Record = {"read_only": False, "sm_config": {}, "other_config": marked({**keys, CONTENT: mark}, job.session.run_id)}
    return {
        **kept,
        **fixed,
        "name_label": job.params["copy_name"],
        "SR": sr,
        "virtual_size": content.size,
        "other_config": marked({**keys, CONTENT: mark}, job.session.run_id),
    }


def _foretell(job: DiskJob, source: Record, sr: str, content: Content) -> None:
    record = {**UNBORN, **_new(job, source, sr, content, complete=True)}
    unknown = {"uuid", "used", "sm_config", "parent", *(() if is_exact(content.size) else ("size",))}
    shown = {key: value for key, value in vdi(record, job.view).items() if key not in unknown}
    job.plan.before, job.plan.after = {"state": "absent"}, {"state": "present", **shown}
    job.plan.result = {"vdi": shown}
