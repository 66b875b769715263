# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What XenAPI does: one file a class, methods named as the messages."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from ..engine.behaviour import Behaviour


def _all() -> list[type[Behaviour]]:
    """Every Behaviour subclass that a module of this package defines for a class."""
    found: list[type[Behaviour]] = []
    for path in sorted(Path(__file__).parent.glob("[a-z]*.py")):
        module = import_module(f"{__name__}.{path.stem}")
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, Behaviour) and value.__module__ == module.__name__ and "cls" in vars(value):
                found.append(value)
    return found


ALL = _all()
