# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which objects of a pool that exists are those of a recording's start state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .bindings import Bindings, symbols
from .matching import Matcher, best

Records = Mapping[str, Mapping[str, Mapping[str, Any]]]
# What has to agree before an object can stand for another: an ISO library is no disk store, whatever else they have in common.
KINDS = {
    "SR": ("type", "content_type", "shared"),
    "VM": ("is_a_template", "is_control_domain", "is_a_snapshot"),
    "PIF": ("VLAN", "physical", "management"),
}
# Objects whose kind differs are no match, whatever the score.
NO_MATCH = -1


def bind(world: Records, live: Records, bindings: Bindings) -> None:
    """Bind the symbols of `world` to the references and uuids of `live`; what has no counterpart stays unbound.

    The surest pair first, and then again: what it binds tells others apart, as an SR does its PBDs.
    """
    while pairs := list(_surest(world, live, bindings)):
        for name, symbol, reference in pairs:
            if bindings.bind(symbol, reference):
                Matcher(bindings).match(world[name][symbol], live[name][reference], name)


def missing(world: Records, bindings: Bindings) -> list[str]:
    """Objects of `world` that nothing stands for."""
    return [symbol for rows in world.values() for symbol in rows if bindings.real(symbol) is None]


def _surest(world: Records, live: Records, bindings: Bindings) -> Iterator[tuple[str, str, str]]:
    """Pairs without a rival, over all classes; when there is none, one pair among equals."""
    tied: list[tuple[int, str, str, str]] = []
    found = False
    for name, rows in world.items():
        left = [symbol for symbol in rows if bindings.real(symbol) is None]
        free = [reference for reference in live.get(name, {}) if bindings.symbol(reference) is None]
        scores = [
            (score, row, column)
            for row, symbol in enumerate(left)
            for column, reference in enumerate(free)
            if (score := _score(name, rows[symbol], live[name][reference], bindings)) != NO_MATCH
        ]
        by_pair = {(row, column): score for score, row, column in scores}
        for row, column in best(scores):
            score = by_pair[row, column]
            rivals = [pair for pair, other in by_pair.items() if other >= score and pair != (row, column) and (pair[0] == row or pair[1] == column)]
            if rivals:
                tied.append((score, name, left[row], free[column]))
            else:
                found = True
                yield name, left[row], free[column]
    if not found and tied:
        yield max(tied)[1:]


def _score(name: str, expected: Mapping[str, Any], actual: Mapping[str, Any], bindings: Bindings) -> int:
    """How many fields agree that can be compared yet."""
    if any(field in expected and expected[field] != actual.get(field) for field in KINDS.get(name, ())):
        return NO_MATCH
    return sum(
        2 if isinstance(value, str) and value.startswith("@") else 1
        for field, value in expected.items()
        if field in actual and not _open(value, bindings) and bindings.resolve(value) == actual[field]
    )


def _open(value: Any, bindings: Bindings) -> bool:
    """Whether nothing can be compared to `value` yet; asking `resolve` would make something up."""
    return any(bindings.real(symbol) is None for symbol in symbols(value))
