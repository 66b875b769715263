# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Storage repositories made, introduced, changed, scanned, forgotten and destroyed: the planner of ``xen_sr``."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from ._codec import text_of
from ._errors import NotFound, XenError
from ._lookup import NULL, Record, View, is_null
from ._pbd import device_config, disconnect, plan_connections, wanted_hosts
from ._plan import Plan
from ._render import sr
from ._settings import Setting, changes, first_values
from ._sr_gone import plan_gone
from ._sr_job import NOUN, SrJob, find_sr, read
from ._sr_needs import refuse_incomplete
from ._sr_scan import Refresh, plan_scanned
from ._task import run_task


def planner(fields: tuple[Setting, ...]) -> Callable[[Any, dict[str, Any]], Plan]:
    """The planner for the options that are plain fields of a repository."""

    def plan_sr(session: Any, params: dict[str, Any]) -> Plan:
        plan = Refresh() if params["state"] == "scanned" else Plan()
        job = SrJob(session, params, View(session), fields, plan)
        PLANS[params["state"]](job)
        return plan

    return plan_sr


def _plan_present(job: SrJob) -> None:
    found = find_sr(job)
    if found is not None:
        _plan_update(job, *found)
    elif job.params["uuid"] is not None:
        _plan_introduce(job)
    else:
        _plan_create(job)
    job.plan.read = lambda: read(job)


# A new one


def _plan_create(job: SrJob) -> None:
    name, params = job.params["new_name"] or job.params["name"], job.params
    if params["type"] is None or params["device_config"] is None:
        raise NotFound(NOUN, name, "give type and device_config to create it, or uuid as well to introduce one with its disks")
    job.refuse_unknown_type()
    record = _first_record(job, name)
    host, *_others = wanted_hosts(job, job.shared)
    config = device_config(params)
    refuse_incomplete(job, host, config)
    arguments = [host, config, 0, name, record["name_description"], params["type"], record["content_type"], job.shared]
    sm_config = {key: text_of(value) for key, value in (params["sm_config"] or {}).items()}
    earlier = set(job.session.call("SR.get_by_name_label", name))

    def create() -> None:
        try:
            job.ref = run_task(job.session, "SR.create", *arguments, sm_config, timeout=job.timeout, what=f"{NOUN} {name!r} to be created")
        except XenError:
            # One host that cannot reach the storage fails the call, but the repository is there by then (facts §3.7).
            for ref in set(job.session.call("SR.get_by_name_label", name)) - earlier:
                with suppress(XenError):
                    _remove(job, ref, "SR.destroy")
            raise

    job.plan.add(f"create {NOUN} {name!r}", create, lambda: _remove(job, job.ref, "SR.destroy"))
    _plan_first_values(job, record)
    if params["attached"] is False:
        job.plan.add(f"disconnect {NOUN} {name!r}", lambda: disconnect(job, job.ref))
    _foretell_new(job, record)


def _plan_introduce(job: SrJob) -> None:
    """A repository that lies on the storage already, with its disks, becomes known to the pool."""
    params = job.params
    uuid, name = params["uuid"], params["new_name"]
    if None in (name, params["type"], params["device_config"]):
        raise NotFound(NOUN, uuid, "give new_name, type and device_config to introduce one that lies on the storage already")
    job.refuse_unknown_type()
    refuse_incomplete(job, wanted_hosts(job, job.shared)[0], device_config(params))
    record = _first_record(job, name)
    arguments = [uuid, name, record["name_description"], params["type"], record["content_type"], job.shared]
    sm_config = {key: text_of(value) for key, value in (params["sm_config"] or {}).items()}

    def introduce() -> None:
        job.ref = job.session.call("SR.introduce", *arguments, sm_config)

    job.plan.add(f"introduce {NOUN} {name!r}", introduce, lambda: job.session.call("SR.forget", job.ref))
    plan_connections(job, name, {})
    _plan_first_values(job, record)
    _foretell_new(job, record)
    job.plan.result["sr"]["uuid"] = uuid


def _first_record(job: SrJob, name: str) -> Record:
    content_type = job.params["content_type"] or ("iso" if job.params["type"] == "iso" else "user")
    values = first_values(job.fields, job.session, job.params)
    return {**values, "name_label": name, "type": job.params["type"], "content_type": content_type, "shared": job.shared}


def _plan_first_values(job: SrJob, record: Record) -> None:
    """What creation does not take. The pool marks new repositories in other_config itself, so keys are added one by one."""
    if record["tags"]:
        job.plan.add("set tags", lambda: job.session.call("SR.set_tags", job.ref, record["tags"]))
    if record["other_config"]:
        job.plan.add("set other_config", _key_setter(job, {}, record["other_config"]))
    _plan_default(job, record["name_label"], "")


def _foretell_new(job: SrJob, record: Record) -> None:
    kept = {"name": "name_label", "description": "name_description", "type": "type", "content_type": "content_type", "shared": "shared"}
    shown = {key: record[field] for key, field in kept.items()}
    shown |= {"tags": sorted(record["tags"]), "default": bool(job.params["default"])}
    job.plan.before, job.plan.after = {"state": "absent"}, {"state": "present", **shown}
    job.plan.result = {"sr": dict(shown)}


# One that is there


def _plan_update(job: SrJob, ref: str, record: Record) -> None:
    job.ref, predicted, name = ref, dict(record), record["name_label"]
    _refuse_other_kind(job, record)
    new_name = job.params["new_name"]
    if new_name not in (None, name):
        predicted["name_label"] = new_name
        job.plan.add(f"rename it to {new_name!r}", lambda: job.session.call("SR.set_name_label", ref, new_name))
    for item, wanted in changes(job.fields, job.session, job.params, record):
        predicted[item.field] = wanted
        job.plan.add(f"set {item.option}", _setter(job, item.field, record, wanted))
    _plan_default(job, name, ref)
    connected = plan_connections(job, name, job.connections(ref))
    before, after = sr(record, job.view), sr(predicted, job.view)
    if job.params["default"] is not None:
        after["default"] = job.params["default"]
    job.plan.before = {"state": "present", **before}
    job.plan.after = {"state": "present", **after, **({"connected": sorted(connected)} if connected else {})}
    # Connecting scans: sizes, disks and marks are the storage's then.
    unknown = {"pbds", "size", "used", "free", "allocated", "other_config", "vdi_count"} if connected else set()
    job.plan.result = {"sr": {key: value for key, value in after.items() if key not in unknown}}


def _refuse_other_kind(job: SrJob, record: Record) -> None:
    for option in ("type", "content_type", "shared"):
        wanted = job.params[option]
        if wanted is not None and wanted != record[option]:
            what = f"{option} of {NOUN} {record['name_label']!r} is {record[option]!r} and cannot become {wanted!r} after creation"
            raise XenError(f"{what}; leave {option} out, or make another repository")


def _setter(job: SrJob, name: str, record: Record, wanted: Any) -> Callable[[], Any]:
    if name == "other_config":
        return _key_setter(job, record[name], wanted)
    return lambda: job.session.call(f"SR.set_{name}", job.ref, wanted)


def _key_setter(job: SrJob, current: dict[str, str], wanted: dict[str, str]) -> Callable[[], None]:
    """Key by key, so that the marks that the pool sets meanwhile stay."""

    def apply() -> None:
        for key in sorted(current.keys() | wanted.keys()):
            if current.get(key) != wanted.get(key):
                job.session.call("SR.remove_from_other_config", job.ref, key)
                if key in wanted:
                    job.session.call("SR.add_to_other_config", job.ref, key, wanted[key])

    return apply


def _plan_default(job: SrJob, name: str, ref: str) -> None:
    """``ref`` is empty for a repository that does not exist yet."""
    wanted = job.params["default"]
    pool = job.view.pool()
    current = pool["default_SR"]
    if wanted is None or wanted == (current == ref):
        return
    (pool_ref,) = job.session.call("pool.get_all")
    what = f"make {NOUN} {name!r} the default" if wanted else f"leave the pool without a default {NOUN}"
    undo = None if is_null(current) else lambda: job.session.call("pool.set_default_SR", pool_ref, current)
    job.plan.add(what, lambda: job.session.call("pool.set_default_SR", pool_ref, job.ref if wanted else NULL), undo)


def _remove(job: SrJob, ref: str, method: str) -> None:
    disconnect(job, ref)
    job.session.call(method, ref)


PLANS: dict[str, Callable[[SrJob], None]] = {"present": _plan_present, "absent": plan_gone, "forgotten": plan_gone, "scanned": plan_scanned}
