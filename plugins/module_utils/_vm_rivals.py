# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two runs that make a VM of the same name at the same time: at most one keeps its VM. The pool itself allows both.

Each run creates its VM and only then looks for others of the name. So the later one sees the earlier one, which may
have looked already and gone on: whoever sees another one gives way. When both see each other, the one with the lower
uuid waits for the other to give way, so that one of them is left.
"""

from __future__ import annotations

from ._errors import TimedOut, XenError
from ._lookup import Record, records_by_ref
from ._task import Session
from ._vm import VM
from ._wait import wait_until

# Seconds that the other run is given to see us and to take its VM back.
PATIENCE = 5.0


def alone(session: Session, ref: str, name: str) -> Record:
    """The record of our new VM when it is the only one of its name; else an error, and the runner takes it back."""
    record, others = _look(session, ref, name)
    if others and all(record["uuid"] < other["uuid"] for other in others.values()):
        _await_end(session, others)
        record, others = _look(session, ref, name)
    if others:
        uuids = ", ".join(sorted(other["uuid"] for other in others.values()))
        raise XenError(
            f"another run made VM {name!r} ({uuids}) at the same time, and keeps it; this one is taken back, run the task again to go on with the other"
        )
    return record


def _look(session: Session, ref: str, name: str) -> tuple[Record, dict[str, Record]]:
    found = records_by_ref(session, "VM", {"name_label": name, **VM})
    record = found.pop(ref, None)
    if record is None:
        raise XenError(f"VM {name!r} was removed or renamed by somebody else just after it was made; run the task again")
    return record, found


def _await_end(session: Session, others: dict[str, Record]) -> None:
    gone: set[str] = set()

    def all_gone(records: dict[str, Record]) -> bool:
        # The first answer knows those that are there; one that is missing from it, or goes later, is gone.
        gone.update(others.keys() - records.keys())
        return gone == others.keys()

    try:
        wait_until(session, lambda _records: [f"VM/{other}" for other in others], all_gone, timeout=PATIENCE, what="the other run to give way")
    except TimedOut:
        return
