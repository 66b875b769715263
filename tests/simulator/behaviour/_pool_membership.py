# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who belongs to the pool and who leads it: eject, a new coordinator (X/xapi_pool.ml)."""

from __future__ import annotations

from ..engine.failure import Failure, internal_error
from ._emergency import PoolEmergency


class Membership(PoolEmergency):
    """The part of pool that is about its hosts."""

    def is_slave(self, host: str) -> bool:
        """Asked of the host that was called."""
        return self.context.host != self.engine.coordinator

    async def designate_new_master(self, host: str) -> None:
        async with self.engine.operations.hold("pool", self.engine.pool, "designate_new_master"):
            self.existing("host", host)
            self.other("host").reach(host)
            if host == self.engine.coordinator:
                return
            if self.db.get("pool", self.engine.pool, "ha_enabled"):
                raise Failure("HA_IS_ENABLED")
            self.become_coordinator(host)

    async def eject(self, host: str) -> None:
        async with self.engine.operations.hold("pool", self.engine.pool, "eject"):
            # The call is forwarded to the host it names before anything looks at that.
            if not self.db.exists("host", host):
                raise Failure("HOST_OFFLINE", host)
            self.other("host").reach(host)
            self._require_ejectable(host)
            self._forget_local_storage(host)
            self.engine.set_down(host, True)
            self.other("host").remove(host)

    def _require_ejectable(self, host: str) -> None:
        """8.2 looks at HA first, later ones at who it is (X/xapi_pool.ml eject and eject_self)."""
        pool, is_coordinator = self.db.row("pool", self.engine.pool), host == self.engine.coordinator
        if is_coordinator and self.engine.schema.level != "8.2":
            raise internal_error("Xapi_pool.Cannot_eject_master")
        if pool["ha_enabled"]:
            raise Failure("HA_IS_ENABLED")
        if is_coordinator:
            raise internal_error("Xapi_pool.Cannot_eject_master")
        if "apply_updates" in pool["current_operations"].values():
            raise Failure("NOT_SUPPORTED_DURING_UPGRADE")
        if self.other("host").resident_guests(host):
            raise Failure("OPERATION_NOT_ALLOWED", "VM resident on host")

    def _forget_local_storage(self, host: str) -> None:
        """The ejected host's own disks are wiped: SRs that only it saw go, with what was in them."""
        for pbd in list(self.db.get("host", host, "PBDs")):
            sr = self.db.get("PBD", pbd, "SR")
            self.db.delete("PBD", pbd)
            if self.is_set("SR", sr) and not self.db.get("SR", sr, "PBDs") and not self.db.get("SR", sr, "shared"):
                for vdi in list(self.db.get("SR", sr, "VDIs")):
                    for vbd in list(self.db.get("VDI", vdi, "VBDs")):
                        self.db.delete("VBD", vbd)
                    self.db.delete("VDI", vdi)
                self.db.delete("SR", sr)
