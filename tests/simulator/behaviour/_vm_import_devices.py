# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Drives, NICs, GPUs and TPMs of an archive's VMs (X/import.ml)."""

from __future__ import annotations

from typing import Any

from ..engine.failure import NULL, Failure
from . import _pool_features
from . import _vm_memory as memory
from ._vm_import_objects import Import
from ._vm_import_vm import ImportedVMs

# Fields of a type of VGPU that another pool's have, too; sizes come with the driver's own list.
TYPE_FIELDS = (
    *("vendor_name", "model_name", "framebuffer_size", "max_heads", "max_resolution_x", "max_resolution_y"),
    *("implementation", "identifier", "experimental"),
)


class ImportedDevices(ImportedVMs):
    def _found(self, done: Import, cls: str, name: str, record: dict[str, Any]) -> bool:
        """Restoring: a device of that identity stays as it is, whatever VM it belongs to — even to one that is gone."""
        found = self.db.table(cls).by_uuid.get(record["uuid"]) if done.wanted.restore else None
        if found is not None:
            done.table[name] = found
        return found is not None

    async def import_gpu_group(self, done: Import, name: str, record: dict[str, Any]) -> None:
        """The group of GPUs of the same kind; one without GPUs when there is none and disks come along."""
        found = [ref for ref, row in self.db.items("GPU_group") if row["GPU_types"] == record["GPU_types"]]
        if found:
            done.table[name] = found[0]
        elif not done.wanted.sr:
            types = ",".join(record["GPU_types"])
            raise broken(f"Unable to find GPU group with matching GPU_types = '[{types}]'")
        else:
            config = {**record["other_config"], "import_task": self.context.task}
            group = self.other("GPU_group").create(record["name_label"], record["name_description"], config)
            self.db.set("GPU_group", group, "GPU_types", record["GPU_types"])
            done.undo.append(lambda: self.other("GPU_group").destroy(group))
            done.table[name] = group

    async def import_vbd(self, done: Import, name: str, record: dict[str, Any]) -> None:
        if self._found(done, "VBD", name, record):
            return
        vm, is_cd = done.found(record["VM"]), record["type"] == "CD"
        original = done.record(record["VM"])
        asleep, has_qemu = original["power_state"] == "Suspended", memory.kind_of(original) == "hvm"
        vdi = done.table.get(record["VDI"])
        if vdi is None:
            ejected = done.wanted.dry_run and done.wanted.live and not asleep
            if record["currently_attached"] and not (is_cd and (has_qemu or ejected)):
                raise Failure("IMPORT_ERROR_ATTACHED_DISKS_NOT_FOUND")
            if record["type"] == "Disk":
                return
            if has_qemu or not asleep:
                record = {**record, "VDI": NULL, "empty": True}
        if done.wanted.dry_run:
            return
        values = {**record, "VM": vm, "VDI": vdi or record["VDI"], "device": "", "currently_attached": False}
        fields = self.engine.schema.classes["VBD"].fields
        ref = self.other("VBD").create({key: value for key, value in values.items() if fields[key].create or key == "device"})
        done.undo.append(lambda: self.other("VBD").discard(ref) if self.db.exists("VBD", ref) else None)
        if done.wanted.restore:
            self.db.set("VBD", ref, "uuid", record["uuid"])
        self.db.set("VBD", ref, "currently_attached", record["currently_attached"])
        done.table[name] = ref

    async def import_vif(self, done: Import, name: str, record: dict[str, Any]) -> None:
        if self._found(done, "VIF", name, record):
            return
        vm, network = done.found(record["VM"]), done.wanted.networks.get(name) or done.found(record["network"])
        if done.wanted.dry_run:
            return
        values = {**record, "VM": vm, "network": network, "MAC": record["MAC"] if done.wanted.restore else "", "currently_attached": False}
        if not _pool_features.enabled(self.engine, "VIF_locking"):
            mode = "network_default" if record["locking_mode"] == "locked" else record["locking_mode"]
            values |= {"locking_mode": mode, "ipv4_allowed": [], "ipv6_allowed": []}
        fields = self.engine.schema.classes["VIF"].fields
        ref = self.other("VIF").create({key: value for key, value in values.items() if fields[key].create})
        done.undo.append(lambda: self.other("VIF").discard(ref) if self.db.exists("VIF", ref) else None)
        if done.wanted.restore:
            self.db.set("VIF", ref, "uuid", record["uuid"])
        if self.row(vm)["power_state"] != "Halted":
            self.db.set("VIF", ref, "currently_attached", record["currently_attached"])
        done.table[name] = ref

    async def import_vgpu_type(self, done: Import, name: str, record: dict[str, Any]) -> None:
        by_name = {key: record[key] for key in ("vendor_name", "model_name")}
        found = self.db.where("VGPU_type", identifier=record["identifier"]) or self.db.where("VGPU_type", **by_name)
        if found or done.wanted.dry_run:
            done.table[name] = found[0] if found else name
            return
        ref = self.db.create("VGPU_type", {key: record[key] for key in TYPE_FIELDS})
        if record["compatible_types_in_vm"]:
            self.db.set("VGPU_type", ref, "compatible_types_in_vm", [ref])
        done.undo.append(lambda: self.db.delete("VGPU_type", ref))
        done.table[name] = ref

    async def import_vgpu(self, done: Import, name: str, record: dict[str, Any]) -> None:
        if self._found(done, "VGPU", name, record):
            return
        vm, group, kind = done.found(record["VM"]), done.found(record["GPU_group"]), done.found(record["type"])
        if done.wanted.live:
            here = [pgpu for pgpu in self.db.get("GPU_group", group, "PGPUs") if self.db.get("PGPU", pgpu, "host") == self.context.host]
            if not any(self.other("PGPU").capacity(pgpu, kind) for pgpu in here):
                raise Failure("VM_REQUIRES_GPU", vm, group)
        if done.wanted.dry_run:
            return
        ref = self.other("VGPU").create(vm, group, record["device"], record["other_config"], kind)
        done.undo.append(lambda: self.db.delete("VGPU", ref) if self.db.exists("VGPU", ref) else None)
        if done.wanted.restore:
            self.db.set("VGPU", ref, "uuid", record["uuid"])
        if self.row(vm)["power_state"] != "Halted":
            self.db.set("VGPU", ref, "currently_attached", record["currently_attached"])
        done.table[name] = ref

    async def import_vtpm(self, done: Import, name: str, record: dict[str, Any]) -> None:
        vtpms = self.other("VTPM")
        if done.wanted.restore and record["uuid"] in self.db.table("VTPM").by_uuid:
            raise Failure("IMPORT_ERROR", f"A VTPM with UUID {record['uuid']} already exists")
        if done.wanted.dry_run:
            return
        vm = done.found(record["VM"])
        vtpms.require_allowed(vm)
        ref = vtpms.insert(vm, is_unique=record["is_unique"], contents="")
        done.table[name] = ref
        self.db.set("VTPM", ref, "is_protected", record["is_protected"])
        vtpms.set_contents(ref, record["contents"])
        if done.wanted.restore:
            self.db.set("VTPM", ref, "uuid", record["uuid"])


def broken(text: str) -> Failure:
    """What an import makes of an exception that is no failure of the API."""
    return Failure("IMPORT_ERROR", f'INTERNAL_ERROR: [ Failure("{text}") ]')
