# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changed-block tracking of VHD disks (SM VDI.py: configure_blocktracking, list_changed_blocks)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...storage.changes import bitmap
from .errors import sm_error

if TYPE_CHECKING:
    from .base import Driver as Base
else:
    Base = object


class ChangeTracking(Base):
    """Mixed into the VHD drivers."""

    def vdi_set_changes(self, vdi: str, *, enabled: bool) -> None:
        row, volume = self.db.row("VDI", vdi), self.volume(vdi)
        if volume.kind == "raw" or row["is_a_snapshot"]:
            raise sm_error("VDIType", "Raw VDI or snapshot not permitted")
        repository = self.repository(row["SR"])
        if enabled and volume.changes is None:
            repository.begin_log(volume)
        elif not enabled and volume.changes is not None:
            repository.end_log(volume.name)

    def vdi_changes(self, start: str, end: str) -> bytes:
        """The bitmap of what changed from `start` to `end`."""
        first, last = self.db.row("VDI", start), self.db.row("VDI", end)
        repository = self.repository(last["SR"])
        logs = repository.logs_between(first["location"], last["location"])
        if first["location"] == last["location"]:
            raise sm_error("CBTChangedBlocksError", "Source and target VDI are same")
        if logs is None:
            raise sm_error("CBTChangedBlocksError", "Source and target VDI are unrelated")
        return bitmap(last["virtual_size"], logs)
