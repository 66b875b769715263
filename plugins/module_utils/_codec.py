# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Between what a user writes and what XenAPI stores. A codec is pure: option, both directions, comparison."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ._errors import XenError

UNITS = {"": 1, "B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40, "PiB": 2**50}
DECIMAL = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def parse_bytes(value: Any, option: str = "size") -> int:
    """``8GiB``, ``512 MiB`` or a number of bytes. ``GB`` is decimal; bare ``G`` is GiB, as XenServer's own tools mean."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", str(value))
    units = {name.lower(): factor for name, factor in (UNITS | DECIMAL).items()}
    if not match or match[2].lower() not in units or isinstance(value, bool):
        raise XenError(f"{option} {value!r} is no size; write a number of bytes or something like 8GiB")
    size = float(match[1]) * units[match[2].lower()] if "." in match[1] else int(match[1]) * units[match[2].lower()]
    if size != int(size):
        raise XenError(f"{option} {value!r} is no whole number of bytes; write something like 8GiB")
    return int(size)


def format_bytes(size: int) -> str:
    """The largest unit that divides evenly: ``8GiB``, ``1536MiB``."""
    best = max((name for name in UNITS if name and size % UNITS[name] == 0), key=lambda name: UNITS[name])
    return f"{size // UNITS[best]}{best}" if size else "0B"


def text_of(value: Any) -> str:
    """A value of a map as xapi wants it: text, booleans as ``true`` and ``false``, nothing as empty."""
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def _same(value: Any) -> Any:
    return value


@dataclass(frozen=True)
class Codec:
    """``encode`` makes the wire value of an option's value, ``decode`` the result of a wire value.

    ``comparable`` brings two wire values into a form in which equal means the same.
    """

    option: Mapping[str, Any]
    encode: Callable[[Any], Any] = _same
    decode: Callable[[Any], Any] = _same
    comparable: Callable[[Any], Any] = _same

    def differs(self, current: Any, wanted: Any) -> bool:
        """Whether two wire values mean different things."""
        return bool(self.comparable(current) != self.comparable(wanted))


TEXT = Codec({"type": "str"})
BOOL = Codec({"type": "bool"})
INT = Codec({"type": "int"})
FLOAT = Codec({"type": "float"})
BYTES = Codec({"type": "str"}, encode=parse_bytes)
# The order of a set means nothing; results are sorted so that they read the same each time.
SET = Codec({"type": "list", "elements": "str"}, encode=lambda value: sorted(set(value)), decode=sorted, comparable=set)
MAP = Codec({"type": "dict"}, encode=lambda value: {str(key): text_of(item) for key, item in value.items()})


def enum(*choices: str) -> Codec:
    """One of these, as they are in the API."""
    return Codec({"type": "str", "choices": list(choices)})


def vocabulary(words: Mapping[str, str]) -> Codec:
    """One of our words for one of the API's: ``vocabulary({"running": "Running"})``."""
    ours = {theirs: word for word, theirs in words.items()}
    return Codec({"type": "str", "choices": list(words)}, words.__getitem__, lambda value: ours.get(value, value))


def merged(current: Mapping[str, str], wanted: Mapping[str, Any]) -> dict[str, str]:
    """A map with some keys set; a key whose wanted value is null is removed, others stay."""
    result = {key: value for key, value in current.items() if wanted.get(key, "") is not None}
    return result | {str(key): text_of(value) for key, value in wanted.items() if value is not None}


def one_of(option: str, value: str, choices: Sequence[str]) -> str:
    """A value that must be one of a list only known at run time."""
    if value not in choices:
        raise XenError(f"{option} {value!r} is none of {', '.join(choices)}")
    return value
