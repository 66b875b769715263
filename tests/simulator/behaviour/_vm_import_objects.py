# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What VMs of an archive need becomes an object of this pool: storage, networks, measurements (X/import.ml)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..engine.failure import NULL, Failure
from ._vm_settings import Settings


@dataclass
class Wanted:
    """How to import. `sr`: where new disks go; without it only disks that are there already are used.

    `dry_run`: nothing is made. `same_seeds`: nobody looks whether another VM has the MAC seed of one.
    `swaps`: uuid or SCSIid of a disk in the archive → that of the one to use.
    """

    sr: str = ""
    restore: bool = False
    force: bool = False
    live: bool = False
    dry_run: bool = False
    same_seeds: bool = False
    swaps: Mapping[str, str] = field(default_factory=dict)
    # Beforehand: name in the archive → reference here, for disks and NICs' networks that another pool has prepared.
    disks: Mapping[str, str] = field(default_factory=dict)
    networks: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Import:
    """One import under way."""

    wanted: Wanted
    objects: list[dict[str, Any]]
    # Name in the archive → reference here.
    table: dict[str, str] = field(default_factory=dict)
    new_disks: dict[str, str] = field(default_factory=dict)
    vms: list[str] = field(default_factory=list)
    # VMs that were here before, and stay as they are: default templates.
    kept: set[str] = field(default_factory=set)
    undo: list[Callable[[], Awaitable[Any] | None]] = field(default_factory=list)

    def record(self, name: str) -> dict[str, Any]:
        return next((one["snapshot"] for one in self.objects if one["id"] == name), {})

    def found(self, name: str) -> str:
        """What an object that another one needs is here."""
        if name not in self.table:
            raise Failure("IMPORT_ERROR_FAILED_TO_FIND_OBJECT", name)
        return self.table[name]


class ImportedObjects(Settings):
    async def import_host(self, done: Import, name: str, record: dict[str, Any]) -> None:
        done.table[name] = self.db.table("host").by_uuid.get(record["uuid"], NULL)

    async def import_sr(self, done: Import, name: str, record: dict[str, Any]) -> None:
        if done.wanted.sr:
            if record["content_type"] != "iso":
                done.table[name] = done.wanted.sr
        elif record["uuid"] in self.db.table("SR").by_uuid:
            done.table[name] = self.db.by_uuid("SR", record["uuid"])

    async def import_vdi(self, done: Import, name: str, record: dict[str, Any]) -> None:
        if name in done.wanted.disks:
            done.table[name] = done.wanted.disks[name]
        elif done.record(record["SR"]).get("content_type") == "iso":
            found = [ref for ref, row in self.db.items("VDI") if row["location"] == record["location"] and self._is_iso(row["SR"])]
            if found:
                done.table[name] = found[0]
        elif done.wanted.sr and done.wanted.dry_run:
            done.table[name] = name
        elif done.wanted.sr:
            await self._create_vdi(done, name, record)
        else:
            self._find_vdi(done, name, record)

    def _is_iso(self, sr: str) -> bool:
        row = self.db.row("SR", sr)
        return bool(row["content_type"] == "iso" and row["type"] != "udev")

    async def _create_vdi(self, done: Import, name: str, record: dict[str, Any]) -> None:
        task = {"import_task": self.context.task}
        vdi = await self.call("VDI", "create", {**record, "SR": done.wanted.sr, "sm_config": {**task, **record["sm_config"]}})
        done.undo.append(lambda: self.call("VDI", "destroy", vdi))
        done.table[name] = done.new_disks[name] = vdi

    def _find_vdi(self, done: Import, name: str, record: dict[str, Any]) -> None:
        sr = done.table.get(record["SR"])
        found = self._swapped(done, record) or [ref for ref, row in self.db.items("VDI") if (row["SR"], row["location"]) == (sr, record["location"])]
        if found:
            done.table[name] = found[0]
        elif done.wanted.force:
            return
        elif done.wanted.dry_run and done.wanted.live:
            # Real migrations bring it with them.
            done.table[name] = name
        else:
            raise Failure("VDI_CONTENT_ID_MISSING") if sr is None else Failure("VDI_LOCATION_MISSING", sr, record["location"])

    def _swapped(self, done: Import, record: dict[str, Any]) -> list[str]:
        """The disk that the caller names instead of this one, or a LUN that is the same wherever it is seen."""
        lun = record["sm_config"].get("SCSIid")
        wanted = done.wanted.swaps.get(record["uuid"]) or done.wanted.swaps.get(lun or "")
        if wanted in self.db.table("VDI").by_uuid:
            return [self.db.by_uuid("VDI", wanted)]
        return [ref for ref, row in self.db.items("VDI") if row["sm_config"].get("SCSIid", "") == (wanted or lun)]

    async def import_guest_metrics(self, done: Import, name: str, record: dict[str, Any]) -> None:
        self._import_plain(done, "VM_guest_metrics", name, record)

    async def import_metrics(self, done: Import, name: str, record: dict[str, Any]) -> None:
        self._import_plain(done, "VM_metrics", name, record)

    def _import_plain(self, done: Import, cls: str, name: str, record: dict[str, Any]) -> None:
        if done.wanted.dry_run:
            done.table[name] = name
            return
        ref = self.db.create(cls, {key: value for key, value in record.items() if key != "uuid"})
        done.undo.append(lambda: self.db.delete(cls, ref) if self.db.exists(cls, ref) else None)
        done.table[name] = ref

    async def import_network(self, done: Import, name: str, record: dict[str, Any]) -> None:
        """Networks are the same when their names are; failing that, when their bridges are."""
        found = self.db.where("network", name_label=record["name_label"]) or self.db.where("network", bridge=record["bridge"])
        if found:
            done.table[name] = found[0]
            return
        if done.wanted.dry_run:
            done.table[name] = name
            return
        fields = self.engine.schema.classes["network"].fields
        # An import is trusted with the bridge's name, unlike a client.
        values = {key: value for key, value in record.items() if fields[key].create}
        ref = self.db.create("network", {**values, "bridge": record["bridge"]})
        self.db.put("network", ref, "other_config", "import_task", self.context.task)
        done.undo.append(lambda: self.other("network").destroy(ref))
        done.table[name] = ref
