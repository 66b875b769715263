# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a run is disturbed: at one of the calls and transfers that an undisturbed run makes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from simulator import Call, Rule

ASYNC = "Async."
# A code that no module expects, so that none of them takes it for something that it knows how to deal with.
REFUSAL = ("INTERNAL_ERROR", "refused by the sweep")


@dataclass(frozen=True)
class Point:
    """The `nth` call of a method. `how` is `refused`, or `cut`: the pool acted, and nobody heard of it."""

    how: str
    method: str
    nth: int
    at: int = -1  # of a transfer that is cut: the byte

    def __str__(self) -> str:
        return f"{self.method} #{self.nth} {self.how}" + (f" at byte {self.at}" if self.at >= 0 else "")

    def rule(self) -> Rule:
        if self.how == "refused":
            return Rule(self.method, error=REFUSAL, nth=self.nth, times=1)
        return Rule(self.method, cut="before" if self.at >= 0 else "after", at=self.at, nth=self.nth, times=1)


def points(calls: Sequence[Call], how: str) -> list[Point]:
    """All points of a run. An asynchronous call has two: the call, and what the pool does then."""
    found: list[Point] = []
    seen: Counter[str] = Counter()
    for call in calls:
        for name in dict.fromkeys((call.method, call.method.removeprefix(ASYNC))):
            seen[name] += 1
            # What is done behind an asynchronous call has no connection that could be cut.
            if how != "cut" or name == call.method:
                found += [Point(how, name, seen[name], at) for at in _places(call, how)]
    return found


def _places(call: Call, how: str) -> list[int]:
    """Transfers are cut in the midst, and before the last byte: the server says nothing after it."""
    if how == "cut" and " " in call.method:
        return [int(call.result) // 2, int(call.result) - 1]
    return [-1]


def sample(found: Sequence[Point], number: int) -> list[Point]:
    """So many of them at even distances, the same ones each time; all of them when `number` is 0."""
    if not number or number >= len(found):
        return list(found)
    return [found[(2 * index + 1) * len(found) // (2 * number)] for index in range(number)]
