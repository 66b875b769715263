# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fault rules as data: refuse the n-th call of a message, cut the connection before or after its effect, stall it.

`faults.add(Rule("VDI.create", error=("SR_BACKEND_FAILURE_44", "", "no space"), nth=2))` refuses the second VDI.create;
`faults.add(Rule("PUT /import_raw_vdi", cut="before", at=4096))` ends every upload's connection after 4096 bytes;
`faults.add(Rule("VM.start", crash="xs2", nth=3))` stops a host when the third VM.start arrives;
`faults.add(Rule("Async.VM.start", cut="after"))` starts the VM, but nobody hears of the task that does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from .failure import Failure

if TYPE_CHECKING:
    from .clock import Clock
    from .context import Context


ASYNC = "Async."


class Disconnect(Exception):
    """The client's connection is to be cut without an answer."""


@dataclass
class Rule:
    """`method` may hold wildcards. `nth` counts matching calls from 1; 0 means every one; `times` limits how often it strikes."""

    method: str
    error: tuple[str, ...] = ()
    nth: int = 0
    times: int = 0
    cut: str = ""  # before: the call has no effect; after: it has, but nobody hears of it
    stall: float = 0.0  # seconds
    at: int = -1  # of a transfer (`PUT /import_raw_vdi`): the byte before which it strikes; -1: before its beginning
    drop: bool = False  # the caller's session is gone, and the call refused for it
    fill: str = ""  # an SR by name, uuid or reference: from then on it has `leave` bytes of room
    leave: int = 0
    crash: str = ""  # a host by name, uuid or reference, `coordinator`, or `here`: the one that was called
    seen: int = 0
    struck: int = 0
    number: int = 0  # by which it can be taken away again

    def strikes(self, method: str) -> bool:
        if not fnmatchcase(method, self.method):
            return False
        self.seen += 1
        if (self.nth and self.seen != self.nth) or (self.times and self.struck >= self.times):
            return False
        self.struck += 1
        return True


# What a rule may say from outside; the rest is the rule's own account.
SAID = tuple(field.name for field in fields(Rule) if field.name not in ("seen", "struck", "number"))
EFFECTS = ("error", "cut", "stall", "drop", "fill", "crash")
CUTS = ("", "before", "after")


def parsed(description: Any) -> Rule:
    """The rule that JSON describes; ValueError says what is wrong with it."""
    if not isinstance(description, Mapping):
        raise ValueError(f"a fault rule is an object such as {{'method': 'VM.start', 'nth': 2}}, not {description!r}")
    unknown = [name for name in description if name not in SAID]
    if unknown:
        raise ValueError(f"a fault rule has no {unknown[0]!r}; it has {', '.join(SAID)}")
    if not description.get("method"):
        raise ValueError("a fault rule needs a 'method', such as VM.start or 'PUT /import_raw_vdi'; it may hold wildcards")
    if not any(description.get(name) for name in EFFECTS):
        raise ValueError(f"a fault rule does nothing without one of {', '.join(EFFECTS)}")
    return Rule(**{name: _value(name, value) for name, value in description.items()})


def _value(name: str, value: Any) -> Any:
    """A member of a rule, of the type of its default."""
    if name == "error":
        parts = [value] if isinstance(value, str) else value
        if not isinstance(parts, (list, tuple)) or not parts or not all(isinstance(part, str) for part in parts):
            raise ValueError(f"'error' is a code or a list of a code and its parameters, all text, not {value!r}")
        return tuple(parts)
    kind: Any = {"nth": int, "times": int, "at": int, "leave": int, "drop": bool, "stall": (int, float)}.get(name, str)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ValueError(f"{name!r} cannot be {value!r}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{name!r} cannot be {value!r}")
    if name == "cut" and value not in CUTS:
        raise ValueError(f"'cut' is 'before' or 'after', not {value!r}")
    return value


class Faults:
    def __init__(self) -> None:
        self.rules: list[Rule] = []
        self.effect: Callable[[Rule, Context], None] | None = None  # what filling, crashing and dropping are, in this pool
        self._added = 0

    def add(self, rule: Rule) -> Rule:
        self._added += 1
        rule.number = self._added
        self.rules.append(rule)
        return rule

    def remove(self, number: int) -> bool:
        """Take one rule away; False when there is none of that number."""
        kept = [rule for rule in self.rules if rule.number != number]
        found = len(kept) < len(self.rules)
        self.rules[:] = kept
        return found

    def clear(self) -> None:
        self.rules.clear()

    async def before(self, method: str, context: Context, clock: Clock) -> None:
        """Apply the rules that strike before the body of a call runs."""
        for rule in list(self.rules):
            # Of an asynchronous call there are two: `Async.VM.start` is answered with a task, and `VM.start` is its work.
            if rule.at >= 0 or rule.method.startswith(ASYNC) != method.startswith(ASYNC):
                continue
            # The work has no connection that could be cut.
            if (rule.cut and context.is_work) or not rule.strikes(method):
                continue
            if rule.stall:
                await clock.sleep(rule.stall)
            self.apply(rule, context)
            if rule.cut == "before":
                raise Disconnect(method)
            if rule.cut == "after":
                context.unheard = True
            if rule.error:
                raise Failure(*rule.error)

    def apply(self, rule: Rule, context: Context) -> None:
        """What the rule does to the pool."""
        if self.effect is not None:
            self.effect(rule, context)

    def underway(self, method: str) -> list[Rule]:
        """The rules that strike while this transfer goes on, the first to strike first."""
        return sorted((rule for rule in self.rules if rule.at >= 0 and rule.strikes(method)), key=lambda rule: rule.at)


@contextmanager
def answering(context: Context) -> Iterator[None]:
    """When a rule says so, nobody hears how what is inside ended."""
    try:
        yield
    except Failure:
        if not context.unheard:
            raise
    if context.unheard:
        raise Disconnect(context.method)
