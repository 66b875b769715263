# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts going down and coming back: on request, or by a crash (facts 3.9; X/xapi_host.ml)."""

from __future__ import annotations

import inspect
from typing import Any

from ..engine.behaviour import Behaviour, operation
from ..engine.failure import NULL, Failure
from ._ha_failover import FENCED

# Seconds: from the call to the machine going down (X/xapi_host.ml), from there until it serves again, until a silent host counts as dead.
NOTICE, BOOT, SILENCE = 10.0, 60.0, 600.0
# Seconds: to plug one SR when the toolstack starts, between two signs of life of a member.
PLUG, HEARTBEAT = 2.0, 30.0


class Power(Behaviour):
    """The part of host that is about being there."""

    _disabled_until_reboot: set[str]
    _disabled_for_good: set[str]

    def is_live(self, host: str) -> bool:
        metrics = self.db.tables["host"].rows.get(host, {}).get("metrics", NULL)
        return bool(self.db.exists("host_metrics", metrics) and self.db.get("host_metrics", metrics, "live"))

    def reach(self, host: str) -> None:
        """What forwarding a call to a host may run into (X/message_forwarding.ml do_op_on)."""
        if host == self.engine.coordinator:
            return
        if not self.is_live(host):
            raise Failure("HOST_OFFLINE", host)
        if host in self.engine.down:
            raise Failure("CANNOT_CONTACT_HOST", host)

    def _set_live(self, host: str, live: bool) -> None:
        now = self.engine.clock.now()
        self.db.update("host_metrics", self.row(host)["metrics"], live=live, last_updated=now)
        self.engine.operations.again("host", host)

    @operation("shutdown")
    def shutdown(self, host: str) -> None:
        self._go_down(host, "Host is shutting down", comes_back=False)

    @operation("reboot")
    def reboot(self, host: str) -> None:
        self._go_down(host, "Host is rebooting", comes_back=True)

    def _go_down(self, host: str, label: str, *, comes_back: bool) -> None:
        """The call returns at once; a task of its own masks other operations until the machine is gone."""
        self.reach(host)
        task = self.engine.tasks.create(label, description=label, host=host, subtask_of=self.context.task)
        self.db.put("host", host, "current_operations", task, "shutdown")
        self._disabled_until_reboot.add(host)
        self.engine.later(NOTICE, lambda: self._power_off(host, task, comes_back=comes_back))

    async def _power_off(self, host: str, task: str, *, comes_back: bool) -> None:
        vms = self.other("VM")
        for vm in [vm for vm in self.row(host)["resident_VMs"] if not self.db.get("VM", vm, "is_control_domain")]:
            result = vms.hard_shutdown(vm)
            if inspect.isawaitable(result):
                await result
        self._set_attached(host, False)
        self._set_live(host, False)
        self.db.drop("host", host, "current_operations", task)
        self.engine.tasks.succeed(task)
        self.engine.set_down(host, True)
        if comes_back:
            self.engine.later(BOOT, lambda: self.come_back(host))

    def come_back(self, host: str) -> None:
        """The machine has booted: storage is plugged again, and the host enables itself."""
        self.engine.set_down(host, False)
        self._disabled_until_reboot.discard(host)
        now = f"{int(self.engine.clock.time())}."
        self._set_live(host, True)
        self._set_attached(host, True)
        self.db.set("host", host, "enabled", host not in self._disabled_for_good)
        for key in ("boot_time", "agent_start_time"):
            self.db.put("host", host, "other_config", key, now)
        if host == self.engine.coordinator:
            self.engine.restart()

    def plug_again(self, host: str) -> None:
        """A toolstack that starts plugs the host's storage, one SR after another, and enables the host when it is there.

        Until then the host is disabled; the members' memory is known again with their next heartbeat (recording restart).
        """
        self.db.set("host", host, "enabled", False)
        self.db.put("host", host, "other_config", "agent_start_time", f"{int(self.engine.clock.time())}.")
        self._renew_cpus(host)
        for other, row in self.db.items("host"):
            if other != host and self.is_set("host_metrics", row["metrics"]):
                self._forget_memory(other, row["metrics"])
        rest = self.row(host)["PBDs"][1:]
        for pbd in rest:
            self.db.set("PBD", pbd, "currently_attached", False)
        for number, pbd in enumerate(rest, start=1):
            self.engine.later(number * PLUG, lambda pbd=pbd: self._replug(pbd))
        self.engine.later((len(rest) + 1) * PLUG, lambda: self._enable_again(host))
        # Nobody asks then which operations are allowed.
        self.engine.operations.leave("host", host)

    def _forget_memory(self, host: str, metrics: str) -> None:
        # Nothing known of it: the simulator was killed before the last heartbeat.
        free = self.db.get("host_metrics", metrics, "memory_free") or self.other("host").compute_free_memory(host)
        self.db.set("host_metrics", metrics, "memory_free", 0)

        def heartbeat() -> None:
            if self.db.exists("host_metrics", metrics):
                self.db.set("host_metrics", metrics, "memory_free", free)

        self.engine.later(HEARTBEAT, heartbeat)

    def _renew_cpus(self, host: str) -> None:
        """The processors get new objects whenever the toolstack starts."""
        for ref, row in [(ref, row) for ref, row in self.db.items("host_cpu") if row["host"] == host]:
            self.db.delete("host_cpu", ref)
            self.db.create("host_cpu", {name: value for name, value in row.items() if name != "uuid"})

    def _replug(self, pbd: str) -> None:
        if self.db.exists("PBD", pbd):
            self.db.set("PBD", pbd, "currently_attached", True)

    def _enable_again(self, host: str) -> None:
        if self.db.exists("host", host) and host not in self._disabled_until_reboot | self._disabled_for_good:
            self.db.set("host", host, "enabled", True)

    def _set_attached(self, host: str, attached: bool) -> None:
        for pbd in self.row(host)["PBDs"]:
            self.db.set("PBD", pbd, "currently_attached", attached)

    def crash(self, host: str) -> None:
        """The machine stops without a word. Its VMs are still in the database as running until somebody declares it dead."""
        self.engine.set_down(host, True)
        guarded = self.db.get("pool", self.engine.pool, "ha_enabled")
        self.engine.later(FENCED if guarded else SILENCE, lambda: self._notice_silence(host, guarded=guarded))

    def _notice_silence(self, host: str, *, guarded: bool) -> None:
        if host not in self.engine.down or not self.db.exists("host", host):
            return
        if guarded:
            self.other("pool").host_failed(host)
        else:
            self.declare_silent(host)

    def declare_silent(self, host: str) -> None:
        self._set_live(host, False)

    @operation("power_on")
    def power_on(self, host: str) -> None:
        self.engine.later(BOOT, lambda: self.come_back(host))

    # Hosts that are gone

    def _require_dead(self, host: str) -> None:
        if host == self.engine.coordinator or (self.is_live(host) and host not in self.engine.down):
            raise Failure("HOST_IS_LIVE", host)

    async def declare_dead(self, host: str) -> None:
        self._require_dead(host)
        for vm in [vm for vm in self.row(host)["resident_VMs"] if not self.db.get("VM", vm, "is_control_domain")]:
            await self._power_state_reset(vm)
        self._set_live(host, False)
        self.db.set("host", host, "enabled", False)

    async def _power_state_reset(self, vm: str) -> None:
        session = self.context.session
        await self.engine.call("VM.power_state_reset", [session, vm], protocol="internal")

    def destroy(self, host: str) -> None:
        self._require_dead(host)
        if self.db.get("pool", self.engine.pool, "ha_enabled"):
            raise Failure("HA_IS_ENABLED")
        residents: list[Any] = self.row(host)["resident_VMs"]
        if any(not self.db.get("VM", vm, "is_control_domain") for vm in residents):
            raise Failure("HOST_HAS_RESIDENT_VMS", host)
        self.remove(host)

    def remove(self, host: str) -> None:
        """The host and all that is only about it leave the database."""
        row = self.row(host)
        control = [vm for vm in row["resident_VMs"] if self.db.get("VM", vm, "is_control_domain")]
        for cls, field in (("PBD", "host"), ("PIF", "host"), ("host_cpu", "host"), ("PCI", "host"), ("PGPU", "host"), ("PUSB", "host")):
            for ref in self.db.where(cls, **{field: host}):
                self.db.delete(cls, ref)
        if self.is_set("host_metrics", row["metrics"]):
            self.db.delete("host_metrics", row["metrics"])
        self.db.delete("host", host)
        for vm in control:
            self.db.delete("VM", vm)
        self.other("pool").hosts_changed()
