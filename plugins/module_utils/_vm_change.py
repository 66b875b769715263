# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From one record of a VM to another: the calls, their order, and what a VM that is not halted refuses."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from . import _memory, _vcpus
from ._blocked import block_steps
from ._boot import KERNEL_OPTIONS
from ._errors import XenError
from ._lookup import Caller, Record
from ._plan import Plan, Step
from ._vm import word
from ._vm_record import FIELDS

# Fields set by one setter of the same name, with what a user calls them.
SETTABLE = {
    "name_label": "name",
    **{item.field: item.option for item in FIELDS},
    "VCPUs_params": "vcpus_params",
    "HVM_boot_policy": "boot_mode",
    "HVM_boot_params": "boot_order and firmware",
    "PV_bootloader": "boot_mode",
    **{field: option for option, field in KERNEL_OPTIONS.items()},
}
# Fields that xapi takes only on a halted VM, or that would make the record of a live one lie (its kind of guest).
HALTED_ONLY = ("VCPUs_max", "has_vendor_device", "HVM_boot_policy", "PV_bootloader")
VCPU_NUMBERS = ("VCPUs_max", "VCPUs_at_startup")
OPTION_OF = {**SETTABLE, "VCPUs_max": "vcpus_max", "VCPUs_at_startup": "vcpus"}
UNORDERED = {item.field: item.codec for item in FIELDS}


def changed_fields(current: Record, wanted: Record) -> dict[str, Any]:
    """The fields whose values mean something else."""
    return {field: value for field, value in wanted.items() if _differs(field, current[field], value)}


def _differs(field: str, current: Any, wanted: Any) -> bool:
    codec = UNORDERED.get(field)
    return codec.differs(current, wanted) if codec else bool(current != wanted)


def refuse_unless_halted(record: Record, changes: dict[str, Any]) -> None:
    """One error that names everything that has to wait until the VM is halted."""
    if record["power_state"] == "Halted":
        return
    blocked = [field for field in HALTED_ONLY if field in changes] + _memory.needs_halted(changes)
    if record["power_state"] != "Running":
        blocked += [field for field in ("VCPUs_at_startup", *_memory.DYNAMIC) if field in changes]
    elif "VCPUs_at_startup" in changes and "changing_VCPUs_live" not in record["allowed_operations"]:
        blocked.append("VCPUs_at_startup")
    if blocked:
        options = ", ".join(dict.fromkeys(OPTION_OF.get(field, field) for field in blocked))
        raise XenError(
            f"VM {record['name_label']!r} is {word(record['power_state'])}, and {options} can be changed only while it is halted; "
            "shut it down first (xen_power with state: halted)"
        )


def add_changes(session: Caller, plan: Plan, ref: str, current: Record, wanted: Record) -> None:
    """The steps from ``current`` to ``wanted``, each with the way back."""
    changes = changed_fields(current, wanted)
    refuse_unless_halted(current, changes)
    plan.steps += change_steps(session, ref, current, wanted, changes)


def change_steps(session: Caller, ref: str, current: Record, wanted: Record, changes: dict[str, Any]) -> list[Step]:
    """The steps for these changes."""
    steps = []
    for field, option in SETTABLE.items():
        if field in changes:
            steps.append(Step(f"set {option}", _set(session, ref, field, wanted[field]), _set(session, ref, field, current[field])))
    live = current["power_state"] != "Halted"
    if any(field in changes for field in _memory.LIMITS):
        there = _memory.setter(session, lambda: ref, _limits(wanted), live=live)
        steps.append(Step("set memory", there, _memory.setter(session, lambda: ref, _limits(current), live=live)))
    if any(field in changes for field in VCPU_NUMBERS):
        steps += _vcpu_steps(session, ref, current, wanted, live=live)
    return steps + block_steps(session, ref, current["blocked_operations"], wanted["blocked_operations"])


def _vcpu_steps(session: Caller, ref: str, current: Record, wanted: Record, *, live: bool) -> list[Step]:
    there = _vcpus.setters(session, lambda: ref, current, wanted, live=live)
    back = {_kind(summary): apply for summary, apply in _vcpus.setters(session, lambda: ref, wanted, current, live=live)}
    return [Step(summary, apply, back.get(_kind(summary))) for summary, apply in there]


def _kind(summary: str) -> str:
    return summary.rpartition(" ")[0]


def _limits(record: Record) -> dict[str, int]:
    return {name: int(record[name]) for name in _memory.LIMITS}


def _set(session: Caller, ref: str, field: str, value: Any) -> Callable[[], Any]:
    return partial(session.call, f"VM.set_{field}", ref, value)
