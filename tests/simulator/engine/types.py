# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Types of the data model: parsing their names, decoding what a client sent, defaults, and the database's own text form.

A decoded value is plain Python: str (also for references, enums and datetimes), int, float, bool, list, dict with text keys.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from .failure import EPOCH, NULL, Failure, internal_error

# 20261120T10:00:00Z, 2026-11-20T10:00:00Z, 20261120T10:00:00, with an offset, …
DATETIME = re.compile(r"(\d{4})-?(\d\d)-?(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.\d+)?(Z|[+-]\d\d:?\d\d)?$")


# Int64.of_string: a sign, a base, underscores. Only decimal numbers must fit with their sign, the others are bits.
INT64 = re.compile(r"([+-]?)(0[xX]|0[oO]|0[bB]|0[uU]|)([0-9a-fA-F][0-9a-fA-F_]*)", re.ASCII)
BASES = {"0x": 16, "0o": 8, "0b": 2, "0u": 10, "": 10}
INT64_DIGITS = 64
FLOAT = re.compile(r"[+-]?(0x[0-9a-f._]+(p[+-]?[0-9_]+)?|[0-9._]+(e[+-]?[0-9_]+)?|nan|inf|infinity)", re.ASCII | re.IGNORECASE)


def int64(text: str) -> int:
    """A whole number of 64 bits as OCaml reads it; ValueError for anything else."""
    match = INT64.fullmatch(text)
    if match is None:
        raise ValueError("Int64.of_string")
    sign, base = match[1], match[2].lower()
    digits = match[3].replace("_", "").lstrip("0") or "0"
    if len(digits) > INT64_DIGITS:
        raise ValueError("Int64.of_string")
    try:
        number = int(digits, BASES[base])
    except ValueError:
        raise ValueError("Int64.of_string") from None
    if number >= (1 << 64 if base else (1 << 63) + (sign == "-")):
        raise ValueError("Int64.of_string")
    number = -number if sign == "-" else number
    return number if -(1 << 63) <= number < 1 << 63 else (number + (1 << 63)) % (1 << 64) - (1 << 63)


def double(text: str) -> float:
    """A number as OCaml's float_of_string reads it; ValueError for anything else."""
    if FLOAT.fullmatch(text) is None:
        raise ValueError("float_of_string")
    plain = text.replace("_", "")
    return float.fromhex(plain) if "x" in plain.lower() else float(plain)


class DateTime(str):
    """A datetime on its way out; XML-RPC gives it a tag of its own."""

    __slots__ = ()


@dataclass(frozen=True)
class Type:
    """`kind` is the outermost constructor; `name` the class or enum; `key` and `value` what is inside."""

    kind: str
    name: str = ""
    key: Type | None = None
    value: Type | None = None

    def __str__(self) -> str:
        inner = {"map": f"({self.key} -> {self.value}) map", "set": f"{self.value} set", "option": f"{self.value} option"}
        named = {"ref": f"{self.name} ref", "record": f"{self.name} record", "enum": f"enum {self.name}"}
        return inner.get(self.kind) or named.get(self.kind) or self.kind


@cache
def parse(text: str) -> Type:
    """The `Type` of the model's spelling: `VM ref set`, `(string -> enum vbd_operations) map`, …"""
    text = text.strip()
    if text.startswith("(") and text.endswith(") map"):
        key, value = _split_arrow(text[1 : -len(") map")])
        return Type("map", key=parse(key), value=parse(value))
    for kind in ("set", "option"):
        if text.endswith(" " + kind):
            return Type(kind, value=parse(text[: -len(kind) - 1]))
    for kind in ("ref", "record"):
        if text.endswith(" " + kind):
            return Type(kind, text[: -len(kind) - 1])
    if text.startswith("enum "):
        return Type("enum", text[5:])
    if text == "secretstring":
        return Type("string", "secret")
    if text not in ("string", "int", "float", "bool", "datetime"):
        raise ValueError(f"the data model has a type {text!r} that the simulator does not know")
    return Type(text)


def _split_arrow(text: str) -> tuple[str, str]:
    depth = 0
    for position, letter in enumerate(text):
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if depth == 0 and text.startswith(" -> ", position):
            return text[:position], text[position + 4 :]
    raise ValueError(f"no arrow in the map type {text!r}")


def default(kind: Type) -> Any:
    """What xapi stores in a field that nobody set and that has no default of its own."""
    makers: dict[str, Callable[[], Any]] = {
        "string": str,
        "enum": str,
        "int": int,
        "float": float,
        "bool": bool,
        "ref": lambda: NULL,
        "datetime": lambda: EPOCH,
        "set": list,
        "map": dict,
        "option": lambda: None,
        "record": dict,
    }
    return makers[kind.kind]()


def printed(value: Any) -> str:
    """A value as OCaml's rpc library prints it in its error texts (ocaml-rpc, Rpc.to_string)."""
    if value is None:
        return "N"
    if isinstance(value, bool):
        return f"B({str(value).lower()})"
    if isinstance(value, DateTime):
        return f"D({value})"
    if isinstance(value, str):
        return f"S({value})"
    if isinstance(value, int):
        return f"I({value})"
    if isinstance(value, float):
        return f"F({value:g})"
    if isinstance(value, Mapping):
        return "{" + ";".join(f"{key}:{printed(inner)}" for key, inner in value.items()) + "}"
    return "[" + ";".join(printed(inner) for inner in value) + "]"


def _expected(what: str, value: Any) -> Failure:
    return internal_error(f"Failure(\"Expected {what}, got '{printed(value)}'\")")


def decode(kind: Type, value: Any, enums: Mapping[str, list[str]]) -> Any:
    """What the client sent as a value of type `kind`; wrong types are refused in xapi's words (facts 1.4)."""
    return _DECODERS[kind.kind](kind, value, enums)


def _string(_kind: Type, value: Any, _enums: Mapping[str, list[str]]) -> str:
    if not isinstance(value, str):
        raise _expected("string", value)
    return str(value)


def _int(_kind: Type, value: Any, _enums: Mapping[str, list[str]]) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str):
        try:
            return int64(value)
        except ValueError:
            raise internal_error('Failure("Int64.of_string")') from None
    raise _expected("int64", value)


def _float(_kind: Type, value: Any, _enums: Mapping[str, list[str]]) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str):
        try:
            return double(value)
        except (ValueError, OverflowError):
            raise internal_error('Failure("float_of_string")') from None
    raise _expected("float", value)


def _bool(_kind: Type, value: Any, _enums: Mapping[str, list[str]]) -> bool:
    if not isinstance(value, bool):
        raise _expected("bool", value)
    return value


def _datetime(_kind: Type, value: Any, _enums: Mapping[str, list[str]]) -> str:
    if not isinstance(value, str):
        raise _expected("DateTime", value)
    return normal_datetime(value)


def normal_datetime(text: str) -> str:
    """The stored form: no dashes, no zone means UTC (facts 1.2)."""
    match = DATETIME.match(text)
    if match is None:
        raise internal_error(f'Invalid_argument("date.ml:iso8601_to_tm: {text}")')
    year, month, day, hour, minute, second, zone = match.groups()
    return f"{year}{month}{day}T{hour}:{minute}:{second}{zone or 'Z'}"


def _enum(kind: Type, value: Any, enums: Mapping[str, list[str]]) -> str:
    if not isinstance(value, str):
        raise _expected("string", value)
    for choice in enums.get(kind.name, []):
        if choice.lower() == value.lower():
            return choice
    raise internal_error('Failure("Unknown tag/contents")')  # ocaml-rpc's word for a value that no enum has


def _set(kind: Type, value: Any, enums: Mapping[str, list[str]]) -> list[Any]:
    if not isinstance(value, (list, tuple)):
        raise _expected("list", value)
    assert kind.value is not None
    return [decode(kind.value, item, enums) for item in value]


def _map(kind: Type, value: Any, enums: Mapping[str, list[str]]) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise _expected("dict", value)
    assert kind.value is not None
    return {str(key): decode(kind.value, item, enums) for key, item in value.items()}


def _option(kind: Type, value: Any, enums: Mapping[str, list[str]]) -> Any:
    assert kind.value is not None
    return None if value is None else decode(kind.value, value, enums)


def _record(_kind: Type, value: Any, _enums: Mapping[str, list[str]]) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise _expected("dict", value)
    return dict(value)


_DECODERS: dict[str, Callable[[Type, Any, Mapping[str, list[str]]], Any]] = {
    "string": _string,
    "ref": _string,
    "int": _int,
    "float": _float,
    "bool": _bool,
    "datetime": _datetime,
    "enum": _enum,
    "set": _set,
    "map": _map,
    "option": _option,
    "record": _record,
}


def database_text(value: Any) -> str:
    """A value as xapi's database stores it: what query expressions are compared with (facts 2)."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        inner = " ".join(f"('{_quoted(key)}' '{_quoted(database_text(item))}')" for key, item in value.items())
        return f"({inner})"
    if isinstance(value, (list, tuple)):
        return "(" + " ".join(f"'{_quoted(database_text(item))}'" for item in value) + ")"
    if isinstance(value, float):
        return f"{value:.15g}"
    return str(value)


def _quoted(text: str) -> str:
    """As ocaml/libs/sexpr/sExpr.ml escapes."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("'", "\\'")
