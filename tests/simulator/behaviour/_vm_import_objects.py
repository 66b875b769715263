# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One object of an archive after the other becomes one of this pool (X/import.ml)."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..engine.failure import NULL, Failure
from ._vm_copy import fresh_generation
from ._vm_lifecycle import DEVICE_MODELS
from ._vm_settings import Settings

FORGOTTEN_KEYS = ("grant_api_access",)
SNAPSHOT_FIELDS = ("is_a_snapshot", "snapshot_time", "snapshot_info", "transportable_snapshot_id", "last_booted_record", "last_boot_CPU_flags", "bios_strings")


@dataclass
class Wanted:
    """How to import. `sr`: where new disks go; without it only disks that are there already are used."""

    sr: str = ""
    restore: bool = False
    force: bool = False
    live: bool = False
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
    undo: list[Callable[[], Awaitable[Any] | None]] = field(default_factory=list)

    def record(self, name: str) -> dict[str, Any]:
        return next((one["snapshot"] for one in self.objects if one["id"] == name), {})

    def found(self, name: str) -> str:
        """What an object that another one needs is here."""
        if name not in self.table:
            raise Failure("IMPORT_ERROR_FAILED_TO_FIND_OBJECT", name)
        return self.table[name]


class ImportedObjects(Settings):
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
        found = [ref for ref, row in self.db.items("VDI") if (row["SR"], row["location"]) == (sr, record["location"])]
        if found:
            done.table[name] = found[0]
        elif not done.wanted.force:
            raise Failure("VDI_CONTENT_ID_MISSING") if sr is None else Failure("VDI_LOCATION_MISSING", sr, record["location"])

    async def import_guest_metrics(self, done: Import, name: str, record: dict[str, Any]) -> None:
        ref = self.db.create("VM_guest_metrics", {key: value for key, value in record.items() if key != "uuid"})
        done.undo.append(lambda: self.db.delete("VM_guest_metrics", ref) if self.db.exists("VM_guest_metrics", ref) else None)
        done.table[name] = ref

    async def import_vm(self, done: Import, name: str, record: dict[str, Any]) -> None:
        wanted, task = done.wanted, self.context.task
        old = self.db.table("VM").by_uuid.get(record["uuid"]) if wanted.restore else None
        if old is not None:
            self.destroy_devices(old)
            self.db.delete("VM", old)
        vm = self.create(self._vm_values(record, wanted))
        done.undo.append(lambda: self._discard_vm(vm))
        if wanted.restore:
            self.db.set("VM", vm, "uuid", record["uuid"])
        kept = {key: record[key] for key in SNAPSHOT_FIELDS}
        self.db.update(
            "VM",
            vm,
            **kept,
            other_config={"import_task": task, **{key: value for key, value in self.row(vm)["other_config"].items() if key != "import_task"}},
            affinity=done.table.get(record["affinity"], NULL),
            guest_metrics=done.table.get(record["guest_metrics"], NULL),
            is_control_domain=record["is_control_domain"],
            # Names in the archive until all is there; what is not in the archive keeps its name for good, as in xapi.
            snapshot_of=record["snapshot_of"],
            parent=record["parent"],
        )
        if record["power_state"] == "Suspended":
            image = done.table.get(record["suspend_VDI"])
            if image is None and not wanted.force:
                raise Failure("IMPORT_ERROR_FAILED_TO_FIND_OBJECT", record["suspend_VDI"])
            self.db.update("VM", vm, power_state="Suspended", suspend_VDI=image or NULL)
            self.db.update("VM_metrics", self.row(vm)["metrics"], current_domain_type=record["domain_type"])
        if not self.is_set("SR", record["suspend_SR"]):
            self.db.set("VM", vm, "suspend_SR", NULL)
        if not wanted.force:
            self.db.put("VM", vm, "current_operations", task, "import")
        done.table[name] = vm
        done.vms.append(vm)

    def _discard_vm(self, vm: str) -> None:
        if self.db.exists("VM", vm):
            self.destroy_devices(vm)
            self.db.delete("VM", vm)

    def _vm_values(self, record: dict[str, Any], wanted: Wanted) -> dict[str, Any]:
        config = {key: value for key, value in record["other_config"].items() if key not in FORGOTTEN_KEYS}
        if not wanted.restore:
            config = {"mac_seed": str(uuid.uuid4()), **{key: value for key, value in config.items() if key != "mac_seed"}}
        if not wanted.force:
            config.pop("default_template", None)
        values: dict[str, Any] = {**record, "other_config": config, "power_state": "Halted", "appliance": NULL, "affinity": NULL}
        values["version"] = record["version"] + 1 if wanted.restore else 0
        if not (wanted.live or record["is_a_template"]):
            values["generation_id"] = fresh_generation(record["generation_id"])
        if record["domain_type"] == "hvm" and not record["is_a_template"] and "device-model" not in record["platform"]:
            # Here xapi does not look at the firmware.
            values["platform"] = {"device-model": DEVICE_MODELS["bios"], **record["platform"]}
        fields = self.engine.schema.classes["VM"].fields
        return {key: value for key, value in values.items() if fields[key].create}

    async def import_network(self, done: Import, name: str, record: dict[str, Any]) -> None:
        """Networks are the same when their names are; failing that, when their bridges are."""
        found = self.db.where("network", name_label=record["name_label"]) or self.db.where("network", bridge=record["bridge"])
        if found:
            done.table[name] = found[0]
            return
        fields = self.engine.schema.classes["network"].fields
        # An import is trusted with the bridge's name, unlike a client.
        values = {key: value for key, value in record.items() if fields[key].create}
        ref = self.db.create("network", {**values, "bridge": record["bridge"]})
        self.db.put("network", ref, "other_config", "import_task", self.context.task)
        done.undo.append(lambda: self.other("network").destroy(ref))
        done.table[name] = ref

    def _found(self, done: Import, cls: str, name: str, record: dict[str, Any]) -> bool:
        """Restoring: a device of that identity stays as it is, whatever VM it belongs to — even to one that is gone."""
        found = self.db.table(cls).by_uuid.get(record["uuid"]) if done.wanted.restore else None
        if found is not None:
            done.table[name] = found
        return found is not None

    async def import_vbd(self, done: Import, name: str, record: dict[str, Any]) -> None:
        if self._found(done, "VBD", name, record):
            return
        vdi = done.table.get(record["VDI"], NULL)
        if vdi == NULL and record["type"] == "Disk":
            if record["currently_attached"]:
                raise Failure("IMPORT_ERROR_ATTACHED_DISKS_NOT_FOUND")
            return
        values = {**record, "VM": done.found(record["VM"]), "VDI": vdi, "empty": vdi == NULL, "device": "", "currently_attached": False}
        fields = self.engine.schema.classes["VBD"].fields
        ref = self.other("VBD").create({key: value for key, value in values.items() if fields[key].create or key == "device"})
        if done.wanted.restore:
            self.db.set("VBD", ref, "uuid", record["uuid"])
        self.db.set("VBD", ref, "currently_attached", record["currently_attached"])
        done.table[name] = ref

    async def import_vif(self, done: Import, name: str, record: dict[str, Any]) -> None:
        if self._found(done, "VIF", name, record):
            return
        network = done.wanted.networks.get(name) or done.found(record["network"])
        mac = record["MAC"] if done.wanted.restore else ""
        values = {**record, "VM": done.found(record["VM"]), "network": network, "MAC": mac, "currently_attached": False}
        fields = self.engine.schema.classes["VIF"].fields
        ref = self.other("VIF").create({key: value for key, value in values.items() if fields[key].create})
        if done.wanted.restore:
            self.db.set("VIF", ref, "uuid", record["uuid"])
        if self.row(values["VM"])["power_state"] != "Halted":
            self.db.set("VIF", ref, "currently_attached", record["currently_attached"])
        done.table[name] = ref

    async def import_vtpm(self, done: Import, name: str, record: dict[str, Any]) -> None:
        done.table[name] = self.other("VTPM").insert(done.found(record["VM"]), is_unique=record["is_unique"], contents="")
