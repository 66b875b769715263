# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each symbol of a recording stands for on the server under test."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

SYMBOL = re.compile(r"(@[A-Za-z_]+(?:/\d+)?|%\d+|<time>)")
REFERENCE = r"OpaqueRef:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
# Any time but the epoch, which xapi uses for "never"; software_version.date has no time of day.
TIME = r"(?!19700101)\d{4}-?\d{2}-?\d{2}(?:T\d{2}:\d{2}:\d{2}Z?)?"
SESSION = "@session"

# Decides which of several unbound symbols stands for which of several values: (symbols, values) → pairs.
Chooser = Callable[[Sequence[str], Sequence[str]], list[tuple[str, str]]]


def is_symbol(text: object) -> bool:
    """Whether `text` is one symbol that can be bound: a reference or a uuid."""
    return isinstance(text, str) and (text == SESSION or re.fullmatch(r"@[A-Za-z_]+/\d+|%\d+", text) is not None)


def symbols(value: Any) -> Iterator[str]:
    """Every symbol that can be bound in `value`, in the order met."""
    if isinstance(value, str):
        yield from (part for part in SYMBOL.split(value)[1::2] if is_symbol(part))
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from symbols(key)
            yield from symbols(item)
    elif isinstance(value, list):
        for item in value:
            yield from symbols(item)


def in_order(unbound: Sequence[str], values: Sequence[str]) -> list[tuple[str, str]]:
    """The chooser for want of better knowledge."""
    return list(zip(unbound, values, strict=False))


class Bindings:
    """Symbol ↔ real value, one to one.

    A set of new references says that some symbols stand for some values, not which for which. Such symbols have candidates until a later
    answer decides, or until a parameter needs one of them: then `choose` does.
    """

    def __init__(self, real: Mapping[str, str] | None = None) -> None:
        self.choose: Chooser = in_order
        self._real = dict(real or {})
        self._symbol = {value: key for key, value in self._real.items()}
        self._candidates: dict[str, list[str]] = {}

    def copy(self) -> Bindings:
        twin = Bindings()
        twin.choose = self.choose
        twin._real, twin._symbol = dict(self._real), dict(self._symbol)
        twin._candidates = {symbol: list(values) for symbol, values in self._candidates.items()}
        return twin

    def take(self, other: Bindings) -> None:
        """Become what a successful trial has bound."""
        self._real, self._symbol, self._candidates = other._real, other._symbol, other._candidates

    def real(self, symbol: str) -> str | None:
        return self._real.get(symbol)

    def symbol(self, real: str) -> str | None:
        return self._symbol.get(real)

    def rebind(self, symbol: str, real: str) -> None:
        """Bind what changes its meaning on the way: the session."""
        self._symbol.pop(self._real.get(symbol, ""), None)
        self._real[symbol], self._symbol[real] = real, symbol

    def bind(self, symbol: str, real: str) -> bool:
        """Bind at first sight; later, and for a value that another symbol has or may have, only agree or not."""
        if symbol not in self._real and real not in self._symbol and self._possible(symbol, real):
            self._set(symbol, real)
        return self._real.get(symbol) == real

    def restrict(self, unbound: Sequence[str], values: Sequence[str]) -> bool:
        """Each of `unbound` is one of `values`, as many of both; false, and nothing changed, when that cannot be."""
        possible = {symbol: [value for value in values if self._possible(symbol, value)] for symbol in unbound}
        if not all(possible.values()):
            return False
        self._candidates.update(possible)
        for symbol in unbound:
            if symbol in self._candidates:
                self._settle(symbol)
        return True

    def _possible(self, symbol: str, value: str) -> bool:
        if symbol in self._candidates:
            return value in self._candidates[symbol]
        return not any(value in taken for taken in self._candidates.values())

    def _settle(self, symbol: str) -> None:
        if len(self._candidates[symbol]) == 1:
            self._set(symbol, self._candidates[symbol][0])

    def _set(self, symbol: str, real: str) -> None:
        self._real[symbol], self._symbol[real] = real, symbol
        self._candidates.pop(symbol, None)
        rivals = [rival for rival, values in self._candidates.items() if real in values]
        for rival in rivals:
            self._candidates[rival].remove(real)
        for rival in rivals:
            if self._candidates.get(rival):
                self._settle(rival)

    def _decide(self, symbol: str) -> None:
        """A parameter needs the symbol now."""
        values = self._candidates[symbol]
        rivals = [rival for rival, others in self._candidates.items() if set(others) & set(values)]
        chosen = dict(self.choose(rivals, values)).get(symbol, values[0])
        self._set(symbol, chosen)

    def unbound(self, value: Any) -> list[str]:
        return list(dict.fromkeys(symbol for symbol in symbols(value) if symbol not in self._real))

    def spoken(self, value: Any) -> Any:
        """`value` with symbols for what has one, for people to read."""
        if isinstance(value, str):
            return re.sub(f"{REFERENCE}|{UUID}", lambda found: self._symbol.get(found[0], found[0]), value)
        if isinstance(value, Mapping):
            return {self.spoken(key): self.spoken(item) for key, item in value.items()}
        return [self.spoken(item) for item in value] if isinstance(value, list) else value

    def resolve(self, value: Any) -> Any:
        """`value` for the wire. A symbol that nothing returned was made up by the caller: it gets an unknown reference or uuid."""
        if isinstance(value, str):
            return "".join(self._resolved(part) if odd % 2 else part for odd, part in enumerate(SYMBOL.split(value)))
        if isinstance(value, Mapping):
            return {self.resolve(key): self.resolve(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.resolve(item) for item in value]
        return value

    def _resolved(self, part: str) -> str:
        if not is_symbol(part):
            return part
        if part in self._candidates:
            self._decide(part)
        if part not in self._real:
            made_up = str(uuid.uuid4())
            self.bind(part, made_up if part.startswith("%") else f"OpaqueRef:{made_up}")
        return self._real[part]

    def pattern(self, text: str) -> tuple[re.Pattern[str], list[str]]:
        """A pattern that matches what `text` may look like on the server, and the unbound symbols that its groups bind."""
        pieces: list[str] = []
        groups: list[str] = []
        for odd, part in enumerate(SYMBOL.split(text)):
            if odd % 2 == 0 or not (is_symbol(part) or part == "<time>"):
                pieces.append(re.escape(part))
            elif part == "<time>":
                pieces.append(TIME)
            elif (real := self._real.get(part)) is not None:
                pieces.append(re.escape(real))
            elif part in groups:
                pieces.append(rf"(?P=g{groups.index(part)})")
            else:
                pieces.append(f"(?P<g{len(groups)}>{self._form(part)})")
                groups.append(part)
        return re.compile("".join(pieces), re.DOTALL), groups

    def _form(self, symbol: str) -> str:
        if symbol in self._candidates:
            return "|".join(re.escape(value) for value in self._candidates[symbol])
        return UUID if symbol.startswith("%") else REFERENCE
