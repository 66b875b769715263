# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sizes as people write them."""

from __future__ import annotations

import re

UNITS = {"": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}


def size(value: int | str) -> int:
    """Bytes: ``size("64GiB")``."""
    match = re.fullmatch(r"(\d+)\s*([KMGT]iB|)", str(value))
    if match is None:
        raise ValueError(f"{value!r} is no size; write for example 64GiB")
    return int(match[1]) * UNITS[match[2]]
