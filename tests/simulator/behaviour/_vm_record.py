# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""VM: the record's life, its order, its protection and its membership (facts 3.3)."""

from __future__ import annotations

import contextlib
import uuid
from typing import Any

from ..engine.behaviour import operation
from ..engine.failure import NULL, Failure
from . import _pool_features
from . import _vm_memory as memory
from ._ha_plan import Change, require_plan_after
from ._vm_agent import Agents

PRIORITIES = ("restart", "best-effort", "")
# What VM.create takes and forgets.
IGNORED = ("blocked_operations", "protection_policy", "is_snapshot_from_vmpp", "snapshot_schedule", "is_vmss_snapshot", "current_operations")
# What a constructor may say about a sleeping VM only.
SLEEPING = ("suspend_VDI", "last_booted_record", "last_boot_CPU_flags")
OUTSIDERS = "Control domains, templates and snapshots cannot be assigned to appliances."
NO_GROUPS = "Control domains, templates, and snapshots cannot be added to VM groups."


class Records(Agents):
    def create(self, args: dict[str, Any]) -> str:
        values = {name: value for name, value in args.items() if name not in IGNORED}
        sleeping = values.get("power_state") == "Suspended"
        if "mac_seed" not in values["other_config"]:
            values["other_config"] = {"mac_seed": str(uuid.uuid4()), **values["other_config"]}
        if not sleeping:
            values = {name: value for name, value in values.items() if name not in SLEEPING}
        elif any(values.get(name) in ("", {}, NULL, None) for name in SLEEPING):
            raise Failure("VM_BAD_POWER_STATE", f"OpaqueRef:{uuid.uuid4()}", "halted", "suspended")
        metrics = self.fresh_metrics()
        if sleeping and "current_domain_type" in self.engine.schema.classes["VM_metrics"].fields:
            self.db.set("VM_metrics", metrics, "current_domain_type", values.get("domain_type", "unspecified"))
        values |= {"power_state": "Suspended" if sleeping else "Halted", "domid": -1, "metrics": metrics}
        values["domain_type"] = memory.kind_of({"domain_type": "unspecified", **values})
        if values.get("has_vendor_device"):
            values["hardware_platform_version"] = max(2, values["hardware_platform_version"])
        ref = self.db.create("VM", values)
        self.update_overhead(ref)
        self.update_operations(ref)
        return ref

    @operation("destroy")
    def destroy(self, ref: str) -> None:
        row = self.row(ref)
        for child in list(row["children"]):
            self.db.set("VM", child, "parent", row["parent"])
        for vtpm in list(row["VTPMs"]):
            # Needs a halted VM: a sleeping one with a VTPM cannot be destroyed.
            self.other("VTPM").destroy(vtpm)
        for blob in row["blobs"].values():
            with contextlib.suppress(Failure):
                self.other("blob").destroy(blob)
        if row["other_config"].get("default_template") == "true":
            raise Failure("VM_CANNOT_DELETE_DEFAULT_TEMPLATE")
        self.destroy_devices(ref)
        self.db.delete("VM", ref)

    def destroy_devices(self, ref: str) -> None:
        row = self.row(ref)
        if self.is_set("VM_appliance", row["appliance"]):
            self.engine.operations.again("VM_appliance", row["appliance"])
        for vbd in list(row["VBDs"]):
            # A sleeper's drives are attached, and nobody looks at what their disks allow when only rows go.
            self.engine.operations.leave("VDI", self.db.get("VBD", vbd, "VDI"))
            self.other("VBD").discard(vbd)
        for vif in list(row["VIFs"]):
            self.other("VIF").discard(vif)
        for cls in ("VGPU", "VUSB"):
            for device in list(row[f"{cls}s"]):
                self.db.delete(cls, device)
        for vtpm in list(row["VTPMs"]):
            self.other("VTPM").discard(vtpm)
        for cls, one in (("VM_metrics", row["metrics"]), ("VM_guest_metrics", row["guest_metrics"])):
            if self.is_set(cls, one):
                self.db.delete(cls, one)
        for console in list(row["consoles"]):
            self.db.delete("console", console)

    def update_overhead(self, ref: str) -> None:
        """memory_overhead follows the memory and VCPU settings."""
        self.db.set("VM", ref, "memory_overhead", memory.overhead(self.row(ref)))

    def compute_memory_overhead(self, ref: str) -> int:
        return memory.overhead(self.row(ref))

    # Order, protection, membership

    def set_start_delay(self, ref: str, value: int) -> None:
        self._set_count(ref, "start_delay", value)

    def set_shutdown_delay(self, ref: str, value: int) -> None:
        self._set_count(ref, "shutdown_delay", value)

    def set_order(self, ref: str, value: int) -> None:
        self._set_count(ref, "order", value)

    def _set_count(self, ref: str, field: str, value: int) -> None:
        if value < 0:
            raise Failure("INVALID_VALUE", f"{field} must be non-negative", str(value))
        self.db.set("VM", ref, field, value)

    def set_ha_restart_priority(self, ref: str, value: str) -> None:
        if value not in PRIORITIES:
            raise Failure("INVALID_VALUE", "ha_restart_priority", value)
        row = self.row(ref)
        if value == "restart" != row["ha_restart_priority"]:
            if row["power_state"] != "Halted":
                require_plan_after(self.engine, Change(protected=[ref]))
            if self.db.get("pool", self.engine.pool, "ha_enabled"):
                self.other("pool").update_plan()
        if row["ha_restart_priority"] != value:
            self.db.set("VM", ref, "ha_restart_priority", value)
            if self.row(ref)["power_state"] == "Running":
                self.db.set("VM", ref, "ha_always_run", value == "restart")
        self.update_operations(ref)

    def set_ha_always_run(self, ref: str, value: bool) -> None:
        self.set_ha_restart_priority(ref, "restart" if value else "")

    def _is_outsider(self, ref: str) -> bool:
        row = self.row(ref)
        return bool(row["is_control_domain"] or row["is_a_template"] or row["is_a_snapshot"])

    def set_appliance(self, ref: str, value: str) -> None:
        if self._is_outsider(ref):
            raise Failure("OPERATION_NOT_ALLOWED", OUTSIDERS)
        before = self.row(ref)["appliance"]
        self.db.set("VM", ref, "appliance", value)
        if self.is_set("VM_appliance", before):
            self.engine.operations.again("VM_appliance", before)
        self.update_allowed_operations(ref)

    def set_groups(self, ref: str, value: list[str]) -> None:
        _pool_features.require(self.engine, "VM_groups")
        if self._is_outsider(ref):
            raise Failure("OPERATION_NOT_ALLOWED", NO_GROUPS)
        if len(value) > 1:
            raise Failure("TOO_MANY_GROUPS")
        self.db.set("VM", ref, "groups", value)

    def set_snapshot_schedule(self, ref: str, value: str) -> None:
        _pool_features.require(self.engine, "VMSS")
        valid = self.is_set("VMSS", value)
        if not valid and value not in (NULL, ""):
            raise Failure("INVALID_VALUE", value)
        row = self.row(ref)
        if valid and row["is_control_domain"]:
            raise Failure("INVALID_VALUE", value)
        if valid and row["is_a_template"]:
            raise Failure("VM_IS_TEMPLATE", ref)
        if valid and self.db.get("VMSS", value, "type") == "snapshot_with_quiesce":
            _pool_features.require(self.engine, "VSS")
            self.require_quiescent(ref)
        self.db.set("VM", ref, "snapshot_schedule", value if valid else NULL)
        self.update_allowed_operations(ref)

    def require_quiescent(self, ref: str) -> None:
        """A guest that can be told to hold still, on disks that keep what is written (X/xapi_vm_helpers.ml)."""
        disks = [self.db.table("VDI").rows.get(vdi, {}) for vdi in self.disks_of(ref)]
        if any(disk.get("sm_config", {}).get("on_boot") == "reset" for disk in disks):
            raise Failure("VDI_ON_BOOT_MODE_INCOMPATIBLE_WITH_OPERATION")
        guest = self.db.table("VM_guest_metrics").rows.get(self.row(ref)["guest_metrics"], {})
        if not any(guest.get("other", {}).get(feature) == "1" for feature in ("feature-snapshot", "feature-quiesce")):
            raise Failure("VM_SNAPSHOT_WITH_QUIESCE_NOT_SUPPORTED", ref)

    def set_actions_after_crash(self, ref: str, value: str) -> None:
        self.db.set("VM", ref, "actions_after_crash", value)

    def update_allowed_operations(self, ref: str) -> None:
        """Of the VM, and of all that hangs on it."""
        self.update_devices(ref)
        for vusb in self.row(ref)["VUSBs"]:
            self.engine.operations.again("VUSB", vusb)
        self.update_operations(ref)

    def assert_operation_valid(self, ref: str, op: str) -> None:
        self.check(ref, op)
