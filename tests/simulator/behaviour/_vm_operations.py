# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which operations a VM allows, and the refusal for the others (facts 3.2, ocaml/xapi/xapi_vm_lifecycle.ml); the tables are in _vm_tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..engine.failure import NULL, Failure
from ..engine.registry import Row
from . import _versions
from ._vm_platform import is_true
from ._vm_tables import (
    BESIDE,
    BESIDE_IN_8_2,
    COPYING,
    EVEN_IF_FORCED,
    GUEST_FEATURES,
    MOVING,
    ON_CONTROL_DOMAINS,
    ON_CUSTOM_TEMPLATES,
    ON_SNAPSHOTS,
    ON_TEMPLATES,
    POWER_STATES,
    RESIZING,
    SPELLINGS,
    TOGETHER,
    WHILE_UPGRADING,
)

if TYPE_CHECKING:
    from ..engine.core import Engine


class Check:
    """One question: may `op` run on this VM now? The checks raise, in xapi's order.

    `strict` off is what VM.pool_migrate asks for with force=true: no look at mobility and at most guest features.
    """

    def __init__(self, engine: Engine, ref: str, *, strict: bool = True) -> None:
        self.engine, self.db, self.ref, self.strict = engine, engine.db, ref, strict
        self.level = engine.schema.level
        self.row: Row = self.db.row("VM", ref)
        self.metrics: Row | None = self.db.table("VM_metrics").rows.get(self.row["metrics"])
        self.guest: Row | None = self.db.table("VM_guest_metrics").rows.get(self.row["guest_metrics"])

    CHECKS = (
        "blocked",
        "power_state",
        "concurrency",
        "template",
        "snapshot",
        "kind",
        "mobility",
        "control_domain",
        "guest_features",
        "disks",
        "hardware",
        "membership",
        "upgrade",
        "vtpm",
    )

    def run(self, op: str) -> None:
        for name in self.CHECKS:
            check: Callable[[str], None] = getattr(self, name)
            check(op)

    def blocked(self, op: str) -> None:
        if op in self.row["blocked_operations"]:
            raise Failure("OPERATION_BLOCKED", self.ref, self.row["blocked_operations"][op])

    def states(self, op: str) -> tuple[str, ...]:
        """The power states that `op` needs."""
        if op in RESIZING:
            return ("Halted", "Running") if self.row["is_control_domain"] else ("Halted",)
        if op in COPYING:
            return ("Halted", "Suspended") if self.row["is_a_snapshot"] or self._clones_suspended() else ("Halted",)
        return POWER_STATES[op]

    def _clones_suspended(self) -> bool:
        pool = self.db.row("pool", self.engine.pool)
        return bool(pool["other_config"].get("allow_clone_suspended_vm") == "true")

    def power_state(self, op: str) -> None:
        expected, actual = self.states(op), self.row["power_state"]
        if actual not in expected:
            raise Failure("VM_BAD_POWER_STATE", self.ref, ", ".join(expected).lower(), actual.lower())

    def concurrency(self, op: str) -> None:
        running = self.row["current_operations"]
        if running and not self._fits_beside(op, list(running.values())):
            raise self.in_progress(running)

    def in_progress(self, running: dict[str, str]) -> Failure:
        """The refusal that makes a call wait; its form changed with xapi 25.27 (facts 3.1)."""
        tasks, ops = list(running), [SPELLINGS.get(op, op) for op in running.values()]
        several = "{" + ",".join(ops) + "}"
        if self.level == "26":
            return Failure("OTHER_OPERATION_IN_PROGRESS", "VM", self.ref, *((ops[0], tasks[0]) if len(ops) == 1 else (several, "{" + ",".join(tasks) + "}")))
        return Failure("OTHER_OPERATION_IN_PROGRESS", f"VM.{ops[0] if len(ops) == 1 else several}", self.ref)

    def _fits_beside(self, op: str, running: list[str]) -> bool:
        if any(op in group and group.issuperset(running) for group in TOGETHER):
            return True
        if op == "hard_shutdown":
            return "hard_shutdown" not in running
        if op == "hard_reboot":
            return not {"hard_shutdown", "hard_reboot"}.intersection(running)
        return len(running) == 1 and (running[0], op) in (BESIDE_IN_8_2 if self.level == "8.2" else BESIDE)

    def template(self, op: str) -> None:
        if not self.row["is_a_template"] or self.row["is_a_snapshot"]:
            return
        default = self.row.get("is_default_template") or is_true(self.row["other_config"].get("default_template"))
        if op not in (ON_TEMPLATES if default else ON_CUSTOM_TEMPLATES):
            raise Failure("VM_IS_TEMPLATE", self.ref, SPELLINGS.get(op, op))

    def snapshot(self, op: str) -> None:
        if self.row["is_a_snapshot"] and op not in ON_SNAPSHOTS:
            raise Failure("VM_IS_SNAPSHOT", self.ref, SPELLINGS.get(op, op))

    def kind(self, op: str) -> None:
        if op == "provision" and not self.row["is_a_template"]:
            raise Failure("PROVISION_ONLY_ALLOWED_ON_TEMPLATE")
        if op == "revert" and not self.row["is_a_snapshot"]:
            raise Failure("REVERT_ONLY_ALLOWED_ON_SNAPSHOT")

    def mobility(self, op: str) -> None:
        if not self.strict:
            return
        nested = self.platform_flag("nested_virt", "nested-virt")
        if op in MOVING and (nested or self.platform_flag("nomigrate", "nomigrate")):
            raise Failure("VM_IS_IMMOBILE", self.ref)
        if op == "changing_dynamic_range" and nested:
            raise Failure("VM_IS_USING_NESTED_VIRT", self.ref)

    def platform_flag(self, field: str, key: str) -> bool:
        """A platform setting as it was when the VM booted; as it is when there are no metrics."""
        if self.metrics is not None:
            return bool(self.metrics[field])
        return is_true(self.row["platform"].get(key))

    def control_domain(self, op: str) -> None:
        if op in ("changing_VCPUs", "destroy") and self.row["is_control_domain"] and self.row["domid"] == 0:
            raise Failure("OPERATION_NOT_ALLOWED", "This operation is not allowed on dom0")
        if self.row["is_control_domain"] and op not in ON_CONTROL_DOMAINS:
            raise Failure("OPERATION_NOT_ALLOWED", "This operation is not allowed on a control domain")

    def guest_features(self, op: str) -> None:
        live = self.row["power_state"] in (("Running", "Paused") if self.level == "26" else ("Running",))
        offers = self.guest["other"] if self.guest else {}
        if not live:
            return
        # Whether a guest has reasons not to sleep is looked at since 2025; no force helps there.
        if self.level == "26" and op in MOVING and "data-cant-suspend-reason" in offers:
            raise Failure("VM_NON_SUSPENDABLE", self.ref, offers["data-cant-suspend-reason"])
        needs = GUEST_FEATURES.get(op)
        if needs is None or not (self.strict or op in EVEN_IF_FORCED) or self.booted_pv() or self.has_pv_drivers():
            return
        if not any(offers.get(feature) == "1" for feature in needs):
            raise Failure("VM_LACKS_FEATURE", self.ref)

    def booted_pv(self) -> bool:
        return self.metrics is not None and self.metrics.get("current_domain_type") in ("pv", "pv_in_pvh", "pvh")

    def has_pv_drivers(self) -> bool:
        """PV drivers imply every feature (X/xapi_pv_driver_version.ml)."""
        return self.guest is not None and {"major", "minor"} <= set(self.guest["PV_drivers_version"])

    def disks(self, op: str) -> None:
        if op == "snapshot_with_quiesce":
            raise Failure("VM_SNAPSHOT_WITH_QUIESCE_NOT_SUPPORTED", self.ref)
        if op not in ("checkpoint", "snapshot", "suspend", "pool_migrate"):
            return
        vdis = [self.db.table("VDI").rows.get(self.db.get("VBD", vbd, "VDI")) for vbd in self.row["VBDs"]]
        reset = [vdi["sm_config"] for vdi in vdis if vdi is not None and vdi["sm_config"].get("on_boot") == "reset"]
        if op == "pool_migrate":
            reset = [config for config in reset if is_true(config.get("caching"))]
        if reset:
            raise Failure("VDI_ON_BOOT_MODE_INCOMPATIBLE_WITH_OPERATION")

    def hardware(self, op: str) -> None:
        if op in MOVING and self.row["attached_PCIs"]:
            raise Failure("VM_HAS_PCI_ATTACHED", self.ref)
        harmless = (op, self.row["power_state"]) in (("migrate_send", "Halted"), ("checkpoint", "Suspended"))
        if op in MOVING and self.row["VGPUs"] and not harmless and not self.engine.behaviours["VM"].can_move_with_gpus(self.ref):
            raise Failure("VM_HAS_VGPU", self.ref)
        if self.row["VUSBs"] and op in (*MOVING, "snapshot"):
            raise Failure("VM_HAS_VUSBS", self.ref)
        if op == "query_services" and not is_true(self.row["other_config"].get("is_system_domain")):
            raise Failure("NOT_SYSTEM_DOMAIN", self.ref)

    def membership(self, op: str) -> None:
        """What is in an appliance or in a snapshot schedule is no template."""
        if op != "make_into_template":
            return
        for field, cls, code in (
            ("appliance", "VM_appliance", "VM_IS_PART_OF_AN_APPLIANCE"),
            ("snapshot_schedule", "VMSS", "VM_ASSIGNED_TO_SNAPSHOT_SCHEDULE"),
        ):
            if self.row[field] != NULL and self.db.exists(cls, self.row[field]):
                raise Failure(code, self.ref, self.row[field])

    def upgrade(self, op: str) -> None:
        if op not in WHILE_UPGRADING or (self.level == "8.2" and op == "migrate_send"):
            _versions.require_no_upgrade(self.engine)

    def vtpm(self, op: str) -> None:
        if op == "create_vtpm" and self.row["VTPMs"]:
            raise Failure("VTPM_MAX_AMOUNT_REACHED", str(len(self.row["VTPMs"])))
