# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""VM.migrate_send to another pool: its disks are copied there, its record is made there anew, and here both go (X/xapi_vm_migrate.ml)."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from ..engine.failure import NULL, Failure
from . import _cpu_features as cpu
from ._vm_destination import Destination
from ._vm_export import Export
from ._vm_import import Imports
from ._vm_import_objects import Import, Wanted
from ._vm_platform import is_true
from ._vm_storage_motion import StorageMotion

# Fields of a disk that its copy in the other pool takes over.
DISK_FIELDS = ("name_label", "name_description", "virtual_size", "type", "sharable", "read_only", "other_config", "xenstore_data", "tags")
PIECE = 1 << 21
# xapi leaves what hangs on a VM that went to another pool to its database's next cleaning; until then these point at nothing.
LEFT_BEHIND = 30.0


class CrossPool(StorageMotion, Imports):
    # What the sender asks

    async def require_receivable(self, ref: str, destination: Destination, vdi_map: dict[str, str], vif_map: dict[str, str], options: dict[str, str]) -> None:
        await self._require_storage_motion(vdi_map, destination)
        row = self.row(ref)
        if options.get("copy") == "true" and options.get("force") != "true" and row["power_state"] != "Halted":
            raise Failure("VM_BAD_POWER_STATE", ref, "halted", row["power_state"].lower())
        needs = {name: row[name] for name in ("hardware_platform_version", "VCPUs_max", "platform")}
        if options.get("force") != "true" and row["power_state"] != "Halted":
            needs["cpu"] = (row["last_boot_CPU_flags"], self.domain_type_now(row))
        await destination.ask(lambda: destination.vms.require_host_takes(destination.host, ref, needs))
        networks = self._networks(ref, vif_map)
        sent = self._sent(ref, row["power_state"] != "Halted", copy=options.get("copy") == "true")
        # A dry run: what would be refused for the records alone is refused now.
        await destination.ask(lambda: destination.vms.require_vms_importable(sent.objects, copy=options.get("copy") == "true"))
        for network in networks.values():
            await destination.ask(lambda network=network: destination.vms.existing("network", network))  # type: ignore[misc]

    def _networks(self, ref: str, vif_map: dict[str, str]) -> dict[str, str]:
        """Network of every NIC of the VM and of its snapshots: as mapped, or as one with the same address is."""
        vifs = [vif for vm in self.with_snapshots(ref) for vif in self.row(vm)["VIFs"]]
        by_mac = {self.db.get("VIF", vif, "MAC"): network for vif, network in vif_map.items()}
        result = {}
        for vif in vifs:
            mac = self.db.get("VIF", vif, "MAC")
            if vif not in vif_map and mac not in by_mac:
                raise Failure("VIF_NOT_IN_MAP", vif)
            result[vif] = vif_map.get(vif) or by_mac[mac]
        return result

    def _sent(self, ref: str, keep_state: bool, *, copy: bool) -> Export:
        """A copy has no snapshots, although disks of snapshots go with it (inter_pool_metadata_transfer)."""
        return Export(self.engine, [ref], snapshots=not copy, keep_state=keep_state)

    # What the receiver answers

    def require_host_takes(self, host: str, vm: str, needs: dict[str, Any]) -> None:
        row = self.db.row("host", host)
        offered = row["virtual_hardware_platform_versions"]
        if needs["hardware_platform_version"] not in offered:
            listed = "[" + "; ".join(map(str, offered)) + "]"
            raise Failure("VM_HOST_INCOMPATIBLE_VIRTUAL_HARDWARE_PLATFORM_VERSION", host, listed, vm, str(needs["hardware_platform_version"]))
        if not row["enabled"]:
            raise Failure("HOST_DISABLED", host)
        flags, kind = needs.get("cpu", ({}, "hvm"))
        objection = cpu.objection(flags, kind, row["cpu_info"]) if flags else ""
        if objection:
            # The receiver of API 26 looks at a record that has no reference yet.
            raise Failure("VM_INCOMPATIBLE_WITH_THIS_HOST", NULL if self.engine.schema.level == "26" else vm, host, objection)
        present = int(row["cpu_info"]["cpu_count"])
        if needs["VCPUs_max"] > present and not is_true(needs["platform"].get("vcpu-unrestricted")):
            raise Failure("HOST_NOT_ENOUGH_PCPUS", str(needs["VCPUs_max"]), str(present))

    def require_vms_importable(self, objects: list[dict[str, Any]], *, copy: bool) -> None:
        self.require_importable(Import(Wanted(restore=not copy, live=True), [one for one in objects if one["class"] == "VM"]))

    async def receive_disk(self, sr: str, host: str, record: dict[str, Any]) -> tuple[str, Any]:
        """A new disk for one of the other pool; its volume, to be written."""
        await self._plug_for(sr, host)
        vdi = str(await self.call("VDI", "create", {**record, "SR": sr, "sm_config": {}}))
        kept = {name: record[name] for name in ("is_a_snapshot", "snapshot_time", "on_boot", "allow_caching")}
        self.db.update("VDI", vdi, **kept)
        return vdi, self.other("VDI").volume(vdi)

    async def receive_vm(self, objects: list[dict[str, Any]], wanted: Wanted, host: str, *, running: bool, paused: bool) -> str:
        task = self.context.task = self.engine.tasks.create("VM.import_metadata", host=host, session=self.context.session)
        try:
            done = await self.import_objects(objects, wanted)
            vm = self.finish_import(done)[0]
        finally:
            self.db.delete("task", task)
        self._relate_disks(done)
        self.db.set("VM", vm, "scheduled_to_be_resident_on", host)
        if running:
            self._reported.add(vm)
            self.attach_devices(vm)
            self.build(vm, host, paused=paused, fresh=False)
            self.update_devices(vm)
        return vm

    def _relate_disks(self, done: Import) -> None:
        """Snapshots of disks point at what is their source here."""
        for one in done.objects:
            source = done.table.get(one["snapshot"].get("snapshot_of", "")) if one["class"] == "VDI" else None
            if source is not None:
                self.db.set("VDI", done.table[one["id"]], "snapshot_of", source)

    def discard_disks(self, vdis: list[str]) -> None:
        for vdi in vdis:
            if self.db.exists("VDI", vdi):
                self.other("VDI").discard(vdi)

    # The way

    async def send_to_other_pool(self, ref: str, destination: Destination, places: dict[str, str], vif_map: dict[str, str], *, copy: bool) -> str:
        row = self.row(ref)
        networks, state = self._networks(ref, vif_map), row["power_state"]
        made: dict[str, str] = {}
        try:
            for number, (vdi, sr) in enumerate(sorted(places.items(), key=lambda item: self.db.get("VDI", item[0], "virtual_size"))):
                made[vdi] = await self._send_disk(vdi, sr, destination)
                self.engine.tasks.progress((number + 1) / (len(places) + 1))
            sent = self._sent(ref, state != "Halted", copy=copy)
            for one in sent.objects:
                if one["class"] == "VDI":
                    one["snapshot"]["snapshot_of"] = sent.table.get(one["snapshot"]["snapshot_of"], NULL)
            wanted = Wanted(
                restore=not copy,
                live=True,
                disks={sent.table[old]: new for old, new in made.items() if old in sent.table},
                networks={sent.table[vif]: network for vif, network in networks.items()},
            )
            running = {"running": state in ("Running", "Paused"), "paused": state == "Paused"}
            new = str(await destination.ask(lambda: destination.vms.receive_vm(sent.objects, wanted, destination.host, **running)))
        except Failure:
            await destination.ask(lambda: destination.vms.discard_disks(list(made.values())))
            raise
        if not copy:
            self._forget(ref, list(made))
        return new

    async def _send_disk(self, vdi: str, sr: str, destination: Destination) -> str:
        row, source = self.db.row("VDI", vdi), self.other("VDI").volume(vdi)
        kept = (*DISK_FIELDS, "is_a_snapshot", "snapshot_time", "on_boot", "allow_caching")
        record = {name: row[name] for name in kept}
        await self.engine.carry(source.size)
        new, sink = await destination.ask(lambda: destination.vms.receive_disk(sr, destination.host, record))
        for offset, length, layer in source.runs(0, source.size):
            for at in range(offset, offset + length, PIECE) if layer is not None else ():
                data = source.read(at, min(PIECE, offset + length - at))
                await destination.ask(lambda at=at, data=data: sink.write(at, data))  # type: ignore[misc]
                self.engine.check_cancelled()
                await asyncio.sleep(0)
        return str(new)

    def _forget(self, ref: str, vdis: list[str]) -> None:
        """The VM, its snapshots and their disks are somewhere else now."""
        vms = self.with_snapshots(ref)
        uuid = self.row(ref)["uuid"]
        for message in self.db.where("message", obj_uuid=uuid):
            self.db.delete("message", message)
        self.guest_stopped(ref)
        for vm in vms:
            row = self.row(vm)
            for vbd in list(row["VBDs"]):
                self.other("VBD").discard(vbd)
            for vtpm in list(row["VTPMs"]):
                self.other("VTPM").discard(vtpm)
            left = [("VIF", one) for one in row["VIFs"]] + [("console", one) for one in row["consoles"]]
            left += [(cls, row[name]) for cls, name in (("VM_metrics", "metrics"), ("VM_guest_metrics", "guest_metrics")) if row[name] != NULL]
            self.db.delete("VM", vm)
            self.engine.later(LEFT_BEHIND, partial(self._clean, left))
        self.discard_disks(vdis)

    def _clean(self, left: list[tuple[str, str]]) -> None:
        for cls, ref in left:
            if self.db.exists(cls, ref) and cls == "VIF" and not self.db.exists("VM", self.db.get("VIF", ref, "VM")):
                self.other("VIF").discard(ref)
            elif self.db.exists(cls, ref) and cls != "VIF":
                self.db.delete(cls, ref)
