# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How flags that are texts are read: those of VM.platform (X/vm_platform.ml) and of other maps (X/xapi_vm_lifecycle.ml)."""

from __future__ import annotations


def is_true(value: str | None) -> bool:
    """`1`, or `true` in whatever case; all else is no."""
    return value is not None and value.lower() in ("1", "true")
