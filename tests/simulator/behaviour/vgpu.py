# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""VGPU: the part of a GPU, or the whole, that a VM has (X/xapi_vgpu.ml), and on which GPU of a host it runs (X/vgpuops.ml)."""

from __future__ import annotations

import re

from ..engine.behaviour import Behaviour
from ..engine.failure import NULL, Failure, internal_error
from . import _pool_features

HIGHEST_DEVICE = 20
PASSTHROUGH = {"vendor_name": "", "model_name": "passthrough", "implementation": "passthrough", "identifier": "0001:passthrough"}
# Implementations that hand a PCI device to the VM, a whole one or one of its virtual functions (X/xapi_vgpu_type.ml requires_passthrough).
WHOLE, PART = ("passthrough",), ("mxgpu", "nvidia_sriov")


class Vgpu(Behaviour):
    cls = "VGPU"

    def create(self, vm: str, group: str, device: str, other_config: dict[str, str], kind: str) -> str:
        """The group is not looked up: xapi takes any reference, and no host has a GPU of it."""
        return self._create(vm, group, device, other_config, kind, anytime=self.db.get("VM", vm, "is_a_snapshot"))

    def _create(self, vm: str, group: str, device: str, other_config: dict[str, str], kind: str, *, anytime: bool) -> str:
        row = self.db.row("VM", vm)
        if not _pool_features.enabled(self.engine, "GPU"):
            raise Failure("FEATURE_RESTRICTED")
        if not anytime and row["power_state"] != "Halted":
            raise Failure("VM_BAD_POWER_STATE", vm, "halted", row["power_state"].lower())
        if kind == NULL:
            kind = self.passthrough()
        elif not self.is_set("VGPU_type", kind):
            raise Failure("INVALID_VALUE", "type", kind)
        for vgpu in row["VGPUs"]:
            if kind not in self.db.row("VGPU_type", self.row(vgpu)["type"]).get("compatible_types_in_vm", ()):
                raise Failure("VGPU_TYPE_NOT_COMPATIBLE", kind)
        number = self._free_device(vm, device)
        vgpu = self.db.create("VGPU", {"VM": vm, "GPU_group": group, "device": number, "other_config": other_config, "type": kind})
        self.other("VM").update_operations(vm)
        return vgpu

    def passthrough(self) -> str:
        """The type of a whole GPU; there is one in every pool that has needed it."""
        found = self.db.where("VGPU_type", implementation="passthrough")
        return found[0] if found else self.db.create("VGPU_type", PASSTHROUGH)

    def _free_device(self, vm: str, device: str) -> str:
        used = {int(self.row(vgpu)["device"]) for vgpu in self.db.get("VM", vm, "VGPUs")}
        if not re.fullmatch(r"-?[0-9]+", device):
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
        row = self.row(ref)
        new = self._create(vm, row["GPU_group"], row["device"], dict(row["other_config"]), row["type"], anytime=True)
        self.db.update("VGPU", new, compatibility_metadata=row["compatibility_metadata"], currently_attached=row["currently_attached"])
        return new

    def destroy(self, ref: str) -> None:
        vm = self.row(ref)["VM"]
        # A domain that is paused is one, too (Helpers.is_running).
        if self.db.get("VM", vm, "domid") != -1:
            raise Failure("OPERATION_NOT_ALLOWED", "vGPU currently attached to a running VM")
        self.db.delete("VGPU", ref)
        self.other("VM").update_operations(vm)

    def atomic_set_resident_on(self, ref: str, value: str) -> None:
        self.db.update("VGPU", ref, resident_on=value, scheduled_to_be_resident_on=NULL)

    # Which GPU

    def implementation(self, ref: str) -> str:
        return str(self.db.get("VGPU_type", self.row(ref)["type"], "implementation"))

    def choose(self, vm: str, host: str) -> dict[str, str]:
        """VGPU → GPU of this host, for every VGPU of the VM; refused when one finds no room (Vgpuops.allocate_vgpu_to_gpu)."""
        chosen: dict[str, str] = {}
        for vgpu in self.db.get("VM", vm, "VGPUs"):
            row = self.row(vgpu)
            group = self.db.tables["GPU_group"].rows.get(row["GPU_group"], {"PGPUs": []})
            room = {}
            for pgpu in group["PGPUs"]:
                if self.db.get("PGPU", pgpu, "host") == host:
                    beside = [self.row(other)["type"] for other, where in chosen.items() if where == pgpu]
                    room[pgpu] = self.other("PGPU").capacity(pgpu, row["type"], beside)
            fitting = sorted((pgpu for pgpu, most in room.items() if most > 0), key=lambda pgpu: room[pgpu])
            if not fitting:
                whole = self.implementation(vgpu) in WHOLE
                raise Failure("VM_REQUIRES_GPU", vm, row["GPU_group"]) if whole else Failure("VM_REQUIRES_VGPU", vm, row["GPU_group"], row["type"])
            chosen[vgpu] = fitting[-1] if group["allocation_algorithm"] == "breadth_first" else fitting[0]
        return chosen
