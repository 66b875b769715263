# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the parameters of a call must be before anything is looked up (facts 1.4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .failure import Failure, internal_error
from .schema import Schema
from .specs import MessageSpec
from .types import decode, parse

SESSION = parse("session ref")


def session(value: Any) -> str:
    """The session parameter; anything but text is refused as a wrong type before it is looked up."""
    return str(decode(SESSION, value, {}))


def decoded(schema: Schema, spec: MessageSpec, arguments: list[Any]) -> list[Any]:
    """Arguments of the declared types, defaults for those that were left out."""
    result = []
    for position, parameter in enumerate(spec.params):
        if position >= len(arguments):
            result.append(parameter.default)
        elif spec.kind == "create":
            result.append(record(schema, spec.cls, arguments[position]))
        else:
            result.append(decode(parameter.type, arguments[position], schema.enums))
    return result


def record(schema: Schema, cls: str, value: Any) -> dict[str, Any]:
    """The struct of an automatic constructor: required fields, defaults, unknown keys ignored."""
    if not isinstance(value, Mapping):
        raise internal_error('Failure("bad __structure")')
    result = {}
    for field in schema.classes[cls].fields.values():
        if not field.create:
            continue
        if field.name in value:
            result[field.name] = decode(field.type, value[field.name], schema.enums)
        elif field.create == "required":
            raise internal_error(f'Server_helpers.Dispatcher_FieldNotFound("{field.name}")')
        else:
            result[field.name] = field.default()
    return result


def check_text(value: Any) -> None:
    """INVALID_VALUE for text that is no UTF-8, however deep."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise Failure("INVALID_VALUE", "Invalid UTF-8 string in parameter", value.encode(errors="replace").decode()) from None
    elif isinstance(value, Mapping):
        for key, item in value.items():
            check_text(key)
            check_text(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            check_text(item)
