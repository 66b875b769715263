# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is for a host that has lost its pool or its network: asked of that host itself, mostly by a session of its own (X/xapi_pool.ml, X/xapi_ha.ml)."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from ..engine.behaviour import Behaviour
from ..engine.failure import NULL, Failure, NotSimulated, internal_error

if TYPE_CHECKING:
    from ..engine.core import Engine

# Seconds until the hosts have restarted their toolstacks after a change of the coordinator, until the management interface is gone.
TRANSITION, NOTICE = 1.0, 1.0


class HostEmergency(Behaviour):
    """The part of host that is about itself alone."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._disarmed: set[str] = set()
        self._unreachable: set[str] = set()

    # HA: whether the host minds it stands in its own files, beside what the pool's database says (ha_armed).

    def is_armed(self, host: str) -> bool:
        return bool(self.db.get("pool", self.engine.pool, "ha_enabled") and host not in self._disarmed)

    def arm(self) -> None:
        """All hosts mind HA again: it has been enabled."""
        self._disarmed.clear()

    def emergency_ha_disable(self, soft: bool = False) -> None:
        """On this host alone; a soft one lasts until its toolstack starts again, which nothing here shows."""
        if not self.is_armed(self.context.host):
            if not soft:
                raise Failure("HA_NOT_ENABLED")
        elif not soft:
            self._disarmed.add(self.context.host)

    def ha_xapi_healthcheck(self) -> bool:
        """Who answers is healthy."""
        return True

    # The management interface

    def management_disable(self) -> None:
        """Nobody reaches the host by the network any more; a session in its dom0, as tests have, can bring that back."""
        if self.db.get("pool", self.engine.pool, "ha_enabled"):
            raise Failure("HA_IS_ENABLED")
        host = self.context.host
        if host != self.engine.coordinator:
            raise Failure("SLAVE_REQUIRES_MANAGEMENT_INTERFACE")
        for pif in self.row(host)["PIFs"]:
            self.db.set("PIF", pif, "management", False)
        self._unreachable.add(host)
        # The connection that asked for it is served to its end.
        self.engine.later(NOTICE, lambda: self._close(host))

    def _close(self, host: str) -> None:
        if host in self._unreachable:
            self.engine.set_down(host, True)

    def open_management(self, host: str) -> None:
        """It has a management interface again."""
        if host in self._unreachable:
            self._unreachable.discard(host)
            self.engine.set_down(host, False)

    def emergency_clear_mandatory_guidance(self) -> None:
        self.db.set("host", self.context.host, "pending_guidances", [])


class PoolEmergency(Behaviour):
    """The part of pool that finds a coordinator when there is none."""

    _next: str = NULL

    def restarted(self) -> None:
        super().restarted()
        self._next = NULL
        # A coordinator that does not mind HA any more turns it off for all when it starts (X/xapi.ml resynchronise_ha_state).
        if self.db.get("pool", self.engine.pool, "ha_enabled") and not self.other("host").is_armed(self.engine.coordinator):
            self.db.set("pool", self.engine.pool, "ha_enabled", False)

    def _require_disarmed(self) -> None:
        if self.other("host").is_armed(self.context.host):
            raise Failure("HA_IS_ENABLED")

    def become_coordinator(self, host: str) -> None:
        """Once all hosts have been told, each restarts its toolstack."""
        self._next = host
        self.engine.later(TRANSITION, lambda: self._transition(host))

    def _transition(self, host: str) -> None:
        self.db.set("pool", self.engine.pool, "master", host)
        self.engine.restart()

    def emergency_transition_to_master(self) -> None:
        self._require_disarmed()
        if self.context.host != self.engine.coordinator:
            self.become_coordinator(self.context.host)

    def emergency_reset_master(self, master_address: str) -> None:
        """Hosts of this pool follow whoever leads it, so those told so have nothing to do; a host that leaves it that way is not simulated."""
        self._require_disarmed()
        leader = self._next if self._next != NULL else self.engine.coordinator
        if self._host_at(master_address) != leader or self.context.host == leader:
            raise NotSimulated("pool.emergency_reset_master to a host that does not lead this one's pool")

    def _host_at(self, name: str) -> str:
        """The host of that address or name, or NULL for an address of something else."""
        for host, row in self.db.items("host"):
            served = self.engine.endpoints.get(host, "").rpartition(":")[0]
            if name and name in (row["address"], row["hostname"], served):
                return str(host)
        try:
            ipaddress.ip_address(name)
        except ValueError:
            raise internal_error(f'Failure("Couldn\'t resolve hostname: {name}")') from None
        return NULL

    def recover_slaves(self) -> list[str]:
        """Every member follows its coordinator already."""
        return []
