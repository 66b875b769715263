# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""VDI: virtual disks (facts 3.6). What copies them is in _vdi_branches, what describes them in _vdi_fields."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from ..engine.behaviour import locks_itself
from ..engine.failure import NULL, Failure
from ._vdi_branches import Branches
from ._vdi_fields import Fields
from ._vdi_operations import ADVERTISED, Check
from ._vdi_types import spelt
from .drivers.errors import Unimplemented, storage_error

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class VDI(Branches, Fields):
    cls = "VDI"

    # Operations

    def advertised(self, ref: str) -> Iterable[str]:
        return ADVERTISED

    def check(self, ref: str, op: str) -> None:
        Check(self.engine, ref, op).run()

    def allowed(self, ref: str) -> list[str]:
        if not self.db.exists("SR", self.row(ref)["SR"]):
            return list(self.row(ref)["allowed_operations"])
        check = Check(self.engine, ref)
        return [op for op in self.advertised(ref) if check.allows(op)]

    def affected(self, ref: str) -> Iterable[tuple[str, str]]:
        # Its drives are not looked at again: those of a snapshot keep their empty list (seen in recordings).
        return (("SR", self.row(ref)["SR"]),)

    # Life

    @locks_itself
    async def create(self, args: dict[str, Any]) -> str:
        sr = args["SR"]
        async with self.engine.operations.hold("SR", sr, "vdi_create"):
            await self.engine.pass_time("VDI.create")
            self.other("SR").host_of(sr)
            if args["type"] == "cbt_metadata":
                raise Failure("VDI_INCOMPATIBLE_TYPE", "", spelt("cbt_metadata"))
            self.other("SR").master_of(sr)
            try:
                vdi = self.other("SR").driver(sr).vdi_create(sr, args)
            except Unimplemented:
                raise Failure("SR_OPERATION_NOT_SUPPORTED", sr) from None
            kept = ("other_config", "sharable", "tags", "xenstore_data")
            self.db.update("VDI", vdi, **{name: args[name] for name in kept})
            return str(vdi)

    @locks_itself
    async def introduce(
        self,
        uuid: str,
        name_label: str,
        name_description: str,
        sr: str,
        type_: str,
        sharable: bool,
        read_only: bool,
        other_config: dict[str, str],
        location: str,
        xenstore_data: dict[str, str],
        sm_config: dict[str, str],
        *_ignored: Any,
    ) -> str:
        async with self.engine.operations.hold("SR", sr, "vdi_introduce"):
            await self.engine.pass_time("VDI.introduce")
            self.other("SR").host_of(sr)
            for other in self.db.get("SR", sr, "VDIs"):
                row = self.row(other)
                if row["location"] == location and row["uuid"] != uuid:
                    raise Failure("LOCATION_NOT_UNIQUE", sr, location)
            vdi = self._introduce(sr, uuid, sm_config, location)
            given = {"other_config": other_config, "xenstore_data": xenstore_data, "sharable": sharable, "type": type_}
            names = {"name_label": name_label, "name_description": name_description}
            self.db.update("VDI", vdi, **given, **{name: value for name, value in names.items() if value})
            return str(vdi)

    def _introduce(self, sr: str, uuid: str, sm_config: dict[str, str], location: str) -> str:
        """The storage manager's part; whatever is wrong, there is no such disk (X/storage_smapiv1.ml VDI.introduce)."""
        try:
            self.other("SR").master_of(sr)
            if not UUID.fullmatch(uuid):
                raise Failure("UUID_INVALID", "VDI", uuid)
            return str(self.other("SR").driver(sr).vdi_introduce(sr, uuid, sm_config, location))
        except Failure:
            raise storage_error("Vdi_does_not_exist", location) from None

    @locks_itself
    async def resize(self, vdi: str, size: int) -> None:
        async with self.locked("resize", vdi, "resize", "vdi_resize"):
            driver = self.ready(vdi)
            self.on_disk(vdi, lambda: driver.vdi_resize(vdi, size))

    @locks_itself
    async def resize_online(self, vdi: str, size: int) -> None:
        async with self.locked("resize_online", vdi, "resize_online", "vdi_resize"):
            driver = self.ready(vdi)
            self.on_disk(vdi, lambda: driver.vdi_resize(vdi, size))

    @locks_itself
    async def update(self, vdi: str) -> None:
        async with self.locked("update", vdi, "update"):
            self.other("SR").host_of(self.row(vdi)["SR"])
            self.look(vdi)

    @locks_itself
    async def forget(self, vdi: str) -> None:
        """The pool knows it no more; its bytes stay, and a scan finds them."""
        async with self.locked("forget", vdi, "forget"):
            self.lose(vdi)

    def lose(self, vdi: str) -> None:
        """Remove the row alone; drives that name it go later."""
        drives = list(self.row(vdi)["VBDs"])
        self.db.delete("VDI", vdi)
        self.other("VBD").sweep_later(drives)

    @locks_itself
    async def destroy(self, vdi: str) -> None:
        async with self.locked("destroy", vdi, "destroy", "vdi_destroy"):
            self.discard(vdi)

    def discard(self, vdi: str) -> None:
        """Remove a disk with its bytes, its drives, and what points at it as a suspended VM's memory."""
        driver = self.ready(vdi)
        drives = list(self.row(vdi)["VBDs"])
        if any(self.db.get("VBD", vbd, "currently_attached") or self.db.get("VBD", vbd, "reserved") for vbd in drives):
            raise Failure("VDI_IN_USE", vdi, "destroy")
        driver.vdi_delete(vdi)
        if self.db.exists("VDI", vdi):
            self.db.delete("VDI", vdi)
        for vbd in drives:
            self.other("VBD").discard(vbd)
        for vm in self.db.where("VM", suspend_VDI=vdi):
            self.db.set("VM", vm, "suspend_VDI", NULL)
