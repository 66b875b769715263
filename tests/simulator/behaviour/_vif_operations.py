# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which operations a VIF allows, and the refusal for the others (ocaml/xapi/xapi_vif_helpers.ml, facts 3.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..engine.failure import Failure
from ..engine.registry import Row

if TYPE_CHECKING:
    from ..engine.core import Engine

# VM operations that a VIF may not be plugged or unplugged beside.
VM_OPERATIONS_IN_THE_WAY = ("clean_shutdown", "hard_shutdown", "suspend", "pause")


def require_allowed(engine: Engine, ref: str, op: str) -> None:
    """Raise the refusal of `op` on this VIF now; the first in xapi's order."""
    db = engine.db
    row = db.row("VIF", ref)
    if row["current_operations"]:
        raise _in_progress(engine.schema.level, ref, row["current_operations"])
    if op == "attach":
        return
    vm = db.row("VM", row["VM"])
    if op == "plug" and vm["is_control_domain"] and vm["domid"] == 0:
        raise Failure("OPERATION_NOT_ALLOWED", "Control domain does not support hotplug")
    if any(db.get("PIF", pif, "sriov_logical_PIF_of") for pif in db.get("network", row["network"], "PIFs")):
        raise Failure("OPERATION_NOT_ALLOWED", "Network SR-IOV VIF plug/unplug not allowed")
    if vm["power_state"] != "Running":
        raise Failure("VM_BAD_POWER_STATE", row["VM"], "running", vm["power_state"].lower())
    _require_change(ref, op, row)
    for running_on_vm in vm["current_operations"].values():
        if running_on_vm in VM_OPERATIONS_IN_THE_WAY:
            raise Failure("OPERATION_NOT_ALLOWED", f"Current operation on VM:{row['VM']} is {running_on_vm}")
    _require_drivers(engine, row["VM"], vm)


def _in_progress(level: str, ref: str, running: dict[str, str]) -> Failure:
    """Since xapi 25.27 all operations and their tasks, in braces even when it is one."""
    if level != "26":
        return Failure("OTHER_OPERATION_IN_PROGRESS", "VIF", ref, next(iter(running.values())))
    ops, tasks = ("; ".join(reversed(names)) for names in (list(running.values()), list(running)))
    return Failure("OTHER_OPERATION_IN_PROGRESS", "VIF", ref, f"{{{ops}}}", f"{{{tasks}}}")


def _require_change(ref: str, op: str, row: Row) -> None:
    plugged = row["currently_attached"] or row["reserved"]
    if plugged and op == "plug":
        raise Failure("DEVICE_ALREADY_ATTACHED", ref)
    if not plugged and op == "unplug":
        raise Failure("DEVICE_ALREADY_DETACHED", ref)


def _require_drivers(engine: Engine, ref: str, vm: dict[str, Any]) -> None:
    """An HVM guest must have PV drivers, and must not say that it cannot hotplug."""
    metrics = engine.db.tables["VM_metrics"].rows.get(vm["metrics"], {})
    if metrics.get("current_domain_type", "hvm") not in ("hvm", "unspecified"):
        return
    guest = engine.db.tables["VM_guest_metrics"].rows.get(vm["guest_metrics"])
    claim = guest["can_use_hotplug_vif"] if guest else "unspecified"
    if claim == "no":
        raise Failure("OPERATION_NOT_ALLOWED", "VM states it does not support VIF hotplug.")
    if claim == "yes" or (guest and (guest["PV_drivers_detected"] or {"major", "minor"} <= set(guest["PV_drivers_version"]))):
        return
    raise Failure("VM_MISSING_PV_DRIVERS", ref)
