# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""VMs made of the objects of an archive, or of what another pool sends (X/import.ml)."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from ..engine.failure import NULL, Failure
from ..engine.types import decode
from ._vm_export import with_contents
from ._vm_import_devices import ImportedDevices
from ._vm_import_objects import Import, Wanted
from ._vm_metadata import fields_of

ORDER = (
    *("host", "SR", "VDI", "VM_guest_metrics", "VM_metrics", "VM", "network"),
    *("GPU_group", "VBD", "VIF", "VGPU_type", "VGPU", "VTPM"),
)


class Imports(ImportedDevices):
    async def import_objects(self, objects: list[dict[str, Any]], wanted: Wanted) -> Import:
        """Make the objects; what was made goes again when one of them fails, unless the import is forced."""
        done = Import(wanted, [{**one, "snapshot": self._decoded(one["class"], one["snapshot"])} for one in objects if one["class"] in ORDER])
        if wanted.restore and not wanted.same_seeds:
            self._require_seeds_free(done)
        makers: dict[str, Callable[[Import, str, dict[str, Any]], Awaitable[None]]] = {
            "host": self.import_host,
            "SR": self.import_sr,
            "VDI": self.import_vdi,
            "VM_guest_metrics": self.import_guest_metrics,
            "VM_metrics": self.import_metrics,
            "VM": self.import_vm,
            "network": self.import_network,
            "GPU_group": self.import_gpu_group,
            "VBD": self.import_vbd,
            "VIF": self.import_vif,
            "VGPU_type": self.import_vgpu_type,
            "VGPU": self.import_vgpu,
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
        if not wanted.dry_run:
            self._relate_snapshots(done)
        return done

    def _decoded(self, cls: str, record: Mapping[str, Any]) -> dict[str, Any]:
        """A record as it comes out of an archive: numbers are text there."""
        fields = self.engine.schema.classes[cls].fields
        if cls == "VTPM":
            record = with_contents(record)
        result = {name: spec.default() for name, spec in fields.items() if not spec.internal}
        for name, value in record.items():
            if name in result:
                try:
                    result[name] = decode(fields[name].type, value, self.engine.schema.enums)
                except Failure:
                    # Words of another API level stand in fields that are made anew here.
                    if fields[name].create:
                        raise
        # What is in a TPM is no field that a client sees.
        return {**result, "contents": str(record.get("contents", ""))} if cls == "VTPM" else result

    async def undo_import(self, done: Import) -> None:
        """Nothing of an import that failed stays; of one that was forced, all that there is."""
        for step in reversed(done.undo) if not done.wanted.force else ():
            with contextlib.suppress(Failure):
                result = step()
                if result is not None:
                    await result

    def finish_import(self, done: Import) -> list[str]:
        """The VMs are free to be used; answers those that are no snapshots, or all when there are none but snapshots; the last comes first."""
        vms = list(dict.fromkeys(reversed(done.vms)))
        for vm in vms:
            self.db.drop("VM", vm, "current_operations", self.context.task)
            if vm not in done.kept:
                self.reset(vm, self.row(vm)["power_state"])
            self.update_operations(vm)
        proper = [vm for vm in vms if not self.row(vm)["is_a_snapshot"]]
        return proper or vms

    # Checks

    def require_importable(self, done: Import) -> None:
        """What an import of these VMs would be refused for, by their records alone."""
        if done.wanted.restore:
            self._require_seeds_free(done)
        for one in done.objects:
            if one["class"] == "VM":
                self.replaced(done, one["snapshot"])
                self.require_memory(done, one["snapshot"])

    def _require_seeds_free(self, done: Import) -> None:
        """NICs of two VMs with one seed would have the same addresses; a VM and its own snapshots may (assert_can_restore_backup)."""
        there = [(row["other_config"].get("mac_seed"), row) for _unused, row in self.db.items("VM")]
        for one in done.objects:
            seed = one["snapshot"].get("other_config", {}).get("mac_seed") if one["class"] == "VM" else None
            for other, row in there if seed else ():
                if other == seed and self._identity(done, one["snapshot"]) != self._identity(done, row):
                    # 8.2 told which VM it was.
                    raise Failure("DUPLICATE_VM", row["uuid"]) if self.engine.schema.level == "8.2" else Failure("DUPLICATE_MAC_SEED", str(seed))

    def _identity(self, done: Import, record: Mapping[str, Any]) -> object:
        """The uuid of a VM; of a snapshot, that of the VM that it was taken of. What cannot be told equals nothing."""
        if not record["is_a_snapshot"]:
            return record["uuid"]
        source = record["snapshot_of"]
        with contextlib.suppress(Failure, KeyError):
            if source.startswith("Ref:"):
                return done.record(source)["uuid"]
            return self.row(source)["uuid"] if self.is_set("VM", source) else fields_of(self.engine, record["snapshot_metadata"])["uuid"]
        return object()

    def _relate_snapshots(self, done: Import) -> None:
        for one in done.objects:
            if one["class"] == "VM" and one["id"] in done.table:
                vm, record = done.table[one["id"]], one["snapshot"]
                if vm in done.kept:
                    continue
                if record["is_a_snapshot"] and record["snapshot_of"] != NULL:
                    self.db.set("VM", vm, "snapshot_of", done.found(record["snapshot_of"]))
                if record["parent"] in done.table:
                    self.db.set("VM", vm, "parent", done.table[record["parent"]])
