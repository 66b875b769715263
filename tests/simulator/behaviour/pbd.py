# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""PBD: the connection of a host to a storage repository (facts 3.7, ocaml/xapi/xapi_pbd.ml)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..engine.behaviour import Behaviour, locks_itself
from ..engine.failure import Failure
from . import _secrets
from ._progress import other_operation_on

INTERNAL_KEY = "SRmaster"
# Seconds between two rounds of the collector (X/db_gc_util.ml).
SWEEP_EVERY = 30.0


class PBD(Behaviour):
    cls = "PBD"

    def affected(self, ref: str) -> Iterable[tuple[str, str]]:
        return (("SR", self.row(ref)["SR"]),)

    # Life

    @locks_itself
    async def create(self, args: dict[str, Any]) -> str:
        config = _secrets.moved(self.db, args["device_config"])
        async with self.engine.operations.hold("SR", args["SR"], "pbd_create"):
            await self.engine.pass_time("PBD.create")
            pbd = self.insert(args["host"], args["SR"], config)
            if not self.db.exists("host", args["host"]):
                # Nobody asks whether there is such a host, but the database's collector.
                self.engine.later(SWEEP_EVERY, lambda: self._sweep(pbd))
            return pbd

    def _sweep(self, pbd: str) -> None:
        if self.db.exists("PBD", pbd) and not self.db.exists("host", self.row(pbd)["host"]):
            self.discard(pbd)

    def insert(self, host: str, sr: str, config: Mapping[str, str]) -> str:
        """The row; other_config that the caller gave is not kept."""
        for pbd in self.db.get("SR", sr, "PBDs"):
            if self.row(pbd)["host"] == host:
                raise Failure("PBD_EXISTS", sr, host, pbd)
        self._check_config(config)
        own = _secrets.duplicated(self.db, config)
        return self.db.create("PBD", {"host": host, "SR": sr, "device_config": own, "other_config": {}})

    @staticmethod
    def _check_config(config: Mapping[str, str]) -> None:
        if INTERNAL_KEY in config:
            raise Failure("VALUE_NOT_SUPPORTED", INTERNAL_KEY, config[INTERNAL_KEY], "This key is for internal use only")

    @locks_itself
    async def destroy(self, ref: str) -> None:
        async with self.engine.operations.hold("SR", self.row(ref)["SR"], "pbd_destroy"):
            await self.engine.pass_time("PBD.destroy")
            if self.row(ref)["currently_attached"]:
                raise Failure("OPERATION_NOT_ALLOWED", "PBD is currently attached")
            self.discard(ref)

    def discard(self, ref: str) -> None:
        """Remove the row and its secrets."""
        config = self.row(ref)["device_config"]
        self.db.delete("PBD", ref)
        _secrets.destroyed(self.db, config)

    def set_device_config(self, ref: str, value: dict[str, str]) -> None:
        # Only the storage manager itself may (Sm.assert_session_has_internal_sr_access).
        raise Failure("PERMISSION_DENIED", "")

    # Connection

    @locks_itself
    async def plug(self, ref: str) -> None:
        row = self.row(ref)
        sr = row["SR"]
        async with self.engine.operations.hold("SR", sr, "plug"):
            await self.engine.pass_time("PBD.plug")
            self.other("host").reach(row["host"])
            driver = self.other("SR").driver(sr)
            if row["currently_attached"]:
                return
            self._check_sharing(sr, row["host"])
            self.other("SR").require_master(sr)
            driver.attach(sr, row["device_config"])
            driver_domain = {"storage_driver_domain": self.db.get("host", row["host"], "control_domain")}
            self.db.update("PBD", ref, other_config={**row["other_config"], **driver_domain}, currently_attached=True)
            if not self.db.get("SR", sr, "shared") or row["host"] == self.engine.coordinator:
                if driver.looks_when_attached or self.engine.schema.level == "8.2":
                    driver.scan(sr)
                self.db.put("SR", sr, "other_config", "dirty", "")
                self.other("SR").scan_later(sr)

    def _check_sharing(self, sr: str, host: str) -> None:
        if self.db.get("SR", sr, "shared"):
            return
        for pbd in self.db.get("SR", sr, "PBDs"):
            other = self.row(pbd)
            if other["currently_attached"] and other["host"] != host:
                raise Failure("SR_NOT_SHARABLE", sr, other["host"])

    @locks_itself
    async def unplug(self, ref: str) -> None:
        row = self.row(ref)
        sr = row["SR"]
        async with self.engine.operations.hold("SR", sr, "unplug", first=lambda: self._require_idle_disks(sr)):
            await self.engine.pass_time("PBD.unplug")
            self.other("host").reach(row["host"])
            if not row["currently_attached"]:
                return
            self._require_no_protection(sr, row["host"])
            used = self._disks_in_use(sr, row["host"])
            if used:
                raise Failure("VDI_IN_USE", *used)
            self.other("SR").driver(sr).detach(sr)
            self.db.set("PBD", ref, "currently_attached", False)

    def _require_no_protection(self, sr: str, host: str) -> None:
        """HA needs the SR: for what it would restart elsewhere, or for its own statefile (X/xapi_pbd.ml unplug)."""
        pool = self.db.row("pool", self.engine.pool)
        if not pool["ha_enabled"]:
            return
        if self.db.get("host", host, "enabled"):
            self.require_no_protected_disks(sr)
        if any(self.db.get("VDI", vdi, "SR") == sr for vdi in pool["ha_statefiles"] if self.is_set("VDI", vdi)):
            raise Failure("HA_IS_ENABLED")

    def require_no_protected_disks(self, sr: str) -> None:
        """With HA on: nothing that it would restart elsewhere has a disk there (abort_if_storage_attached_to_protected_vms)."""
        if not self.db.get("pool", self.engine.pool, "ha_allow_overcommit") and self._has_protected_disks(sr):
            if self.engine.schema.level == "26":
                raise Failure("HA_CONSTRAINT_VIOLATION_SR_NOT_SHARED", sr)
            raise Failure("HA_OPERATION_WOULD_BREAK_FAILOVER_PLAN")

    def _has_protected_disks(self, sr: str) -> bool:
        """Whether HA would restart a VM that has a drive with a disk of the SR."""
        drives = [self.db.row("VBD", vbd) for vdi in self.db.get("SR", sr, "VDIs") for vbd in self.db.get("VDI", vdi, "VBDs")]
        vms = [self.db.row("VM", drive["VM"]) for drive in drives if self.is_set("VM", drive["VM"])]
        return any(vm["ha_always_run"] and vm["ha_restart_priority"] == "restart" for vm in vms)

    def _require_idle_disks(self, sr: str) -> None:
        """Where the coordinator works on the SR's disks, none of them is busy (X/message_forwarding.ml with_unplug_locks)."""
        if self.other("SR").master_of(sr) != self.engine.coordinator:
            return
        for vdi in self.db.get("SR", sr, "VDIs"):
            if running := self.db.get("VDI", vdi, "current_operations"):
                raise other_operation_on(self.engine, "VDI", vdi, running)

    def _disks_in_use(self, sr: str, host: str) -> list[str]:
        """Disks of the SR that VMs on the host use; metadata disks do not count."""
        found = []
        for vm in self.db.get("host", host, "resident_VMs"):
            for vbd in self.db.get("VM", vm, "VBDs"):
                drive = self.db.row("VBD", vbd)
                if drive["empty"] or not (drive["currently_attached"] or drive["reserved"]):
                    continue
                disk = self.db.tables["VDI"].rows.get(drive["VDI"])
                if disk is not None and disk["SR"] == sr and disk["type"] != "metadata":
                    found.append(drive["VDI"])
        return found
