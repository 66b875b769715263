# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks made, changed, exported and removed: the planner of ``xen_vdi``."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from ._codec import format_bytes
from ._errors import NotFound, XenError
from ._lookup import Record, View
from ._plan import Plan, Values
from ._raw_file import scan
from ._render_devices import CONTENT, UNBORN, UNFINISHED, vdi
from ._settings import Setting, changes, first_values, refuse_immutable
from ._task import run_task
from ._vdi import VdiJob, find_disk, other_config, refuse_too_large
from ._vdi_content import TOUCHED, fill, is_left_over, plan_content, plan_export
from ._vdi_copy import plan_copy, refuse_incomplete
from ._vdi_find import names_of, refuse_in_use, users
from ._vdi_size import grows_to, is_exact, refuse_without_room


def planner(fields: tuple[Setting, ...]) -> Callable[[Any, dict[str, Any]], Plan]:
    """The planner for the options that are plain fields of a disk."""

    def plan_vdi(session: Any, params: dict[str, Any]) -> Plan:
        job = VdiJob(session, params, View(session), fields)
        if params["uuids"] is not None and params["state"] != "absent":
            raise XenError("uuids selects disks to be removed; with another state give name or uuid")
        PLANS[params["state"]](job)
        return job.plan

    return plan_vdi


def _plan_present(job: VdiJob) -> None:
    if job.params["content"] is not None:
        job.raw = scan(job.params["content"], "content")
    found = find_disk(job)
    if found is not None and is_left_over(job, found[1]):
        _plan_anew(job, *found)
    elif found is not None:
        _plan_update(job, *found)
    elif job.params["uuid"] is not None:
        raise NotFound("disk", job.params["uuid"], "a new one is created by name")
    elif job.params["clone_of"] or job.params["copy_of"]:
        plan_copy(job)
    else:
        _plan_create(job)
    if job.plan.steps:
        _read_after(job)


def _plan_create(job: VdiJob) -> None:
    name = job.params["new_name"] or job.params["name"]
    if job.size is None and job.raw is None:
        raise XenError(f"disk {name!r} does not exist; give size to create it, or content, clone_of or copy_of")
    size = job.size or (job.raw.size + -job.raw.size % 512 if job.raw else 0)
    refuse_too_large(job.raw, size)
    ref, sr = job.place()
    refuse_without_room(sr, name, size, job.raw.data_size if job.raw else 0)
    record = _new_record(job, name, ref, size)

    def create() -> None:
        job.ref = run_task(job.session, "VDI.create", record, timeout=job.timeout, what=f"disk {name!r} to be created")

    job.plan.add(f"create disk {name!r} on {sr['name_label']!r}", create, lambda: job.session.call("VDI.destroy", job.ref))
    if job.raw:
        fill(job, whole=False)
    # Not ``record``, with which the disk is created: that says that it is unfinished.
    keys = {**record["other_config"], **({CONTENT: job.raw.fingerprint} if job.raw else {})}
    shown = vdi({**UNBORN, **record, "other_config": keys}, job.view)
    touched = TOUCHED if job.raw else set()
    _predict(job, {"state": "absent"}, shown, {"uuid", "used", "sm_config", "parent", *touched, *(() if is_exact(size) else ("size",))})


def _new_record(job: VdiJob, name: str, sr: str, size: int) -> Record:
    keys = other_config(job.params, {})
    record = {
        **first_values(job.fields, job.session, job.params),
        "name_label": name,
        "SR": sr,
        "virtual_size": size,
        # Until the content is complete the disk says so, and the next run makes it anew.
        "other_config": {**keys, CONTENT: f"{UNFINISHED} {job.raw.fingerprint}"} if job.raw else keys,
        "sm_config": {key: str(value) for key, value in (job.params["sm_config"] or {}).items()},
        "xenstore_data": {},
    }
    if job.params["description"] is None:
        record["name_description"] = job.params["disk_type"] or ""
    return record


def _plan_anew(job: VdiJob, ref: str, record: Record) -> None:
    """Make a disk again whose content was interrupted: a fresh one need not be filled with zeros."""
    name = record["name_label"]
    job.sr = (record["SR"], job.view.record("SR", record["SR"]) or {})
    job.plan.add(
        f"remove the unfinished disk {name!r}", lambda: run_task(job.session, "VDI.destroy", ref, timeout=job.timeout, what=f"disk {name!r} to be removed")
    )
    _plan_create(job)
    job.plan.before = {"state": "present", **vdi(record, job.view)}


def _plan_update(job: VdiJob, ref: str, record: Record) -> None:
    job.ref = ref
    predicted, name, params = dict(record), record["name_label"], job.params
    _refuse_elsewhere(job, record)
    refuse_incomplete(job, record)
    if params["new_name"] not in (None, name):
        predicted["name_label"] = params["new_name"]
        job.plan.add(f"rename disk {name!r} to {params['new_name']!r}", _setter(job, "name_label", params["new_name"]))
    for item, wanted in changes(job.fields, job.session, params, record):
        refuse_immutable(item, f"disk {name!r}", params, record)
        predicted[item.field] = wanted
        job.plan.add(f"set {item.option} of disk {name!r}", _setter(job, item.field, wanted))
    keys = other_config(params, record["other_config"])
    if keys != record["other_config"]:
        predicted["other_config"] = keys
        job.plan.add(f"set other_config of disk {name!r}", _setter(job, "other_config", keys))
    _plan_sm_config(job, record, predicted)
    unknown = _plan_resize(job, record, predicted) | plan_content(job, predicted)
    before, shown = vdi(record, job.view), vdi(predicted, job.view)
    _predict(job, {"state": "present", **before}, shown, unknown)


def _refuse_elsewhere(job: VdiJob, record: Record) -> None:
    if job.params["sr"] is not None and record["SR"] != job.place()[0]:
        here = (job.view.record("SR", record["SR"]) or {}).get("name_label")
        raise XenError(f"disk {record['name_label']!r} lies on {here!r} and does not move to {job.place()[1]['name_label']!r}; make a copy there with copy_of")


def _plan_sm_config(job: VdiJob, record: Record, predicted: Record) -> None:
    """Remove keys, such as the ``base_mirror`` that a migration leaves behind."""
    for key in job.params["sm_config_absent"] or []:
        if key in record["sm_config"]:
            predicted["sm_config"] = {name: value for name, value in predicted["sm_config"].items() if name != key}
            job.plan.add(f"remove {key} from sm_config of disk {record['name_label']!r}", _remover(job, key))


def _remover(job: VdiJob, key: str) -> Callable[[], Any]:
    return lambda: job.session.call("VDI.remove_from_sm_config", job.ref, key)


def _plan_resize(job: VdiJob, record: Record, predicted: Record) -> set[str]:
    wanted = grows_to(record, job.size)
    if wanted is None:
        return set()
    # VDI.resize is refused while plugged, and resize_online is missing from 7.3 up to 26.16 (facts §3.6).
    refuse_in_use(job.view, record, "resized", "halt the VM, or detach the disk first")
    sr = job.view.record("SR", record["SR"])
    if sr:
        refuse_without_room(sr, record["name_label"], wanted - record["virtual_size"], 0)
    predicted["virtual_size"] = wanted
    what = f"disk {record['name_label']!r} to grow"
    job.plan.add(
        f"grow disk {record['name_label']!r} to {format_bytes(wanted)}",
        lambda: run_task(job.session, "VDI.resize", job.ref, wanted, timeout=job.timeout, what=what),
    )
    return {"used"} if is_exact(wanted) else {"used", "size"}


def _plan_absent(job: VdiJob) -> None:
    """Remove one disk, or several with few calls; those that are gone already are what is wanted."""
    if job.params["uuids"] is None:
        found = find_disk(job)
        doomed = dict([found]) if found else {}
    else:
        doomed = {ref: record for uuid in dict.fromkeys(job.params["uuids"]) for ref, record in job.view.load("VDI", {"uuid": uuid}).items()}
    job.plan.before = {"disks": sorted(record["name_label"] for record in doomed.values())}
    job.plan.after = {"disks": []}
    for ref, record in doomed.items():
        _plan_destroy(job, ref, record)


def _plan_destroy(job: VdiJob, ref: str, record: Record) -> None:
    name = record["name_label"]
    try:
        refuse_in_use(job.view, record, "removed", "detach it, or halt the VM first")
    except XenError as error:
        if not job.params["ignore_errors"]:
            raise
        job.plan.warnings.append(str(error))
        return
    if record["VBDs"] and not users(job.view, record):
        vbds = [vbd for vbd in (job.view.record("VBD", item) for item in record["VBDs"]) if vbd]
        job.plan.warnings.append(f"disk {name!r} belonged to {names_of(job.view, vbds)}, which is without it now")

    def destroy() -> None:
        try:
            run_task(job.session, "VDI.destroy", ref, timeout=job.timeout, what=f"disk {name!r} to be removed")
        except XenError as error:
            if not job.params["ignore_errors"]:
                raise
            job.plan.warnings.append(f"disk {name!r} could not be removed: {error}")

    job.plan.add(f"remove disk {name!r}", destroy)


def _plan_exported(job: VdiJob) -> None:
    found = find_disk(job)
    if found is None:
        raise NotFound("disk", job.params["name"] or job.params["uuid"], "see xen_vdi_info for what there is")
    job.ref, record = found
    job.plan.result = {"vdi": vdi(record, job.view)}
    plan_export(job, record, os.path.abspath(job.params["dest"]))


def _setter(job: VdiJob, name: str, value: Any) -> Callable[[], Any]:
    return lambda: job.session.call(f"VDI.set_{name}", job.ref, value)


def _predict(job: VdiJob, before: Values, shown: Values, unknown: set[str]) -> None:
    """The result leaves out what the pool may choose otherwise; the diff shows the size that is asked for."""
    job.plan.before = before
    job.plan.after = {"state": "present", **{key: value for key, value in shown.items() if key in before or key not in unknown - {"size"}}}
    job.plan.result = {**job.plan.result, "vdi": {key: value for key, value in shown.items() if key not in unknown}}


def _read_after(job: VdiJob) -> None:
    def read() -> Values:
        job.view.forget()
        result = {"vdi": vdi(job.session.call("VDI.get_record", job.ref), job.view)}
        return {**result, "transfer": job.transfer} if job.transfer else result

    job.plan.read = read


PLANS: dict[str, Callable[[VdiJob], None]] = {"present": _plan_present, "absent": _plan_absent, "exported": _plan_exported}
