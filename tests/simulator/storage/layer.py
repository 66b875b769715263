# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One sparse file of bytes, and which parts of it were ever written."""

from __future__ import annotations

import os
from pathlib import Path

from . import map_file

# The piece by which a layer remembers what was written; also the block of changed-block tracking (facts 3.6).
UNIT = 64 * 1024
# The block of a VHD.
BLOCK = 2 * 1024 * 1024
UNITS_A_BLOCK = BLOCK // UNIT


class Layer:
    """What was written on top of a parent layer, or on nothing. The file is made by the first write; `kept`: with a map beside it."""

    def __init__(self, path: Path, *, kept: bool = False) -> None:
        self.path = path
        self.kept = kept
        self.present = bytearray()  # a byte a unit, up to the last unit written
        self._blocks = 0
        self._fd = -1

    @classmethod
    def restored(cls, path: Path) -> Layer:
        """A layer as its files tell it."""
        layer = cls(path, kept=True)
        layer.present = map_file.read(layer.map_path)
        blocks = range(0, len(layer.present), UNITS_A_BLOCK)
        layer._blocks = sum(layer.present.find(1, begin, begin + UNITS_A_BLOCK) >= 0 for begin in blocks)
        return layer

    @property
    def map_path(self) -> Path:
        return self.path.with_name(self.path.name + ".map")

    def keep(self) -> None:
        """From now on the layer has its map beside it."""
        self.kept = True
        if self.present:
            map_file.write(self.map_path, self.present)

    @property
    def blocks(self) -> int:
        """How many VHD blocks hold anything."""
        return self._blocks

    def has(self, unit: int) -> bool:
        return unit < len(self.present) and self.present[unit] != 0

    def present_until(self, unit: int, end: int) -> int:
        """The first unit in [unit, end) that is absent; `unit` is present."""
        limit = min(end, len(self.present))
        found = self.present.find(0, unit, limit)
        return limit if found < 0 else found

    def absent_until(self, unit: int, end: int) -> int:
        """The first unit in [unit, end) that is present, or `end`."""
        found = self.present.find(1, unit, end)
        return end if found < 0 else found

    def mark(self, first: int, last: int) -> None:
        """Units [first, last) are there now."""
        if last <= len(self.present) and self.present.find(0, first, last) < 0:
            return
        if last > len(self.present):
            self.present.extend(bytes(last - len(self.present)))
        for block in range(first // UNITS_A_BLOCK, (last - 1) // UNITS_A_BLOCK + 1):
            begin = block * UNITS_A_BLOCK
            if self.present.find(1, begin, begin + UNITS_A_BLOCK) < 0:
                self._blocks += 1
        self.present[first:last] = b"\1" * (last - first)
        if self.kept:
            map_file.mark(self.map_path, first, last)

    def read(self, offset: int, length: int) -> bytes:
        data = os.pread(self.file(), length, offset)
        return data if len(data) == length else data.ljust(length, b"\0")

    def write(self, offset: int, data: bytes | memoryview) -> None:
        view, fd = memoryview(data), self.file()
        while view:
            done = os.pwrite(fd, view, offset)
            view, offset = view[done:], offset + done

    def file(self) -> int:
        """The open file."""
        if self._fd < 0:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        return self._fd

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
