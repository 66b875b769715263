# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Devices of a host that a VM gets for itself: GPUs, PCI and USB devices (X/vgpuops.ml, X/pciops.ml, update_pci in X/xapi_xenops.ml)."""

from __future__ import annotations

import re

from ..engine.failure import NULL, Failure
from . import _pool_features
from . import _vm_memory as memory
from ._vm_base import VmBase
from .vgpu import PART, WHOLE

# One of VM.other_config:pci, `0/0000:03:00.0`: an order for plugging, and the address.
PASSED = re.compile(r"[0-9]+/([0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-9a-f])", re.IGNORECASE)


class Hardware(VmBase):
    def require_hardware(self, ref: str, host: str) -> None:
        """GPUs and USB devices that only some hosts have; a VM whose GPUs are reserved has them."""
        row = self.row(ref)
        vgpus = self.other("VGPU")
        passed = any(vgpus.implementation(vgpu) in (*WHOLE, *PART) for vgpu in row["VGPUs"])
        if passed and self.db.get("host", host, "chipset_info").get("iommu") != "true":
            raise Failure("VM_REQUIRES_IOMMU", host)
        if any(not self.is_set("PGPU", self.db.get("VGPU", vgpu, "scheduled_to_be_resident_on")) for vgpu in row["VGPUs"]):
            vgpus.choose(ref, host)
        for vusb in row["VUSBs"]:
            group = self.db.tables["USB_group"].rows.get(self.db.get("VUSB", vusb, "USB_group"), {"PUSBs": []})
            # A group has one device; what else is in it does not count.
            if not any(self.db.get("PUSB", pusb, "host") == host for pusb in group["PUSBs"][:1]):
                raise Failure("OPERATION_NOT_ALLOWED", f"VUSB {vusb} is not available on Host {host}")

    def reserve_hardware(self, ref: str, host: str) -> None:
        """GPUs of the host that the VM will run on: nobody else gets them meanwhile. One that stays where it is has its own."""
        row = self.row(ref)
        homes = [self.db.tables["PGPU"].rows.get(self.db.get("VGPU", vgpu, "resident_on"), {"host": NULL}) for vgpu in row["VGPUs"]]
        if all(home["host"] == host for home in homes):
            return
        if row["VGPUs"] and memory.kind_of(row) != "hvm":
            raise Failure("FEATURE_REQUIRES_HVM", "vGPU- and GPU-passthrough needs HVM")
        for vgpu, pgpu in self.other("VGPU").choose(ref, host).items():
            if self.other("VGPU").implementation(vgpu) not in WHOLE:
                _pool_features.require(self.engine, "VGPU")
            self.db.set("VGPU", vgpu, "scheduled_to_be_resident_on", pgpu)

    def drop_reservations(self, ref: str) -> None:
        for vgpu in self.row(ref)["VGPUs"]:
            self.db.set("VGPU", vgpu, "scheduled_to_be_resident_on", NULL)

    def plug_hardware(self, ref: str, host: str) -> None:
        """What was reserved, and what VM.other_config:pci names, is the domain's; a reboot keeps it."""
        for vgpu in self.row(ref)["VGPUs"]:
            pgpu = self.db.get("VGPU", vgpu, "scheduled_to_be_resident_on")
            if self.is_set("PGPU", pgpu):
                self.db.update("VGPU", vgpu, resident_on=pgpu, scheduled_to_be_resident_on=NULL, currently_attached=True)
                if self.other("VGPU").implementation(vgpu) in WHOLE:
                    pci = self.db.get("PGPU", pgpu, "PCI")
                    self.db.set("VGPU", vgpu, "PCI", pci)
                    self._attach_pci(pci, ref)
        passed = {found[1].lower() for text in self.row(ref)["other_config"].get("pci", "").split(",") if (found := PASSED.match(text))}
        for pci in self.db.get("host", host, "PCIs"):
            if self.db.get("PCI", pci, "pci_id").lower() in passed:
                self._attach_pci(pci, ref)

    def _attach_pci(self, pci: str, ref: str) -> None:
        if self.is_set("PCI", pci):
            self.db.set("PCI", pci, "attached_VMs", list(dict.fromkeys([*self.db.get("PCI", pci, "attached_VMs"), ref])))

    def release_hardware(self, ref: str) -> None:
        for vgpu in self.row(ref)["VGPUs"]:
            self.db.update("VGPU", vgpu, resident_on=NULL, scheduled_to_be_resident_on=NULL, PCI=NULL)
        for pci, row in self.db.items("PCI"):
            if ref in row["attached_VMs"]:
                self.db.set("PCI", pci, "attached_VMs", [vm for vm in row["attached_VMs"] if vm != ref])

    def can_move_with_gpus(self, ref: str) -> bool:
        """NVIDIA's, on a GPU whose driver said what it is compatible with."""
        for vgpu in self.row(ref)["VGPUs"]:
            pgpu = self.db.get("VGPU", vgpu, "resident_on")
            if not self.other("VGPU").implementation(vgpu).startswith("nvidia") or not self.is_set("PGPU", pgpu):
                return False
            if "nvidia" not in self.db.get("PGPU", pgpu, "compatibility_metadata"):
                return False
        return True
