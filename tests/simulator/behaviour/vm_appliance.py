# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""VM_appliance: VMs that start and stop together, in their order (facts 3.3, X/xapi_vm_appliance.ml)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from itertools import groupby
from typing import Any

from ..engine import neighbours
from ..engine.behaviour import Behaviour, operation
from ..engine.context import Context
from ..engine.failure import NULL, Failure
from ._vm_destination import pool_of_session

# Operation → the states of which one VM at least must be in, and the refusal when none is.
NEEDS: dict[str, tuple[tuple[str, ...], str]] = {
    "start": (("Halted",), "There are no halted VMs in this appliance."),
    "clean_shutdown": (("Running",), "There are no running VMs in this appliance."),
    "hard_shutdown": (("Running", "Paused", "Suspended"), "All VMs in this appliance are halted."),
    "shutdown": (("Running", "Paused", "Suspended"), "All VMs in this appliance are halted."),
}


class Appliance(Behaviour):
    cls = "VM_appliance"

    def advertised(self, ref: str) -> Iterable[str]:
        return NEEDS

    def check(self, ref: str, op: str) -> None:
        row = self.row(ref)
        for task, running in row["current_operations"].items():
            told = (running, task) if self.engine.schema.level == "26" else ()
            raise Failure("OTHER_OPERATION_IN_PROGRESS", "VM_appliance", ref, *told)
        if not row["VMs"]:
            raise Failure("OPERATION_NOT_ALLOWED", "Appliance has no VMs.")
        states, refusal = NEEDS[op]
        if not any(self.db.get("VM", vm, "power_state") in states for vm in row["VMs"]):
            raise Failure("OPERATION_NOT_ALLOWED", refusal)

    @operation("start")
    async def start(self, ref: str, paused: bool) -> None:
        await self._all(ref, "start", "Paused" if paused else "Running", paused, False)

    @operation("clean_shutdown")
    async def clean_shutdown(self, ref: str) -> None:
        await self._all(ref, "clean_shutdown", "Halted")

    @operation("hard_shutdown")
    async def hard_shutdown(self, ref: str) -> None:
        await self._all(ref, "hard_shutdown", "Halted")

    @operation("shutdown")
    async def shutdown(self, ref: str) -> None:
        await self._all(ref, "shutdown", "Halted")

    async def _all(self, ref: str, message: str, wanted: str, *arguments: Any) -> None:
        """Send `message` to every VM that is not yet as wanted: VMs of one order at the same time, starts in ascending order."""
        targets = [vm for vm in self.row(ref)["VMs"] if self._state(vm) != wanted]
        in_order = sorted(targets, key=self._order, reverse=message != "start")
        for _unused, group in groupby(in_order, key=self._order):
            await asyncio.gather(*(self._one(vm, message, arguments) for vm in group))
        failed = [vm for vm in targets if self._state(vm) != wanted]
        if failed:
            raise Failure("OPERATION_PARTIALLY_FAILED", f"VM_appliance.{message}", *failed)

    def _state(self, vm: str) -> str:
        return str(self.db.get("VM", vm, "power_state"))

    def _order(self, vm: str) -> int:
        return int(self.db.get("VM", vm, "order"))

    async def _one(self, vm: str, message: str, arguments: tuple[Any, ...]) -> None:
        # Who failed is seen by its state afterwards; why it failed is not told.
        with contextlib.suppress(Failure):
            await self.other("VM").call("VM", message, vm, *arguments)

    # Disaster recovery

    def assert_can_be_recovered(self, ref: str, session_to: str) -> None:
        for vm in self.row(ref)["VMs"]:
            self.other("VM").assert_can_be_recovered(vm, session_to)

    def get_SRs_required_for_recovery(self, ref: str, session_to: str) -> list[str]:
        found = (sr for vm in self.row(ref)["VMs"] for sr in self.other("VM").get_SRs_required_for_recovery(vm, session_to))
        return list(dict.fromkeys(found))

    async def recover(self, ref: str, session_to: str, force: bool) -> None:
        """Its VMs, and then the appliance itself, in the pool of that session."""
        vms = self.other("VM")
        vms.require_recovery(session_to)
        self.assert_can_be_recovered(ref, session_to)
        recovered = await vms.recover_all(list(self.row(ref)["VMs"]), session_to, force=force)
        there = pool_of_session(self.engine, session_to)
        told = {name: self.row(ref)[name] for name in ("uuid", "name_label", "name_description")}
        behaviour: Any = there.behaviours["VM_appliance"]
        await neighbours.ask(there, lambda: behaviour.take_recovered(told, recovered), Context("VM_appliance.recover", session_to, there.coordinator))

    def take_recovered(self, told: dict[str, str], vms: list[str]) -> None:
        """The appliance of that uuid, with these VMs and no others."""
        ref = self.db.table("VM_appliance").by_uuid.get(told["uuid"]) or self.db.create("VM_appliance", told)
        for vm in list(self.row(ref)["VMs"]):
            self.db.set("VM", vm, "appliance", NULL)
        self.db.update("VM_appliance", ref, name_label=told["name_label"], name_description=told["name_description"])
        for vm in vms:
            if not self.db.get("VM", vm, "is_a_template"):
                self.db.set("VM", vm, "appliance", ref)
