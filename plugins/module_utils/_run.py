# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Marks on everything that one run makes, so that all of it, and nothing else, can be taken back.

A run is several tasks that build one thing, such as the role ``spawn`` for one VM. It has an id (option ``run_id``).
Objects get the mark in the very call that creates them, and tasks by a header of the request: whatever is lost
afterwards, an answer, a module, a controller, what was made can be told from what others made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

# In other_config of whatever a run made.
RUN = "xen_ansible:run"
UNFINISHED = " (unfinished)"
# On a cached image: its own uuid, by which it is told from its clones, who inherit the key; and the run that cached it.
CACHED = "xen_ansible:cached"
CACHED_BY = "xen_ansible:cached_by"
# xapi copies such headers into other_config of the tasks of a call (its Context.get_http_other_config, facts §1.8).
HEADER = "X-Http-Other-Config-xen-ansible-run"
TASK_RUN = "http:xen-ansible-run"


def _in_record(arguments: Sequence[Any], run_id: str) -> list[Any]:
    record, *others = arguments
    return [{**record, "other_config": marked(record.get("other_config", {}), run_id)}, *others]


def _in_vgpu(arguments: Sequence[Any], run_id: str) -> list[Any]:
    vm, group, device, other_config, *others = arguments
    return [vm, group, device, marked(other_config, run_id), *others]


def _in_task(arguments: Sequence[Any], run_id: str) -> list[Any]:
    # A task made by a client gets no headers, but its description is the client's.
    return [arguments[0], described(arguments[1], run_id)]


# Calls that create what can carry a mark.
CREATING: dict[str, Callable[[Sequence[Any], str], list[Any]]] = {
    "VM.create": _in_record,
    "VDI.create": _in_record,
    "VBD.create": _in_record,
    "VIF.create": _in_record,
    "network.create": _in_record,
    "VGPU.create": _in_vgpu,
    "task.create": _in_task,
}


def mark_call(method: str, arguments: Sequence[Any], run_id: str | None) -> list[Any]:
    """The arguments of a call, marked when it creates something and the module is part of a run."""
    mark = CREATING.get(method.removeprefix("Async.")) if run_id else None
    return mark(arguments, str(run_id)) if mark else list(arguments)


def run_of(session: Any) -> str | None:
    """The run that a session is part of."""
    run_id: str | None = getattr(session, "run_id", None)
    return run_id


def marked(other_config: Mapping[str, str], run_id: str | None) -> dict[str, str]:
    """A map with the mark. Whoever sets the whole map of an object it has made keeps the mark by this."""
    return {**other_config, RUN: run_id} if run_id else dict(other_config)


def unfinished(name: str) -> str:
    """What a VM is called until it is complete. A clone has no other mark of ours from the first moment on."""
    return name + UNFINISHED


def finished(label: str) -> str | None:
    """What an unfinished VM will be called; None for others."""
    return label.removesuffix(UNFINISHED) if label.endswith(UNFINISHED) else None


def described(description: str, run_id: str) -> str:
    """The description of a task of a client."""
    return f"{description} ({RUN} {run_id})".strip()


def is_of(run_id: str, task: Mapping[str, Any]) -> bool:
    """Whether a task is of the run."""
    return run_of_task(task) == run_id


def run_of_task(task: Mapping[str, Any]) -> str | None:
    """The run that a task is of; None when it is of none."""
    marked_by: str | None = task["other_config"].get(TASK_RUN)
    _label, mark, rest = task["name_description"].rpartition(f"({RUN} ")
    return marked_by or (rest.removesuffix(")") if mark else None)
