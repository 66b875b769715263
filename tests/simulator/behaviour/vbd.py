# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""VBD: a disk or CD drive of a VM (facts 3.4, ocaml/xapi/xapi_vbd.ml)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..engine.behaviour import Behaviour, operation
from ..engine.failure import NULL, Failure
from . import _device_names as names
from ._progress import other_operation
from ._vbd_operations import OPERATIONS, Check, domain_type, require_agile
from ._vdi_types import spelt

# Seconds between two rounds of the collector (X/db_gc_util.ml).
SWEEP_EVERY = 30.0
# Types of VDI that no VBD may show to a guest.
HIDDEN_TYPES = ("ha_statefile", "redo_log", "cbt_metadata")


class VBD(Behaviour):
    cls = "VBD"
    # When one is made, locked or freed, and when something happens to its VM; not when a client sets a field (X/xapi_vbd_helpers.ml).
    follows_changes = False

    def loaded(self, extra: Mapping[str, Any]) -> None:
        self._look_at_all()

    def restarted(self) -> None:
        self._look_at_all()

    def _look_at_all(self) -> None:
        for ref in self.db.refs("VBD"):
            self.engine.operations.again("VBD", ref)

    # Operations

    def advertised(self, ref: str) -> Iterable[str]:
        return OPERATIONS

    def check(self, ref: str, op: str) -> None:
        Check(self.engine, ref, op).run(sharing=True)

    def allowed(self, ref: str) -> list[str]:
        """As xapi: without the look at other users of the disk, so a plug listed here may still be refused."""
        row = self.row(ref)
        if not self.is_set("VM", row["VM"]) or not (row["empty"] or self.is_set("VDI", row["VDI"])):
            return list(row["allowed_operations"])
        check = Check(self.engine, ref)
        return [op for op in OPERATIONS if check.allows(op)]

    def affected(self, ref: str) -> Iterable[tuple[str, str]]:
        vdi = self.row(ref)["VDI"]
        return (("VDI", vdi),) if vdi != NULL else ()

    def attach_check(self, ref: str) -> None:
        """The refusal, if any, of attaching this VBD when its VM starts."""
        self.check(ref, "attach")

    def assert_attachable(self, ref: str) -> None:
        self.check(ref, "attach")

    # Life

    def create(self, args: dict[str, Any]) -> str:
        vm = self.db.row("VM", args["VM"])
        self._check_disk(args)
        migrating = {task: op for task, op in vm["current_operations"].items() if op in ("migrate_send", "pool_migrate")}
        if migrating:
            raise other_operation(self.engine, "VM", args["VM"], migrating)
        userdevice = self._free_device(args["VM"], args["userdevice"], args["type"])
        if not args["empty"]:
            require_agile(self.engine, args["VM"], args["VDI"])
        values = dict(args)
        if vm["power_state"] != "Suspended":
            values |= {"device": "", "currently_attached": False}
        backend = self.db.tables["VDI"].rows.get(args["VDI"], {}).get("sm_config", {}).get("backend-kind")
        if backend is not None:
            values["other_config"] = {"backend-kind": backend, **args["other_config"]}
        ref = self._insert({**values, "userdevice": userdevice})
        self.engine.operations.again("VBD", ref)
        return ref

    def _check_disk(self, args: dict[str, Any]) -> None:
        if not args["empty"]:
            kind = self.db.row("VDI", args["VDI"])["type"]
            if kind in HIDDEN_TYPES:
                raise Failure("VDI_INCOMPATIBLE_TYPE", args["VDI"], spelt(kind))
        if args["type"] == "CD" and args["mode"] != "RO":
            raise Failure("VBD_CDS_MUST_BE_READONLY")
        if args["type"] != "CD" and args["empty"]:
            raise Failure("VBD_NOT_REMOVABLE_MEDIA", "in constructor")
        if args["mode"] == "RW" and self.db.row("VDI", args["VDI"])["read_only"]:
            raise Failure("VDI_READONLY", args["VDI"])

    def _free_device(self, vm: str, wanted: str, kind: str) -> str:
        """The userdevice to store: `autodetect` resolved, clashes refused."""
        row = self.db.row("VM", vm)
        hvm = domain_type(self.engine, {**row, "power_state": "Halted"}) == "hvm"
        if kind == "Floppy" and not hvm:
            raise Failure("NOT_IMPLEMENTED", "VBD of type 'floppy' is not supported on PV domain")
        if not names.is_valid(wanted, kind, self.engine.schema.level):
            raise Failure("INVALID_DEVICE", wanted)
        used = self.used_devices(vm)
        device = wanted
        if wanted == "autodetect":
            device = names.lowest_free(used, kind, hvm=hvm, dom0=row["is_control_domain"]) or ""
            if not device:
                raise Failure("INVALID_DEVICE", wanted)
        # Also what autodetect chose: beside xvdb it finds IDE disk 1 free, which is the same to the guest.
        if names.readings(device) & used:
            raise Failure("DEVICE_ALREADY_EXISTS", device)
        return device

    def used_devices(self, vm: str) -> set[names.Device]:
        """Every device that the VBDs of a VM take, in all readings of their names."""
        rows = [self.row(vbd) for vbd in self.db.row("VM", vm)["VBDs"]]
        return {device for row in rows for name in (row["device"], row["userdevice"]) for device in names.readings(name)}

    def _insert(self, values: dict[str, Any]) -> str:
        return self.db.create("VBD", {**values, "metrics": self.db.create("VBD_metrics", {})})

    def copy(self, ref: str, vm: str, vdi: str | None = None, **changes: Any) -> str:
        """The same drive on another VM, with its own disk when `vdi` is given (Xapi_vbd_helpers.copy).

        What it allows is looked at since 2025 only: before that it allows nothing until something happens to it (seen in recordings).
        """
        row = self.row(ref)
        disk = row["VDI"] if vdi is None else vdi
        kept = ("userdevice", "device", "bootable", "mode", "currently_attached", "type", "unpluggable", "other_config")
        values = {name: row[name] for name in (*kept, "qos_algorithm_type", "qos_algorithm_params")}
        new = self._insert({**values, "VM": vm, "VDI": disk, "empty": row["empty"] or disk == NULL, **changes})
        if self.engine.schema.level == "26":
            self.engine.operations.again("VBD", new)
        return new

    def destroy(self, ref: str) -> None:
        row = self.row(ref)
        if row["currently_attached"] or row["reserved"]:
            uuid = self.db.get("VM", row["VM"], "uuid")
            raise Failure("OPERATION_NOT_ALLOWED", f"VBD '{row['uuid']}' still attached to '{uuid}'")
        self.discard(ref)

    def discard(self, ref: str) -> None:
        """Remove the row and its metrics, whatever the state."""
        metrics = self.row(ref)["metrics"]
        if self.is_set("VBD_metrics", metrics):
            self.db.delete("VBD_metrics", metrics)
        self.db.delete("VBD", ref)

    def sweep_later(self, refs: list[str]) -> None:
        """What points at a disk that is no more goes with the next round of the database's own collector (facts 2)."""

        def sweep() -> None:
            for ref in refs:
                if self.db.exists("VBD", ref) and not self.row(ref)["empty"] and not self.is_set("VDI", self.row(ref)["VDI"]):
                    self.discard(ref)

        if refs:
            self.engine.later(SWEEP_EVERY, sweep)

    # Media

    @operation("insert")
    def insert(self, ref: str, vdi: str) -> None:
        if not self.db.row("VDI", vdi)["managed"]:
            raise Failure("VDI_NOT_MANAGED", vdi)
        require_agile(self.engine, self.row(ref)["VM"], vdi)
        self.db.update("VBD", ref, VDI=vdi, empty=False)
        if self._plugs_media(ref):
            self.attach(ref)

    @operation("eject")
    def eject(self, ref: str) -> None:
        if self._plugs_media(ref):
            self.detach(ref)
        # The disk is no more the drive's, so that nobody looks at what it allows now.
        self.engine.operations.leave("VDI", self.row(ref)["VDI"])
        self.db.update("VBD", ref, empty=True, VDI=NULL)

    def _plugs_media(self, ref: str) -> bool:
        """A guest without QEMU has no drive to put an image into: the drive comes and goes with it (vbd_insert in X/xapi_xenops.ml)."""
        vm = self.db.row("VM", self.row(ref)["VM"])
        return vm["power_state"] in ("Running", "Paused") and domain_type(self.engine, vm) != "hvm"

    # Hotplug

    @operation("plug")
    def plug(self, ref: str) -> None:
        row = self.row(ref)
        vm = self.db.row("VM", row["VM"])
        if row["type"] != "CD" and row["mode"] == "RO" and domain_type(self.engine, vm) == "hvm":
            raise Failure("DISK_VBD_MUST_BE_READWRITE_FOR_HVM", ref)
        self.attach(ref)

    @operation("unplug")
    def unplug(self, ref: str) -> None:
        self.detach(ref)

    @operation("unplug_force")
    def unplug_force(self, ref: str) -> None:
        self.detach(ref)

    @operation("unplug_force")
    def unplug_force_no_safety_check(self, ref: str) -> None:
        self.detach(ref)

    def attach(self, ref: str) -> None:
        """The drive appears in its VM: named, and in use."""
        row = self.row(ref)
        device = names.linux_name(row["userdevice"])
        if self.db.get("VM", row["VM"], "is_control_domain"):
            # dom0 opens the disk by the path of the storage manager, without its /dev/ (facts 3.4).
            disk = self.db.row("VDI", row["VDI"])
            device = f"sm/backend/{self.db.get('SR', disk['SR'], 'uuid')}/{disk['uuid']}"
        self.db.update("VBD", ref, device=device, currently_attached=True)

    def detach(self, ref: str) -> None:
        """The drive leaves its VM; the device name stays."""
        self.db.update("VBD", ref, currently_attached=False, reserved=False)

    @operation("pause")
    def pause(self, ref: str) -> str:
        raise self._unsupported(ref)

    @operation("unpause")
    def unpause(self, ref: str, token: str) -> None:
        raise self._unsupported(ref)

    def _unsupported(self, ref: str) -> Failure:
        return Failure("SR_OPERATION_NOT_SUPPORTED", self.db.row("VDI", self.row(ref)["VDI"])["SR"])

    def set_mode(self, ref: str, value: str) -> None:
        vm = self.row(ref)["VM"]
        state = self.db.get("VM", vm, "power_state")
        if state != "Halted":
            raise Failure("VM_BAD_POWER_STATE", vm, "halted", state.lower())
        self.db.set("VBD", ref, "mode", value)
