# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare an expected value with symbols in it to a real one, binding symbols at first sight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .bindings import Bindings, is_symbol, symbols
from .volatile import FIELDS, OPTIONAL_KEYS, masked

# Lists whose order means something: error codes with their parameters. All other lists of the API are sets.
ORDERED = {"error", "task.error_info"}
MISSING = "(missing)"


@dataclass(frozen=True)
class Difference:
    """One place where the answers differ."""

    path: str
    expected: Any
    actual: Any


class Matcher:
    """Compares values and keeps the bindings."""

    def __init__(self, bindings: Bindings) -> None:
        self.bindings = bindings

    def match(self, expected: Any, actual: Any, path: str) -> list[Difference]:
        """The differences; what agrees is bound even when something else does not."""
        rule = FIELDS.get(path)
        if rule is not None and rule.fits(expected):
            return self._volatile(rule.learned, expected, actual, path)
        if type(expected) is not type(actual):
            return [Difference(path, expected, actual)]
        if isinstance(expected, dict):
            return self._match_map(expected, actual, path)
        if isinstance(expected, list):
            return self._match_ordered(expected, actual, path) if path in ORDERED else self._match_set(expected, actual, path)
        if isinstance(expected, str):
            return [] if self._match_text(expected, actual) else [Difference(path, expected, actual)]
        return [] if expected == actual else [Difference(path, expected, actual)]

    def _volatile(self, learned: bool, expected: Any, actual: Any, path: str) -> list[Difference]:
        fits = FIELDS[path].fits(actual) and type(expected) is type(actual)
        if fits and learned:
            fits = self.bindings.bind(f"{path} {expected}", str(actual))
        return [] if fits else [Difference(path, expected, actual)]

    def _match_text(self, expected: str, actual: str) -> bool:
        expected, actual = masked(expected), masked(actual)
        pattern, groups = self.bindings.pattern(expected)
        found = pattern.fullmatch(actual)
        if found is None:
            return False
        # Every group is bound, also after one that disagrees.
        agreed = [self.bindings.bind(symbol, found[f"g{number}"]) for number, symbol in enumerate(groups)]
        return all(agreed)

    def _match_map(self, expected: dict[str, Any], actual: dict[str, Any], path: str) -> list[Difference]:
        differences: list[Difference] = []
        pairs, keys_left, actual_left = self._pair_keys(expected, actual)
        for key, actual_key in pairs:
            # A map of objects by reference has the objects' own fields below it, not one path per object.
            below = path if any(symbols(key)) else f"{path}.{key}"
            differences += self.match(expected[key], actual[actual_key], below)
        optional, _reason = OPTIONAL_KEYS.get(path, (None, ""))
        for key in keys_left:
            if not (optional and optional.fullmatch(key)):
                differences.append(Difference(f"{path}.{key}", expected[key], MISSING))
        for key in actual_left:
            if not (optional and optional.fullmatch(key)):
                differences.append(Difference(f"{path}.{self.bindings.spoken(key)}", MISSING, actual[key]))
        return differences

    def _pair_keys(self, expected: dict[str, Any], actual: dict[str, Any]) -> tuple[list[tuple[str, str]], list[str], list[str]]:
        left = list(actual)
        pairs: list[tuple[str, str]] = []
        open_keys: list[str] = []
        for key in expected:
            if self.bindings.unbound(key):
                open_keys.append(key)
            elif (real := self.bindings.resolve(key)) in actual:
                pairs.append((key, real))
                left.remove(real)
        for key, real in self._closest(open_keys, left, expected, actual):
            pairs.append((key, real))
            left.remove(real)
        paired = {key for key, _unused in pairs}
        return pairs, [key for key in expected if key not in paired], left

    def _closest(self, keys: list[str], values: list[str], expected: dict[str, Any], actual: dict[str, Any]) -> list[tuple[str, str]]:
        """New keys go to those values whose records differ least, and among equals to those that later steps speak for."""
        preferred = dict(self.bindings.choose(keys, values)) if len(keys) > 1 and len(values) > 1 else {}
        scores = []
        for row, key in enumerate(keys):
            for column, value in enumerate(values):
                trial = Matcher(self.bindings.copy())
                if trial._match_text(key, value):
                    differences = len(trial.match(expected[key], actual[value], ""))
                    scores.append((-2 * differences + (preferred.get(key) == value), row, column))
        chosen = []
        for row, column in best(scores):
            if self._match_text(keys[row], values[column]):
                chosen.append((keys[row], values[column]))
        return chosen

    def _match_ordered(self, expected: list[Any], actual: list[Any], path: str) -> list[Difference]:
        if len(expected) != len(actual):
            return [Difference(path, expected, actual)]
        below = [self.match(wanted, got, f"{path}[]") for wanted, got in zip(expected, actual, strict=True)]
        # Codes and parameters are read as a whole.
        return [Difference(path, expected, actual)] if any(below) else []

    def _match_set(self, expected: list[Any], actual: list[Any], path: str) -> list[Difference]:
        left = list(actual)
        # What is known first, so that an unknown symbol cannot take the place of a known one.
        known = [item for item in expected if not self.bindings.unbound(item)]
        open_symbols = [item for item in expected if is_symbol(item) and self.bindings.unbound(item)]
        rest = [item for item in expected if self.bindings.unbound(item) and not is_symbol(item)]
        missing = [item for item in known if not self._take(item, left, path)]
        missing += self._take_symbols(open_symbols, left)
        missing += [item for item in rest if not self._take(item, left, path)]
        if len(missing) == 1 and len(left) == 1:
            return self.match(missing[0], left[0], f"{path}[]")
        differences = [Difference(f"{path}[]", item, MISSING) for item in missing]
        return differences + [Difference(f"{path}[]", MISSING, item) for item in left]

    def _take(self, wanted: Any, left: list[Any], path: str) -> bool:
        """Find `wanted` among what is left, and take it out."""
        for number, value in enumerate(left):
            trial = Matcher(self.bindings.copy()) if self.bindings.unbound(wanted) else self
            if not trial.match(wanted, value, f"{path}[]"):
                self.bindings.take(trial.bindings)
                del left[number]
                return True
        return False

    def _take_symbols(self, unbound: list[str], left: list[Any]) -> list[str]:
        """Unbound symbols stand for what is left and known to no symbol; returns those for which there is nothing."""
        free = [value for value in left if isinstance(value, str) and self.bindings.symbol(value) is None]
        free = [value for value in free if any(self.bindings.pattern(symbol)[0].fullmatch(value) for symbol in unbound)]
        if len(free) == len(unbound) and len(set(free)) == len(free) == len(set(unbound)) and self.bindings.restrict(unbound, free):
            for value in free:
                left.remove(value)
            return []
        # More or less than there should be: take what can be taken.
        missing: list[str] = []
        for symbol in unbound:
            found = next((item for item in left if isinstance(item, str) and self._match_text(symbol, item)), None)
            if found is None:
                missing.append(symbol)
            else:
                left.remove(found)
        return missing


def best(scores: Sequence[tuple[int, int, int]]) -> list[tuple[int, int]]:
    """Pairs (row, column), the highest score first."""
    pairs: list[tuple[int, int]] = []
    for _score, row, column in sorted(scores, key=lambda item: (-item[0], item[1], item[2])):
        if all(row != other_row and column != other_column for other_row, other_column in pairs):
            pairs.append((row, column))
    return pairs
