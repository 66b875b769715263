# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks made of disks: snapshot, clone, copy, revert, migration to another SR (ocaml/xapi/xapi_vdi.ml)."""

from __future__ import annotations

import asyncio
from typing import Any

from ..engine.behaviour import locks_itself
from ..engine.failure import NULL, Failure, internal_error
from ..storage import Volume
from ._vdi_base import Disks
from ._vdi_types import spelt
from .drivers.errors import Unimplemented

# What a snapshot or clone takes over from its source, whatever the storage driver made.
TAKEN_OVER = (
    *("name_label", "name_description", "type", "sharable", "other_config", "xenstore_data"),
    *("on_boot", "allow_caching"),
)
# A disk copy lets others run, and reports its progress, after so many pieces (of 2 MiB).
BREATH = 8


class Branches(Disks):
    """Part of VDI."""

    @locks_itself
    async def snapshot(self, vdi: str, driver_params: dict[str, str]) -> str:
        async with self.locked("snapshot", vdi, "snapshot", "vdi_snapshot"):
            new = self.on_disk(vdi, lambda: self._branch(vdi, driver_params, snapshot=True))
            self.db.update("VDI", new, is_a_snapshot=True, snapshot_of=vdi)
            return new

    @locks_itself
    async def clone(self, vdi: str, driver_params: dict[str, str]) -> str:
        async with self.locked("clone", vdi, "clone", "vdi_clone"):
            try:
                return self._branch(vdi, driver_params, snapshot=False)
            except Unimplemented:
                pass
        # The driver cannot; xapi copies, outside of the SR's lock.
        row = self.row(vdi)
        new = await self.other("VDI").create({**row, "sm_config": {}, "tags": []})
        try:
            await self.copy_bytes(vdi, new)
        except BaseException:
            if self.db.exists("VDI", new):
                self.driver(new).vdi_delete(new)
            raise
        return str(new)

    def _branch(self, vdi: str, params: dict[str, str], *, snapshot: bool) -> str:
        driver = self.ready(vdi)
        new = driver.vdi_clone(vdi, params, snapshot=snapshot)
        # A clone has the time of its making there too (storage_smapiv1.ml snapshot_and_clone).
        self.db.set("VDI", new, "snapshot_time", self.engine.clock.now())
        driver.vdi_update(new)
        row = self.row(vdi)
        # Tags come along since 2026 (xapi b1b140a091 "copy tags on VDI clone and snapshot").
        taken_over = (*TAKEN_OVER, "tags") if self.engine.schema.level == "26" else TAKEN_OVER
        self.db.update("VDI", new, **{name: row[name] for name in taken_over})
        return new

    # Copies

    @locks_itself
    async def copy(self, vdi: str, sr: str = NULL, base_vdi: str = NULL, into_vdi: str = NULL) -> str:
        async with self.locked("copy", vdi, "copy"):
            if not self.other("SR").hosts_that_see(self.row(vdi)["SR"]):
                # No host to forward the call to, and nobody there who would find words for it (X/message_forwarding.ml forward_sr_multiple_op).
                raise internal_error("Not_found")
            self.require_managed(vdi)
            made = not self.is_set("VDI", into_vdi)
            target = await self._new_copy(vdi, sr) if made else into_vdi
            try:
                self._require_room(vdi, target)
                await self.copy_bytes(vdi, target)
            except BaseException:
                if made and self.db.exists("VDI", target):
                    self.driver(target).vdi_delete(target)
                raise
            return target

    async def _new_copy(self, vdi: str, sr: str) -> str:
        row = self.row(vdi)
        values = {**row, "SR": sr, "read_only": False, "sm_config": {}}
        target = str(await self.other("VDI").create(values))
        self.db.update("VDI", target, allow_caching=row["allow_caching"], on_boot=row["on_boot"])
        return target

    def _require_room(self, vdi: str, target: str) -> None:
        row, size = self.row(target), self.row(vdi)["virtual_size"]
        if row["read_only"]:
            raise Failure("VDI_READONLY", target)
        if row["virtual_size"] < size:
            raise Failure("VDI_TOO_SMALL", target, str(size))

    async def copy_bytes(self, vdi: str, target: str) -> None:
        """Copy what is on one disk to another, in dom0."""
        async with self.in_dom0(vdi, "RO") as source, self.in_dom0(target, "RW") as sink:
            await self._pour(source, sink)
        repository = self.other("SR").repository(self.row(target)["SR"])
        if repository.used > repository.size > 0:
            raise Failure("VDI_IO_ERROR", "Device I/O error")

    async def _pour(self, source: Volume, sink: Volume) -> None:
        paced = await self.engine.carry(source.size)
        for number, done in enumerate(sink.copy_from(source), start=1):
            if number % BREATH == 0:
                self.engine.check_cancelled()
                if not paced:
                    self.engine.tasks.progress(done / max(1, source.size))
                await asyncio.sleep(0)

    # Back to a snapshot (API level 26)

    @locks_itself
    async def revert(self, snapshot: str) -> None:
        row = self.row(snapshot)
        marks = [("SR", row["SR"], "vdi_revert"), ("VDI", snapshot, "revert_to"), ("VDI", row["snapshot_of"], "revert_from")]
        async with self.engine.operations.hold_all(marks):
            await self.engine.pass_time("VDI.revert")
            self.ready(snapshot)
            # No driver of this generation has the feature VDI_REVERT, so that the SR's check has refused already.
            raise Failure("UNIMPLEMENTED_IN_SM_BACKEND", row["SR"])

    # Migration

    @locks_itself
    async def pool_migrate(self, vdi: str, sr: str, options: dict[str, str]) -> str:
        self.existing("SR", sr)
        vbds = self.row(vdi)["VBDs"]
        if not vbds:
            raise Failure("VDI_NEEDS_VM_FOR_MIGRATE", vdi)
        vm = self.db.get("VBD", vbds[0], "VM")
        async with self.engine.operations.hold("VM", vm, "migrate_send"), self.locked("pool_migrate", vdi, "mirror"):
            if self.row(vdi)["type"] == "cbt_metadata":
                raise Failure("VDI_INCOMPATIBLE_TYPE", vdi, spelt("cbt_metadata"))
            source = self.row(vdi)["SR"]
            if source == sr:
                return vdi
            for end in (source, sr):
                self.other("VM").require_features(end)
            await self._bring_vm(vm, vdi, sr)
            return await self.move(vdi, sr)

    async def _bring_vm(self, vm: str, vdi: str, sr: str) -> None:
        """A running VM goes to a host that sees all its disks where they will be, if its own does not."""
        vms, here = self.other("VM"), self.db.get("VM", vm, "resident_on")
        if here == NULL:
            return
        needed = {sr, *(self.row(other)["SR"] for other in vms.hard_disks(vm) if other != vdi)}
        hosts = [host for host in self.db.refs("host") if all(host in self.other("SR").hosts_that_see(one) for one in needed)]
        if not hosts:
            raise Failure("NO_HOSTS_AVAILABLE")
        if here not in hosts:
            vms.require_bootable(vm, hosts[0], check_storage=False)
            await vms.move_domain(vm, hosts[0])
            vms.report_migrated(vm, here, hosts[0])

    async def move(self, vdi: str, sr: str) -> str:
        """Bring a disk to another SR: a new VDI takes its place in every drive and the old one goes."""
        self.require_managed(vdi)
        new = await self._new_copy(vdi, sr)
        try:
            await self._pour(self.volume(vdi), self.volume(new))
        except BaseException:
            self.driver(new).vdi_delete(new)
            raise
        row = self.row(vdi)
        kept: dict[str, Any] = {name: row[name] for name in ("other_config", "is_a_snapshot", "snapshot_of", "snapshot_time")}
        self.db.update("VDI", new, **kept)
        for drive in list(row["VBDs"]):
            self.db.set("VBD", drive, "VDI", new)
        for snapshot in list(row["snapshots"]):
            self.db.set("VDI", snapshot, "snapshot_of", new)
        self.driver(vdi).vdi_delete(vdi)
        return new
