# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks made from others: clones, which share blocks with their source, and full copies (driver-operations §5.3).

A copy shows up while it is being made, under the name of its source. Ours gets its keys and its name only when it is
complete, so one that was interrupted is recognised: it has the name of its source and not the key ``SOURCE``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ._codec import merged
from ._errors import XenError
from ._lookup import Found, Record
from ._render_devices import CONTENT, OWNER, content_of
from ._run import RUN, marked, run_of
from ._settings import changes, refuse_immutable
from ._storage_full import explained
from ._task import run_task
from ._vdi import SOURCE, VdiJob, other_config
from ._vdi_find import find_vdi, get_sr, get_vdi, names_of, users
from ._vdi_size import data_at_least, grows_to, is_exact, refuse_without_room


def plan_copy(job: VdiJob) -> None:
    """Make the disk from ``clone_of`` or ``copy_of``, in this order: the disk, its fields, its keys, its size, its name."""
    if job.raw:
        raise XenError("a disk is made from content or from another disk; leave out content, or clone_of and copy_of")
    params = job.params
    name = params["new_name"] or params["name"]
    source, record = get_vdi(job.view, params["clone_of"] or params["copy_of"])
    sr = _place(job, record)
    grown = grows_to(record, job.size)
    for item, _wanted in changes(job.fields, job.session, params, record):
        refuse_immutable(item, f"disk {record['name_label']!r}", params, record)
    if params["copy_of"]:
        _refuse_busy(job, record)
        refuse_without_room(sr[1], name, grown or record["virtual_size"], data_at_least(job.view, record))
    _add_make(job, source, record, sr)
    for item in job.fields:
        if params[item.option] is not None and not item.immutable:
            job.plan.add(f"set {item.option} of the new disk", _setter(job, item.field, item.wire(job.session, params[item.option])))
    # The owner of the source is not that of the copy.
    keys = {OWNER: None, **other_config(params, {}), SOURCE: record["uuid"]}
    job.plan.add("set other_config of the new disk", lambda: _set_keys(job, keys))
    if grown:
        what = f"disk {name!r} to grow"
        job.plan.add("grow the new disk", lambda: run_task(job.session, "VDI.resize", job.ref, grown, timeout=job.timeout, what=what))
    job.plan.add(f"name the new disk {name!r}", _setter(job, "name_label", name))
    _foretell(job, name, record, sr, grown or record["virtual_size"])


def refuse_incomplete(job: VdiJob, record: Record) -> None:
    """Refuse an existing disk that is no copy of ours, or the rest of one that was interrupted."""
    text = job.params["clone_of"] or job.params["copy_of"]
    if text is None:
        return
    mark = record["other_config"].get(SOURCE)
    # Of the source's own name there is more than one now, and the mark is enough: it is not inherited from one without.
    source = find_vdi(job.view, text) if text != record["name_label"] else None
    inherited = source is not None and mark == source[1]["other_config"].get(SOURCE)
    if mark is None or inherited:
        raise XenError(f"disk {record['name_label']!r} exists and is no complete copy of {text!r}; remove it, or choose another name")


def _place(job: VdiJob, source: Record) -> Found:
    """A clone lies where its source does; a copy does too unless told otherwise."""
    own = (source["SR"], job.view.record("SR", source["SR"]) or {})
    if job.params["sr"] is None:
        return own
    sr = get_sr(job.view, job.params["sr"])
    if job.params["clone_of"] and sr[0] != own[0]:
        raise XenError(f"a clone shares blocks with its source and lies on {own[1].get('name_label')!r} too; use copy_of for {sr[1]['name_label']!r}")
    return sr


def _refuse_busy(job: VdiJob, source: Record) -> None:
    """A disk can be copied while it is plugged read-only, but not while a VM writes to it (facts §3.6)."""
    writers = [vbd for vbd in users(job.view, source) if vbd["mode"] == "RW"]
    if writers:
        name = source["name_label"]
        raise XenError(f"disk {name!r} is in use by {names_of(job.view, writers)} and cannot be copied; halt the VM, or use clone_of, which works meanwhile")


def _add_make(job: VdiJob, source: str, record: Record, sr: Found) -> None:
    name = record["name_label"]
    call: list[Any] = ["VDI.clone", source, {}] if job.params["clone_of"] else ["VDI.copy", source, sr[0]]
    verb = "clone" if job.params["clone_of"] else "copy"

    def make() -> None:
        with explained(job.session, sr[0], f"a {verb} of disk {name!r}", record["virtual_size"]):
            job.ref = run_task(job.session, *call, timeout=job.timeout, what=f"a {verb} of disk {name!r}")

    job.plan.add(f"{verb} disk {name!r} on {sr[1].get('name_label')!r}", make, lambda: job.session.call("VDI.destroy", job.ref))


def _set_keys(job: VdiJob, keys: Mapping[str, Any]) -> None:
    current = job.session.call("VDI.get_other_config", job.ref)
    job.session.call("VDI.set_other_config", job.ref, marked(merged(current, {**keys, RUN: None}), run_of(job.session)))


def _foretell(job: VdiJob, name: str, source: Record, sr: Found, size: int) -> None:
    """What is known of the copy: the pool adds keys of its own to copies, and rounds sizes."""
    shown: dict[str, Any] = {
        item.option: item.codec.decode(item.wire(job.session, job.params[item.option])) for item in job.fields if job.params[item.option] is not None
    }
    shown |= {"name": name, "sr": sr[1].get("uuid"), "type": source["type"], "is_snapshot": False, "managed": True, "owner": job.params["owner"]}
    if is_exact(size):
        shown["size"] = size
    if job.params["clone_of"] and CONTENT in source["other_config"]:
        shown["content"] = content_of(source)
    job.plan.before = {"state": "absent"}
    job.plan.after = {"state": "present", **shown}
    job.plan.result = {"vdi": shown}


def _setter(job: VdiJob, field: str, value: Any) -> Callable[[], Any]:
    return lambda: job.session.call(f"VDI.set_{field}", job.ref, value)
