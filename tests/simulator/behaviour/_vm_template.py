# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""VM: templates, and the disks that a template asks for (facts 3.3, X/xapi_templates.ml)."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from ..engine.behaviour import operation
from ..engine.failure import NULL, Failure, internal_error
from ._vm_revert import Reverts

VDI_TYPES = ("system", "user", "ephemeral", "suspend", "crashdump")


@dataclass(frozen=True)
class WantedDisk:
    """One `disk` element of other_config:disks."""

    device: str
    size: int
    sr: str
    bootable: bool
    kind: str


def wanted_disks(text: str) -> list[WantedDisk]:
    """The disks of a provision document; xapi lets its parser's complaints through."""
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        if "<" not in text:
            raise internal_error("XML Error: expected root element line 1") from None
        raise internal_error(f"XML Error: {error.msg} line {error.position[0]}") from None
    try:
        if root.tag != "provision" or root.attrib or any(node.tag != "disk" or len(node) for node in root):
            raise ValueError
        return [_disk(node.attrib) for node in root]
    except (ValueError, KeyError):
        raise internal_error("Xapi_templates.Parse_failure") from None


def _disk(attributes: dict[str, str]) -> WantedDisk:
    kind = attributes.get("type", "system")
    return WantedDisk(
        attributes["device"],
        int(attributes["size"]),
        attributes["sr"],
        attributes["bootable"] == "true",
        kind if kind in VDI_TYPES else "system",
    )


class Templates(Reverts):
    async def set_is_a_template(self, ref: str, value: bool) -> None:
        if not value:
            self._become_vm(ref)
            return
        async with self.engine.operations.hold("VM", ref, "make_into_template"):
            self._become_template(ref)

    async def set_is_default_template(self, ref: str, value: bool) -> None:
        if value and not self.row(ref)["is_a_template"]:
            async with self.engine.operations.hold("VM", ref, "make_into_template"):
                self._become_template(ref)
                self._mark_default(ref, value)
        else:
            self._mark_default(ref, value)
            self.update_operations(ref)

    def _mark_default(self, ref: str, value: bool) -> None:
        config = {key: text for key, text in self.row(ref)["other_config"].items() if key != "default_template"}
        self.db.set("VM", ref, "other_config", {"default_template": "true" if value else "false", **config})
        self.db.set("VM", ref, "is_default_template", value)

    def _become_vm(self, ref: str) -> None:
        """xapi takes the moment for the time of installation; it leaves allowed_operations as they are (seen in recordings)."""
        metrics = self.row(ref)["metrics"]
        if self.is_set("VM_metrics", metrics):
            self.db.set("VM_metrics", metrics, "install_time", self.engine.clock.now())
        self.db.set("VM", ref, "is_a_template", False)

    def _become_template(self, ref: str) -> None:
        row = self.row(ref)
        if row["ha_always_run"] and row["ha_restart_priority"] == "restart" and self.db.get("pool", self.engine.pool, "ha_enabled"):
            raise Failure("VM_IS_PROTECTED", ref)
        self.db.set("VM", ref, "ha_always_run", False)
        for vusb in list(row["VUSBs"]):
            self.db.delete("VUSB", vusb)
        if "groups" in row:
            self.db.set("VM", ref, "groups", [])
        metrics = row["metrics"]
        self.db.set("VM", ref, "metrics", NULL)
        # What was a template before has no metrics any more: xapi stumbles over that, with all above done.
        self.db.delete("VM_metrics", self.existing("VM_metrics", metrics))
        self.db.set("VM", ref, "is_a_template", True)

    @operation("provision")
    async def provision(self, ref: str) -> None:
        # Read before anything changes: a broken document leaves the template a template.
        text = self.row(ref)["other_config"].get("disks")
        disks = wanted_disks(text) if text is not None else []
        self._require_unambiguous([disk.sr for disk in disks])
        self._become_vm(ref)
        if not disks and "postinstall" not in self.row(ref)["other_config"]:
            return
        made: list[tuple[str, str]] = []
        try:
            for disk in disks:
                await self._create_disk(ref, disk, made)
        except Failure:
            # xapi cleans up only what a failing install script leaves; disks made before a bad one stay.
            raise
        self.db.drop("VM", ref, "other_config", "disks", "postinstall")

    def _require_unambiguous(self, srs: list[str]) -> None:
        """One after the other, up to one that nobody knows: that is refused where its disk is made."""
        for sr in srs:
            if sr in self.db.table("SR").by_uuid:
                continue
            known = self.db.where("SR", name_label=sr)
            if not known:
                return
            if len(known) > 1:
                raise internal_error("Message_forwarding.Forward(Local).VM.Ambigious_provision_spec")

    async def _create_disk(self, ref: str, disk: WantedDisk, made: list[tuple[str, str]]) -> None:
        sr = self.db.table("SR").by_uuid.get(disk.sr)
        if sr is None:
            raise Failure("UUID_INVALID", "sr", disk.sr)
        vdi = await self.call("VDI", "create", self._disk_record(ref, disk, sr))
        drive = self.other("VBD").create(
            {
                "VM": ref,
                "VDI": vdi,
                "userdevice": disk.device,
                "bootable": disk.bootable,
                "mode": "RW",
                "type": "Disk",
                "unpluggable": disk.kind != "system",
                "empty": False,
                "other_config": {"owner": ""},
                "qos_algorithm_type": "",
                "qos_algorithm_params": {},
                "device": "",
                "currently_attached": False,
            }
        )
        made.append((drive, vdi))
        with contextlib.suppress(Failure):
            await self.call("VDI", "set_name_label", vdi, self.db.get("VBD", drive, "userdevice"))

    def _disk_record(self, ref: str, disk: WantedDisk, sr: str) -> dict[str, Any]:
        return {
            "name_label": "",
            "name_description": "Created by template provisioner",
            "SR": sr,
            "virtual_size": disk.size,
            "type": disk.kind,
            "sharable": False,
            "read_only": False,
            "other_config": {},
            "xenstore_data": {},
            "sm_config": {"_sm_vm_hint": self.row(ref)["uuid"]},
            "tags": [],
        }
