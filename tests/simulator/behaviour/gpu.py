# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""VGPU, PGPU, GPU_group and PCI: graphics passed through, as far as clients see it (X/xapi_vgpu.ml, xapi_pgpu.ml, xapi_gpu_group.ml)."""

from __future__ import annotations

import re

from ..engine.behaviour import Behaviour
from ..engine.failure import NULL, Failure, internal_error
from . import _pool_features

HIGHEST_DEVICE = 20
PASSTHROUGH = {"vendor_name": "", "model_name": "passthrough", "implementation": "passthrough"}


class Vgpu(Behaviour):
    cls = "VGPU"

    def create(self, vm: str, group: str, device: str, other_config: dict[str, str], kind: str) -> str:
        row = self.db.row("VM", vm)
        self.existing("GPU_group", group)
        if not _pool_features.enabled(self.engine, "GPU"):
            raise Failure("FEATURE_RESTRICTED")
        if not row["is_a_snapshot"] and row["power_state"] != "Halted":
            raise Failure("VM_BAD_POWER_STATE", vm, "halted", row["power_state"].lower())
        if kind == NULL:
            kind = self._passthrough()
        elif not self.is_set("VGPU_type", kind):
            raise Failure("INVALID_VALUE", "type", kind)
        for vgpu in row["VGPUs"]:
            if kind not in self.db.row("VGPU_type", self.row(vgpu)["type"]).get("compatible_types_in_vm", ()):
                raise Failure("VGPU_TYPE_NOT_COMPATIBLE", kind)
        number = self._free_device(vm, device)
        return self.db.create("VGPU", {"VM": vm, "GPU_group": group, "device": number, "other_config": other_config, "type": kind})

    def _passthrough(self) -> str:
        found = self.db.where("VGPU_type", implementation="passthrough")
        return found[0] if found else self.db.create("VGPU_type", PASSTHROUGH)

    def _free_device(self, vm: str, device: str) -> str:
        used = {int(self.row(vgpu)["device"]) for vgpu in self.db.get("VM", vm, "VGPUs")}
        if not re.fullmatch(r"-?\d+", device):
            raise internal_error('Failure("int_of_string")')
        wanted = int(device)
        if wanted == 0:
            free = [number for number in range(HIGHEST_DEVICE + 1) if number not in used]
            if not free:
                raise Failure("VM_PCI_BUS_FULL", vm)
            return str(free[0])
        if wanted in used:
            raise Failure("DEVICE_ALREADY_EXISTS", device)
        if not 0 <= wanted <= HIGHEST_DEVICE:
            raise Failure("INVALID_DEVICE", device)
        return device

    def copy(self, ref: str, vm: str) -> str:
        kept = ("GPU_group", "device", "other_config", "type", "compatibility_metadata", "currently_attached")
        row = self.row(ref)
        return self.db.create("VGPU", {"VM": vm, **{name: row[name] for name in kept if name in row}})

    def destroy(self, ref: str) -> None:
        if self.db.get("VM", self.row(ref)["VM"], "power_state") == "Running":
            raise Failure("OPERATION_NOT_ALLOWED", "vGPU currently attached to a running VM")
        self.db.delete("VGPU", ref)

    def atomic_set_resident_on(self, ref: str, value: str) -> None:
        self.db.update("VGPU", ref, resident_on=value, scheduled_to_be_resident_on=NULL)

    def require_available(self, vm: str, host: str) -> None:
        """A GPU with room for every VGPU of the VM on this host (Vgpuops.allocate_vgpu_to_gpu)."""
        for vgpu in self.db.get("VM", vm, "VGPUs"):
            row = self.row(vgpu)
            pgpus = [pgpu for pgpu in self.db.get("GPU_group", row["GPU_group"], "PGPUs") if self.db.get("PGPU", pgpu, "host") == host]
            if not any(self.other("PGPU").get_remaining_capacity(pgpu, row["type"]) for pgpu in pgpus):
                raise Failure("VM_REQUIRES_GPU", vm, row["GPU_group"])


class Pgpu(Behaviour):
    cls = "PGPU"

    def refusal(self, ref: str, kind: str) -> Failure | None:
        """Why this GPU takes no (further) VGPU of the type."""
        row = self.row(ref)
        if kind not in row["supported_VGPU_types"]:
            return Failure("VGPU_TYPE_NOT_SUPPORTED", kind, ",".join(row["supported_VGPU_types"]))
        if kind not in row["enabled_VGPU_types"]:
            return Failure("VGPU_TYPE_NOT_ENABLED", kind, ",".join(row["enabled_VGPU_types"]))
        running = {self.db.get("VGPU", vgpu, "type") for vgpu in row["resident_VGPUs"]}
        if running - {kind}:
            return Failure("VGPU_TYPE_NOT_COMPATIBLE_WITH_RUNNING_TYPE", ref, kind, next(iter(running - {kind})))
        if self._room(ref, kind) <= 0:
            return Failure("PGPU_INSUFFICIENT_CAPACITY_FOR_VGPU", ref, kind)
        return None

    def _room(self, ref: str, kind: str) -> int:
        row = self.row(ref)
        booked = len(self.db.where("VGPU", scheduled_to_be_resident_on=ref))
        return int(row["supported_VGPU_max_capacities"].get(kind, 1)) - len(row["resident_VGPUs"]) - booked

    def get_remaining_capacity(self, ref: str, kind: str) -> int:
        self.existing("VGPU_type", kind)
        return 0 if self.refusal(ref, kind) else self._room(ref, kind)

    def add_enabled_VGPU_types(self, ref: str, value: str) -> None:
        self.set_enabled_VGPU_types(ref, list(dict.fromkeys([value, *self.row(ref)["enabled_VGPU_types"]])))

    def remove_enabled_VGPU_types(self, ref: str, value: str) -> None:
        self.set_enabled_VGPU_types(ref, [kind for kind in self.row(ref)["enabled_VGPU_types"] if kind != value])

    def set_enabled_VGPU_types(self, ref: str, value: list[str]) -> None:
        row = self.row(ref)
        for kind in value:
            if kind not in row["supported_VGPU_types"]:
                raise Failure("VGPU_TYPE_NOT_SUPPORTED", kind, ",".join(row["supported_VGPU_types"]))
        gone = set(row["enabled_VGPU_types"]) - set(value)
        users = [vgpu for vgpu in row["resident_VGPUs"] if self.db.get("VGPU", vgpu, "type") in gone]
        if users:
            raise Failure("PGPU_IN_USE_BY_VM", *(self.db.get("VGPU", vgpu, "VM") for vgpu in users))
        self.db.set("PGPU", ref, "enabled_VGPU_types", value)
        self._update_group(row["GPU_group"])

    def _update_group(self, group: str) -> None:
        if self.is_set("GPU_group", group):
            self.other("GPU_group").update_enabled_VGPU_types(group)
            self.other("GPU_group").update_supported_VGPU_types(group)

    def set_GPU_group(self, ref: str, value: str) -> None:
        row, group = self.row(ref), self.db.row("GPU_group", value)
        if row["resident_VGPUs"]:
            raise Failure("PGPU_IN_USE_BY_VM", *(self.db.get("VGPU", vgpu, "VM") for vgpu in row["resident_VGPUs"]))
        pci = self.db.row("PCI", row["PCI"])
        kind = f"{pci['vendor_id']}/{pci['device_id']}"
        if group["GPU_types"] and kind not in group["GPU_types"]:
            raise Failure("PGPU_NOT_COMPATIBLE_WITH_GPU_GROUP", kind, "[" + ", ".join(group["GPU_types"]) + "]")
        old = row["GPU_group"]
        self.db.set("PGPU", ref, "GPU_group", value)
        self.db.set("GPU_group", value, "GPU_types", group["GPU_types"] or [kind])
        for changed in (old, value):
            self._update_group(changed)

    def enable_dom0_access(self, ref: str) -> str:
        return str(self.other("PCI").enable_dom0_access(self.row(ref)["PCI"]))

    def disable_dom0_access(self, ref: str) -> str:
        return str(self.other("PCI").disable_dom0_access(self.row(ref)["PCI"]))


class GpuGroup(Behaviour):
    cls = "GPU_group"

    def create(self, name_label: str, name_description: str, other_config: dict[str, str]) -> str:
        values = {"name_label": name_label, "name_description": name_description, "other_config": other_config}
        return self.db.create("GPU_group", {**values, "allocation_algorithm": "depth_first"})

    def destroy(self, ref: str) -> None:
        row = self.row(ref)
        attached = [vgpu for vgpu in row["VGPUs"] if self.db.get("VGPU", vgpu, "currently_attached")]
        if attached:
            raise Failure("GPU_GROUP_CONTAINS_VGPU", *attached)
        if row["PGPUs"]:
            raise Failure("GPU_GROUP_CONTAINS_PGPU", *row["PGPUs"])
        for vgpu in list(row["VGPUs"]):
            self.db.delete("VGPU", vgpu)
        self.db.delete("GPU_group", ref)

    def update_enabled_VGPU_types(self, ref: str) -> None:
        self.db.set("GPU_group", ref, "enabled_VGPU_types", self._union(ref, "enabled_VGPU_types"))

    def update_supported_VGPU_types(self, ref: str) -> None:
        self.db.set("GPU_group", ref, "supported_VGPU_types", self._union(ref, "supported_VGPU_types"))

    def _union(self, ref: str, field: str) -> list[str]:
        return list(dict.fromkeys(kind for pgpu in self.row(ref)["PGPUs"] for kind in self.db.get("PGPU", pgpu, field)))

    def get_remaining_capacity(self, ref: str, kind: str) -> int:
        self.existing("VGPU_type", kind)
        return sum(self.other("PGPU").get_remaining_capacity(pgpu, kind) for pgpu in self.row(ref)["PGPUs"])
