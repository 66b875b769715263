# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The garbage collector of VHD repositories: base copies that nothing needs go, those with one child are merged (SM cleanup.py)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from ...storage import Repository, Volume

if TYPE_CHECKING:
    from .base import Driver as Base
else:
    Base = object

# Seconds from the moment that something may be garbage until the collector has looked at it: it "goes quiet" first (SM GCPAUSE_DEFAULT_SLEEP).
COLLECT_AFTER = 300.0


class Collector(Base):
    """Mixed into the VHD drivers."""

    def kick(self, sr: str) -> None:
        """Let the collector look at the SR after a while."""
        if next(garbage(self.repository(sr)), None) is not None:
            self.engine.later(COLLECT_AFTER, lambda: self.collect(sr))

    def collect(self, sr: str) -> None:
        """Remove base copies without children, merge those with one."""
        if not self.db.exists("SR", sr):
            return
        repository = self.repository(sr)
        while (volume := next((v for v in garbage(repository) if self._is_idle(v)), None)) is not None:
            gone = volume
            if volume.children:
                child = next(iter(volume.children))
                gone = repository.coalesce(volume)
                self._relink(volume if gone is child else child)
            else:
                repository.remove(volume.name)
            self._with_row(gone, self.engine.behaviours["VDI"].lose)
        self.update(sr)

    def _with_row(self, volume: Volume, action: Callable[[str], None]) -> None:
        vdi = self.db.tables["VDI"].by_uuid.get(volume.name)
        if vdi is not None:
            action(vdi)

    def _is_idle(self, volume: Volume) -> bool:
        """Nobody works on the disks that collecting the volume would change, and none of them goes back to it at the next boot."""
        found = (self.db.tables["VDI"].by_uuid.get(child.name) for child in volume.children)
        rows = [self.db.row("VDI", vdi) for vdi in found if vdi is not None]
        return not any(row["current_operations"] or row["on_boot"] == "reset" for row in rows)

    def _relink(self, volume: Volume) -> None:
        """Write the parents of a merged volume and of what hangs on it into their rows."""
        for changed in (volume, *volume.children):
            self._with_row(changed, self._write_parent)

    def _write_parent(self, vdi: str) -> None:
        parent = self.volume(vdi).parent
        if parent is None:
            self.db.drop("VDI", vdi, "sm_config", "vhd-parent")
        else:
            self.db.put("VDI", vdi, "sm_config", "vhd-parent", parent.name)


def garbage(repository: Repository) -> Iterator[Volume]:
    """Hidden volumes that nothing or one volume hangs on."""
    return (volume for volume in repository.volumes.values() if volume.hidden and len(volume.children) < 2)
