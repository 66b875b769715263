# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which VM is meant. Templates, snapshots and control domains are VMs to xapi, but not to a user."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._errors import NotFound, XenError
from ._lookup import Caller, Found, Record, find, get_by_name_or_uuid, records_by_ref

# Our words for power states; an unknown state (an old xapi had Crashed) is shown in lower case.
POWER_STATES = {"running": "Running", "halted": "Halted", "suspended": "Suspended", "paused": "Paused"}
VM = {"is_a_template": False, "is_a_snapshot": False, "is_control_domain": False}
TEMPLATE = {"is_a_template": True, "is_a_snapshot": False}
SNAPSHOT = {"is_a_snapshot": True}
RESCUE_SUFFIX = "-rescue"


def find_vm(session: Caller, *, name: str | None = None, uuid: str | None = None, check_rescue: bool = False) -> Found | None:
    """The one VM of this uuid or name; None when there is none; ``Ambiguous`` when several have the name.

    ``check_rescue`` prefers the VM that rescues the named one, when there is one.
    """
    if check_rescue and name and (rescuer := find(session, "VM", name=name + RESCUE_SUFFIX, only=VM)):
        return rescuer
    return find(session, "VM", name=name, uuid=uuid, only=VM)


def get_vm(session: Caller, *, name: str | None = None, uuid: str | None = None) -> Found:
    """As ``find_vm``, but none is an error, which tells when a template or a snapshot is called so."""
    found = find_vm(session, name=name, uuid=uuid)
    if found is None:
        raise missing_vm(session, name=name, uuid=uuid)
    return found


def missing_vm(session: Caller, *, name: str | None = None, uuid: str | None = None) -> XenError:
    """The error for a VM that is not there."""
    asked = {"uuid": uuid} if uuid else {"name_label": name}
    others = list(records_by_ref(session, "VM", asked).values())
    if not others:
        return NotFound("VM", str(uuid or name))
    kind = kind_of(others[0])
    remedy = "name a VM" if kind == "control domain" else f"create a VM from it first (xen_vm with source_snapshot: {others[0]['uuid']})"
    if kind == "template":
        remedy = f"create a VM from it first (xen_vm with template: {others[0]['name_label']})"
    return XenError(f"{others[0]['name_label']!r} is a {kind} and no VM; {remedy}")


def kind_of(record: Record) -> str:
    """``VM``, ``template``, ``snapshot`` or ``control domain``. A snapshot has the mark of a template as well."""
    if record["is_control_domain"]:
        return "control domain"
    if record["is_a_snapshot"]:
        return "snapshot"
    return "template" if record["is_a_template"] else "VM"


def get_source(session: Caller, text: str, only: Mapping[str, Any], noun: str) -> Found:
    """The template, VM or snapshot to make a VM of, by name or uuid."""
    return get_by_name_or_uuid(session, "VM", text, only=only, noun=noun)


def word(power_state: str) -> str:
    """Our word for a power state of xapi."""
    return power_state.lower()
