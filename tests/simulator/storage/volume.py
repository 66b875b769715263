# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A virtual disk as its repository holds it: a layer of bytes on its parent's, with the size that its file would have."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from . import sizes
from .changes import ChangeLog
from .layer import BLOCK, UNIT, Layer

ZEROES = bytes(BLOCK)
CHAIN_MOST = 30  # MAX_CHAIN_SIZE in vhdutil.py


def _nobody(_volume: Volume) -> None:
    """Nobody keeps account of a volume outside a repository."""


class Volume:
    """`kind` is vhd, lv (a VHD in a logical volume) or raw. Reads beyond what was ever written give zeroes."""

    def __init__(self, name: str, size: int, layer: Layer, *, kind: str = "vhd", parent: Volume | None = None) -> None:
        self.name = name  # the VDI's location
        self.size = size
        self.layer = layer
        self.kind = kind
        self.parent: Volume | None = None
        self.children: set[Volume] = set()
        self.hidden = False
        self.inflated = True  # an lv has room for every block, or only for those it holds
        self.unexplained = 0  # bytes that a start state says it takes, without saying what is in them
        self.changes: ChangeLog | None = None
        self.label, self.description = "", ""  # as a repository that keeps names has them
        self.on_change: Callable[[Volume], None] = _nobody
        self.move_to(parent)

    # Shape

    @property
    def depth(self) -> int:
        return 1 if self.parent is None else 1 + self.parent.depth

    @property
    def is_empty(self) -> bool:
        return self.layer.blocks == 0 and self.unexplained == 0

    @property
    def chain(self) -> list[Volume]:
        """This volume, its parent, and so on."""
        found: list[Volume] = []
        volume: Volume | None = self
        while volume is not None:
            found.append(volume)
            volume = volume.parent
        return found

    def utilisation(self) -> int:
        """How many bytes it takes in its repository."""
        if self.kind == "raw":
            return self.size
        differencing = self.parent is not None
        if self.kind == "lv":
            held = sizes.logical_volume(self.size) if self.inflated else sizes.deflated(self.layer.blocks)
            return held + self.unexplained
        return sizes.vhd_file(self.size, self.layer.blocks, differencing=differencing) + self.unexplained

    def move_to(self, parent: Volume | None) -> None:
        """Hang the volume under another parent."""
        if self.parent is not None:
            self.parent.children.discard(self)
        self.parent = parent
        if parent is not None:
            parent.children.add(self)
        self.on_change(self)

    def resize(self, size: int) -> None:
        self.size = size
        if self.changes is not None:
            self.changes.size = size
        self.on_change(self)

    def rename(self, label: str, description: str) -> None:
        if (self.label, self.description) != (label, description):
            self.label, self.description = label, description
            self.on_change(self)

    # Bytes

    def runs(self, offset: int, length: int) -> Iterator[tuple[int, int, Layer | None]]:
        """What [offset, offset+length) is made of: (offset, length, layer), the layer None where nothing was written."""
        end = offset + length
        chain = self.chain
        while offset < end:
            unit, last = offset // UNIT, (end - 1) // UNIT + 1
            source: Layer | None = None
            for volume in chain:
                layer = volume.layer
                if layer.has(unit):
                    source, last = layer, layer.present_until(unit, last)
                    break
                last = layer.absent_until(unit, last)
            stop = min(last * UNIT, end)
            yield offset, stop - offset, source
            offset = stop

    def read(self, offset: int, length: int) -> bytes:
        pieces = [layer.read(at, size) if layer else bytes(size) for at, size, layer in self.runs(offset, length)]
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def write(self, offset: int, data: bytes | memoryview) -> None:
        """Store bytes; zeroes over what is zero already take no room, as in a VHD that tapdisk writes sparsely."""
        view = memoryview(data)[: max(0, self.size - offset)]
        while view:
            # Up to the end of the unit, then whole units.
            within = offset % UNIT
            size = min(len(view), UNIT - within) if within or len(view) < UNIT else len(view) - len(view) % UNIT
            self._write_units(offset, view[:size])
            offset, view = offset + size, view[size:]

    def overwrite(self, offset: int, data: bytes) -> None:
        """Store bytes as they are, zeroes too: what hides a parent's bytes must stay hidden."""
        end = offset + len(data)
        self.layer.write(offset, data)
        self._changed(offset // UNIT, (end - 1) // UNIT + 1)

    def _write_units(self, offset: int, view: memoryview) -> None:
        first, last = offset // UNIT, (offset + len(view) - 1) // UNIT + 1
        if len(view) % UNIT or offset % UNIT:
            self._write_part(first, offset, view)
            return
        start = first
        for unit in range(first, last):
            piece = view[(unit - first) * UNIT : (unit - first + 1) * UNIT]
            if piece == ZEROES[:UNIT] and self._is_hole(unit):
                self._store(start, unit, view[(start - first) * UNIT : (unit - first) * UNIT])
                start = unit + 1
        self._store(start, last, view[(start - first) * UNIT :])

    def _write_part(self, unit: int, offset: int, view: memoryview) -> None:
        if not self.layer.has(unit):
            if self._is_hole(unit) and view == ZEROES[: len(view)]:
                return
            below = self.read(unit * UNIT, min(UNIT, self.size - unit * UNIT))
            self.layer.write(unit * UNIT, below)
        self.layer.write(offset, view)
        self._changed(unit, unit + 1)

    def _is_hole(self, unit: int) -> bool:
        return not any(volume.layer.has(unit) for volume in self.chain)

    def _store(self, first: int, last: int, view: memoryview) -> None:
        if first < last:
            self.layer.write(first * UNIT, view)
            self._changed(first, last)

    def _changed(self, first: int, last: int) -> None:
        self.layer.mark(first, last)
        if self.changes is not None:
            self.changes.mark(first, last)
        self.on_change(self)

    def copy_from(self, source: Volume) -> Iterator[int]:
        """Take over another disk's bytes piece by piece; yields how far it is."""
        for offset, length, layer in source.runs(0, source.size):
            for at in range(offset, offset + length, BLOCK) if layer else ():
                size = min(BLOCK, offset + length - at)
                self.write(at, layer.read(at, size) if layer else b"")
                yield at + size
        yield source.size
