# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""VM: memory, VCPUs, and virtual hardware (facts 3.3)."""

from __future__ import annotations

from ..engine.behaviour import operation
from ..engine.failure import Failure
from . import _pool_features
from . import _vm_memory as memory
from ._vm_placement import Placement
from ._vm_platform import is_true
from ._vm_record import Records
from ._vm_strings import GENERIC_BIOS_STRINGS, require_valid

VCPU_RULE = "VCPU values must satisfy: 0 < VCPUs_at_startup ≤ VCPUs_max"
LIVE_VCPU_RULE = "VCPU values must satisfy: 0 < VCPUs ≤ VCPUs_max"
HVM_POLICY = "BIOS order"


class Settings(Placement, Records):
    # Memory

    def require_valid_memory(self, ref: str, static_min: int, dynamic_min: int, dynamic_max: int, static_max: int) -> None:
        """MEMORY_CONSTRAINT_VIOLATION_ORDER; where ballooning is out of the question MEMORY_CONSTRAINT_VIOLATION_MAXPIN."""
        row = self.row(ref)
        reason = ""
        if not _pool_features.enabled(self.engine, "DMC"):
            reason = "DMC disabled"
        elif row["is_control_domain"]:
            reason = "control domain"
        elif self.metrics_row(ref).get("nested_virt", is_true(row["platform"].get("nested-virt"))):
            reason = "nested virt"
        if reason:
            if not (static_min <= dynamic_min == dynamic_max == static_max):
                raise Failure("MEMORY_CONSTRAINT_VIOLATION_MAXPIN", reason)
        elif not memory.in_order(static_min, dynamic_min, dynamic_max, static_max):
            raise Failure("MEMORY_CONSTRAINT_VIOLATION_ORDER")

    @operation("changing_memory_limits")
    def set_memory_limits(self, ref: str, static_min: int, static_max: int, dynamic_min: int, dynamic_max: int) -> None:
        self._set_limits(ref, static_min, static_max, dynamic_min, dynamic_max)

    @operation("changing_memory_limits")
    def set_memory(self, ref: str, value: int) -> None:
        self._set_limits(ref, self.row(ref)["memory_static_min"], value, value, value)

    def _set_limits(self, ref: str, static_min: int, static_max: int, dynamic_min: int, dynamic_max: int) -> None:
        self.require_valid_memory(ref, static_min, dynamic_min, dynamic_max, static_max)
        self.db.update(
            "VM",
            ref,
            memory_static_min=static_min,
            memory_dynamic_min=dynamic_min,
            memory_target=dynamic_min,
            memory_dynamic_max=dynamic_max,
            memory_static_max=static_max,
        )
        self._limits_changed(ref)

    def _limits_changed(self, ref: str) -> None:
        self.update_overhead(ref)
        row = self.row(ref)
        if row["is_control_domain"] and row["power_state"] == "Running":
            self.db.set("VM", ref, "requires_reboot", True)

    @operation("changing_static_range")
    def set_memory_static_range(self, ref: str, lowest: int, highest: int) -> None:
        self._set_static(ref, lowest, highest)

    @operation("changing_static_range")
    def set_memory_static_min(self, ref: str, value: int) -> None:
        self._set_static(ref, value, self.row(ref)["memory_static_max"])

    @operation("changing_static_range")
    def set_memory_static_max(self, ref: str, value: int) -> None:
        self._set_static(ref, self.row(ref)["memory_static_min"], value)

    def _set_static(self, ref: str, lowest: int, highest: int) -> None:
        row = self.row(ref)
        self.require_valid_memory(ref, lowest, row["memory_dynamic_min"], row["memory_dynamic_max"], highest)
        self.db.update("VM", ref, memory_static_min=lowest, memory_static_max=highest)
        self._limits_changed(ref)

    @operation("changing_dynamic_range")
    def set_memory_dynamic_range(self, ref: str, lowest: int, highest: int) -> None:
        self._set_dynamic(ref, lowest, highest)

    @operation("changing_dynamic_range")
    def set_memory_dynamic_min(self, ref: str, value: int) -> None:
        self._set_dynamic(ref, value, self.row(ref)["memory_dynamic_max"])

    @operation("changing_dynamic_range")
    def set_memory_dynamic_max(self, ref: str, value: int) -> None:
        self._set_dynamic(ref, self.row(ref)["memory_dynamic_min"], value)

    def _set_dynamic(self, ref: str, lowest: int, highest: int) -> None:
        row = self.row(ref)
        more = lowest - row["memory_dynamic_min"]
        if row["power_state"] == "Running":
            free = memory.free(self.engine, row["resident_on"])
            if more > free:
                # In KiB, unlike everywhere else (facts 3.3).
                raise Failure("HOST_NOT_ENOUGH_FREE_MEMORY", str(more // 1024), str(free // 1024))
        self.require_valid_memory(ref, row["memory_static_min"], lowest, highest, row["memory_static_max"])
        self.db.update("VM", ref, memory_target=lowest, memory_dynamic_min=lowest, memory_dynamic_max=highest)

    @operation("changing_memory_live")
    def set_memory_target_live(self, ref: str, target: int) -> None:
        """Does nothing since ballooning follows the dynamic range."""

    @operation("awaiting_memory_live")
    def wait_memory_target_live(self, ref: str) -> None:
        """The guests of this simulator balloon at once."""

    def get_cooperative(self, ref: str) -> bool:
        return True

    def maximise_memory(self, ref: str, total: int, approximate: bool) -> int:
        return memory.largest(self.row(ref), total, approximate=approximate)

    # VCPUs

    @operation("changing_VCPUs")
    def set_VCPUs_max(self, ref: str, value: int) -> None:
        row = self.row(ref)
        if value < max(1, row["VCPUs_at_startup"]):
            raise Failure("INVALID_VALUE", VCPU_RULE, str(value))
        self.db.set("VM", ref, "VCPUs_max", value)
        self._limits_changed(ref)

    def set_VCPUs_at_startup(self, ref: str, value: int) -> None:
        if self.is_dom0(ref):
            raise Failure("OPERATION_NOT_ALLOWED", "set_VCPUs_at_startup is not allowed on dom0")
        if not 1 <= value <= self.row(ref)["VCPUs_max"]:
            raise Failure("INVALID_VALUE", VCPU_RULE, str(value))
        self.db.set("VM", ref, "VCPUs_at_startup", value)
        self.update_overhead(ref)

    @operation("changing_VCPUs_live")
    def set_VCPUs_number_live(self, ref: str, nvcpu: int) -> None:
        _pool_features.require(self.engine, "Live_set_vcpus")
        row = self.row(ref)
        if not 1 <= nvcpu <= row["VCPUs_max"]:
            raise Failure("INVALID_VALUE", LIVE_VCPU_RULE, str(nvcpu))
        self.db.set("VM", ref, "VCPUs_at_startup", nvcpu)
        if self.is_set("VM_metrics", row["metrics"]):
            self.db.set("VM_metrics", row["metrics"], "VCPUs_number", nvcpu)
        self.update_overhead(ref)

    @operation("changing_VCPUs_live")
    def add_to_VCPUs_params_live(self, ref: str, key: str, value: str) -> None:
        raise Failure("NOT_IMPLEMENTED", "add_to_VCPUs_params_live")

    # Boot and hardware

    def set_domain_type(self, ref: str, value: str) -> None:
        if value == "unspecified":
            raise Failure("INVALID_VALUE", "domain_type", value)
        self.db.update("VM", ref, domain_type=value, HVM_boot_policy=HVM_POLICY if value == "hvm" else "")

    def set_HVM_boot_policy(self, ref: str, value: str) -> None:
        self.db.update("VM", ref, domain_type="hvm" if value else "pv", HVM_boot_policy=value)

    @operation("changing_shadow_memory")
    def set_HVM_shadow_multiplier(self, ref: str, value: float) -> None:
        self._set_shadow(ref, value)

    @operation("changing_shadow_memory_live")
    def set_shadow_multiplier_live(self, ref: str, multiplier: float) -> None:
        self._set_shadow(ref, multiplier)

    def _set_shadow(self, ref: str, value: float) -> None:
        if value < 1.0:
            raise Failure("INVALID_VALUE", "multiplier", f"{value:.12g}")
        self.db.set("VM", ref, "HVM_shadow_multiplier", value)
        self.update_overhead(ref)

    @operation("changing_NVRAM")
    def set_NVRAM(self, ref: str, value: dict[str, str]) -> None:
        self.db.set("VM", ref, "NVRAM", value)

    @operation("changing_NVRAM")
    def add_to_NVRAM(self, ref: str, key: str, value: str) -> None:
        if key in self.row(ref)["NVRAM"]:
            raise Failure("MAP_DUPLICATE_KEY", "VM", "NVRAM", ref, key)
        self.db.put("VM", ref, "NVRAM", key, value)

    @operation("changing_NVRAM")
    def remove_from_NVRAM(self, ref: str, key: str) -> None:
        self.db.drop("VM", ref, "NVRAM", key)

    def set_NVRAM_EFI_variables(self, ref: str, value: str, update: str = "no") -> None:
        """From the guest's firmware; since 26 it also says whether it has newer certificates now."""
        self.db.put("VM", ref, "NVRAM", "EFI-variables", value)
        # What is unspecified is looked at, and nothing here finds certificates that end soon.
        if update != "no":
            self.db.set("VM", ref, "secureboot_certificates_state", "ok")

    def set_has_vendor_device(self, ref: str, value: bool) -> None:
        self.require_state(ref, "Halted")
        self.db.set("VM", ref, "has_vendor_device", value)
        if value:
            self.db.set("VM", ref, "hardware_platform_version", max(2, self.row(ref)["hardware_platform_version"]))

    def require_state(self, ref: str, *allowed: str) -> None:
        """The check of messages that are no operations: several states are joined by a semicolon (facts 3.2)."""
        state = self.row(ref)["power_state"]
        if state not in allowed:
            raise Failure("VM_BAD_POWER_STATE", ref, ";".join(allowed).lower(), state.lower())

    def set_bios_strings(self, ref: str, value: dict[str, str]) -> None:
        if self.row(ref)["bios_strings"]:
            raise Failure("VM_BIOS_STRINGS_ALREADY_SET")
        require_valid(value)
        self.db.set("VM", ref, "bios_strings", {key: value.get(key, text) for key, text in GENERIC_BIOS_STRINGS.items()})

    def copy_bios_strings(self, ref: str, host: str) -> None:
        strings = self.db.row("host", host)["bios_strings"]
        if self.row(ref)["bios_strings"]:
            raise Failure("VM_BIOS_STRINGS_ALREADY_SET")
        self.db.update("VM", ref, bios_strings=strings, affinity=host)
