# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ending a run well: its VM counts as built, and nothing of those who began it and were killed is left."""

from __future__ import annotations

from functools import partial
from typing import Any

from . import _render_vm
from ._errors import ApiError, XenError
from ._lookup import View
from ._neighbours import load_neighbours
from ._plan import Plan
from ._run import RUN, run_of_task
from ._run_id import subject_of
from ._task import FINISHED, Session

# What is done by way of others: somebody was faster, or the VM has halted meanwhile.
DONE = ("HANDLE_INVALID", "UUID_INVALID", "DEVICE_ALREADY_DETACHED", "MESSAGE_METHOD_UNKNOWN")


def plan_finished(session: Session, params: dict[str, Any]) -> Plan:
    """Its VM counts as built from now on: other runs may work on it, and it is no longer taken back."""
    view = View(session)
    found = view.load("VM", {"uuid": params["vm_uuid"]})
    if not found:
        raise XenError(f"there is no VM {params['vm_uuid']} in this pool; somebody removed it while the run built it")
    ((ref, record),) = found.items()
    load_neighbours(view, found)
    keys = record["other_config"]
    mark = keys.get(RUN)
    after = {**record, "other_config": {key: value for key, value in keys.items() if key != RUN}}
    plan = Plan({RUN: mark}, {RUN: None}, result={"removed": [], "vm": _render_vm.vm(after, view)})
    if mark is not None:
        _add_abandoned_tasks(session, plan, mark, params["run_id"])
        plan.add(f"let go of VM {record['name_label']!r}", lambda: _let_go(session, ref))
    return plan


def _add_abandoned_tasks(session: Session, plan: Plan, mark: str, run_id: str) -> None:
    """Who was killed left its tasks behind. The VM that it began tells that there was somebody, so that others need not look."""
    subject = subject_of(run_id)
    if mark == run_id or subject is None:
        return
    for ref, task in View(session).load("task").items():
        earlier = run_of_task(task)
        if earlier in (None, run_id) or subject_of(earlier) != subject:
            continue
        if task["status"] not in FINISHED:
            if not task["name_description"]:  # The pool works on it, and ends it.
                continue
            # That of a client, who is dead: its modules held the lock of the subject (see _module).
            plan.add(f"end task {task['name_label']!r} of an earlier run", partial(_without, session, "task.set_status", ref, "cancelled"))
        plan.add(f"remove task {task['name_label']!r} of an earlier run", partial(_without, session, "task.destroy", ref))


def _without(session: Session, method: str, ref: str, *arguments: Any) -> None:
    """What is gone already needs no removal."""
    try:
        session.call(method, ref, *arguments)
    except ApiError as error:
        if error.code not in DONE:
            raise


def _let_go(session: Session, vm: str) -> None:
    """A lost answer is looked up: who takes a VM for unbuilt that is let go takes its disks away while it runs."""
    try:
        session.call("VM.remove_from_other_config", vm, RUN)
    except ApiError:
        raise
    except XenError:
        if RUN in session.call("VM.get_other_config", vm):
            raise
