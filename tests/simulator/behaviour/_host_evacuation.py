# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Emptying a host: the plan, and its execution in batches (facts 3.9; X/xapi_host.ml)."""

from __future__ import annotations

import asyncio
import inspect
from dataclasses import dataclass, field
from typing import Any

from ..engine.behaviour import Behaviour, operation
from ..engine.failure import NULL, Failure, internal_error
from . import _versions
from ._ha_plan import Change, require_plan_after

BATCH = 10  # xapi_globs.ml evacuation_batch_size
# What the plan works out by itself, for all VMs together.
MEMORY = "HOST_NOT_ENOUGH_FREE_MEMORY"


@dataclass
class Plan:
    """VM → where it goes, or why it cannot."""

    moves: dict[str, str] = field(default_factory=dict)
    errors: dict[str, list[str]] = field(default_factory=dict)


class Evacuation(Behaviour):
    """The part of host that moves VMs away."""

    def resident_guests(self, host: str) -> list[str]:
        return [vm for vm in self.row(host)["resident_VMs"] if not self.db.get("VM", vm, "is_control_domain")]

    async def evacuation_plan(self, host: str) -> Plan:
        own = _versions.software(self.engine, host)
        enabled = [(other, row["software_version"]) for other, row in self.db.items("host") if other != host and row["enabled"]]
        targets = [other for other, software in enabled if _versions.may_migrate(self.engine, own, software)]
        guests, plan = self.resident_guests(host), Plan()
        if not targets:
            plan.errors = {vm: ["NO_HOSTS_AVAILABLE", vm] for vm in guests}
            return plan
        protected = [vm for vm in guests if self._may_move(vm)]
        for vm in guests:
            if vm not in protected:
                plan.errors[vm] = ["HOST_EVACUATE_VM_NOT_HA_PROTECTED" if self.engine.schema.level == "26" else MEMORY, vm]
        for vm in protected:
            refusals = [refusal for target in targets if (refusal := await self._boot_refusal(vm, target))]
            if refusals:
                plan.errors[vm] = refusals[0]
        for vm in guests:
            try:
                self.other("VM").check(vm, "pool_migrate")
            except Failure as failure:
                plan.errors[vm] = failure.description
        self._place([vm for vm in protected if vm not in plan.errors], targets, plan)
        return plan

    def _may_move(self, vm: str) -> bool:
        """With HA on, what HA does not protect has to be suspended first."""
        row = self.db.row("VM", vm)
        return not self.db.get("pool", self.engine.pool, "ha_enabled") or (row["ha_always_run"] and row["ha_restart_priority"] == "restart")

    async def _boot_refusal(self, vm: str, host: str) -> list[str]:
        """Why the VM could not run on that host, memory apart."""
        try:
            result = self.other("VM").assert_can_boot_here(vm, host)
            if inspect.isawaitable(result):
                await result
        except Failure as failure:
            return [] if failure.code == MEMORY else failure.description
        return []

    def _place(self, vms: list[str], targets: list[str], plan: Plan) -> None:
        """The largest first, each where most memory is free."""
        free = {target: self.free_memory(target) for target in targets}
        for vm in sorted(vms, key=self._footprint, reverse=True):
            target = max(free, key=lambda host: free[host])
            if free[target] < self._footprint(vm):
                plan.errors[vm] = [MEMORY, vm]
                continue
            free[target] -= self._footprint(vm)
            plan.moves[vm] = target

    def _footprint(self, vm: str) -> int:
        row = self.db.row("VM", vm)
        return int(row["memory_dynamic_min"] + row["memory_overhead"])

    def free_memory(self, host: str, but: str = NULL) -> int:
        """What VMs that have or are about to have a domain here leave, at their smallest (facts 3.9).

        `but` is a VM whose own reservation does not count: the one that is about to start.
        """
        row = self.row(host)
        total = self.db.get("host_metrics", row["metrics"], "memory_total") - row["memory_overhead"]
        scheduled = [vm for vm in self.db.where("VM", scheduled_to_be_resident_on=host) if vm != but]
        used = sum(self._footprint(vm) for vm in [*row["resident_VMs"], *scheduled])
        return max(0, int(total - used))

    async def assert_can_evacuate(self, host: str) -> None:
        plan = await self.evacuation_plan(host)
        if plan.errors:
            raise Failure("CANNOT_EVACUATE_HOST", "|".join(",".join(error) for error in plan.errors.values()))

    async def get_vms_which_prevent_evacuation(self, host: str) -> dict[str, list[str]]:
        return (await self.evacuation_plan(host)).errors

    def before_evacuate(self, host: str, *_unused: object) -> None:
        require_plan_after(self.engine, Change(disabled=[host]))

    @operation("evacuate", before="before_evacuate")
    async def evacuate(self, host: str, network: str = NULL, batch: int = 0) -> None:
        plan = await self.evacuation_plan(host)
        for error in plan.errors.values():
            raise Failure(*error)
        options = {"live": "true"}
        if network != NULL:
            for target in set(plan.moves.values()):
                self.require_address(network, target)
            options["network"] = network
        waiting, total = list(plan.moves.items()), len(plan.moves)
        while waiting:
            size = abs(batch) or BATCH
            now, waiting = waiting[:size], waiting[size:]
            await asyncio.gather(*(self._migrate(vm, target, options) for vm, target in now))
            self.engine.tasks.progress(1 - len(waiting) / total)
        left = self.resident_guests(host)
        if left:
            raise internal_error(f"evacuate: {len(left)} VMs are still resident on {host}")

    async def _migrate(self, vm: str, target: str, options: dict[str, str]) -> None:
        """As a call of its own, with a task that clients can watch; a VM that changed its state meanwhile is left alone."""
        session = self.context.session
        try:
            await self.engine.call("VM.pool_migrate", [session, vm, target, options], protocol="internal")
        except Failure as failure:
            if failure.code != "VM_BAD_POWER_STATE":
                raise

    def require_address(self, network: str, host: str) -> None:
        pifs = self.other("network").local_pifs(network, host)
        if not pifs:
            raise Failure("PIF_NOT_PRESENT", host, network)
        pif: dict[str, Any] = self.db.row("PIF", pifs[0])
        if not pif["currently_attached"]:
            raise Failure("REQUIRED_PIF_IS_UNPLUGGED", pifs[0])
        if not pif["IP"]:
            raise Failure("INTERFACE_HAS_NO_IP", pifs[0])
