# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of ``xen_power``: boot lock, host, power state, readiness."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any

from . import _render_vm
from ._blocked import block_steps, bootable, with_lock
from ._errors import XenError
from ._lookup import Found, Record, View, get_by_name_or_uuid
from ._plan import Plan, Values
from ._power import NEW_DOMAIN, STARTS, SUMMARIES, Acts, acts
from ._run import RUN
from ._task import Session
from ._vm import POWER_STATES, find_vm, missing_vm
from ._wait_guest import READY, readiness, wait_for_guest

STATES = ("running", "halted", "suspended", "paused", "rebooted")
OPTIONS: dict[str, dict[str, Any]] = {
    "name": {"type": "str"},
    "uuid": {"type": "str"},
    "state": {"type": "str", "choices": list(STATES), "required": True},
    "force": {"type": "bool", "default": False},
    "shutdown_timeout": {"type": "float"},
    "host": {"type": "str"},
    "boot_allowed": {"type": "bool"},
    "detach_bad_volumes": {"type": "bool", "default": False},
    "wait_for": {"type": "str", "choices": ["nothing", *READY], "default": "nothing"},
    "wait_timeout": {"type": "float", "default": 300},
    "wait_device": {"type": "int"},
    "wait_network": {"type": "str"},
}
# The number of the domain by which dom0 names the console log of a guest; kept when the domain is gone (§2).
LAST_DOMAIN = "last_dom_id"
LIVE = ("Running", "Paused")


def plan_power(session: Session, params: dict[str, Any]) -> Plan:
    """Compare the power state that is wanted with the one that is."""
    _check_network(params)
    found = find_vm(session, name=params["name"], uuid=params["uuid"])
    if found is None:
        return _plan_missing(session, params)
    ref, record = found
    wanted = "running" if params["state"] == "rebooted" else params["state"]
    way = acts(record["power_state"], params["state"], force=params["force"])
    host = get_by_name_or_uuid(session, "host", params["host"])[0] if params["host"] else None
    view = View(session)
    _refuse_other_host(view, record, host, wanted)
    blocked = with_lock(record["blocked_operations"], _allowed(params, record, way))
    _refuse_locked_start(record, blocked, params, way)
    predicted = {**record, "power_state": POWER_STATES[wanted], "blocked_operations": blocked}
    plan = Plan(before=_shown(record), after=_shown(predicted))
    if params["state"] == "rebooted":
        plan.before["rebooted"], plan.after["rebooted"] = False, True
    plan.result = {"vm": _predicted_result(predicted, view, host, way)}
    plan.read = _reader(session, ref)
    _add_steps(session, plan, params, found, blocked, host, way)
    if params["wait_for"] != "nothing" and wanted == "running":
        ready = readiness(params["wait_for"], params["wait_device"], params["wait_network"])
        plan.wait = lambda: wait_for_guest(session, ref, record["name_label"], ready, params["wait_timeout"])
    return plan


def _check_network(params: dict[str, Any]) -> None:
    try:
        ipaddress.ip_network(params["wait_network"] or "::/0")
    except ValueError as error:
        raise XenError(f"wait_network {params['wait_network']!r} is no network; write it as 192.0.2.0/24: {error}") from error


def _plan_missing(session: Session, params: dict[str, Any]) -> Plan:
    """Off and not to be started is what a VM that is gone is: worth a warning and no error (driver row soft_delete)."""
    if params["state"] != "halted" or params["boot_allowed"] is not False:
        raise missing_vm(session, name=params["name"], uuid=params["uuid"])
    return Plan(result={"vm": None}, warnings=[f"there is no VM {params['uuid'] or params['name']!r} to be halted"])


def _allowed(params: dict[str, Any], record: Record, way: tuple[str, ...]) -> bool | None:
    """Whether starting shall be allowed; None leaves it. A suspended VM is kept from starting without its memory."""
    if params["boot_allowed"] is not None or not way:
        allowed: bool | None = params["boot_allowed"]
        return allowed
    if params["state"] == "suspended":
        return False
    return True if record["power_state"] == "Suspended" else None


def _refuse_other_host(view: View, record: Record, host: str | None, wanted: str) -> None:
    if host is None or wanted not in ("running", "paused") or record["power_state"] not in LIVE or record["resident_on"] == host:
        return
    there, here = (view.record("host", ref) or {"name_label": "?"} for ref in (record["resident_on"], host))
    raise XenError(f"VM {record['name_label']!r} is live on host {there['name_label']!r} and not on {here['name_label']!r}; migrate it, or leave host out")


def _refuse_locked_start(record: Record, blocked: dict[str, str], params: dict[str, Any], way: tuple[str, ...]) -> None:
    starts = STARTS & set(way)
    if not starts or params["boot_allowed"] is not None or bootable(blocked):
        return
    reason = next(blocked[operation] for operation in ("start", "start_on") if operation in blocked)
    raise XenError(f"VM {record['name_label']!r} may not be started ({reason or 'no reason given'}); set boot_allowed to true to lift that")


def _add_steps(session: Session, plan: Plan, params: dict[str, Any], found: Found, blocked: dict[str, str], host: str | None, way: tuple[str, ...]) -> None:
    ref, record = found
    how = Acts(session, ref, record, params, host, plan)
    lock = block_steps(session, ref, record["blocked_operations"], blocked)
    # Blocked before it goes off, so that nobody starts it in between; but a start that is wanted comes before its block.
    late = bool(STARTS & set(way)) and not bootable(blocked)
    plan.steps += [] if late else lock
    for act in way:
        plan.add(SUMMARIES[act], how.step(act))
    plan.steps += lock if late else []
    if (way and way[-1] in NEW_DOMAIN) or (not way and _is_unnoted(record)):
        noted: Record = {}
        plan.add(f"note its domain as {LAST_DOMAIN}", lambda: noted.update(_note_domain(session, ref, known=LAST_DOMAIN in record["other_config"])))
        # The result shows nothing that the note changes: unless something was waited for since, what was read for it is the truth.
        fresh = _reader(session, ref)
        plan.read = lambda: _read(session, noted) if plan.wait is None else fresh()


def _is_unnoted(record: Record) -> bool:
    """Whether who builds the VM started it and was killed before the note. Of other VMs it is nobody's business who starts them."""
    keys = record["other_config"]
    return RUN in keys and record["domid"] >= 0 and keys.get(LAST_DOMAIN) != str(record["domid"])


def _note_domain(session: Session, ref: str, *, known: bool) -> Record:
    record: Record = session.call("VM.get_record", ref)
    if known:
        session.call("VM.remove_from_other_config", ref, LAST_DOMAIN)
    session.call("VM.add_to_other_config", ref, LAST_DOMAIN, str(record["domid"]))
    return record


def _predicted_result(record: Record, view: View, host: str | None, way: tuple[str, ...]) -> Values:
    """What is known before: where it will run and what the guest will say is not, once it starts."""
    _fetch(view, record)
    if not way:
        return _render_vm.power(record, view)
    gone = record["power_state"] not in LIVE
    after = {**record, "resident_on": "", "domid": -1} if gone else {**record, "resident_on": host or record["resident_on"]}
    result = _render_vm.power(after, view)
    unknown = {"guest", "addresses"} if gone or not NEW_DOMAIN & set(way) else {"guest", "addresses", "domid"}
    if not gone and NEW_DOMAIN & set(way) and host is None:
        unknown.add("host")
    return {key: value for key, value in result.items() if key not in unknown}


def _shown(record: Record) -> Values:
    return {"power_state": record["power_state"].lower(), "bootable": bootable(record["blocked_operations"])}


def _reader(session: Session, ref: str) -> Callable[[], Values]:
    return lambda: _read(session, session.call("VM.get_record", ref))


def _read(session: Session, record: Record) -> Values:
    view = View(session)
    _fetch(view, record)
    return {"vm": _render_vm.power(record, view)}


def _fetch(view: View, record: Record) -> None:
    """What ``_render_vm.power`` asks for, in one call."""
    view.fetch({"host": [record["resident_on"]], "VM_guest_metrics": [record["guest_metrics"]]})
