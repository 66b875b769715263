# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""VUSB, PUSB and USB_group: USB devices passed through (X/xapi_vusb.ml, xapi_vusb_helpers.ml, xapi_pusb.ml, xapi_usb_group.ml)."""

from __future__ import annotations

from collections.abc import Iterable

from ..engine.behaviour import Behaviour, operation
from ..engine.failure import Failure, internal_error
from . import _pool_features
from . import _vm_memory as memory
from ._progress import other_operations

MOST = 6
# Operations of the VM during which its devices stay as they are.
IN_THE_WAY = ("clean_shutdown", "hard_shutdown", "suspend", "pause")


class Vusb(Behaviour):
    cls = "VUSB"

    def advertised(self, ref: str) -> Iterable[str]:
        return ("attach", "plug", "unplug")

    def check(self, ref: str, op: str) -> None:
        row = self.row(ref)
        if row["current_operations"]:
            raise other_operations(self.engine, "VUSB", ref, row["current_operations"])
        if op == "attach":
            return
        state = self.db.get("VM", row["VM"], "power_state")
        if state != "Running":
            raise Failure("VM_BAD_POWER_STATE", row["VM"], "running", state.lower())
        if op == "plug" and row["currently_attached"]:
            raise Failure("DEVICE_ALREADY_ATTACHED", ref)
        if op == "unplug" and not row["currently_attached"]:
            raise Failure("DEVICE_ALREADY_DETACHED", ref)
        for running in self.db.get("VM", row["VM"], "current_operations").values():
            if running in IN_THE_WAY:
                raise Failure("OPERATION_NOT_ALLOWED", f"Current operation on VM:{row['VM']} is {running}")

    def create(self, vm: str, group: str, other_config: dict[str, str]) -> str:
        _pool_features.require(self.engine, "USB_passthrough")
        if len(self.db.get("VM", vm, "VUSBs")) >= MOST:
            raise Failure("TOO_MANY_VUSBS", str(MOST))
        if self.db.get("USB_group", group, "VUSBs"):
            raise Failure("USB_GROUP_CONFLICT", group)
        if self.db.get("VM", vm, "ha_restart_priority") == "restart":
            raise Failure("OPERATION_NOT_ALLOWED", f"VM {vm} ha_restart_priority has been set to 'restart', cannot create VUSB for it. ")
        return self.db.create("VUSB", {"VM": vm, "USB_group": group, "other_config": other_config})

    @operation("unplug")
    def unplug(self, ref: str) -> None:
        # Only QEMU passes USB devices through.
        if memory.kind_of(self.db.row("VM", self.row(ref)["VM"])) != "hvm":
            raise internal_error(f"vusb_unplug: Unable to unplug vusb {ref}")
        self.db.set("VUSB", ref, "currently_attached", False)

    def destroy(self, ref: str) -> None:
        row = self.row(ref)
        if row["currently_attached"]:
            raise Failure("OPERATION_NOT_ALLOWED", f"VUSB '{row['uuid']}' still attached to '{self.db.get('VM', row['VM'], 'uuid')}'")
        self.db.delete("VUSB", ref)


class Pusb(Behaviour):
    cls = "PUSB"

    def scan(self, host: str) -> None:
        """The hosts' USB devices are what the world says; nobody plugs one in."""
        self.existing("host", host)

    async def set_passthrough_enabled(self, ref: str, value: bool) -> None:
        path, removable = self.row(ref)["path"], self.db.where("SR", type="udev")
        if value:
            for vdi in [vdi for sr in removable for vdi in self.db.get("SR", sr, "VDIs")]:
                if self.db.get("VDI", vdi, "sm_config").get("usb_path", "") == path:
                    await self._take_from_storage(ref, vdi)
        else:
            self._discard_vusbs(ref)
        self.db.set("PUSB", ref, "passthrough_enabled", value)
        for sr in removable if not value else ():
            # A stick that nobody passes through is storage again.
            await self.other("SR").scan(sr)

    async def _take_from_storage(self, ref: str, vdi: str) -> None:
        """A stick is storage or is passed through, not both."""
        if self.db.get("VDI", vdi, "VBDs"):
            raise Failure("PUSB_VDI_CONFLICT", ref, vdi)
        await self.other("VDI").forget(vdi)

    def _discard_vusbs(self, ref: str) -> None:
        group = self.row(ref)["USB_group"]
        vusbs = list(self.db.get("USB_group", group, "VUSBs"))
        for vusb in vusbs:
            if self.db.get("VUSB", vusb, "currently_attached"):
                raise Failure("USB_ALREADY_ATTACHED", ref, self.db.get("VUSB", vusb, "VM"))
        for vusb in vusbs:
            self.db.delete("VUSB", vusb)


class UsbGroup(Behaviour):
    cls = "USB_group"

    def create(self, name_label: str, name_description: str, other_config: dict[str, str]) -> str:
        return self.db.create("USB_group", {"name_label": name_label, "name_description": name_description, "other_config": other_config})

    def destroy(self, ref: str) -> None:
        row = self.row(ref)
        attached = [vusb for vusb in row["VUSBs"] if self.db.get("VUSB", vusb, "currently_attached")]
        if attached:
            raise Failure("USB_GROUP_CONTAINS_VUSB", *attached)
        if row["PUSBs"]:
            raise Failure("USB_GROUP_CONTAINS_PUSB", *row["PUSBs"])
        for vusb in list(row["VUSBs"]):
            self.db.delete("VUSB", vusb)
        self.db.delete("USB_group", ref)
