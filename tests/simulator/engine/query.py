# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The expressions of `get_all_records_where` (ocaml/database/db_filter_parse.mly, facts 2).

Grammar: `field "x" = "y"`, `"a" = "b"`, `true`, `false`, `not e`, `e and e`, `e or e`, parentheses; only equality. `and` and `or`
share one precedence and associate to the left. Values are compared as the database's text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from .failure import Failure, internal_error
from .specs import ClassSpec
from .types import database_text

# How deep parentheses may nest: the parser recurses.
DEEPEST = 100
TOKEN = re.compile(r'\s*(?:"([^"]*)"|(field|true|false|not|and|or)\b|([=()]))', re.IGNORECASE)
Test = Callable[[Mapping[str, Any]], bool]


class _Parser:
    def __init__(self, text: str, spec: ClassSpec) -> None:
        self.text = text
        self.columns = {f.column: f.name for f in spec.fields.values()}
        self.tokens = self._tokens()
        self.position = 0
        self.depth = 0

    def _tokens(self) -> list[tuple[str, str]]:
        tokens, position, text = [], 0, self.text.rstrip()
        while position < len(text):
            match = TOKEN.match(text, position)
            if match is None:
                raise self.malformed("lexing: empty token")
            string, word, sign = match.groups()
            tokens.append(("text", string) if string is not None else ("word", (word or sign).lower()))
            position = match.end()
        return tokens

    def malformed(self, reason: str) -> Failure:
        return Failure("INVALID_VALUE", self.text, f'Failure("{reason}")' if reason.startswith("lexing") else reason)

    def next(self) -> tuple[str, str]:
        if self.position >= len(self.tokens):
            raise self.malformed("Stdlib.Parsing.Parse_error")
        self.position += 1
        return self.tokens[self.position - 1]

    def peek(self) -> tuple[str, str] | None:
        return self.tokens[self.position] if self.position < len(self.tokens) else None

    def parse(self) -> Test:
        test = self.expression()
        if self.peek() is not None:
            raise self.malformed("Stdlib.Parsing.Parse_error")
        return test

    def expression(self) -> Test:
        self.depth += 1
        if self.depth > DEEPEST:
            raise internal_error("Stack_overflow")
        first, rest = self.term(), []
        while self.peek() in (("word", "and"), ("word", "or")):
            operator = self.next()[1]
            rest.append((operator, self.term()))
        self.depth -= 1
        return _joined(first, rest) if rest else first

    def term(self) -> Test:
        kind, text = self.next()
        if (kind, text) == ("word", "not"):
            turns = 1
            while self.peek() == ("word", "not"):
                self.next()
                turns += 1
            inner = self.term()
            return (lambda row: not inner(row)) if turns % 2 else inner
        if (kind, text) == ("word", "("):
            test = self.expression()
            self.expect(")")
            return test
        if kind == "word" and text in ("true", "false") and self.peek() != ("word", "="):
            return (lambda _row: True) if text == "true" else (lambda _row: False)
        self.position -= 1
        return self.equality()

    def equality(self) -> Test:
        left = self.value()
        self.expect("=")
        right = self.value()
        return lambda row: left(row) == right(row)

    def value(self) -> Callable[[Mapping[str, Any]], str]:
        kind, text = self.next()
        if kind == "text":
            return lambda _row: text
        if text != "field":
            raise self.malformed("Stdlib.Parsing.Parse_error")
        kind, name = self.next()
        if kind != "text":
            raise self.malformed("Stdlib.Parsing.Parse_error")
        field = self.columns.get(name)
        if field is None:
            # Only met when a row is looked at: an empty table answers nothing at all.
            return lambda _row: _missing(name)
        return lambda row: database_text(row[field])

    def expect(self, sign: str) -> None:
        if self.next() != ("word", sign):
            raise self.malformed("Stdlib.Parsing.Parse_error")


def _joined(first: Test, rest: list[tuple[str, Test]]) -> Test:
    """From the left, whatever the operators; a test that cannot change the outcome is not made."""

    def test(row: Mapping[str, Any]) -> bool:
        outcome = first(row)
        for operator, right in rest:
            if outcome == (operator == "and"):
                outcome = right(row)
        return outcome

    return test


def _missing(name: str) -> str:
    raise Failure("INTERNAL_ERROR", "missing field", name, "")


def compiled(text: str, spec: ClassSpec) -> Test:
    """A test of rows of `spec`; INVALID_VALUE for a malformed expression."""
    return _Parser(text, spec).parse()
