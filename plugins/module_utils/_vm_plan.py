# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of ``xen_vm``: make it, change it, rename it, remove it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from . import _render_vm, _vm_source
from ._blocked import block_steps
from ._errors import XenError
from ._lookup import Found, Record, View
from ._memory import refuse_without_room
from ._neighbours import load_neighbours
from ._plan import Plan, Step, Values
from ._task import Session
from ._vm import find_vm, missing_vm
from ._vm_change import add_changes
from ._vm_record import OPTIONS as RECORD_OPTIONS
from ._vm_record import new_record, wanted_record

OPTIONS: dict[str, dict[str, Any]] = {
    **RECORD_OPTIONS,
    **_vm_source.OPTIONS,
    "check_memory": {"type": "bool", "default": False},
    "check_memory_on": {"type": "str"},
    "destroy_disks": {"type": "bool", "default": False},
    "destroy_owned": {"type": "bool", "default": False},
    "purge_networks": {"type": "bool", "default": False},
    "force": {"type": "bool", "default": False},
}
RULES: dict[str, Any] = {
    "mutually_exclusive": [("name", "uuid"), tuple(_vm_source.KINDS)],
    "required_one_of": [("name", "uuid")],
}
# What the pool chooses for a clone: its keys in other_config, and disks and interfaces of its own.
UNKNOWN_OF_A_CLONE = ("other_config", "uuid", "disks", "nics", "guest", "addresses", "snapshots", "snapshot_of")
UNKNOWN_OF_A_NEW_ONE = ("other_config", "uuid")
# Of a VM that is to be made, what is so whatever it is made of.
BORN: dict[str, Any] = {
    "uuid": "",
    "power_state": "Halted",
    "is_control_domain": False,
    "is_a_snapshot": False,
    "is_default_template": False,
    "resident_on": "",
    "guest_metrics": "",
    "snapshot_of": "",
    "domid": -1,
    "snapshots": [],
    "VBDs": [],
    "VIFs": [],
}


class Ref:
    """The reference of the VM: known now, or found out by the step that makes it. ``record`` is what the last step read."""

    def __init__(self, ref: str = "") -> None:
        self.value = ref
        self.record: Record | None = None


def plan_vm(session: Session, params: dict[str, Any]) -> Plan:
    """Compare what is wanted with what is."""
    found = _find(session, params)
    if params["state"] == "absent":
        # Imported here, as everywhere else only when it is needed: Ansible packs sources, which are compiled in each task.
        from ._vm_absent import plan_absent

        return plan_absent(session, params, found)
    if found is not None:
        return _plan_change(session, params, *found)
    if params["uuid"]:
        raise missing_vm(session, uuid=params["uuid"])
    name = params["new_name"] or params["name"]
    if not name:
        raise XenError("a VM needs a name")
    source = _vm_source.find_source(session, params)
    return _plan_made(session, params, name, source) if source else _plan_new(session, params, name)


def _find(session: Session, params: dict[str, Any]) -> Found | None:
    """By uuid or name; when only the new name exists, the renaming has been done before."""
    found = find_vm(session, name=params["name"], uuid=params["uuid"])
    new_name = params["new_name"]
    if params["state"] == "absent" or not new_name or new_name == params["name"]:
        return found
    if found and found[1]["name_label"] == new_name:
        return found
    renamed = find_vm(session, name=new_name)
    if found and renamed and found[0] != renamed[0]:
        raise XenError(f"there is another VM named {new_name!r} already; choose another new_name")
    return found or renamed


def _plan_change(session: Session, params: dict[str, Any], ref: str, record: Record) -> Plan:
    wanted = wanted_record(session, params, record)
    if params["new_name"]:
        wanted["name_label"] = params["new_name"]
    view = View(session)
    load_neighbours(view, {ref: record})
    plan = Plan(before=_shown(record, view), after=_shown(wanted, view))
    plan.result = {"vm": _render_vm.vm(wanted, view)}
    plan.read = _reader(session, Ref(ref))
    add_changes(session, plan, ref, record, wanted)
    return plan


def _plan_new(session: Session, params: dict[str, Any], name: str) -> Plan:
    from ._vm_rivals import alone

    record = new_record(session, name, params)
    _check_room(session, params, record)
    ref = Ref()

    def create() -> None:
        ref.value = session.call("VM.create", {**record, "blocked_operations": {}})

    plan = _creation(session, record, ref, UNKNOWN_OF_A_NEW_ONE)
    plan.add(f"create VM {name!r}", create, lambda: session.call("VM.destroy", ref.value))
    plan.add("see that it is the only one of its name", lambda: _note(ref, alone(session, ref.value, name)), _nothing_left)
    plan.steps += _later(ref, lambda: block_steps(session, ref.value, {}, record["blocked_operations"]), bool(record["blocked_operations"]))
    return plan


def _plan_made(session: Session, params: dict[str, Any], name: str, source: _vm_source.Source) -> Plan:
    from ._vm_rivals import alone

    record = wanted_record(session, params, _vm_source.predicted(source, name))
    _check_room(session, params, record)
    ref = Ref()

    def make() -> None:
        ref.value = _vm_source.make(session, source, name, params["timeout"])

    def call_it() -> None:
        session.call("VM.set_name_label", ref.value, name)
        _note(ref, alone(session, ref.value, name))

    plan = _creation(session, record, ref, UNKNOWN_OF_A_CLONE)
    for leftover, left in _vm_source.leftovers(session, name).items():
        plan.add(f"remove the unfinished VM {left['name_label']!r}", _vm_source.discard(session, partial(str, leftover)))
    plan.add(f"make VM {name!r} of {source.record['name_label']!r}", make, _vm_source.discard(session, lambda: ref.value))
    plan.add("set it up", lambda: _vm_source.set_up(session, ref.value, source, params), undo=_nothing_left)
    if source.provisions:
        plan.add("provision it", lambda: _vm_source.provision(session, ref.value, name, params["timeout"]), undo=_nothing_left)
    # Its name comes last, so that what bears it is complete.
    plan.add("give it its name", call_it)
    return plan


def _creation(session: Session, record: Record, ref: Ref, unknown: tuple[str, ...]) -> Plan:
    """The plan of a VM that does not exist, with what can be said of it."""
    view = View(session)
    shown = {key: value for key, value in _render_vm.vm({**record, **BORN}, view).items() if key not in unknown}
    plan = Plan(before={"state": "absent"}, after=_shown(record, view))
    plan.result = {"vm": shown}
    plan.read = _reader(session, ref)
    return plan


def _nothing_left() -> None:
    """Undo of what goes with the VM, whose own undo comes next."""


def _later(ref: Ref, steps: Callable[[], list[Step]], needed: bool) -> list[Step]:
    """A step whose calls need the reference that an earlier step finds out."""

    def apply() -> None:
        for step in steps():
            step.apply()
        ref.record = None

    return [Step("block what is not allowed", apply)] if needed else []


def _check_room(session: Session, params: dict[str, Any], record: Record) -> None:
    if params["check_memory"]:
        refuse_without_room(session, int(record["memory_static_max"]), params["check_memory_on"] or params["affinity"])


def _note(ref: Ref, record: Record) -> None:
    ref.record = record


def _reader(session: Session, ref: Ref) -> Callable[[], Values]:
    def read() -> Values:
        record = ref.record or session.call("VM.get_record", ref.value)
        view = View(session)
        load_neighbours(view, {ref.value: record})
        return {"vm": _render_vm.vm(record, view)}

    return read


def _shown(record: Record, view: View) -> Values:
    """For the diff: what options set."""
    return {"state": "present", **_render_vm.settings(record, view)}
