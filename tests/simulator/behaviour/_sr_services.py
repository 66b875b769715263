# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an SR is asked to do for the pool: hold a statefile, a copy of the database, measurements (X/xha_statefile.ml, X/xapi_sr.ml)."""

from __future__ import annotations

from typing import Any

from ..engine.behaviour import Behaviour
from ..engine.failure import Failure, internal_error
from . import _pool_features, _sr_operations

MIB = 1024 * 1024
EXTENT = 4 * MIB
STATEFILE = 4096 + 64 * 4096
REDO_LOG = (4_000_000_000 // EXTENT - 2) * EXTENT  # Redo_log.minimum_vdi_size
ROOM = sum(-(-size // EXTENT) * EXTENT for size in (STATEFILE, REDO_LOG))
REPLICAS_MOST = 8


class Services(Behaviour):
    """Part of SR."""

    def _require_everywhere(self, sr: str) -> None:
        """Every host has a plugged connection."""
        pbds = [self.db.row("PBD", pbd) for pbd in self.db.get("SR", sr, "PBDs")]
        plugged = {pbd["host"] for pbd in pbds if pbd["currently_attached"]}
        if set(self.db.refs("host")) - plugged or not all(pbd["currently_attached"] for pbd in pbds):
            raise Failure("SR_HAS_NO_PBDS", sr)

    def assert_can_host_ha_statefile(self, sr: str) -> None:
        self._require_everywhere(sr)
        if not {"VDI_GENERATE_CONFIG", "VDI_ATTACH_OFFLINE"} & _sr_operations.features(self.engine, sr):
            raise Failure("SR_OPERATION_NOT_SUPPORTED", sr)
        row = self.db.row("SR", sr)
        for kind, size in (("ha_statefile", STATEFILE), ("redo_log", REDO_LOG)):
            disks = (self.db.row("VDI", vdi) for vdi in row["VDIs"])
            reusable = any(disk["type"] == kind and disk["virtual_size"] >= size for disk in disks)
            if not reusable and row["physical_size"] - row["physical_utilisation"] < ROOM:
                raise Failure("SR_SOURCE_SPACE_INSUFFICIENT", sr)

    def assert_supports_database_replication(self, sr: str) -> None:
        self._require_everywhere(sr)
        if "SR_METADATA" not in _sr_operations.features(self.engine, sr):
            raise Failure("SR_OPERATION_NOT_SUPPORTED", sr)

    async def enable_database_replication(self, sr: str) -> None:
        _pool_features.require(self.engine, "DR")
        self.assert_supports_database_replication(sr)
        if len([drive for drive in self._replicas() if drive]) >= REPLICAS_MOST:
            raise Failure("NO_MORE_REDO_LOGS_ALLOWED")
        vdi = self._metadata_disk(sr) or await self._new_metadata_disk(sr)
        if not self.db.get("VDI", vdi, "VBDs"):
            drives = self.other("VBD")
            drive = drives.create(self._drive(vdi))
            drives.attach(drive)
            self.db.set("VDI", vdi, "metadata_latest", True)

    def _replicas(self) -> list[list[str]]:
        return [row["VBDs"] for _unused, row in self.db.items("VDI") if row["type"] == "metadata" and row["metadata_of_pool"] == self.engine.pool]

    def _metadata_disk(self, sr: str) -> str | None:
        for vdi in self.db.get("SR", sr, "VDIs"):
            row = self.db.row("VDI", vdi)
            if row["type"] == "metadata" and row["metadata_of_pool"] == self.engine.pool and row["virtual_size"] >= REDO_LOG:
                return str(vdi)
        return None

    async def _new_metadata_disk(self, sr: str) -> str:
        names = {"name_label": "Metadata for DR", "name_description": "Used for disaster recovery"}
        kind = {"virtual_size": REDO_LOG, "type": "metadata", "sharable": False, "read_only": False, "sm_config": {"type": "raw"}}
        vdi = str(await self.other("VDI").create({**names, **kind, "SR": sr, "other_config": {}, "xenstore_data": {}, "tags": []}))
        self.db.set("VDI", vdi, "metadata_of_pool", self.engine.pool)
        return vdi

    def _drive(self, vdi: str) -> dict[str, Any]:
        dom0 = self.db.get("host", self.engine.coordinator, "control_domain")
        where = {"VM": dom0, "VDI": vdi, "userdevice": "autodetect", "device": "", "bootable": False, "mode": "RW", "type": "Disk"}
        rest = {"unpluggable": True, "empty": False, "currently_attached": False, "other_config": {}}
        return {**where, **rest, "qos_algorithm_type": "", "qos_algorithm_params": {}}

    async def disable_database_replication(self, sr: str) -> None:
        while (vdi := self._metadata_disk(sr)) is not None:
            for drive in list(self.db.get("VDI", vdi, "VBDs")):
                self.other("VBD").detach(drive)
                self.other("VBD").discard(drive)
            await self.other("VDI").destroy(vdi)

    # Faults

    def fill(self, sr: str, leave: int = 0) -> None:
        """Something else takes all the room of the storage but `leave` bytes, or gives it back."""
        repository = self.other("SR").repository(sr)
        repository.others = max(0, repository.size - leave - (repository.used - repository.others))
        self.other("SR").driver(sr).update(sr)

    # Measurements: only drivers with the feature SR_STATS keep any, and none of these does

    def get_data_sources(self, sr: str) -> list[dict[str, Any]]:
        self.other("SR").host_of(sr)
        return []

    def query_data_source(self, sr: str, data_source: str) -> float:
        raise self._no_measurements(sr)

    def record_data_source(self, sr: str, data_source: str) -> None:
        raise self._no_measurements(sr)

    def forget_data_source_archives(self, sr: str, data_source: str) -> None:
        self.other("SR").host_of(sr)

    def _no_measurements(self, sr: str) -> Failure:
        self.other("SR").host_of(sr)
        return internal_error(f"IDL Error: [S(Datasource_missing);S(SR: {self.db.get('SR', sr, 'uuid')})]")
