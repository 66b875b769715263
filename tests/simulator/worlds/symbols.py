# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The symbols of recordings: @VM/3 the third VM reference met, %12 the twelfth uuid, <time> any time but the epoch."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from typing import Any

SYMBOL = re.compile(r"@[A-Za-z_]+/\d+|%\d+|<time>")
NAMESPACE = uuid.UUID("6f1f9a1c-2f0f-5d0e-9d5c-0c6e8f8b7a10")
# Any time but the epoch would do; the recordings' own day keeps certificates and licences plausible.
TIME = "20261120T00:00:00Z"


class Namer:
    """Invents the reference or uuid behind each symbol; the same recording always gets the same ones."""

    def __init__(self, scope: str) -> None:
        self.scope = scope
        self.bindings: dict[str, str] = {}

    def name(self, symbol: str) -> str:
        if symbol == "<time>":
            return TIME
        if symbol not in self.bindings:
            made = str(uuid.uuid5(NAMESPACE, f"{self.scope} {symbol}"))
            self.bindings[symbol] = f"OpaqueRef:{made}" if symbol.startswith("@") else made
        return self.bindings[symbol]

    def value(self, value: Any) -> Any:
        """`value` with every symbol replaced, inside longer strings and in keys too."""
        if isinstance(value, str):
            return SYMBOL.sub(lambda match: self.name(match[0]), value)
        if isinstance(value, Mapping):
            return {self.value(key): self.value(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.value(item) for item in value]
        return value

    def records(self, world: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, dict[str, Any]]]:
        return {xen_class: self.value(rows) for xen_class, rows in world.items()}
