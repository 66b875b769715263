# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""VM: clone, copy, snapshot, checkpoint (facts 3.3, X/xapi_vm_clone.ml)."""

from __future__ import annotations

import contextlib
import random
import uuid
from collections.abc import Collection
from typing import Any

from ..engine.behaviour import operation
from ..engine.failure import EPOCH, NULL, Failure
from . import _pool_features
from ._vm_lifecycle import Lifecycle
from ._vm_metadata import metadata_of
from ._words import words

# Fields that a copy takes over; all others start anew.
COPIED = words(
    "name_description user_version affinity memory_overhead memory_target memory_static_max memory_dynamic_max memory_dynamic_min "
    "memory_static_min VCPUs_max VCPUs_at_startup VCPUs_params actions_after_softreboot actions_after_shutdown actions_after_reboot "
    "actions_after_crash HVM_boot_policy HVM_boot_params HVM_shadow_multiplier platform PV_kernel PV_ramdisk PV_args PV_bootloader "
    "PV_bootloader_args PV_legacy_args PCI_bus last_boot_CPU_flags is_control_domain last_booted_record recommendations xenstore_data "
    "ha_restart_priority tags bios_strings hardware_platform_version has_vendor_device reference_label domain_type NVRAM "
    "secureboot_certificates_state"
)
FORGOTTEN_KEYS = ("default_template", "xensource_internal")
SNAPSHOTS = ("snapshot", "checkpoint")


class Copies(Lifecycle):
    @operation("clone")
    async def clone(self, ref: str, new_name: str) -> str:
        return await self._copy_settled(ref, new_name, "clone")

    @operation("copy")
    async def copy(self, ref: str, new_name: str, sr: str) -> str:
        wanted = sr if self.is_set("SR", sr) else NULL
        if wanted != NULL and self.db.get("SR", wanted, "content_type") == "iso":
            raise Failure("OPERATION_NOT_ALLOWED", "Cannot copy a VM's disks to an ISO SR")
        return await self._copy_settled(ref, new_name, "copy", sr=wanted)

    async def _copy_settled(self, ref: str, new_name: str, how: str, sr: str = NULL) -> str:
        if how == "clone":
            self._choose_host_for_disks(ref)
        new = await self.duplicate(ref, new_name, how, sr=sr)
        if self.row(ref)["is_a_snapshot"] and self.row(new)["power_state"] != "Halted":
            await self.power_off(new)
        return new

    def _choose_host_for_disks(self, ref: str) -> None:
        """NO_HOSTS_AVAILABLE when no host sees all disks of the VM."""
        self.choose_any_host_seeing([self.db.get("VDI", vdi, "SR") for vdi in self._needed_disks(ref)])

    @operation("snapshot")
    async def snapshot(self, ref: str, new_name: str, ignore_vdis: Collection[str] = ()) -> str:
        self._choose_host_for_disks(ref)
        new = await self.duplicate(ref, new_name, "snapshot", ignore=ignore_vdis)
        self.report("VM_SNAPSHOTTED", ref, f"snapshotted, snapshot name: {new_name}")
        return new

    @operation("checkpoint")
    async def checkpoint(self, ref: str, new_name: str) -> str:
        was_running = self.row(ref)["power_state"] == "Running"
        if not was_running:
            self._choose_host_for_disks(ref)
        _pool_features.require(self.engine, "Checkpoint")
        info = self._snapshot_info(ref) if was_running else {}
        if was_running:
            self._require_snapshots(ref)
            await self.sleep_into_image(ref)
        try:
            new = await self.duplicate(ref, new_name, "checkpoint", info=info)
        finally:
            if was_running:
                await self.wake_in_place(ref)
        self.report("VM_CHECKPOINTED", ref, f"checkpointed, snapshot name: {new_name}")
        return new

    def _require_snapshots(self, ref: str) -> None:
        """Better refused before the VM sleeps; xapi names the VM instead of the SR here."""
        for vbd in self.row(ref)["VBDs"]:
            drive = self.db.row("VBD", vbd)
            if drive["type"] != "CD" and self.is_set("VDI", drive["VDI"]):
                sr = self.db.get("VDI", drive["VDI"], "SR")
                if "VDI_SNAPSHOT" not in self.features_of(sr):
                    raise Failure("SR_OPERATION_NOT_SUPPORTED", ref)

    def before_csvm(self, ref: str) -> None:
        # Where the image is, is looked up before anything else.
        self.existing("VDI", self.row(ref)["suspend_VDI"])

    @operation("csvm", before="before_csvm")
    async def csvm(self, ref: str) -> str:
        new = await self.duplicate(ref, f"{self.row(ref)['name_label']}-cloned-suspended", "clone")
        self.report("VM_CLONED", ref, f"cloned (new uuid: {self.row(new)['uuid']})")
        return new

    # The copy

    async def duplicate(self, ref: str, new_name: str, how: str, *, sr: str = NULL, ignore: Collection[str] = (), info: dict[str, str] | None = None) -> str:
        """A new VM like this one. What was made of it so far is removed when something fails."""
        row = self.row(ref)
        drives = [vbd for vbd in row["VBDs"] if how not in SNAPSHOTS or self.db.get("VBD", vbd, "VDI") not in ignore]
        disks = await self.duplicate_disks(drives, how, sr)
        try:
            new = self._duplicate_record(ref, new_name, how, info)
            try:
                await self._duplicate_devices(ref, new, disks, how, sr)
            except Failure:
                self.destroy_devices(new)
                self.db.delete("VM", new)
                raise
        except Failure:
            await self._delete_disks(disks)
            raise
        self.db.drop("VM", new, "current_operations", self.context.task)
        self.reset(new, self.row(new)["power_state"])
        return new

    async def duplicate_disks(self, drives: list[str], how: str, sr: str = NULL) -> list[tuple[str, str, bool]]:
        """(drive, disk for its copy, whether that disk is new) for each drive."""
        made: list[tuple[str, str, bool]] = []
        total = sum(self._size(vbd) for vbd in drives) or 1
        done = 0
        try:
            for vbd in drives:
                self.engine.check_cancelled()
                drive = self.db.row("VBD", vbd)
                # Images in CD drives are not copied.
                fresh = not drive["empty"] and drive["type"] != "CD"
                size = self._size(vbd)
                made.append((vbd, await self._duplicate_disk(drive["VDI"], how, sr) if fresh else drive["VDI"], fresh))
                done += size
                self.engine.tasks.progress(done / total)
        except Failure:
            await self._delete_disks(made)
            raise
        return made

    def _size(self, vbd: str) -> int:
        vdi = self.db.get("VBD", vbd, "VDI")
        return int(self.db.get("VDI", vdi, "virtual_size")) if self.is_set("VDI", vdi) else 0

    async def _duplicate_disk(self, vdi: str, how: str, sr: str = NULL) -> str:
        if how == "copy":
            target = self.db.row("VDI", vdi)["SR"] if sr == NULL else sr
            return str(await self.call("VDI", "copy", vdi, target, NULL, NULL))
        return str(await self.call("VDI", "snapshot" if how in SNAPSHOTS else "clone", vdi, {"epoch_hint": str(uuid.uuid4())}))

    async def _delete_disks(self, disks: list[tuple[str, str, bool]]) -> None:
        for _unused, vdi, fresh in disks:
            if fresh and self.is_set("VDI", vdi):
                with contextlib.suppress(Failure):
                    await self.call("VDI", "destroy", vdi)

    def _snapshot_info(self, ref: str) -> dict[str, str]:
        return {"disk-snapshot-type": "crash_consistent", "power-state-at-snapshot": self.row(ref)["power_state"]}

    def _duplicate_record(self, ref: str, new_name: str, how: str, info: dict[str, str] | None) -> str:
        row, is_snapshot = self.row(ref), how in SNAPSHOTS
        state = row["power_state"]
        sleeps = (how == "checkpoint" and state in ("Running", "Suspended")) or (not is_snapshot and state == "Suspended")
        values: dict[str, Any] = {name: row[name] for name in COPIED if name in row}
        values |= {
            "name_label": new_name,
            "power_state": "Suspended" if sleeps else "Halted",
            "current_operations": {self.context.task: how},
            "is_a_template": is_snapshot or row["is_a_template"],
            "is_a_snapshot": is_snapshot,
            "snapshot_of": ref if is_snapshot else NULL,
            "snapshot_time": self.engine.clock.now() if is_snapshot else EPOCH,
            "snapshot_info": (self._snapshot_info(ref) if info is None else info) if is_snapshot else {},
            "snapshot_metadata": metadata_of(self.engine, ref) if is_snapshot else "",
            "parent": row["parent"] if is_snapshot else NULL,
            "other_config": self._other_config(row, keep_seed=is_snapshot),
            "metrics": self.copy_metrics(ref),
            "guest_metrics": self.copy_guest_metrics(ref),
            "generation_id": fresh_generation(row["generation_id"]),
            "domid": -1,
        }
        new = self.db.create("VM", values)
        if is_snapshot:
            self.db.set("VM", ref, "parent", new)
        return new

    def _other_config(self, row: dict[str, Any], *, keep_seed: bool) -> dict[str, str]:
        config = {key: value for key, value in row["other_config"].items() if key not in FORGOTTEN_KEYS}
        if not keep_seed:
            seed = {"mac_seed": str(uuid.uuid4())}
            config = {**config, **seed} if "mac_seed" in config else {**seed, **config}
        if row["is_a_template"] and "base_template_name" not in config:
            config = {"base_template_name": row["name_label"], **config}
        return config

    async def _duplicate_devices(self, ref: str, new: str, disks: list[tuple[str, str, bool]], how: str, sr: str) -> None:
        row, is_snapshot = self.row(ref), how in SNAPSHOTS
        for vbd, vdi, _unused in disks:
            drive = self.other("VBD").copy(vbd, new, vdi)
            if self.db.get("VBD", drive, "type") == "Disk" and "owner" not in self.db.get("VBD", drive, "other_config"):
                # The copy owns its disks, whoever owns the original's (CA-58405).
                self.db.put("VBD", drive, "other_config", "owner", "")
        for vif in row["VIFs"]:
            self.other("VIF").copy(vif, new, keep_mac=is_snapshot)
        for vgpu in row["VGPUs"]:
            self.other("VGPU").copy(vgpu, new)
        for vtpm in row["VTPMs"]:
            self.other("VTPM").copy(vtpm, new)
        if row["suspend_VDI"] != NULL and how != "snapshot":
            self.db.set("VM", new, "suspend_VDI", await self._duplicate_disk(row["suspend_VDI"], how, sr))


def fresh_generation(current: str) -> str:
    """A new generation id; a VM that has none gets none."""
    return f"{random.getrandbits(62)}:{random.getrandbits(62)}" if current else ""
