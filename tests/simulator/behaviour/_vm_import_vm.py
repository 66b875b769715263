# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A VM of an archive becomes one of this pool, or is one already (X/import.ml, module VM)."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from ..engine.failure import NULL, Failure
from . import _vm_memory as memory
from ._vm_copy import fresh_generation
from ._vm_import_objects import Import, ImportedObjects, Wanted
from ._vm_lifecycle import DEVICE_MODELS

FORGOTTEN_KEYS = ("grant_api_access",)
# Of VMs exported before 6.0.
OLD_PRIORITIES = ("0", "1", "2", "3")
SNAPSHOT_FIELDS = ("is_a_snapshot", "snapshot_time", "snapshot_info", "transportable_snapshot_id", "last_booted_record", "last_boot_CPU_flags", "bios_strings")


class ImportedVMs(ImportedObjects):
    def default_template(self, record: Mapping[str, Any]) -> str | None:
        """A default template is not imported twice: the VM of that name takes its place, whichever that is."""
        marked = record["is_a_template"] and record["other_config"].get("default_template") == "true"
        if not record["is_default_template"] and not marked:
            return None
        return next(iter(self.db.where("VM", name_label=record["name_label"])), None)

    def replaced(self, done: Import, record: Mapping[str, Any]) -> str | None:
        """The VM whose place this one takes; refused when it cannot, NULL when it is passed over instead."""
        vm = self.db.table("VM").by_uuid.get(record["uuid"]) if done.wanted.restore else None
        if vm is None:
            return None
        row, force = self.row(vm), done.wanted.force
        if row["power_state"] != "Halted":
            if force:
                return NULL
            raise Failure("VM_BAD_POWER_STATE", vm, "Halted", row["power_state"])
        if row["version"] >= record["version"] and not force:
            raise Failure("VM_TO_IMPORT_IS_NOT_NEWER_VERSION", vm, str(row["version"]), str(record["version"]))
        return vm

    async def import_vm(self, done: Import, name: str, record: dict[str, Any]) -> None:
        wanted, task = done.wanted, self.context.task
        template = self.default_template(record)
        if template is not None:
            done.table[name] = template
            done.vms.append(template)
            done.kept.add(template)
            return
        old = self.replaced(done, record)
        if old == NULL:
            return
        self.require_memory(done, record)
        if wanted.dry_run:
            done.table[name] = name
            return
        if old is not None:
            # As a client would have it go: its disks stay.
            await self.call("VM", "destroy", old)
        vm = self.create(self._vm_values(record, wanted))
        done.undo.append(lambda: self._discard_vm(vm))
        if wanted.restore:
            self.db.set("VM", vm, "uuid", record["uuid"])
        metrics = done.table.get(record["metrics"])
        if metrics is not None:
            self.db.delete("VM_metrics", self.row(vm)["metrics"])
            self.db.set("VM", vm, "metrics", metrics)
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
            self._put_to_sleep(done, vm, record)
        if not self.is_set("SR", record["suspend_SR"]):
            self.db.set("VM", vm, "suspend_SR", NULL)
        if not wanted.force:
            self.db.put("VM", vm, "current_operations", task, "import")
        done.table[name] = vm
        done.vms.append(vm)

    def require_memory(self, done: Import, record: Mapping[str, Any]) -> None:
        """A VM that comes running needs its memory here (assert_can_live_import)."""
        if done.wanted.live and record["power_state"] in ("Running", "Paused"):
            needed, free = memory.to_start(dict(record)), memory.free(self.engine, self.context.host)
            if free < needed:
                raise Failure("HOST_NOT_ENOUGH_FREE_MEMORY", str(needed), str(free))

    def _put_to_sleep(self, done: Import, vm: str, record: Mapping[str, Any]) -> None:
        """Forced, one whose image is not there is Halted."""
        if record["suspend_VDI"] not in done.table and done.wanted.force:
            return
        self.db.update("VM", vm, power_state="Suspended", suspend_VDI=done.found(record["suspend_VDI"]))
        self.db.update("VM_metrics", self.row(vm)["metrics"], current_domain_type=record["domain_type"])

    def _discard_vm(self, vm: str) -> None:
        if self.db.exists("VM", vm):
            self.destroy_devices(vm)
            self.db.delete("VM", vm)

    def _vm_values(self, record: dict[str, Any], wanted: Wanted) -> dict[str, Any]:
        config = {key: value for key, value in record["other_config"].items() if key not in FORGOTTEN_KEYS}
        if not wanted.restore:
            config = {"mac_seed": str(uuid.uuid4()), **{key: value for key, value in config.items() if key != "mac_seed"}}
        values: dict[str, Any] = {**record, "other_config": config, "power_state": "Halted", "appliance": NULL, "affinity": NULL}
        if not wanted.force:
            config.pop("default_template", None)
        if record["ha_restart_priority"] in OLD_PRIORITIES:
            values |= {"ha_restart_priority": "restart", "order": int(record["ha_restart_priority"])}
        values["version"] = record["version"] + 1 if wanted.restore else 0
        if not (wanted.live or record["is_a_template"]):
            values["generation_id"] = fresh_generation(record["generation_id"])
        if record["domain_type"] == "hvm" and not record["is_a_template"] and "device-model" not in record["platform"]:
            # Here xapi does not look at the firmware.
            values["platform"] = {"device-model": DEVICE_MODELS["bios"], **record["platform"]}
        fields = self.engine.schema.classes["VM"].fields
        return {key: value for key, value in values.items() if fields[key].create}
