# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""snapshot_metadata: the database row of a VM as text, and back (Helpers.vm_to_string, ocaml/libs/sexpr)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ..engine.failure import Failure
from ..engine.types import Type, database_text

if TYPE_CHECKING:
    from ..engine.core import Engine

TOKEN = re.compile(r"\s*(?:([()])|'((?:[^'\\]|\\.)*)')", re.DOTALL)
ESCAPE = re.compile(r"\\(.)", re.DOTALL)


def metadata_of(engine: Engine, ref: str) -> str:
    """The row of the VM: columns in descending order, every value as the database's text."""
    fields = engine.schema.classes["VM"].fields.values()
    row = engine.db.row("VM", ref)
    texts = {field.column: database_text(row[field.name]) for field in fields if row[field.name] is not None}
    texts["_ref"] = ref
    # A list of pairs is written as a map is.
    return database_text(dict(sorted(texts.items(), reverse=True)))


def fields_of(engine: Engine, metadata: str) -> dict[str, Any]:
    """Field → value of a snapshot_metadata; columns that the data model does not know are left out."""
    known = {field.column: field for field in engine.schema.classes["VM"].fields.values()}
    result = {}
    for column, text in _pairs(metadata):
        if column in known:
            result[known[column].name] = _value(known[column].type, text)
    return result


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for pair in _nodes(text):
        if not isinstance(pair, list) or len(pair) != 2:
            raise Failure("INVALID_VALUE", "Invalid vm_string")
        yield pair[0], pair[1]


def _nodes(text: str) -> list[Any]:
    """The s-expression `text`: lists of strings and lists."""
    stack: list[list[Any]] = [[]]
    position = 0
    while position < len(text.rstrip()):
        match = TOKEN.match(text, position)
        if match is None or (match[1] == ")" and len(stack) == 1):
            raise Failure("INVALID_VALUE", "Invalid vm_string")
        if match[1] == "(":
            stack.append([])
        elif match[1] == ")":
            node = stack.pop()
            stack[-1].append(node)
        else:
            stack[-1].append(ESCAPE.sub(r"\1", match[2]))
        position = match.end()
    if len(stack) != 1 or len(stack[0]) != 1 or not isinstance(stack[0][0], list):
        raise Failure("INVALID_VALUE", "Invalid vm_string")
    nodes: list[Any] = stack[0][0]
    return nodes


def _value(kind: Type, text: str) -> Any:
    """The value that the database writes as `text`."""
    if kind.kind == "map":
        assert kind.value is not None
        return {key: _value(kind.value, item) for key, item in _pairs(text)}
    if kind.kind == "set":
        assert kind.value is not None
        return [_value(kind.value, item) for item in _nodes(text)]
    if kind.kind == "option":
        assert kind.value is not None
        return _value(kind.value, text)
    if kind.kind == "bool":
        return text == "true"
    if kind.kind == "int":
        return int(text)
    return float(text) if kind.kind == "float" else text
