# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the VMs that HA protects could all start again, now and after a change (X/xapi_ha_vm_failover.ml)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..engine.failure import NULL, Failure
from . import _vm_memory as memory
from ._ha_packing import Packing

if TYPE_CHECKING:
    from ..engine.core import Engine

BROKEN = "HA_OPERATION_WOULD_BREAK_FAILOVER_PLAN"


@dataclass(frozen=True)
class Change:
    """What somebody is about to do."""

    disabled: Sequence[str] = ()  # hosts
    protected: Sequence[str] = ()  # further VMs
    arriving: dict[str, str] = field(default_factory=dict)  # VM → host


NOTHING = Change()


def protected(engine: Engine) -> list[str]:
    return [vm for vm, row in engine.db.items("VM") if row["ha_restart_priority"] == "restart" and row["ha_always_run"]]


class Planner:
    """The pool as it is, with a change; its VMs are `vms`."""

    def __init__(self, engine: Engine, vms: Sequence[str], change: Change = NOTHING) -> None:
        self.engine, self.db, self.change = engine, engine.db, change
        self.vms = sorted({*vms, *change.protected}, key=lambda vm: engine.db.get("VM", vm, "uuid"))
        hosts = sorted(engine.db.items("host"), key=lambda pair: pair[1]["uuid"])
        self.hosts = [host for host, _row in hosts]
        self.live = [host for host, row in hosts if row["enabled"] and host not in change.disabled and self._is_live(row["metrics"])]
        self.agile = [vm for vm in self.vms if self._is_agile(vm)]

    def _is_live(self, metrics: str) -> bool:
        return self.db.exists("host_metrics", metrics) and bool(self.db.get("host_metrics", metrics, "live"))

    def _is_agile(self, vm: str) -> bool:
        try:
            self.engine.behaviours["VM"].assert_agile(vm)
        except Failure:
            return False
        return True

    def has_plan(self, failures: int) -> bool:
        """For all VMs: those that can run on one host alone are a reason why not."""
        places = {vm: place for vm in self.vms if (place := self._place(vm))}
        fixed = {vm: host for vm in self.vms if vm not in self.agile and vm not in places and (host := self._only_host(vm))}
        needs = {vm: self._needed(vm) for vm in self.vms}
        now = Packing({host: self._free(host) for host in self.live}, needs, {}, len(self.hosts), failures).after(fixed)
        agile = {vm: needs[vm] for vm in self.agile}
        now = Packing(now.hosts, agile, {vm: place for vm, place in places.items() if vm in agile}, len(self.hosts), failures)
        starts = now.places_for(vm for vm in self.agile if vm not in places)
        if any(vm not in places and vm not in starts for vm in self.vms):
            return False
        return now.after(starts).survives() and len(self.agile) == len(self.vms)

    def most_failures(self) -> int:
        return next((number for number in range(len(self.hosts), -1, -1) if self.has_plan(number)), 0)

    def _place(self, vm: str) -> str:
        """The live host whose memory the VM has already, or is promised."""
        row = self.db.row("VM", vm)
        candidates = (self.change.arriving.get(vm, row["resident_on"]), row["scheduled_to_be_resident_on"])
        return next((host for host in candidates if host in self.live), "")

    def _only_host(self, vm: str) -> str:
        return next((host for host in self.hosts if self._could_boot(vm, host)), "")

    def _could_boot(self, vm: str, host: str) -> bool:
        try:
            self.engine.behaviours["VM"].require_bootable(vm, host)
        except Failure as failure:
            return failure.code == "HOST_NOT_ENOUGH_FREE_MEMORY"
        return True

    def _needed(self, vm: str) -> int:
        row = self.db.row("VM", vm)
        return memory.needed(row, row["memory_static_max"])

    def _free(self, host: str) -> int:
        """With every VM at its largest."""
        row = self.db.row("host", host)
        total = self.db.get("host_metrics", row["metrics"], "memory_total") - row["memory_overhead"]
        there = [*row["resident_VMs"], *self.db.where("VM", scheduled_to_be_resident_on=host)]
        used = sum(one["memory_static_max"] + one["memory_overhead"] for one in (self.db.row("VM", vm) for vm in there))
        return max(0, int(total - used)) - sum(self._arrives(vm) for vm, place in self.change.arriving.items() if place == host)

    def _arrives(self, vm: str) -> int:
        row = self.db.row("VM", vm)
        return memory.needed(row, row["memory_dynamic_max" if row["is_control_domain"] else "memory_static_max"])


def _guards(engine: Engine) -> int | None:
    """How many failures the pool is planned for; None when it does not mind."""
    pool: dict[str, Any] = engine.db.row("pool", engine.pool)
    return None if not pool["ha_enabled"] or pool["ha_allow_overcommit"] else int(pool["ha_plan_exists_for"])


def require_plan_after(engine: Engine, change: Change, failures: int | None = None) -> None:
    """Refused is what would end a plan there is; without one it cannot get worse. `failures`: a new number of them."""
    planned = _guards(engine)
    if planned is None or not Planner(engine, protected(engine)).has_plan(planned):
        return
    if not Planner(engine, protected(engine), change).has_plan(planned if failures is None else failures):
        raise Failure(BROKEN)


def require_room_for(engine: Engine, vm: str, host: str) -> None:
    """Before a VM takes memory on a host: as one more to protect, or as one that is in the way of others."""
    if _guards(engine) is None:
        return
    row = engine.db.row("VM", vm)
    new = row["ha_restart_priority"] == "restart" and not row["ha_always_run"]
    require_plan_after(engine, Change(protected=[vm]) if new else Change(arriving={vm: host}))


def is_protected_network(engine: Engine, network: str) -> bool:
    """Whether a VM that HA would restart is on the network."""
    vms = {engine.db.get("VIF", vif, "VM") for vif in engine.db.get("network", network, "VIFs")} - {NULL}
    return bool(vms.intersection(protected(engine)))
