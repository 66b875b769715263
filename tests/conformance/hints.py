# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of several new references is which: by what the recording says about them later.

Clone a VM with two disks, and the record of the clone names two new VBDs as a set: nothing there says which is @VBD/4. The
recording reads them later, one by one, so the runner reads both now and takes the assignment that agrees best. A read changes nothing,
and the comparison of the later step still has to hold.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .bindings import Bindings, in_order, is_symbol
from .matching import Matcher, best

Read = Callable[[str, str], Mapping[str, Any] | None]
"""(class, reference) → record."""

# A field that points at something known says more than a name that ten objects have.
POINTER_WEIGHT = 8
# How far to follow pointers that are not known themselves.
HOPS = 1


def xen_class(symbol: str) -> str | None:
    """``VM`` of ``@VM/3`` and of ``@other_VM/3``; nothing of ``@ref/3``."""
    found = re.fullmatch(r"@(?:other_)?([A-Za-z_]+)/\d+", symbol)
    return found[1] if found and found[1] != "ref" else None


class Hints:
    """Records that the steps of a recording show, by symbol."""

    def __init__(self, steps: Sequence[Mapping[str, Any]]) -> None:
        self._records: dict[str, list[tuple[int, str, Mapping[str, Any]]]] = {}
        for number, step in enumerate(steps):
            name = str(step.get("call", "")).partition(".")[0]
            result = step.get("result")
            if not isinstance(result, Mapping):
                continue
            if str(step.get("call")).endswith(".get_record") and is_symbol(step["params"][0]):
                self._records.setdefault(step["params"][0], []).append((number, name, result))
            for key, record in result.items():
                if is_symbol(key) and isinstance(record, Mapping):
                    self._records.setdefault(key, []).append((number, name, record))

    def record(self, symbol: str, after: int) -> tuple[str, Mapping[str, Any]] | None:
        """(class, record) as the first step from number `after` on shows it."""
        for number, name, record in self._records.get(symbol, ()):
            if number >= after:
                return name, record
        return None

    def choose(self, bindings: Bindings, read: Read, after: int, unbound: Sequence[str], values: Sequence[str]) -> list[tuple[str, str]]:
        """Pairs of symbol and value, as well as can be told."""
        scores: list[tuple[int, int, int]] = []
        for row, symbol in enumerate(unbound):
            for column, value in enumerate(values):
                score = self._score(bindings, read, after, symbol, value, HOPS)
                if score is not None:
                    scores.append((score, row, column))
        pairs = best(scores)
        rows, columns = {row for row, _unused in pairs}, {column for _unused, column in pairs}
        left = in_order([s for i, s in enumerate(unbound) if i not in rows], [v for i, v in enumerate(values) if i not in columns])
        return [(unbound[row], values[column]) for row, column in pairs] + left

    def _score(self, bindings: Bindings, read: Read, after: int, symbol: str, value: str, hops: int) -> int | None:
        """How well `value` fits what the recording says about `symbol`, and about what that points at."""
        hint = self.record(symbol, after)
        record = read(hint[0], value) if hint else None
        if hint is None or record is None:
            return None
        score = agreement(bindings, hint[0], hint[1], record)
        for field, pointer in hint[1].items() if hops else ():
            # A disk is told from its twin by the VM that its VBD belongs to.
            wanted, got = (_only(item) for item in (pointer, record.get(field)))
            if is_symbol(wanted) and bindings.real(str(wanted)) is None and isinstance(got, str):
                score += self._score(bindings, read, after, str(wanted), got, hops - 1) or 0
        return score


def _only(value: Any) -> Any:
    """The member of a set of one."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def agreement(bindings: Bindings, name: str, expected: Mapping[str, Any], actual: Mapping[str, Any]) -> int:
    """How much of a record agrees; what cannot be compared yet counts nothing."""
    score = 0
    for field, value in expected.items():
        if field not in actual or bindings.unbound(value):
            continue
        matcher = Matcher(bindings.copy())
        if not matcher.match(value, actual[field], f"{name}.{field}"):
            score += POINTER_WEIGHT if is_symbol(value) or (isinstance(value, list) and any(map(is_symbol, value))) else 1
    return score
