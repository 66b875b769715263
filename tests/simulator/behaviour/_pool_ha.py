# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""High availability as far as clients see it: on, off, and how many hosts may fail (X/xapi_ha.ml, X/xapi_ha_vm_failover.ml)."""

from __future__ import annotations

from ..engine.failure import NULL, Failure, internal_error
from . import _pool_features
from ._ha_plan import NOTHING, Planner, protected, require_plan_after
from ._pool_storage import REDO_LOG_SIZE, WholePool

# X/xha_statefile.ml: a section for all, and one for each of 64 hosts.
STATEFILE = 4096 + 64 * 4096
PRIORITIES = ("restart", "best-effort", "")
# Both disks, in whole pieces of 4 MiB.
NEEDED = (4 << 20) + REDO_LOG_SIZE
ANOMALY = "A possible network anomaly was found. The following hosts possibly have storage PIFs that are not dedicated:"
OVERCOMMITTED = "The failover tolerance for pool '{}' has dropped and the initially specified number of host failures to tolerate can no longer be guaranteed"
SCRIPT = "/usr/libexec/xapi/cluster-stack/xhad/ha_set_pool_state"


class HighAvailability(WholePool):
    """The part of pool that is about HA."""

    _has_cluster_stack: bool

    async def enable_ha(self, heartbeat_srs: list[str], configuration: dict[str, str]) -> None:
        pool = self.engine.pool
        async with self.engine.operations.hold("pool", pool, "ha_enable"):
            _pool_features.require(self.engine, "HA")
            for sr in heartbeat_srs:
                self.existing("SR", sr)
            self._require_plugged()
            for host in self.db.refs("host"):
                if not self.other("host").is_live(host):
                    raise Failure("HOST_OFFLINE", host)
            srs = heartbeat_srs or [sr for sr in self.db.refs("SR") if self._can_host_statefile(sr)]
            if not srs:
                raise Failure("CANNOT_CREATE_STATE_FILE")
            statefile = await self._statefile(srs[0])
            database = await self.find_or_make_disk(srs[0], "redo_log", REDO_LOG_SIZE, "Metadata for HA", "Used for master failover")
            self.db.update("pool", pool, ha_statefiles=[statefile], ha_configuration=configuration, ha_plan_exists_for=0)
            if not self._has_cluster_stack:
                raise internal_error(f'Unix.Unix_error(Unix.ENOENT, "access", "{SCRIPT}")')
            self._join_liveset([statefile])
            self.other("host").arm()
            self.db.set("pool", pool, "ha_enabled", True)
            self.update_plan()
            self.engine.operations.again("VDI", database)

    def _require_plugged(self) -> None:
        """What must not be unplugged must be plugged; what has an address should not be unpluggable."""
        unplugged = [pif for pif, row in self.db.items("PIF") if row["disallow_unplug"] and not row["currently_attached"]]
        if unplugged:
            raise Failure("REQUIRED_PIF_IS_UNPLUGGED", *unplugged)
        loose = [row for _ref, row in self.db.items("PIF") if row["ip_configuration_mode"] != "None" and not (row["disallow_unplug"] or row["management"])]
        lines = [f"{self.db.get('host', row['host'], 'name_label')}: {row['device']} (uuid: {row['uuid']})" for row in loose if row["bond_slave_of"] == NULL]
        if lines:
            body = "\n".join([ANOMALY, *lines])
            self.other("message").post("IP_CONFIGURED_PIF_CAN_UNPLUG", 3, "Pool", self.db.get("pool", self.engine.pool, "uuid"), body)

    def _join_liveset(self, statefiles: list[str]) -> None:
        peers = [row["uuid"] for _ref, row in self.db.items("host")]
        for host in self.db.refs("host"):
            self.db.update("host", host, ha_statefiles=statefiles, ha_network_peers=peers)

    def _require_statefile_storage(self, sr: str) -> str | None:
        """A statefile there is already; every host must see the SR, and it must be able to serve disks before the pool is up."""
        row = self.db.row("SR", sr)
        pbds = [self.db.row("PBD", pbd) for pbd in row["PBDs"]]
        if {pbd["host"] for pbd in pbds} < set(self.db.refs("host")) or not all(pbd["currently_attached"] for pbd in pbds):
            raise Failure("SR_HAS_NO_PBDS", sr)
        drivers = [sm["features"] for _ref, sm in self.db.items("SM") if sm["type"] == row["type"]]
        if not any(name in features for features in drivers[:1] for name in ("VDI_GENERATE_CONFIG", "VDI_ATTACH_OFFLINE")):
            raise Failure("SR_OPERATION_NOT_SUPPORTED", sr)
        return self._known_disk(sr, "ha_statefile", STATEFILE)

    def _known_disk(self, sr: str, kind: str, size: int) -> str | None:
        row = self.db.row("SR", sr)
        for vdi in row["VDIs"]:
            disk = self.db.row("VDI", vdi)
            if disk["type"] == kind and disk["virtual_size"] >= size:
                return str(vdi)
        if row["physical_size"] - row["physical_utilisation"] < NEEDED:
            raise Failure("SR_SOURCE_SPACE_INSUFFICIENT", sr)
        return None

    def _can_host_statefile(self, sr: str) -> bool:
        try:
            self._require_statefile_storage(sr)
            self._known_disk(sr, "redo_log", REDO_LOG_SIZE)
        except Failure:
            return False
        return True

    async def _statefile(self, sr: str) -> str:
        known = self._require_statefile_storage(sr)
        if known is not None:
            return known
        self._known_disk(sr, "redo_log", REDO_LOG_SIZE)
        return await self.find_or_make_disk(sr, "ha_statefile", STATEFILE, "Statefile for HA", "Used for storage heartbeating")

    async def disable_ha(self) -> None:
        """The disks stay for the next time, and the pool goes on naming the statefiles."""
        pool = self.engine.pool
        async with self.engine.operations.hold("pool", pool, "ha_disable"):
            self.db.update("pool", pool, ha_plan_exists_for=0, ha_enabled=False)
            for host in self.db.refs("host"):
                self.db.update("host", host, ha_statefiles=[], ha_network_peers=[])

    # How many hosts may fail

    def _most_failures(self) -> int:
        return Planner(self.engine, protected(self.engine)).most_failures()

    def _footprint_of(self, vm: str) -> int:
        row = self.db.row("VM", vm)
        return int(row["memory_static_max"] + row["memory_overhead"])

    def ha_compute_max_host_failures_to_tolerate(self) -> int:
        number, pool = self._most_failures(), self.db.row("pool", self.engine.pool)
        if pool["ha_enabled"]:
            wanted, planned = pool["ha_host_failures_to_tolerate"], pool["ha_plan_exists_for"]
            self.db.set("pool", self.engine.pool, "ha_overcommitted", wanted > number)
            self._plan_is_for(planned, number, wanted)
        return number

    def _plan_is_for(self, planned: int, possible: int, wanted: int) -> None:
        """A number that has fallen is told to everybody."""
        if planned != possible:
            self.db.set("pool", self.engine.pool, "ha_plan_exists_for", min(wanted, possible))
            if possible < planned:
                self._alert("HA_POOL_DROP_IN_PLAN_EXISTS_FOR", str(possible))

    def _alert(self, name: str, body: str) -> None:
        self.other("message").post(name, 3, "Pool", self.db.get("pool", self.engine.pool, "uuid"), body)

    def ha_compute_hypothetical_max_host_failures_to_tolerate(self, configuration: dict[str, str]) -> int:
        for vm, priority in configuration.items():
            if priority not in PRIORITIES:
                raise Failure("INVALID_VALUE", "ha_restart_priority", priority)
            self.existing("VM", vm)
        return Planner(self.engine, [vm for vm, priority in configuration.items() if priority == "restart"]).most_failures()

    def ha_failover_plan_exists(self, number: int) -> bool:
        return Planner(self.engine, protected(self.engine)).has_plan(number)

    def ha_compute_vm_failover_plan(self, failed_hosts: list[str], failed_vms: list[str]) -> dict[str, dict[str, str]]:
        """VM → where it would start again, or why nowhere; the largest are placed first."""
        hosts = [host for host in self.db.refs("host") if host not in failed_hosts and self.other("host").is_live(host)]
        free = {host: self.other("host").free_memory(host) for host in hosts}
        plan = {}
        for vm in sorted(failed_vms, key=self._footprint_of, reverse=True):
            place = max(free, key=lambda host: free[host], default=None)
            if place is None or free[place] < self._footprint_of(vm):
                plan[vm] = {"error_code": self._why_not(vm)}
            else:
                free[place] -= self._footprint_of(vm)
                plan[vm] = {"host": place}
        return plan

    def _why_not(self, vm: str) -> str:
        try:
            self.other("VM").assert_agile(vm)
        except Failure as failure:
            return failure.code
        return "HOST_NOT_ENOUGH_FREE_MEMORY"

    def set_ha_host_failures_to_tolerate(self, ref: str, value: int) -> None:
        if value < 0:
            raise Failure("INVALID_VALUE", "ha_host_failures_to_tolerate", str(value))
        if self.row(ref)["ha_plan_exists_for"] > 0:
            require_plan_after(self.engine, NOTHING, value)
        self.db.set("pool", ref, "ha_host_failures_to_tolerate", value)
        self.update_plan()

    def update_plan(self) -> None:
        """What clients see of the planner's work (update_pool_status)."""
        pool, row = self.engine.pool, self.db.row("pool", self.engine.pool)
        wanted, planned, was_short = row["ha_host_failures_to_tolerate"], row["ha_plan_exists_for"], row["ha_overcommitted"]
        if Planner(self.engine, protected(self.engine)).has_plan(wanted):
            self.db.update("pool", pool, ha_plan_exists_for=wanted, ha_overcommitted=False)
            return
        self._plan_is_for(planned, self._most_failures(), wanted)
        self.db.set("pool", pool, "ha_overcommitted", True)
        if not was_short:
            self._alert("HA_POOL_OVERCOMMITTED", OVERCOMMITTED.format(row["name_label"]))

    def ha_prevent_restarts_for(self, seconds: int) -> None:
        if not self.db.get("pool", self.engine.pool, "ha_enabled"):
            raise Failure("HA_NOT_ENABLED")
