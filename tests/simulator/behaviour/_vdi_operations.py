# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which operations a VDI allows, and the refusal for the others (ocaml/xapi/xapi_vdi.ml check_operation_error, facts 3.6)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..engine.failure import Failure
from ..engine.registry import Row
from . import _sr_operations, _versions
from ._progress import other_operation_on
from ._vdi_types import spelt

if TYPE_CHECKING:
    from ..engine.core import Engine

# What allowed_operations may list; newer operations are left out for the sake of old peers (CA-260245).
ADVERTISED = ("clone", "copy", "resize", "resize_online", "snapshot", "destroy", "forget", "update", "generate_config")
FEATURES = {
    "snapshot": "VDI_SNAPSHOT",
    "destroy": "VDI_DELETE",
    "resize": "VDI_RESIZE",
    "update": "VDI_UPDATE",
    "resize_online": "VDI_RESIZE_ONLINE",
    "generate_config": "VDI_GENERATE_CONFIG",
    "clone": "VDI_CLONE",
    "revert_to": "VDI_CLONE",
    "revert_from": "VDI_CLONE",
    "mirror": "VDI_MIRROR",
    "enable_cbt": "VDI_CONFIG_CBT",
    "disable_cbt": "VDI_CONFIG_CBT",
    "data_destroy": "VDI_CONFIG_CBT",
    "list_changed_blocks": "VDI_CONFIG_CBT",
    "set_on_boot": "VDI_RESET_ON_BOOT",
}
# Allowed on a disk in use; and those that only writers disturb.
LIVE = ("snapshot", "resize_online", "blocked", "clone", "revert_to", "mirror", "enable_cbt", "disable_cbt", "data_destroy")
LIVE_READ_ONLY = (*LIVE, "copy")
# Refused on what data_destroy leaves behind, and on a disk whose changes are tracked.
NOT_ON_METADATA = (
    *("clone", "copy", "disable_cbt", "enable_cbt", "mirror", "resize", "resize_online", "snapshot"),
    *("revert_to", "revert_from", "set_on_boot"),
)
NOT_WHILE_TRACKED = ("mirror", "set_on_boot")
HA_TYPES = ("ha_statefile", "redo_log")
# Those that are not destroyed while HA comes or goes, before 26.
HA_TYPES_BEFORE = ("ha_statefile", "metadata")


class Check:
    """One question: may `op` run on this disk now? The checks raise, in xapi's order."""

    def __init__(self, engine: Engine, ref: str, op: str = "") -> None:
        self.engine, self.db, self.ref, self.op = engine, engine.db, ref, op
        self.row: Row = self.db.row("VDI", ref)
        self.sr: Row = self.db.row("SR", self.row["SR"])
        self.drives: list[Row] = [self.db.row("VBD", vbd) for vbd in self.row["VBDs"]]

    def run(self) -> None:
        for check in (self.upgrade, self.idle, self.plugged, self.unused, self.supported, self.kind, self.own):
            check()

    def allows(self, op: str) -> bool:
        self.op = op
        try:
            self.run()
        except Failure:
            return False
        return True

    def upgrade(self) -> None:
        """Older hosts know the operations that were there before 7.1."""
        if self.op not in ADVERTISED and self.op not in ("force_unlock", "blocked"):
            _versions.require_no_upgrade(self.engine)

    def idle(self) -> None:
        """Anything but a copy excludes everything; a mirror lets its end destroy the disk."""
        if not self.row["current_operations"]:
            return
        running = {task: op for task, op in self.row["current_operations"].items() if op != "copy"}
        if running and not (self.op == "destroy" and "mirror" in running.values()):
            raise other_operation_on(self.engine, "VDI", self.ref, running)

    def plugged(self) -> None:
        if self.op == "resize" and not _sr_operations.is_plugged(self.engine, self.row["SR"]):
            raise Failure("SR_HAS_NO_PBDS", self.row["SR"])

    def unused(self) -> None:
        active = [drive for drive in self.drives if drive["currently_attached"] or drive["reserved"]]
        if self.op not in LIVE and self._blocked_by(active):
            raise Failure("VDI_IN_USE", self.ref, self.op)
        busy = [drive["current_operations"] for drive in self.drives if drive["current_operations"]]
        if busy and self.op != "data_destroy":
            raise other_operation_on(self.engine, "VDI", self.ref, busy[0])

    def _blocked_by(self, active: list[Row]) -> bool:
        if self.op in LIVE_READ_ONLY:
            return any(drive["mode"] == "RW" for drive in active)
        if self.op == "list_changed_blocks":
            # The snapshot that a checkpoint made has drives that look attached.
            vms = (self.db.tables["VM"].rows.get(drive["VM"]) for drive in active)
            return any(vm is not None and not vm["is_a_snapshot"] for vm in vms)
        return bool(active)

    def supported(self) -> None:
        needed = FEATURES.get(self.op)
        if needed is not None and needed not in _sr_operations.features(self.engine, self.row["SR"]):
            raise Failure("SR_OPERATION_NOT_SUPPORTED", self.row["SR"])

    def kind(self) -> None:
        if self.row["type"] == "cbt_metadata" and self.op in NOT_ON_METADATA:
            raise Failure("VDI_INCOMPATIBLE_TYPE", self.ref, spelt("cbt_metadata"))
        if self.row["cbt_enabled"] and self.op in NOT_WHILE_TRACKED:
            raise Failure("VDI_CBT_ENABLED", self.ref)

    def own(self) -> None:
        """What one operation alone asks for."""
        rule = OWN.get(self.op)
        if rule is not None:
            rule(self)

    def _ha(self) -> None:
        if self.row["type"] in HA_TYPES and self.db.get("pool", self.engine.pool, "ha_enabled"):
            raise Failure("HA_IS_ENABLED")

    def _forget(self) -> None:
        self._ha()
        if self.row["type"] == "rrd":
            raise Failure("VDI_HAS_RRDS", self.ref)

    def _destroy(self) -> None:
        if self.sr["type"] == "udev":
            raise Failure("VDI_IS_A_PHYSICAL_DEVICE", self.ref)
        if self.sr["is_tools_sr"]:
            raise Failure("SR_OPERATION_NOT_SUPPORTED", self.row["SR"])
        if self.row["type"] == "rrd":
            raise Failure("VDI_HAS_RRDS", self.ref)
        self._ha()
        if self.row["type"] in (HA_TYPES if self.engine.schema.level == "26" else HA_TYPES_BEFORE):
            for op in ("ha_enable", "ha_disable"):
                if op in self.db.get("pool", self.engine.pool, "current_operations").values():
                    raise Failure(f"{op.upper()}_IN_PROGRESS")

    def _data_destroy(self) -> None:
        if not self.row["is_a_snapshot"]:
            raise Failure("OPERATION_NOT_ALLOWED", f"VDI is not a snapshot: {self.ref}")
        if not self.row["cbt_enabled"]:
            raise Failure("VDI_NO_CBT_METADATA", self.ref)
        self._destroy()

    def _snapshot(self) -> None:
        if self.row["sharable"]:
            raise Failure("VDI_IS_SHARABLE", self.ref)
        self._reset_on_boot()
        if "copy" in self.row["current_operations"].values():
            raise Failure("OPERATION_NOT_ALLOWED", "Snapshot operation not allowed during copy.")

    def _copy(self) -> None:
        self._reset_on_boot()
        if self.row["type"] in HA_TYPES:
            sentence = "VDI containing HA statefile or redo log cannot be copied (check the VDI's allowed operations)."
            raise Failure("OPERATION_NOT_ALLOWED", sentence)

    def _tracking(self) -> None:
        if self.row["is_a_snapshot"]:
            raise Failure("OPERATION_NOT_ALLOWED", f"VDI is a snapshot: {self.ref}")
        if self.row["type"] not in ("user", "system"):
            raise Failure("VDI_INCOMPATIBLE_TYPE", self.ref, spelt(self.row["type"]))
        self._reset_on_boot()

    def _revert(self) -> None:
        if not self.row["is_a_snapshot"]:
            raise Failure("REVERT_ONLY_ALLOWED_ON_SNAPSHOT")

    def _reset_on_boot(self) -> None:
        if self.row["on_boot"] == "reset":
            raise Failure("VDI_ON_BOOT_MODE_INCOMPATIBLE_WITH_OPERATION")


OWN: dict[str, Callable[[Check], None]] = {
    "forget": Check._forget,
    "destroy": Check._destroy,
    "revert_from": Check._destroy,
    "data_destroy": Check._data_destroy,
    "resize": Check._ha,
    "resize_online": Check._ha,
    "snapshot": Check._snapshot,
    "copy": Check._copy,
    "enable_cbt": Check._tracking,
    "disable_cbt": Check._tracking,
    "revert_to": Check._revert,
}
