# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shape of answers: texts in them, and where the result of a call stands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def rewrite(value: Any, change: Callable[[str], str]) -> Any:
    """`value` with every text in it changed; keys are names and references, which hold no address."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {key: rewrite(item, change) for key, item in value.items()}
    if isinstance(value, list):
        return [rewrite(item, change) for item in value]
    return value


def path_of(call: str) -> str:
    """Where the result of a call stands: ``VM`` for a record, ``VM.MAC`` for a getter, the call itself otherwise."""
    xen_class, _unused, verb = call.partition(".")
    if verb.endswith("get_record") or verb.startswith("get_all_records"):
        return xen_class
    return f"{xen_class}.{verb.removeprefix('get_')}"
