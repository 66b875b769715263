# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A map of units as a file beside the bytes, so that they mean the same after the process was killed: a byte a unit, one for what is there."""

from __future__ import annotations

import os
from pathlib import Path


def mark(path: Path, first: int, last: int) -> None:
    """Units [first, last) are there. Called after their bytes were written: a unit without its mark was never there."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        os.pwrite(descriptor, b"\1" * (last - first), first)
    finally:
        os.close(descriptor)


def read(path: Path) -> bytearray:
    try:
        return bytearray(path.read_bytes())
    except FileNotFoundError:
        return bytearray()


def write(path: Path, units: bytes | bytearray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(units)
