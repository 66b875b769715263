# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""VMs made of the objects of an archive, or of what another pool sends (X/import.ml)."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from ..engine.failure import Failure
from ..engine.types import decode
from ._vm_import_objects import Import, ImportedObjects, Wanted

ORDER = ("SR", "VDI", "VM_guest_metrics", "VM", "network", "VBD", "VIF", "VTPM")


class Imports(ImportedObjects):
    async def import_objects(self, objects: list[dict[str, Any]], wanted: Wanted) -> Import:
        """Make the objects; what was made goes again when one of them fails."""
        done = Import(wanted, [{**one, "snapshot": self._decoded(one["class"], one["snapshot"])} for one in objects if one["class"] in ORDER])
        self.require_importable(done)
        makers: dict[str, Callable[[Import, str, dict[str, Any]], Awaitable[None]]] = {
            "SR": self.import_sr,
            "VDI": self.import_vdi,
            "VM_guest_metrics": self.import_guest_metrics,
            "VM": self.import_vm,
            "network": self.import_network,
            "VBD": self.import_vbd,
            "VIF": self.import_vif,
            "VTPM": self.import_vtpm,
        }
        try:
            for cls in ORDER:
                for one in done.objects:
                    if one["class"] == cls:
                        await makers[cls](done, one["id"], one["snapshot"])
        except Exception:
            await self.undo_import(done)
            raise
        self._relate_snapshots(done)
        return done

    def _decoded(self, cls: str, record: Mapping[str, Any]) -> dict[str, Any]:
        """A record as it comes out of an archive: numbers are text there."""
        fields = self.engine.schema.classes[cls].fields
        result = {name: spec.default() for name, spec in fields.items() if not spec.internal}
        for name, value in record.items():
            if name in result:
                try:
                    result[name] = decode(fields[name].type, value, self.engine.schema.enums)
                except Failure:
                    # Words of another API level stand in fields that are made anew here.
                    if fields[name].create:
                        raise
        return result

    async def undo_import(self, done: Import) -> None:
        for step in reversed(done.undo):
            with contextlib.suppress(Failure):
                result = step()
                if result is not None:
                    await result

    def finish_import(self, done: Import) -> list[str]:
        """The VMs are free to be used; answers those that are no snapshots, or all when there are none but snapshots."""
        for vm in done.vms:
            self.db.drop("VM", vm, "current_operations", self.context.task)
            self.reset(vm, self.row(vm)["power_state"])
        proper = [vm for vm in done.vms if not self.row(vm)["is_a_snapshot"]]
        return proper or done.vms

    # Checks

    def require_importable(self, done: Import) -> None:
        for one in done.objects:
            if one["class"] == "VM" and done.wanted.restore:
                self._require_replaceable(done, one["snapshot"])
                self._require_seed_free(one["snapshot"])

    def _require_replaceable(self, done: Import, record: Mapping[str, Any]) -> None:
        vm = self.db.table("VM").by_uuid.get(record["uuid"])
        if vm is None:
            return
        row = self.row(vm)
        if done.wanted.live:
            raise Failure("DUPLICATE_VM", vm)
        if row["power_state"] != "Halted":
            raise Failure("VM_BAD_POWER_STATE", vm, "Halted", row["power_state"])
        if row["version"] >= record["version"] and not done.wanted.force:
            raise Failure("VM_TO_IMPORT_IS_NOT_NEWER_VERSION", vm, str(row["version"]), str(record["version"]))

    def _require_seed_free(self, record: Mapping[str, Any]) -> None:
        """NICs of two VMs with one seed would have the same addresses."""
        seed = record["other_config"].get("mac_seed")
        for _unused, row in self.db.items("VM") if seed else ():
            related = row["uuid"] == record["uuid"] or row["is_a_snapshot"] or record["is_a_snapshot"]
            if row["other_config"].get("mac_seed") == seed and not related:
                raise Failure("DUPLICATE_MAC_SEED", str(seed))

    def _relate_snapshots(self, done: Import) -> None:
        for one in done.objects:
            if one["class"] == "VM" and one["id"] in done.table:
                for name in ("snapshot_of", "parent"):
                    if one["snapshot"][name] in done.table:
                        self.db.set("VM", done.table[one["id"]], name, done.table[one["snapshot"][name]])
