# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Drivers of repositories, the storage that a pool starts with (as its world tells it, or as it was kept), and scans by the clock."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..engine.behaviour import Behaviour
from ..engine.failure import Failure
from ..storage import Repository, contents
from . import _sr_operations
from .drivers import DRIVERS, Driver
from .drivers.errors import uncaught
from .drivers.vhd import VhdDriver

# A `dirty` SR, or one that asks for it, is scanned again that often (xapi_sr.ml scanning_thread).
SCAN_EVERY = 30.0


class Start(Behaviour):
    """Part of SR."""

    def loaded(self, extra: Mapping[str, Any]) -> None:
        self._drivers: dict[str, Driver] = {}
        if not self.engine.store.restored:
            self._make_disks()
            for vdi, description in extra.get("contents", {}).items():
                self._pour(vdi, description)

    def restarted(self) -> None:
        """What was to be done later is begun anew."""
        for sr, row in self.db.items("SR"):
            driver = self.driver(sr)
            if isinstance(driver, VhdDriver):
                driver.kick(sr)
            if "dirty" in row["other_config"]:
                self.scan_later(sr)

    # Drivers

    def driver(self, sr: str) -> Driver:
        """The driver that serves an SR."""
        return self.driver_of(self.db.get("SR", sr, "type"))

    def driver_of(self, kind: str) -> Driver:
        """The driver of a type; SR_UNKNOWN_DRIVER when this pool has none."""
        if kind not in self._drivers:
            if kind not in DRIVERS or not self.db.where("SM", type=kind):
                raise Failure("SR_UNKNOWN_DRIVER", kind)
            self._drivers[kind] = DRIVERS[kind](self.engine, kind)
        return self._drivers[kind]

    def repository(self, sr: str) -> Repository:
        return self.driver(sr).repository(sr)

    # The host that the storage manager works on

    def master_of(self, sr: str) -> str:
        """The host that operations on the SR run on; an SR of one host's own has one PBD (X/helpers.ml get_srmaster)."""
        row = self.row(sr)
        if row["shared"]:
            return self.engine.coordinator
        if len(row["PBDs"]) > 1:
            raise Failure("SR_HAS_MULTIPLE_PBDS", *(self.db.get("PBD", pbd, "uuid") for pbd in row["PBDs"]))
        return str(self.db.get("PBD", row["PBDs"][0], "host"))

    def require_master(self, sr: str) -> None:
        """The storage manager is told with every call whether it runs on that host (X/sm.ml); for an SR itself nobody catches that there is none."""
        try:
            self.master_of(sr)
        except Failure as failure:
            raise uncaught(failure) from None

    # The start state

    def _make_disks(self) -> None:
        """Storage as the records of a world tell it."""
        disks = [(ref, row) for ref, row in self.db.items("VDI") if self.is_set("SR", row["SR"]) and row["type"] != "cbt_metadata"]
        for ref, row in disks:
            self.driver(row["SR"]).adopt(ref, row)
        for _unused, row in disks:
            driver = self.driver(row["SR"])
            if isinstance(driver, VhdDriver) and "vhd-parent" in row["sm_config"]:
                driver.relate(row)
        for ref, row in self.db.items("SR"):
            repository = self.repository(ref)
            repository.size = max(0, row["physical_size"])
            repository.others = max(0, row["physical_utilisation"]) - repository.used

    def _pour(self, vdi: str, description: Mapping[str, str]) -> None:
        sr = self.db.get("VDI", vdi, "SR")
        driver = self.driver(sr)
        contents.pour(driver.volume(vdi), description)
        driver.vdi_update(vdi)
        driver.update(sr)

    # Scans

    def scan_now(self, sr: str) -> None:
        """What a scan does once the SR is locked."""
        self.driver(sr).scan(sr)
        sizes = (self.db.get("VDI", vdi, "virtual_size") for vdi in self.row(sr)["VDIs"])
        self.db.set("SR", sr, "virtual_allocation", sum(sizes))
        self.db.drop("SR", sr, "other_config", "dirty")

    def scan_later(self, sr: str) -> None:
        """The scanning thread meets the SR within half a minute."""

        async def meet() -> None:
            wanted = self.db.exists("SR", sr) and "dirty" in self.row(sr)["other_config"]
            if wanted and _sr_operations.is_plugged(self.engine, sr) and not self.row(sr)["current_operations"]:
                self.scan_now(sr)

        self.engine.later(SCAN_EVERY, meet)
