# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of ``xen_vm_info``: which VMs are listed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import _render_vm
from ._lookup import Record, View, get_by_name_or_uuid
from ._neighbours import load_neighbours
from ._plan import Plan
from ._task import Session
from ._vm import POWER_STATES

# Options that ask for what is no plain VM, with the field of the record that says it is.
KINDS = {"is_template": "is_a_template", "is_snapshot": "is_a_snapshot", "control_domain": "is_control_domain"}
# Which VMs a host counts as its own. A halted VM is resident nowhere (driver-operations §3.1).
SCOPES: dict[str, Callable[[Record, str | None], bool]] = {
    "pool": lambda record, host: host in (None, record["resident_on"], record["affinity"]),
    "resident": lambda record, host: record["power_state"] in ("Running", "Paused") and host in (None, record["resident_on"]),
    "affinity": lambda record, host: record["affinity"] == host,
}
OPTIONS: dict[str, dict[str, Any]] = {
    "scope": {"type": "str", "choices": list(SCOPES), "default": "pool"},
    "host": {"type": "str"},
    "power_state": {"type": "str", "choices": list(POWER_STATES)},
    "tags": {"type": "list", "elements": "str"},
    **{option: {"type": "bool"} for option in KINDS},
}
RULES: dict[str, Any] = {"mutually_exclusive": [("name", "uuid")], "required_if": [("scope", "affinity", ("host",))]}


def plan_vms(session: Session, params: dict[str, Any]) -> Plan:
    """A plan without steps. No match is an empty list and no error."""
    view = View(session)
    host = get_by_name_or_uuid(session, "host", params["host"])[0] if params["host"] else None
    asked = {"uuid": params["uuid"], "name_label": params["name"]}
    records = view.load("VM", {field: value for field, value in asked.items() if value is not None} or None)
    chosen = {ref: record for ref, record in records.items() if _is_asked_for(params, record, host)}
    if chosen:
        load_neighbours(view, chosen)
    vms = [_render_vm.vm(record, view) for record in chosen.values()]
    return Plan(result={"vms": sorted(vms, key=lambda vm: (vm["name"], vm["uuid"])), "exists": bool(vms)})


def _is_asked_for(params: dict[str, Any], record: Record, host: str | None) -> bool:
    power_state = params["power_state"]
    return (
        _is_of_kind(params, record)
        and SCOPES[params["scope"]](record, host)
        and (power_state is None or record["power_state"] == POWER_STATES[power_state])
        and set(params["tags"] or ()) <= set(record["tags"])
    )


def _is_of_kind(params: dict[str, Any], record: Record) -> bool:
    """Plain VMs unless another kind is asked for; a uuid alone finds whatever has it.

    A snapshot is a template as well, to xapi; a template here is one that is no snapshot.
    """
    wanted = {option: bool(params[option]) for option in KINDS}
    if params["uuid"] and all(params[option] is None for option in KINDS):
        return True
    is_kind = {option: bool(record[field]) for option, field in KINDS.items()}
    is_kind["is_template"] = is_kind["is_template"] and not is_kind["is_snapshot"]
    return is_kind == wanted if not any(wanted.values()) else any(wanted[option] and is_kind[option] for option in KINDS)
