# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A scenario: the story by which ``test_every_module`` checks the promises that all modules make.

The unit test of each module holds one::

    SCENARIO = Scenario(
        Do({"name": "storage", "mtu": 9000}),
        Do({"name": "storage", "mtu": 1500}),
        Do({"name": "storage", "state": "absent"}),
    )

Each ``Do`` runs three times: in check mode, for real, and again. ``prepare(session)`` sets the pool up first, by plain
calls; parameters may be a function of that session when they need what only the pool knows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from simulator.transport.memory import MemorySession

Params = dict[str, Any] | Callable[[MemorySession], dict[str, Any]]


@dataclass(frozen=True)
class Do:
    """One use of the module.

    ``changes``: whether the first run changes something. ``again``: whether the second run does, too (a reboot).
    ``told``: keys of the result that tell what a run did (disks it removed), so that the second run tells other things.
    """

    params: Params
    changes: bool = True
    again: bool = False
    told: tuple[str, ...] = ()


class Scenario:
    """The uses of one module in order, on one pool. ``world`` is the start state of the simulator."""

    def __init__(self, *steps: Do, world: str | dict[str, Any] = "one_host", prepare: Callable[[MemorySession], Any] | None = None) -> None:
        self.steps = steps
        self.world = world
        self.prepare = prepare


def reads(*params: Params, world: str | dict[str, Any] = "one_host", prepare: Callable[[MemorySession], Any] | None = None) -> Scenario:
    """The scenario of an info module."""
    return Scenario(*(Do(item, changes=False) for item in params), world=world, prepare=prepare)
