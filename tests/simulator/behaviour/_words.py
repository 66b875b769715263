# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables of many words, a few lines long."""

from __future__ import annotations


def words(text: str) -> tuple[str, ...]:
    return tuple(text.split())
