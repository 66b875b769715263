# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which operations a VBD allows, and the refusal for the others (ocaml/xapi/xapi_vbd_helpers.ml, facts 3.4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..engine.failure import NULL, Failure
from ..engine.registry import Row
from ._progress import other_operation

if TYPE_CHECKING:
    from ..engine.core import Engine

OPERATIONS = ("attach", "eject", "unplug", "unplug_force", "insert", "plug", "pause", "unpause")
HOTPLUG = ("plug", "unplug", "unplug_force")
# Reading the VDI's lock, opening the disk: what sharing is checked for.
USES_DISK = ("attach", "insert", "plug")
PARALLEL = ("pause", "unpause")
# VM operations beside which nothing is plugged or unplugged.
VM_IN_THE_WAY = ("clean_shutdown", "hard_shutdown", "suspend", "pause")
NO_CD_HOTPLUG = "HVM CDROMs cannot be hotplugged/unplugged, only inserted or ejected"


class Check:
    """One question: may `op` run on this VBD now? The checks raise, in xapi's order."""

    def __init__(self, engine: Engine, ref: str, op: str = "") -> None:
        self.engine, self.db, self.ref, self.op = engine, engine.db, ref, op
        self.row: Row = self.db.row("VBD", ref)
        self.vm: Row = self.db.row("VM", self.row["VM"])

    def run(self, *, sharing: bool) -> None:
        """`sharing`: also look at who else uses the disk, which allowed_operations leaves out."""
        checks: tuple[Callable[[], None], ...] = (
            self.idle,
            self.unpluggable,
            self.removable,
            self.power_state,
            self.vm_operations,
            self.drivers,
            self.suspended_cd,
        )
        for check in checks:
            check()
        if not self.row["empty"]:
            self.disk(sharing=sharing)

    def allows(self, op: str) -> bool:
        """For allowed_operations: without the look at who else uses the disk."""
        self.op = op
        try:
            self.run(sharing=False)
        except Failure:
            return False
        return True

    def _refuse(self, ops: tuple[str, ...], code: str, *params: str) -> None:
        if self.op in ops:
            raise Failure(code, *params)

    def idle(self) -> None:
        running = self.row["current_operations"]
        if not running:
            return
        serial = {task: op for task, op in running.items() if op not in PARALLEL}
        if self.op not in PARALLEL:
            raise other_operation(self.engine, "VBD", self.ref, running)
        if self.op == "unpause":
            # A reboot unpauses what it attaches (CA-24282).
            serial = {task: op for task, op in serial.items() if op != "attach"}
        if serial:
            raise other_operation(self.engine, "VBD", self.ref, serial)

    def unpluggable(self) -> None:
        if not self.row["unpluggable"]:
            self._refuse(("unplug", "unplug_force"), "VBD_NOT_UNPLUGGABLE", self.ref)

    def removable(self) -> None:
        if self.row["type"] != "CD":
            self._refuse(("insert", "eject"), "VBD_NOT_REMOVABLE_MEDIA", self.ref)
        if self.row["empty"]:
            self._refuse(("eject",), "VBD_IS_EMPTY", self.ref)
        else:
            self._refuse(("insert",), "VBD_NOT_EMPTY", self.ref)

    def power_state(self) -> None:
        state = self.vm["power_state"]
        if state == "Running":
            if self.row["currently_attached"] or self.row["reserved"]:
                self._refuse(("plug",), "DEVICE_ALREADY_ATTACHED", self.ref)
            else:
                self._refuse(("unplug", "unplug_force"), "DEVICE_ALREADY_DETACHED", self.ref)
            return
        barred = HOTPLUG if state == "Paused" else (*HOTPLUG, *PARALLEL)
        self._refuse(barred, "VM_BAD_POWER_STATE", self.row["VM"], "running", state.lower())

    def vm_operations(self) -> None:
        for running in self.vm["current_operations"].values():
            if running in VM_IN_THE_WAY:
                self._refuse(("plug", "unplug"), "OPERATION_NOT_ALLOWED", f"Current operation on VM:{self.row['VM']} is {running}")

    def drivers(self) -> None:
        """An HVM guest plugs with its PV drivers only, and its CD drives never."""
        if self.vm["power_state"] != "Running" or domain_type(self.engine, self.vm) != "hvm":
            return
        guest = self.db.tables["VM_guest_metrics"].rows.get(self.vm["guest_metrics"])
        claim = guest["can_use_hotplug_vbd"] if guest else "unspecified"
        if claim == "no":
            self._refuse(HOTPLUG, "OPERATION_NOT_ALLOWED", "VM states it does not support VBD hotplug.")
        elif claim != "yes" and not (guest and (guest["PV_drivers_detected"] or {"major", "minor"} <= set(guest["PV_drivers_version"]))):
            self._refuse(HOTPLUG, "VM_MISSING_PV_DRIVERS", self.row["VM"])
        if self.row["type"] == "CD":
            self._refuse(HOTPLUG, "OPERATION_NOT_ALLOWED", NO_CD_HOTPLUG)

    def suspended_cd(self) -> None:
        if self.row["type"] == "CD" and self.vm["power_state"] == "Suspended":
            self._refuse(("insert", "eject"), "VM_BAD_POWER_STATE", self.row["VM"], "halted, running", "suspended")

    def disk(self, *, sharing: bool) -> None:
        vdi = self.row["VDI"]
        disk = self.db.row("VDI", vdi)
        if not disk["managed"]:
            raise Failure("VDI_NOT_MANAGED", self.ref)
        busy = {task: op for task, op in disk["current_operations"].items() if op not in ("copy", "mirror")}
        if busy and self.op in USES_DISK:
            raise other_operation(self.engine, "VDI", vdi, busy)
        if sharing and not self.row["currently_attached"] and self.op in USES_DISK:
            self._check_sharing(vdi, disk)

    def _check_sharing(self, vdi: str, disk: Row) -> None:
        others = [row for vbd in disk["VBDs"] if vbd != self.ref and uses_disk(self.engine, row := self.db.row("VBD", vbd))]
        writes = self.row["mode"] == "RW"
        exclusive = writes or any(other["mode"] == "RW" for other in others)
        if others and exclusive and not disk["sharable"] and not is_system_domain(self.vm):
            raise Failure("VDI_IN_USE", vdi)
        if writes and disk["read_only"]:
            raise Failure("VDI_READONLY", vdi)


def uses_disk(engine: Engine, vbd: Row) -> bool:
    """Whether a VBD counts as a user of its disk: VMs that sleep and system domains do not."""
    vm = engine.db.tables["VM"].rows.get(vbd["VM"])
    if vm is None or vm["power_state"] == "Suspended" or is_system_domain(vm):
        return False
    return bool(vbd["currently_attached"] or vbd["reserved"] or vbd["current_operations"])


def require_agile(engine: Engine, vm: str, vdi: str) -> None:
    """A VM that HA restarts wherever there is room gets disks only that every host sees (assert_doesnt_make_vm_non_agile)."""
    pool, row, sr = engine.db.row("pool", engine.pool), engine.db.row("VM", vm), engine.db.get("VDI", vdi, "SR")
    protected = row["ha_always_run"] and row["ha_restart_priority"] == "restart"
    if not (pool["ha_enabled"] and protected) or pool["ha_allow_overcommit"]:
        return
    pbds = [engine.db.row("PBD", pbd) for pbd in engine.db.get("SR", sr, "PBDs")]
    seers = {pbd["host"] for pbd in pbds if pbd["currently_attached"]}
    if engine.db.get("SR", sr, "shared") and {host for host, one in engine.db.items("host") if one["enabled"]} <= seers:
        return
    if engine.schema.level == "26":
        raise Failure("HA_CONSTRAINT_VIOLATION_SR_NOT_SHARED", sr)
    raise Failure("HA_OPERATION_WOULD_BREAK_FAILOVER_PLAN")


def is_system_domain(vm: Row) -> bool:
    """A VM of the toolstack's own, dom0 above all (X/system_domains.ml)."""
    return bool(vm["is_control_domain"] or vm["other_config"].get("is_system_domain") == "true")


def domain_type(engine: Engine, vm: Row) -> str:
    """What the VM runs as, or would: a live one says so in its metrics."""
    metrics = engine.db.tables["VM_metrics"].rows.get(vm["metrics"]) if vm["metrics"] != NULL else None
    live = metrics["current_domain_type"] if metrics and vm["power_state"] != "Halted" else "unspecified"
    chosen = live if live != "unspecified" else vm["domain_type"]
    if chosen != "unspecified":
        return str(chosen)
    return "hvm" if vm["HVM_boot_policy"] else "pv"
