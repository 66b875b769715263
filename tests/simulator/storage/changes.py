# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changed-block logs: one bit for 64 KiB, a log from each snapshot to the next (SM VDI.py, cbtutil)."""

from __future__ import annotations

from pathlib import Path

from . import map_file
from .layer import UNIT


class ChangeLog:
    """What changed on a disk since the log before it ended. Logs form a chain by name, oldest first. `path`: its map, when it is kept."""

    def __init__(self, size: int, path: Path | None = None) -> None:
        self.size = size
        self.path = path
        self.units = bytearray()  # a byte a unit, up to the last one changed
        self.before = ""
        self.after = ""

    def mark(self, first: int, last: int) -> None:
        """Units [first, last) changed."""
        if last > len(self.units):
            self.units.extend(bytes(last - len(self.units)))
        self.units[first:last] = b"\1" * (last - first)
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            map_file.mark(self.path, first, last)

    def merge(self, older: ChangeLog) -> None:
        """Take over what an older log, now deleted, held."""
        for unit, changed in enumerate(older.units):
            if changed:
                self.mark(unit, unit + 1)


def bitmap(size: int, logs: list[ChangeLog]) -> bytes:
    """The union of logs: the first unit is the highest bit of the first byte."""
    units = (size + UNIT - 1) // UNIT
    bits = bytearray((units + 7) // 8)
    for log in logs:
        for unit, changed in enumerate(log.units):
            if changed and unit < len(bits) * 8:
                bits[unit // 8] |= 0x80 >> unit % 8
    return bytes(bits)
