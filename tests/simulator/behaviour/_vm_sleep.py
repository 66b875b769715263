# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""VM: suspend and resume (facts 3.3)."""

from __future__ import annotations

import contextlib

from ..engine.behaviour import operation
from ..engine.failure import NULL, Failure
from . import _versions
from ._vm_placement import Placement
from ._vm_record import Records

MIB = 1 << 20


class Sleep(Placement, Records):
    @operation("suspend")
    async def suspend(self, ref: str) -> None:
        self.db.set("VM", ref, "ha_always_run", False)
        await self.sleep_into_image(ref)
        self.report("VM_SUSPENDED", ref, "suspended")

    async def sleep_into_image(self, ref: str) -> None:
        """The VM's memory goes into a new VDI."""
        row = self.row(ref)
        size = int(float(row["memory_static_max"]) * 1.2 * 1.05) + 100 * MIB
        image = await self.call(
            "VDI",
            "create",
            {
                "name_label": "Suspend image",
                "name_description": "Suspend image",
                "SR": self._suspend_sr(ref),
                "virtual_size": size,
                "type": "suspend",
                "sharable": False,
                "read_only": False,
                "other_config": {},
                "xenstore_data": {},
                "sm_config": {"_sm_vm_hint": row["uuid"], "_sm_initial_allocation": str(size)},
                "tags": [],
            },
        )
        self.db.set("VM", ref, "suspend_VDI", image)
        self.db.set("VM", ref, "last_booted_record", self._image_record(ref))
        self.discard(ref, "Suspended")

    def _image_record(self, ref: str) -> str:
        """xenopsd's own notes on a sleeping domain: opaque to clients."""
        row = self.row(ref)
        return f'{{"uuid":"{row["uuid"]}","domid":{row["domid"]},"vcpus":{row["VCPUs_at_startup"]},"suspended":true}}'

    def _suspend_sr(self, ref: str) -> str:
        """The first that exists of: the VM's own, the pool's, the host's (facts 3.3)."""
        row = self.row(ref)
        host = row["resident_on"]
        pool = self.db.row("pool", self.engine.pool)
        for sr in (row["suspend_SR"], pool["suspend_image_SR"], self.db.get("host", host, "suspend_image_sr")):
            if self.is_set("SR", sr) and self.sees(host, sr):
                return str(sr)
        raise Failure("VM_NO_SUSPEND_SR", ref)

    async def drop_image(self, ref: str) -> None:
        image = self.row(ref)["suspend_VDI"]
        if self.is_set("VDI", image):
            # Whether that works or not, the VM forgets its image.
            with contextlib.suppress(Failure):
                await self.call("VDI", "destroy", image)
        self.db.set("VM", ref, "suspend_VDI", NULL)

    @operation("resume")
    async def resume(self, ref: str, start_paused: bool, force: bool) -> None:
        async with self.engine.operations.hold_all(self.vbd_marks(ref), 120.0):
            host = self.choose_host(ref)
            if not force:
                self.require_compatible(ref, host)
            async with self.reserved(ref, host, "vm_resume"):
                await self._wake(ref, host, paused=start_paused)
        self._report_resumed(ref)

    def before_resume_on(self, _ref: str, host: str, *_unused: bool) -> None:
        if self.db.exists("host", host):
            _versions.require_newest(self.engine, host)

    @operation("resume_on", before="before_resume_on")
    async def resume_on(self, ref: str, host: str, start_paused: bool, force: bool) -> None:
        async with self.engine.operations.hold_all(self.vbd_marks(ref), 120.0):
            self.require_bootable(ref, host)
            if not force:
                self.require_compatible(ref, host)
            async with self.reserved(ref, host, "vm_resume"):
                await self._wake(ref, host, paused=start_paused)
        self._report_resumed(ref)

    def _report_resumed(self, ref: str) -> None:
        host = self.db.row("host", self.row(ref)["resident_on"])
        self.report("VM_RESUMED", ref, f"resumed on host: {host['name_label']} (uuid: {host['uuid']})")

    async def _wake(self, ref: str, host: str, *, paused: bool) -> None:
        row = self.row(ref)
        if row["ha_restart_priority"] == "restart":
            self.db.set("VM", ref, "ha_always_run", True)
        if not self.is_set("VDI", row["suspend_VDI"]):
            self.reset(ref, "Halted")
            raise Failure("VM_HAS_NO_SUSPEND_VDI", "VM", ref)
        self.reserve_hardware(ref, host)
        self.build(ref, host, paused=paused, fresh=False)
        await self.drop_image(ref)

    async def wake_in_place(self, ref: str) -> None:
        """After a checkpoint the VM goes on where it was."""
        await self._wake(ref, self.row(ref)["resident_on"], paused=False)
