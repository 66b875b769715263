# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all messages of VDI share: locks on the disk and its SR, the driver, dom0's access to the bytes."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from ..engine.behaviour import Behaviour
from ..engine.failure import NULL, Failure
from ..storage import Volume
from .drivers.base import Driver
from .drivers.errors import Unimplemented, storage_error

if TYPE_CHECKING:
    from ..engine.registry import Row

T = TypeVar("T")


class Disks(Behaviour):
    """The base of VDI; it serves no message by itself."""

    @asynccontextmanager
    async def locked(self, message: str, vdi: str, op: str, sr_op: str = "") -> AsyncIterator[None]:
        """Lock the SR for `sr_op` (when given) and the disk for `op`, both or none, and let the message take its time."""
        sr = self.row(vdi)["SR"]
        marks = [("SR", sr, sr_op)] if sr_op else []
        async with self.engine.operations.hold_all([*marks, ("VDI", vdi, op)]):
            await self.engine.pass_time(f"VDI.{message}")
            yield

    def driver(self, vdi: str) -> Driver:
        driver: Driver = self.other("SR").driver(self.row(vdi)["SR"])
        return driver

    def volume(self, vdi: str) -> Volume:
        return self.driver(vdi).volume(vdi)

    def ready(self, vdi: str) -> Driver:
        """The driver of a managed disk on a connected SR."""
        self.other("SR").host_of(self.row(vdi)["SR"])
        self.require_managed(vdi)
        return self.served(vdi)

    def served(self, vdi: str) -> Driver:
        """The driver of a disk, where the storage manager knows the host that works on its SR."""
        self.other("SR").master_of(self.row(vdi)["SR"])
        return self.driver(vdi)

    def look(self, vdi: str) -> None:
        """Bring the row up to date. Whatever is wrong, the disk is not there (X/storage_smapiv1.ml VDI.stat)."""
        driver = self.driver(vdi)
        try:
            self.served(vdi)
            found = driver.vdi_exists(vdi)
        except Failure:
            found = False
        if not found:
            raise storage_error("Vdi_does_not_exist", self.row(vdi)["location"])
        driver.vdi_update(vdi)

    def require_managed(self, vdi: str) -> None:
        if not self.row(vdi)["managed"]:
            raise Failure("VDI_NOT_MANAGED", vdi)

    def on_disk(self, vdi: str, action: Callable[[], T]) -> T:
        """Run a driver's part; one that the driver lacks is refused."""
        try:
            return action()
        except Unimplemented:
            raise Failure("UNIMPLEMENTED_IN_SM_BACKEND", self.row(vdi)["SR"]) from None

    # dom0 reads and writes disks through a VBD of its own, which keeps others away (Sm_fs_ops.with_block_attached_device)

    @asynccontextmanager
    async def in_dom0(self, vdi: str, mode: str, host: str = NULL) -> AsyncIterator[Volume]:
        """The bytes of a disk, attached to dom0 of `host` for the time."""
        seers = self.other("SR").hosts_that_see(self.row(vdi)["SR"])
        if not seers:
            raise Failure("SR_HAS_NO_PBDS", self.row(vdi)["SR"])
        dom0 = self.db.get("host", host if host in seers else seers[0], "control_domain")
        drives = self.other("VBD")
        values = {"VM": dom0, "VDI": vdi, "userdevice": "autodetect", "bootable": False, "mode": mode, "type": "Disk"}
        plain: Row = {"device": "", "unpluggable": True, "empty": False, "other_config": {}, "currently_attached": False}
        vbd = drives.create({**values, **plain, "qos_algorithm_type": "", "qos_algorithm_params": {}})
        try:
            async with self.engine.operations.hold("VBD", vbd, "plug"):
                self.served(vdi)
                self._activate(vdi, mode)
                drives.attach(vbd)
            yield self.volume(vdi)
        finally:
            if self.db.exists("VBD", vbd):
                drives.detach(vbd)
                drives.discard(vbd)
            if self.db.exists("VDI", vdi):
                self._deactivate(vdi)

    def _activate(self, vdi: str, mode: str) -> None:
        if mode == "RW":
            self.db.drop("VDI", vdi, "other_config", "content_id")

    def _deactivate(self, vdi: str) -> None:
        """A new content_id says that the bytes may be other ones now (storage_smapiv1.ml)."""
        if "content_id" not in self.row(vdi)["other_config"]:
            self.db.put("VDI", vdi, "other_config", "content_id", str(uuid.uuid4()))

    def refuse_internal(self, *_unused: Any) -> None:
        raise Failure("PERMISSION_DENIED", "")
