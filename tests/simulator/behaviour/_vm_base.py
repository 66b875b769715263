# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all parts of the VM behaviour stand on: its operations, and when allowed_operations are written anew."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from inspect import isawaitable
from typing import TYPE_CHECKING, Any

from ..engine.behaviour import Behaviour
from ..engine.failure import NULL, Failure, NotSimulated
from ._vm_operations import Check
from ._vm_tables import NEVER_LISTED, NEVER_LISTED_IN_8_2
from ._words import words

if TYPE_CHECKING:
    from ..engine.core import Engine

# Operations after which xapi looks at the VM's drives and NICs again (update_vbd_operations in X/message_forwarding.ml).
MOVES_DEVICES = frozenset(
    words("start start_on pause unpause clean_shutdown shutdown clean_reboot hard_shutdown hard_reboot suspend resume resume_on pool_migrate")
)
UNTOLD_IN_8_2 = ("VM_PAUSED", "VM_UNPAUSED", "VM_SNAPSHOTTED", "VM_CHECKPOINTED", "VM_SNAPSHOT_REVERTED", "VM_MIGRATED")


class VmBase(Behaviour):
    # xapi writes a VM's allowed_operations when an operation begins or ends and at few other moments, not at every change of the row:
    # after set_blocked_operations of level 8.3 they stay as they were (seen in recordings); other levels have a message for it that looks again.
    keeps_operations = False

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        # VM → its current_operations as they were when allowed_operations were written.
        self._seen: dict[str, Mapping[str, str]] = {}
        self._blocked: dict[str, Mapping[str, str]] = {}
        self._blocks_at_once = engine.schema.level != "8.3"
        # Tasks that asked for force=true: their checks are lenient.
        self._forced: set[str] = set()
        # For the names of objects in archives.
        self.export_numbers = itertools.count()
        unlisted = NEVER_LISTED_IN_8_2 if engine.schema.level == "8.2" else NEVER_LISTED
        self._listed = [op for op in engine.schema.enums["vm_operations"] if op not in unlisted]

    def loaded(self, extra: Mapping[str, Any]) -> None:
        self._seen = {ref: row["current_operations"] for ref, row in self.db.items("VM")}
        self._blocked = {ref: row["blocked_operations"] for ref, row in self.db.items("VM")}
        self.db.watchers.append(self._changed)

    def restarted(self) -> None:
        self.export_numbers = itertools.count()
        self._forced.clear()

    def _changed(self, cls: str, ref: str) -> None:
        if cls != "VM":
            return
        row = self.db.table("VM").rows.get(ref)
        if row is None:
            self._seen.pop(ref, None)
            self._blocked.pop(ref, None)
            return
        if self._blocks_at_once and row["blocked_operations"] is not self._blocked.get(ref):
            known = ref in self._blocked
            self._blocked[ref] = row["blocked_operations"]
            if known:
                self.update_operations(ref)
        now, before = row["current_operations"], self._seen.get(ref)
        self._seen[ref] = now
        if before is None or now is before:
            return
        self.update_operations(ref)
        if MOVES_DEVICES.intersection(before.values()) - set(now.values()):
            self.update_devices(ref)

    # Operations

    def advertised(self, ref: str) -> Iterable[str]:
        return self._listed

    def check(self, ref: str, op: str) -> None:
        Check(self.engine, ref, strict=self.context.task not in self._forced).run(op)

    def allowed(self, ref: str) -> list[str]:
        check = Check(self.engine, ref)
        result: list[str] = []
        for op in self._listed:
            try:
                check.run(op)
            except Failure:
                continue
            result.insert(0, op)
        return result

    def update_operations(self, ref: str) -> None:
        """Write allowed_operations of a VM, and of what depends on it."""
        self.db.set("VM", ref, "allowed_operations", self.allowed(ref))
        row = self.row(ref)
        for cls, refs in (("VM_appliance", [row["appliance"]]), ("VTPM", row["VTPMs"])):
            for other in refs:
                if cls in self.db.tables and self.is_set(cls, other):
                    self.engine.operations.again(cls, other)

    def update_devices(self, ref: str) -> None:
        """Have allowed_operations of the VM's drives, their disks and its NICs written anew."""
        row = self.row(ref)
        for vbd in row["VBDs"]:
            self.engine.operations.again("VBD", vbd)
            vdi = self.db.get("VBD", vbd, "VDI")
            if self.is_set("VDI", vdi):
                self.engine.operations.again("VDI", vdi)
        for vif in row["VIFs"]:
            self.engine.operations.again("VIF", vif)

    @asynccontextmanager
    async def devices_marked(self, ref: str) -> AsyncIterator[None]:
        """All drives and NICs of the VM locked for `attach`, as while it boots; with two minutes of patience for drives, none for NICs (facts 3.1)."""
        async with AsyncExitStack() as locks:
            await locks.enter_async_context(self.engine.operations.hold_all(self.vbd_marks(ref), 120.0))
            try:
                await locks.enter_async_context(self.engine.operations.hold_all([("VIF", vif, "attach") for vif in self.row(ref)["VIFs"]], 0.0))
            except Failure:
                raise Failure("OPERATION_NOT_ALLOWED", "Failed to lock all VIFs") from None
            yield

    # Help

    def vbd_marks(self, ref: str) -> list[tuple[str, str, str]]:
        return [("VBD", vbd, "attach") for vbd in self.row(ref)["VBDs"]]

    async def call(self, cls: str, message: str, *arguments: Any) -> Any:
        """A message as part of this call: locked as when a client sends it, in the same task."""
        body = getattr(self.other(cls), message)
        operation = getattr(body, "operation", None)
        if before := getattr(body, "before", ""):
            getattr(self.other(cls), before)(*arguments)
        guard = self.engine.operations.hold(cls, arguments[0], operation) if operation else nullcontext()
        async with guard:
            if operation:
                await self.engine.pass_time(f"{cls}.{message}")
            result = body(*arguments)
            return await result if isawaitable(result) else result

    def unsimulated(self, message: str) -> NotSimulated:
        """For the part of a message that this simulator does not do: it must not look like success."""
        return NotSimulated(message)

    def is_dom0(self, ref: str) -> bool:
        row = self.row(ref)
        return bool(row["is_control_domain"] and row["domid"] == 0)

    def name_of(self, ref: str) -> tuple[str, str]:
        row = self.row(ref)
        return row["name_label"], row["uuid"]

    def report(self, name: str, ref: str, text: str) -> None:
        """An alert about a VM, all of them of priority 5 (C/api_messages.ml). 8.2 tells of less, and does not name the VM's uuid."""
        label, uuid = self.name_of(ref)
        if self.engine.schema.level != "8.2":
            self.other("message").post(name, 5, "VM", uuid, f"VM '{label}' (uuid: {uuid}) {text}")
        elif name not in UNTOLD_IN_8_2:
            self.other("message").post(name, 5, "VM", uuid, f"VM '{label}' {text}")

    def metrics_row(self, ref: str) -> dict[str, Any]:
        """The VM's metrics; empty when it has none (a template)."""
        return self.db.table("VM_metrics").rows.get(self.row(ref)["metrics"], {})

    def hard_disks(self, ref: str) -> list[str]:
        """The disks of the VM's drives that are not CDs."""
        drives = [self.db.row("VBD", vbd) for vbd in self.row(ref)["VBDs"]]
        return [drive["VDI"] for drive in drives if not drive["empty"] and drive["type"] != "CD"]

    def disks_of(self, ref: str) -> list[str]:
        """The VDIs in the VM's drives, CDs included."""
        drives = [self.db.row("VBD", vbd) for vbd in self.row(ref)["VBDs"]]
        return [drive["VDI"] for drive in drives if not drive["empty"] and drive["VDI"] != NULL]
