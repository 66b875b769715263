# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""VMs that a run cloned and never heard of. A clone gets its mark after the call that makes it; until then its name tells what it is."""

from __future__ import annotations

from ._lookup import Record, View
from ._plug import wait_for_news
from ._run import RUN, finished, is_of, run_of_task
from ._run_id import is_about, subject_of
from ._task import FINISHED, Session


def lost_vms(session: Session, view: View, run_id: str, moments: float) -> dict[str, Record]:
    """Unfinished clones of what the run builds that nobody claims and, for some moments, nobody works on. The tasks of the run have ended."""
    found = _unclaimed(view, run_id)
    if not found or _others_at_work(view, run_id):
        return {}
    # A run that is alive takes the next step with its clone within moments.
    wait_for_news(session, [f"VM/{ref}" for ref in found], moments)
    view.forget("VM")
    now = _unclaimed(view, run_id)
    return {ref: record for ref, record in found.items() if now.get(ref) == record}


def _unclaimed(view: View, run_id: str) -> dict[str, Record]:
    unmarked = {ref: record for ref, record in view.load("VM").items() if RUN not in record["other_config"] and not record["is_a_snapshot"]}
    names = {ref: finished(record["name_label"]) for ref, record in unmarked.items()}
    return {ref: record for ref, record in unmarked.items() if (name := names[ref]) is not None and is_about(run_id, name)}


def _others_at_work(view: View, run_id: str) -> bool:
    """Whether another run that builds the same waits for the pool, perhaps for this clone."""
    pending = [record for record in view.load("task").values() if record["status"] not in FINISHED and not is_of(run_id, record)]
    return any(subject_of(run_of_task(record)) == subject_of(run_id) for record in pending)
