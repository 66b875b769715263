# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A plan: what the pool is, what it shall be, and the steps between. Pure values, nothing here runs anything.

A planner ``plan(session, params) -> Plan`` only *reads* the pool. The runner in ``_module`` executes::

    plan = Plan({"power_state": "halted"}, {"power_state": "running"})
    plan.result = {"vm": {"uuid": uuid, "power_state": "running"}}            # what check mode returns
    plan.read = lambda: {"vm": render.vm(session.call("VM.get_record", ref))}  # the truth, read after the steps
    plan.steps.append(Step("start the VM", lambda: session.call("VM.start", ref, False, False)))
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Values = dict[str, Any]


@dataclass
class Step:
    """One write. ``summary`` is an imperative phrase, reported when a later step fails.

    ``undo`` takes the step back when a *later* step fails. It may only remove what ``apply`` made:
    what existed before the module ran is never destroyed by an undo.
    """

    summary: str
    apply: Callable[[], Any]
    undo: Callable[[], Any] | None = None


@dataclass
class Plan:
    """``changed`` is whether there are steps; ``before`` and ``after`` are the diff.

    ``result`` is returned when nothing is to be done and in check mode. Prediction rule: every value in it equals the
    value that the real run returns; what only the server can choose (the uuid of a new object) is left out.
    ``read`` is called after the steps and returns the whole result; without it ``result`` is returned.
    ``wait`` is called before that, and also when there are no steps, but not in check mode: it changes nothing.
    """

    before: Values = field(default_factory=dict)
    after: Values = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    result: Values = field(default_factory=dict)
    read: Callable[[], Values] | None = None
    wait: Callable[[], None] | None = None
    warnings: list[str] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        return bool(self.steps)

    def add(self, summary: str, apply: Callable[[], Any], undo: Callable[[], Any] | None = None) -> None:
        """Append a step."""
        self.steps.append(Step(summary, apply, undo))
