# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""PGPU and GPU_group: the GPUs of the hosts and what room they have (X/xapi_pgpu.ml, xapi_pgpu_helpers.ml, xapi_gpu_group.ml)."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from ..engine.behaviour import Behaviour
from ..engine.failure import Failure
from . import _pool_features


class Pgpu(Behaviour):
    cls = "PGPU"

    def refusal(self, ref: str, kind: str, beside: Iterable[str] = ()) -> Failure | None:
        """Why this GPU takes no (further) VGPU of the type; `beside` are types that it is to take as well."""
        row = self.row(ref)
        if kind not in row["supported_VGPU_types"]:
            return Failure("VGPU_TYPE_NOT_SUPPORTED", kind, *row["supported_VGPU_types"])
        if kind not in row["enabled_VGPU_types"]:
            return Failure("VGPU_TYPE_NOT_ENABLED", kind, *row["enabled_VGPU_types"])
        present = sorted({self.db.get("VGPU", vgpu, "type") for vgpu in self._allocated(ref)})
        if any(kind not in self._shares_with(one) for one in present):
            return Failure("VGPU_TYPE_NOT_COMPATIBLE_WITH_RUNNING_TYPE", ref, kind, ";".join(present))
        if self._room(ref, kind, beside) <= 0:
            return Failure("PGPU_INSUFFICIENT_CAPACITY_FOR_VGPU", ref, kind)
        return None

    def _allocated(self, ref: str) -> list[str]:
        """VGPUs that run on this GPU, or are going to."""
        return [*self.row(ref)["resident_VGPUs"], *self.db.where("VGPU", scheduled_to_be_resident_on=ref)]

    def _shares_with(self, kind: str) -> list[str]:
        """Types that run beside a VGPU of this type on one GPU. No message tells, so a saved pool has nothing to say: its own, then."""
        row = self.db.row("VGPU_type", kind)
        return list(row["compatible_types_on_pgpu"]) or ([] if row["implementation"] == "passthrough" else [kind])

    def _room(self, ref: str, kind: str, beside: Iterable[str]) -> int:
        row = self.row(ref)
        if self.db.get("VGPU_type", kind, "implementation") == "passthrough":
            attached = self.db.table("PCI").rows.get(row["PCI"], {"attached_VMs": []})["attached_VMs"]
            return 0 if attached or list(beside) or self.db.where("VGPU", scheduled_to_be_resident_on=ref) else 1
        most = row["supported_VGPU_max_capacities"]
        kinds = [*(self.db.get("VGPU", vgpu, "type") for vgpu in self._allocated(ref)), *beside]
        used = sum(Fraction(1, int(most.get(one) or 1)) for one in kinds)
        return int((1 - used) * int(most.get(kind) or 1))

    def capacity(self, ref: str, kind: str, beside: Iterable[str] = ()) -> int:
        beside = list(beside)
        return 0 if self.refusal(ref, kind, beside) else self._room(ref, kind, beside)

    def get_remaining_capacity(self, ref: str, kind: str) -> int:
        """Nothing is refused here: of a type that nobody knows, the GPU has no room for any."""
        self.existing("PGPU", ref)
        return self.capacity(ref, kind)

    def add_enabled_VGPU_types(self, ref: str, value: str) -> None:
        self._require_supported(ref, [value])
        self._enable(ref, list(dict.fromkeys([*self.row(ref)["enabled_VGPU_types"], value])))

    def remove_enabled_VGPU_types(self, ref: str, value: str) -> None:
        self._require_unused(ref, [value])
        self._enable(ref, [kind for kind in self.row(ref)["enabled_VGPU_types"] if kind != value])

    def set_enabled_VGPU_types(self, ref: str, value: list[str]) -> None:
        enabled = self.row(ref)["enabled_VGPU_types"]
        self._require_supported(ref, [kind for kind in value if kind not in enabled])
        self._require_unused(ref, [kind for kind in enabled if kind not in value])
        self._enable(ref, list(dict.fromkeys(value)))

    def _require_supported(self, ref: str, kinds: list[str]) -> None:
        supported = self.row(ref)["supported_VGPU_types"]
        for kind in kinds:
            if kind not in supported:
                raise Failure("VGPU_TYPE_NOT_SUPPORTED", kind, *supported)

    def _require_unused(self, ref: str, kinds: list[str]) -> None:
        for kind in kinds:
            users = self.db.where("VGPU", resident_on=self.existing("PGPU", ref), type=kind)
            if users:
                raise Failure("PGPU_IN_USE_BY_VM", *(self.db.get("VGPU", vgpu, "VM") for vgpu in users))

    def _enable(self, ref: str, kinds: list[str]) -> None:
        self.db.set("PGPU", ref, "enabled_VGPU_types", kinds)
        group = self.row(ref)["GPU_group"]
        if self.is_set("GPU_group", group):
            self.other("GPU_group").update_enabled_VGPU_types(group)

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
            if self.is_set("GPU_group", changed):
                self.other("GPU_group").update_enabled_VGPU_types(changed)
                self.other("GPU_group").update_supported_VGPU_types(changed)

    def enable_dom0_access(self, ref: str) -> str:
        return str(self.other("PCI").enable_dom0_access(self.row(ref)["PCI"]))

    def disable_dom0_access(self, ref: str) -> str:
        row = self.row(ref)
        if not _pool_features.enabled(self.engine, "Integrated_GPU"):
            raise Failure("FEATURE_RESTRICTED")
        return str(self.other("PCI").disable_dom0_access(row["PCI"]))


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
        return sorted({kind for pgpu in self.row(ref)["PGPUs"] for kind in self.db.get("PGPU", pgpu, field)})

    def get_remaining_capacity(self, ref: str, kind: str) -> int:
        return sum(self.other("PGPU").capacity(pgpu, kind) for pgpu in self.row(ref)["PGPUs"])
