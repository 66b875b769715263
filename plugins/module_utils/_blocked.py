# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The boot lock: ``blocked_operations`` that keep a VM from starting, beside blocks that others set for their reasons."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from ._lookup import Caller
from ._plan import Step

# xapi checks start_on by its own name, so a lock on start alone would leave a door open (driver-operations §4.4).
STARTING = ("start", "start_on")
REASON = "starting is not allowed (xapi.xenserver)"


def bootable(blocked: Mapping[str, str]) -> bool:
    """Whether nothing keeps the VM from starting."""
    return not any(operation in blocked for operation in STARTING)


def with_lock(blocked: Mapping[str, str], allowed: bool | None) -> dict[str, str]:
    """The blocks as they are with starting allowed, not allowed, or as it was (None)."""
    if allowed is None:
        return dict(blocked)
    if allowed:
        return {operation: reason for operation, reason in blocked.items() if operation not in STARTING}
    return {**dict.fromkeys(STARTING, REASON), **blocked}


def block_steps(session: Caller, ref: str, current: Mapping[str, str], wanted: Mapping[str, str]) -> list[Step]:
    """The steps from some blocks to others, a key each: replacing the map would drop what somebody sets meanwhile."""
    steps = []
    for operation in sorted(current.keys() | wanted.keys()):
        before, after = current.get(operation), wanted.get(operation)
        if before == after:
            continue
        summary = f"allow {operation}" if after is None else f"block {operation}"
        steps.append(Step(summary, partial(_change, session, ref, operation, before, after), partial(_change, session, ref, operation, after, before)))
    return steps


def _change(session: Caller, ref: str, operation: str, before: str | None, after: str | None) -> None:
    # Adding a key that is there is an error (recording vm_records).
    if before is not None:
        session.call("VM.remove_from_blocked_operations", ref, operation)
    if after is not None:
        session.call("VM.add_to_blocked_operations", ref, operation, after)
