# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is on the storage behind an SR, whether or not the pool's database knows it."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable
from pathlib import Path

from . import map_file
from .changes import ChangeLog
from .layer import BLOCK, Layer
from .volume import Volume


class Repository:
    """Volumes by location. `others` is what else takes room on the same storage."""

    def __init__(
        self, directory: Path, size: int = 0, *, kept: bool = False, on_change: Callable[[], None] | None = None, settle: Callable[[], None] | None = None
    ) -> None:
        self.directory = directory
        self.kept = kept  # whether it outlives the process
        self.on_change, self.settle = on_change, settle
        self.unsaved: set[str] = set()  # names of volumes, and of logs, that are not in the ledger as they are
        self.unsaved_logs: set[str] = set()
        self.saved_sizes: dict[str, int] = {}
        self.discarded: list[Path] = []  # files to remove once the ledger knows that nothing needs them
        self.size = size
        self.others = 0
        self.volumes: dict[str, Volume] = {}
        self.logs: dict[str, ChangeLog] = {}  # by the volume's name; one may outlive its volume
        self._known: dict[str, int] = {}
        self._sum = 0
        self._stale: dict[str, Volume] = {}

    def move(self, directory: Path) -> None:
        """Keep everything in another folder from now on."""
        if self.directory.exists():
            shutil.move(self.directory, directory)
        self.directory = directory
        for volume in self.volumes.values():
            volume.layer.path = directory / volume.layer.path.name
        for log in self.logs.values():
            log.path = None if log.path is None else directory / log.path.name

    def keep(self) -> None:
        """Let it outlive the process from now on."""
        self.kept = True
        for volume in self.volumes.values():
            volume.layer.keep()
            self._changed(volume)
        for name, log in self.logs.items():
            log.path = self._log_path()
            map_file.write(log.path, log.units)
            self._log_changed(name)

    def new_layer(self) -> Layer:
        return Layer(self.directory / str(uuid.uuid4()), kept=self.kept)

    def add(self, name: str, size: int, *, kind: str = "vhd", parent: Volume | None = None) -> Volume:
        return self.keep_volume(Volume(name, size, self.new_layer(), kind=kind, parent=parent))

    def keep_volume(self, volume: Volume) -> Volume:
        self.volumes[volume.name] = volume
        volume.on_change = self._changed
        self._changed(volume)
        return volume

    def _changed(self, volume: Volume) -> None:
        self._stale[volume.name] = volume
        self._touched(self.unsaved, volume.name)
        if volume.changes is not None:
            self._log_changed(volume.name)

    def _log_changed(self, name: str) -> None:
        self._touched(self.unsaved_logs, name)

    def _touched(self, unsaved: set[str], name: str) -> None:
        if self.kept:
            unsaved.add(name)
            if self.on_change is not None:
                self.on_change()

    def _discard(self, *paths: Path) -> None:
        """Remove files; those of a repository that is kept only when the ledger has forgotten them."""
        self.discarded += paths
        if not self.kept:
            self.clean()

    def clean(self) -> None:
        for path in self.discarded:
            path.unlink(missing_ok=True)
        self.discarded.clear()

    def remove(self, name: str) -> None:
        """Delete a volume's bytes; its children must be gone."""
        volume = self.volumes.pop(name)
        volume.move_to(None)
        volume.layer.close()
        self._discard(volume.layer.path, volume.layer.map_path)

    @property
    def used(self) -> int:
        """Bytes taken; only what changed is counted again."""
        for name, volume in self._stale.items():
            now = volume.utilisation() if self.volumes.get(name) is volume else 0
            self._sum += now - self._known.pop(name, 0)
            if now:
                self._known[name] = now
        self._stale.clear()
        return self.others + self._sum

    @property
    def free(self) -> int:
        return max(0, self.size - self.used)

    # Snapshots

    def branch(self, name: str, copy: str, base: str) -> Volume | None:
        """Make `copy` share all bytes of `name`: what both had goes into a hidden volume `base`, returned.

        Nothing to share (a differencing volume that was never written) makes both hang on the parent there is, and returns None
        (vhd-util's search for a snapshot target, FileSR._snapshot).
        """
        source = self.volumes[name]
        target = source
        while target.parent is not None and target.is_empty:
            target = target.parent
        if target is not source:
            self.keep_volume(Volume(copy, source.size, self.new_layer(), kind=source.kind, parent=target))
            source.move_to(target)
            return None
        shared = self.keep_volume(Volume(base, source.size, source.layer, kind=source.kind, parent=source.parent))
        shared.hidden, shared.unexplained = True, source.unexplained
        source.layer, source.unexplained = self.new_layer(), 0
        source.move_to(shared)
        self.keep_volume(Volume(copy, source.size, self.new_layer(), kind=source.kind, parent=shared))
        return shared

    def reset(self, volume: Volume) -> None:
        """Throw away what a differencing volume holds itself."""
        volume.layer.close()
        self._discard(volume.layer.path, volume.layer.map_path)
        volume.layer, volume.unexplained = self.new_layer(), 0
        self._changed(volume)

    def coalesce(self, parent: Volume) -> Volume:
        """Merge a hidden volume with its only child; returns the one of the two that is gone.

        A leaf takes its parent's bytes and stays; a hidden child gives its own to the parent, and its children with them (SM cleanup.py).
        """
        if self.kept and self.settle is not None:
            # A file changes its volume: what the ledger says of it must not be of a time when more volumes read from it.
            self.settle()
        (child,) = parent.children
        grandparent = parent.parent
        child.move_to(None)
        parent.move_to(None)
        for offset, length, layer in child.runs(0, child.size):
            for at in range(offset, offset + length, BLOCK) if layer else ():
                size = min(BLOCK, offset + length - at)
                parent.overwrite(at, child.read(at, size))
        survivor, gone = (parent, child) if child.hidden else (child, parent)
        child.layer, parent.layer = parent.layer, child.layer
        if survivor is parent:
            child.layer, parent.layer = parent.layer, child.layer
            for grandchild in list(child.children):
                grandchild.move_to(parent)
        survivor.unexplained += gone.unexplained
        survivor.resize(child.size)
        survivor.move_to(grandparent)
        self.remove(gone.name)
        return gone

    # Changed blocks

    def begin_log(self, volume: Volume) -> ChangeLog:
        volume.changes = self.logs[volume.name] = ChangeLog(volume.size, self._log_path() if self.kept else None)
        self._changed(volume)
        return volume.changes

    def _log_path(self) -> Path:
        return self.directory / f"{uuid.uuid4()}.log"

    def end_log(self, name: str) -> None:
        """Forget a log; a later one takes over what it held."""
        log = self.logs.pop(name)
        if name in self.volumes:
            self.volumes[name].changes = None
            self._changed(self.volumes[name])
        if log.before in self.logs:
            self.logs[log.before].after = log.after
        if log.after in self.logs:
            self.logs[log.after].before = log.before
            self.logs[log.after].merge(log)
        for changed in (name, log.before, log.after):
            self._log_changed(changed)
        self._discard(*([log.path] if log.path else []))

    def split_log(self, name: str, snapshot: str) -> None:
        """The log of `name` becomes that of its snapshot, and a new one begins."""
        old = self.logs.pop(name)
        self.logs[snapshot] = old
        if old.before in self.logs:
            self.logs[old.before].after = snapshot
        new = self.begin_log(self.volumes[name])
        new.before, old.after = snapshot, name
        for changed in (name, snapshot, old.before):
            self._log_changed(changed)

    def logs_between(self, start: str, end: str) -> list[ChangeLog] | None:
        """The logs after `start` up to and with `end`; None when they are no chain."""
        found: list[ChangeLog] = []
        name = start
        while name != end:
            name = self.logs[name].after if name in self.logs else ""
            if name not in self.logs:
                return None
            found.append(self.logs[name])
        return found

    def close(self) -> None:
        for volume in self.volumes.values():
            volume.layer.close()
