# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pace of a transfer: as fast as its rate, up to the byte where a fault rule strikes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import NoReturn

from ..engine.clock import Clock
from ..engine.failure import Failure
from ..engine.faults import Disconnect, Rule

# Of a transfer with a rate, at most this part of a second goes at once.
LONGEST_STEP = 0.1


class Flow:
    """Counts the bytes of one transfer; `abort` ends its connection."""

    def __init__(self, clock: Clock, rules: list[Rule], rate: float, abort: Callable[[], None]) -> None:
        self.clock = clock
        self.rules = rules  # in the order in which they strike
        self.rate = rate
        self.abort = abort
        self.effect: Callable[[Rule], None] = lambda rule: None  # what a rule does to the pool
        self.done = 0
        self.was_cut = False

    @property
    def is_free(self) -> bool:
        """Nothing limits the transfer: it need not be counted."""
        return not self.rules and not self.rate

    async def allow(self, length: int) -> int:
        """How many of the next `length` bytes may pass at once, at least one; the rule whose byte has come strikes first.

        ConnectionResetError when it cuts the connection, as if the network had.
        """
        while self.rules and self.rules[0].at <= self.done:
            await self._strike(self.rules.pop(0))
        if self.rules:
            length = min(length, self.rules[0].at - self.done)
        if self.rate:
            length = max(1, min(length, int(self.rate * LONGEST_STEP)))
            await self.clock.sleep(length / self.rate)
        self.done += length
        return length

    async def _strike(self, rule: Rule) -> None:
        if rule.stall:
            await self.clock.sleep(rule.stall)
        # A transfer that has begun needs its session no more.
        with contextlib.suppress(Failure):
            try:
                self.effect(rule)
            except Disconnect:
                self._cut(rule)
        if rule.cut:
            self._cut(rule)
        if rule.error:
            raise Failure(*rule.error)

    def _cut(self, rule: Rule) -> NoReturn:
        self.was_cut = True
        self.abort()
        raise ConnectionResetError(f"cut at byte {rule.at} by a fault rule")
