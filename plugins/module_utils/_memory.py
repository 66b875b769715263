# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Memory of a VM: four limits that must rise, changed in one call because each order of single ones fails for some VM."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from ._codec import format_bytes, parse_bytes
from ._errors import XenError
from ._lookup import Caller, Record, get_by_name_or_uuid, records_by_ref

# In the order in which they must rise. memory_target follows dynamic_min by itself (facts §3.3).
LIMITS = ("memory_static_min", "memory_dynamic_min", "memory_dynamic_max", "memory_static_max")
DYNAMIC = ("memory_dynamic_min", "memory_dynamic_max")
MIB = 2**20
OPTIONS = {name: {"type": "str"} for name in ("memory", *LIMITS)}


def wanted_limits(params: dict[str, Any], current: Record) -> dict[str, int]:
    """All four limits: those asked for, those that ``memory`` means, and the others as they are."""
    limits = {name: int(current[name]) for name in LIMITS}
    asked = {name: _asked(params, name) for name in LIMITS if params[name] is not None}
    if params["memory"] is not None:
        memory = _asked(params, "memory")
        fixed = dict.fromkeys(("memory_dynamic_min", "memory_dynamic_max", "memory_static_max"), memory)
        limits |= fixed | {"memory_static_min": min(limits["memory_static_min"], memory)}
    if not asked and params["memory"] is None:
        return limits
    limits |= asked
    for lower, higher in itertools.pairwise(LIMITS):
        if limits[lower] > limits[higher]:
            raise XenError(
                f"{lower} ({format_bytes(limits[lower])}) is more than {higher} ({format_bytes(limits[higher])}); the limits must rise: {', '.join(LIMITS)}"
            )
    return limits


def _asked(params: dict[str, Any], option: str) -> int:
    """An option in bytes. A number without its unit is taken for the slip that it is: xapi would take 8 bytes."""
    size = parse_bytes(params[option], option)
    if 0 < size < MIB:
        raise XenError(f"{option} {params[option]!r} is {size} bytes, with which no VM runs; write its unit, such as 8GiB")
    return size


def needs_halted(changes: dict[str, Any]) -> list[str]:
    """Those of the changed limits that a VM takes only while it is halted."""
    return [name for name in LIMITS if name in changes and name not in DYNAMIC]


def setter(session: Caller, ref: Callable[[], str], limits: dict[str, int], *, live: bool) -> Callable[[], Any]:
    """One call that sets all limits, or, on a running VM, the dynamic ones."""
    if live:
        return lambda: session.call("VM.set_memory_dynamic_range", ref(), *(limits[name] for name in DYNAMIC))
    static_min, dynamic_min, dynamic_max, static_max = (limits[name] for name in LIMITS)
    return lambda: session.call("VM.set_memory_limits", ref(), static_min, static_max, dynamic_min, dynamic_max)


def refuse_without_room(session: Caller, memory: int, host: str | None) -> None:
    """An error unless the host, or without one any enabled host, has that much memory free.

    Builds under way and the overhead of the VM itself are not counted (driver-operations §3.2).
    """
    hosts = [get_by_name_or_uuid(session, "host", host)] if host else list(records_by_ref(session, "host", {"enabled": True}).items())
    free = {}
    for ref, record in hosts:
        free[record["name_label"]] = int(session.call("host.compute_free_memory", ref))
        if free[record["name_label"]] >= memory:
            return
    seen = ", ".join(f"{name} {format_bytes(size)}" for name, size in sorted(free.items())) or "no host is enabled"
    raise XenError(f"no host has {format_bytes(memory)} of memory free ({seen}); free some, lower memory, or set check_memory to false")


def usage_mib(record: Record) -> int | None:
    """MiB that a live VM takes of its host, null for one that is not live (driver-operations §4.5)."""
    return int(record["memory_static_max"]) // 2**20 if record["power_state"] in ("Running", "Paused") else None
