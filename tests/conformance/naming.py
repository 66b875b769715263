# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""References, uuids and times → the symbols of a recording (recordings/README.md)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .bindings import REFERENCE, SESSION, UUID

REAL = re.compile(f"{REFERENCE}|{UUID}")
# xapi's ways to write a time, without a zone for local ones; the epoch says "never" and stays.
TIME = re.compile(r"\b(?!1970)(?:\d{8}|\d{4}-\d{2}-\d{2})T\d{2}:\d{2}:\d{2}Z?")
UNKNOWN = "ref"


class Names:
    """Gives every reference and every uuid its symbol at first sight. `prefix`: "other_" for the other pool's start state."""

    def __init__(self) -> None:
        self._symbols: dict[str, str] = {}
        self._classes: dict[str, str] = {}
        self._counts: dict[str, int] = {}

    def knows(self, value: Any, kind: Any, prefix: str = "") -> None:
        """Note the class of every reference in a value of that type of the data model."""
        if kind is None:
            return
        if kind.kind == "ref" and isinstance(value, str):
            self._classes.setdefault(value, prefix + kind.name)
        elif kind.kind in ("set", "option") and isinstance(value, list):
            for item in value:
                self.knows(item, kind.value, prefix)
        elif kind.kind == "map" and isinstance(value, Mapping):
            for key, item in value.items():
                self.knows(key, kind.key, prefix)
                self.knows(item, kind.value, prefix)

    def session(self, reference: str) -> None:
        self._symbols[reference] = SESSION

    def spoken(self, value: Any) -> Any:
        """`value` with symbols in the place of what only this server knows, in keys and inside longer texts too."""
        if isinstance(value, str):
            return TIME.sub("<time>", REAL.sub(lambda found: self._symbol(found[0]), value))
        if isinstance(value, Mapping):
            return {self.spoken(key): self.spoken(item) for key, item in value.items()}
        return [self.spoken(item) for item in value] if isinstance(value, list) else value

    def _symbol(self, real: str) -> str:
        if real not in self._symbols:
            head = f"@{self._classes.get(real, UNKNOWN)}/" if real.startswith("OpaqueRef:") else "%"
            self._counts[head] = self._counts.get(head, 0) + 1
            self._symbols[real] = f"{head}{self._counts[head]}"
        return self._symbols[real]
