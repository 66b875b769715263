# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What HA does when a host falls silent: another leads, and protected VMs start elsewhere (restart_auto_run_vms in X/xapi_ha_vm_failover.ml)."""

from __future__ import annotations

from ..engine.behaviour import Behaviour
from ..engine.failure import NULL, Failure
from ._ha_plan import protected

# Seconds from a host's last sign of life until it counts as fenced: xhad's time-outs and a round of xapi's own thread.
FENCED = 90.0
BEST_EFFORT = "best-effort"


class Failover(Behaviour):
    """The part of pool that acts when hosts fail."""

    def host_failed(self, host: str) -> None:
        """Called when HA has given a host up. A new coordinator starts its toolstack first, which ends all that is under way."""
        if host == self.engine.coordinator:
            others = [other for other in self.db.refs("host") if other not in self.engine.down and self.other("host").is_live(other)]
            if not others:
                return
            self.db.set("pool", self.engine.pool, "master", others[0])
            self.engine.restart()
        self.engine.later(0.0, lambda: self._recover(host))

    async def _recover(self, host: str) -> None:
        hosts, vms = self.other("host"), self.other("VM")
        hosts.declare_silent(host)
        uuid, name = self.db.get("host", host, "uuid"), self.db.get("host", host, "name_label")
        self.other("message").post("HA_HOST_FAILED", 3, "Host", uuid, f"Server '{name}' has failed")
        lost = hosts.resident_guests(host)
        for vm in lost:
            vms.force_halted(vm)
        self.other("pool").update_plan()
        halted = [vm for vm in protected(self.engine) if self.db.get("VM", vm, "power_state") == "Halted"]
        for vm in sorted(halted, key=lambda ref: self.db.get("VM", ref, "order")):
            if not await self._start(vm):
                self.other("message").post("HA_PROTECTED_VM_RESTART_FAILED", 2, "VM", self.db.get("VM", vm, "uuid"), "")
        # Those that nobody promised anything come last, and nobody is told.
        for vm in lost:
            if self.db.get("VM", vm, "ha_restart_priority") == BEST_EFFORT:
                await self._start(vm)

    async def _start(self, vm: str) -> bool:
        session = self.other("session").open("pool-admin", {"pool": True, "is_local_superuser": True, "this_host": self.engine.coordinator})
        try:
            await self.engine.call("VM.start", [session, vm, False, True], protocol="internal")
        except Failure:
            return False
        finally:
            if session != NULL and self.db.exists("session", session):
                await self.engine.call("session.logout", [session], protocol="internal")
        return True
