# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""VM.revert: a VM becomes again what its snapshot was (facts 3.3, X/xapi_vm_snapshot.ml)."""

from __future__ import annotations

from typing import Any

from ..engine.behaviour import locks_itself
from ..engine.failure import NULL, Failure
from ._vm_copy import Copies, fresh_generation
from ._vm_metadata import fields_of, metadata_of
from ._words import words

# Fields that the VM keeps.
KEPT = frozenset(
    words(
        "uuid suspend_VDI power_state parent current_operations allowed_operations metrics guest_metrics resident_on domid protection_policy "
        "snapshot_schedule scheduled_to_be_resident_on snapshots tags affinity groups consoles VBDs VIFs VGPUs VUSBs VTPMs attached_PCIs "
        "is_snapshot_from_vmpp children crash_dumps"
    )
)
# Beside them, what makes the difference between a snapshot's own row and that of its VM.
KEPT_WITHOUT_METADATA = KEPT | frozenset(
    words("name_label is_a_snapshot is_a_template is_default_template snapshot_of snapshot_time transportable_snapshot_id")
)
# Failures that a client sees; all others become VM_REVERT_FAILED.
TOLD = ("SR_BACKEND_FAILURE_44", "SR_BACKEND_FAILURE_109", "VDI_INCOMPATIBLE_TYPE")


class Reverts(Copies):
    @locks_itself
    async def revert(self, ref: str) -> None:
        vm = self.row(ref)["snapshot_of"]
        if not self.is_set("VM", vm):
            vm = self._recreate(ref)
        operations = self.engine.operations
        async with operations.hold("VM", ref, "revert"), operations.hold("VM", vm, "reverting"):
            await self.engine.pass_time("VM.revert")
            self._require_image_reachable(ref)
            if self.row(vm)["power_state"] != "Halted":
                async with operations.hold("VM", vm, "hard_shutdown"):
                    await self.power_off(vm)
                    self.report("VM_SHUTDOWN", vm, "shutdown forcibly")
            self._restore_fields(ref, vm)
            await self._restore(ref, vm)
        label, uuid = self.name_of(ref)
        self.report("VM_SNAPSHOT_REVERTED", vm, f"reverted to snapshot: {label} (uuid {uuid})")

    def _recreate(self, ref: str) -> str:
        """The VM is gone: it is made again, with its uuid, and its snapshots are its own again."""
        row = self.row(ref)
        lost = row["snapshot_of"]
        try:
            fields = fields_of(self.engine, row["snapshot_metadata"])
            values = {field.name: row[field.name] for field in self.engine.schema.classes["VM"].fields.values() if field.create}
            uuid = fields["uuid"]
        except (Failure, KeyError):
            raise Failure("VM_REVERT_FAILED", ref, lost) from None
        vm = self.create({**values, "suspend_VDI": NULL, "power_state": "Halted"})
        self.db.set("VM", vm, "uuid", uuid)
        self._write(vm, fields, KEPT)
        for snapshot in self.db.where("VM", snapshot_of=lost):
            self.db.set("VM", snapshot, "snapshot_of", vm)
        return vm

    def _require_image_reachable(self, ref: str) -> None:
        """A sleeping snapshot needs its image: better to know before the VM's disks are gone."""
        row = self.row(ref)
        if row["power_state"] != "Suspended":
            return
        sr = self.db.row("VDI", row["suspend_VDI"])["SR"]
        hosts = [self.db.get("PBD", pbd, "host") for pbd in self.db.get("SR", sr, "PBDs") if self.db.get("PBD", pbd, "currently_attached")]
        if not hosts:
            raise Failure("SR_HAS_NO_PBDS", sr)
        if not self.is_live(hosts[0]):
            raise Failure("HOST_NOT_LIVE", hosts[0])

    def _restore_fields(self, ref: str, vm: str) -> None:
        metadata = self.row(ref)["snapshot_metadata"]
        if metadata:
            self._write(vm, fields_of(self.engine, metadata), KEPT)
        else:
            self._write(vm, fields_of(self.engine, metadata_of(self.engine, ref)), KEPT_WITHOUT_METADATA)

    def _write(self, vm: str, fields: dict[str, Any], kept: frozenset[str]) -> None:
        if fields.get("domain_type", "unspecified") == "unspecified":
            fields["domain_type"] = "hvm" if fields.get("HVM_boot_policy") else "pv"
        fields["ha_always_run"] = False
        self.db.update("VM", vm, **{name: value for name, value in fields.items() if name not in kept})

    async def _restore(self, ref: str, vm: str) -> None:
        state = self.row(ref)["power_state"]
        self.db.set("VM", vm, "generation_id", fresh_generation(self.row(vm)["generation_id"]))
        try:
            await self._replace_devices(ref, vm)
            self._replace_metrics(ref, vm)
            self.db.set("VM", vm, "parent", ref)
        except Failure as failure:
            self.reset(vm, "Halted")
            if failure.code in TOLD:
                raise
            raise Failure("VM_REVERT_FAILED", ref, vm) from None
        self.reset(vm, state)

    async def _replace_devices(self, ref: str, vm: str) -> None:
        snapshot, row = self.row(ref), self.row(vm)
        old_drives = list(row["VBDs"])
        sources = {self.db.get("VDI", vdi, "snapshot_of") for vdi in self._disk_drives(ref).values()}
        old_disks = [vdi for vdi in self._disk_drives(vm).values() if vdi in sources]
        old_nics, image = list(row["VIFs"]), row["suspend_VDI"]
        for vbd in old_drives:
            self.other("VBD").destroy(vbd)
        for vdi in [image, *old_disks]:
            if self.is_set("VDI", vdi) and self.db.get("SR", self.db.get("VDI", vdi, "SR"), "content_type") != "iso":
                await self.call("VDI", "destroy", vdi)
        disks = await self.duplicate_disks(list(self._disk_drives(ref)), "clone")
        disks += await self.duplicate_disks([vbd for vbd in snapshot["VBDs"] if self.db.get("VBD", vbd, "type") == "CD"], "clone")
        self._point_snapshots_at(disks)
        for vbd, vdi, _unused in disks:
            self.other("VBD").copy(vbd, vm, vdi)
        new_image = await self._duplicate_disk(snapshot["suspend_VDI"], "clone") if snapshot["suspend_VDI"] != NULL else NULL
        self.db.set("VM", vm, "suspend_VDI", new_image)
        for vif in old_nics:
            self.other("VIF").destroy(vif)
        for vif in snapshot["VIFs"]:
            self.other("VIF").copy(vif, vm, keep_mac=True)
        self._replace_other_devices(ref, vm)

    def _disk_drives(self, ref: str) -> dict[str, str]:
        """Drive → disk of a VM's hard disks."""
        drives = {vbd: self.db.row("VBD", vbd) for vbd in self.row(ref)["VBDs"]}
        return {vbd: drive["VDI"] for vbd, drive in drives.items() if drive["type"] == "Disk"}

    def _point_snapshots_at(self, disks: list[tuple[str, str, bool]]) -> None:
        """All snapshots of a replaced disk are snapshots of the new one."""
        for vbd, vdi, fresh in disks:
            if fresh:
                source = self.db.get("VDI", self.db.get("VBD", vbd, "VDI"), "snapshot_of")
                for sibling in self.db.where("VDI", snapshot_of=source) if source != NULL else ():
                    self.db.set("VDI", sibling, "snapshot_of", vdi)

    def _replace_other_devices(self, ref: str, vm: str) -> None:
        row, snapshot = self.row(vm), self.row(ref)
        for cls in ("VUSB", "VGPU"):
            for device in list(row[f"{cls}s"]):
                self.db.delete(cls, device)
        for vgpu in snapshot["VGPUs"]:
            self.other("VGPU").copy(vgpu, vm)
        for vtpm in list(row["VTPMs"]):
            self.other("VTPM").discard(vtpm)
        for vtpm in snapshot["VTPMs"]:
            self.other("VTPM").copy(vtpm, vm)

    def _replace_metrics(self, ref: str, vm: str) -> None:
        row, snapshot = self.row(vm), self.row(ref)
        old_metrics = row["metrics"]
        if self.is_set("VM_metrics", snapshot["metrics"]):
            self.db.set("VM", vm, "metrics", self.copy_metrics(ref))
        if self.is_set("VM_metrics", old_metrics) and self.row(vm)["metrics"] != old_metrics:
            self.db.delete("VM_metrics", old_metrics)
        old_guest = row["guest_metrics"]
        if self.is_set("VM_guest_metrics", snapshot["guest_metrics"]):
            self.db.set("VM", vm, "guest_metrics", self.copy_guest_metrics(ref))
        # Without metrics to copy the reference dangles, as xapi leaves it.
        if self.is_set("VM_guest_metrics", old_guest):
            self.db.delete("VM_guest_metrics", old_guest)
