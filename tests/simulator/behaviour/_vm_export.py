# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A VM and what belongs to it as plain objects, references renumbered: what an archive and another pool get (X/export.ml)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..engine.failure import EPOCH, NULL
from ._words import words

if TYPE_CHECKING:
    from ..engine.core import Engine

IDLE: dict[str, Any] = {"allowed_operations": [], "current_operations": {}}
NO_SNAPSHOT = {"is_a_snapshot": False, "snapshot_of": NULL, "snapshots": [], "snapshot_time": EPOCH, "transportable_snapshot_id": "", "parent": NULL}
HOST_SECRETS: dict[str, Any] = {
    **{name: [] for name in words("PIFs PBDs PGPUs PCIs host_CPUs patches crashdumps supported_bootloaders capabilities ha_statefiles ha_network_peers tags")},
    **{name: {} for name in words("license_params blobs external_auth_configuration logging cpu_configuration other_config software_version")},
    **dict.fromkeys(words("external_auth_type external_auth_service_name sched_policy"), ""),
    "metrics": NULL,
}


@dataclass(frozen=True)
class Shape:
    """How the record of a class goes out: fields that are blanked, references and sets of references that are renumbered."""

    blank: Mapping[str, Any]
    renumbered: tuple[str, ...] = ()
    filtered: tuple[str, ...] = ()


# In the order in which they stand in an archive.
SHAPES = {
    "host": Shape(HOST_SECRETS, ("crash_dump_sr", "suspend_image_sr"), ("resident_VMs",)),
    "VM": Shape(
        {**IDLE, "crash_dumps": [], "consoles": [], "metrics": NULL, "protection_policy": NULL, "blobs": {}},
        ("resident_on", "affinity", "guest_metrics", "suspend_VDI"),
        ("VIFs", "VBDs", "VGPUs", "VTPMs"),
    ),
    "VM_metrics": Shape({}),
    "VM_guest_metrics": Shape({}),
    "VBD": Shape({**IDLE, "metrics": NULL}, ("VM", "VDI")),
    "VIF": Shape({**IDLE, "metrics": NULL}, ("network", "VM")),
    "network": Shape({**IDLE, "PIFs": []}, (), ("VIFs",)),
    "VDI": Shape({**IDLE, "crash_dumps": []}, ("SR",), ("VBDs",)),
    "SR": Shape({**IDLE, "PBDs": []}, (), ("VDIs",)),
    "VGPU_type": Shape({}),
    "VGPU": Shape({}, ("GPU_group", "type", "VM")),
    "GPU_group": Shape({"PGPUs": []}, (), ("VGPUs",)),
    "VTPM": Shape(IDLE, ("VM",)),
}
# A TPM goes out with what is in it, under names of its own (vtpm' in X/importexport.ml).
TPM_NAMES = {"VM": "vTPM'_VM", "uuid": "vTPM'_uuid", "is_unique": "vTPM'_is_unique", "is_protected": "vTPM'_is_protected", "contents": "vTPM'_content"}
# Classes whose `currently_attached` is kept with the power state only.
DEVICES = ("VBD", "VIF", "VGPU")


def with_contents(record: Mapping[str, Any]) -> dict[str, Any]:
    """A TPM of an archive as a record."""
    return {name: record[told] for name, told in TPM_NAMES.items() if told in record}


class Export:
    """`snapshots`: those of the VMs come along. `keep_state`: a sleeping VM stays one."""

    def __init__(
        self, engine: Engine, vms: Iterable[str], *, snapshots: bool = False, keep_state: bool = False, parents: bool = False, without: Iterable[str] = ()
    ) -> None:
        self.engine, self.db = engine, engine.db
        self.snapshots, self.keep_state, self.parents, self.without = snapshots, keep_state, parents, set(without)
        # Reference → its name in the archive. A NULL that a VM refers to gets a number too, as in xapi.
        self.table: dict[str, str] = {}
        self._measured = engine.schema.level == "26"
        self._numbers: Iterator[int] = engine.behaviours["VM"].export_numbers
        for vm in vms:
            self._add_vm(vm, with_snapshots=snapshots)
        self.objects = [self._object(cls, ref) for cls in SHAPES for ref in self.db.table(cls).rows if ref in self.table]

    def _add(self, ref: str) -> None:
        if ref not in self.table:
            # xapi counts on from export to export (seen in recordings).
            self.table[ref] = f"Ref:{next(self._numbers)}"

    def _add_vm(self, ref: str, *, with_snapshots: bool) -> None:
        if not self.db.exists("VM", ref) or ref in self.table:
            return
        self._add(ref)
        row = self.db.row("VM", ref)
        self._add_devices(row)
        if with_snapshots:
            for snapshot in row["snapshots"]:
                self._add_vm(snapshot, with_snapshots=False)
        if self.keep_state and row["power_state"] == "Suspended" and self.db.exists("VDI", row["suspend_VDI"]):
            self._add_disk(row["suspend_VDI"])
        # Measurements travel since 2025.
        for link in (*(("metrics",) if self._measured else ()), "guest_metrics", "resident_on", "affinity"):
            self._add(row[link])
        if with_snapshots:
            self._add_vm(row["parent"], with_snapshots=False)

    def _add_devices(self, row: Mapping[str, Any]) -> None:
        for vif in row["VIFs"] if "VIF" not in self.without else ():
            self._add(vif)
            self._add(self.db.get("VIF", vif, "network"))
        for vbd in row["VBDs"] if "VBD" not in self.without else ():
            self._add(vbd)
            drive = self.db.row("VBD", vbd)
            if not drive["empty"] and self.db.exists("VDI", drive["VDI"]):
                self._add_disk(drive["VDI"])
        for vgpu in row["VGPUs"] if "VGPU" not in self.without else ():
            for ref in (vgpu, self.db.get("VGPU", vgpu, "type"), self.db.get("VGPU", vgpu, "GPU_group")):
                self._add(ref)
        for vtpm in row["VTPMs"] if "VTPM" not in self.without else ():
            self._add(vtpm)

    def _add_disk(self, vdi: str) -> None:
        self._add(vdi)
        row = self.db.row("VDI", vdi)
        self._add(row["SR"])
        parent = self.db.table("VDI").by_uuid.get(row["sm_config"].get("vhd-parent", ""))
        if self.parents and parent is not None and parent not in self.table:
            self._add_disk(parent)

    def _object(self, cls: str, ref: str) -> dict[str, Any]:
        record, shape = self.db.record(cls, ref), SHAPES[cls]
        blanks = dict(shape.blank)
        if cls == "VM":
            blanks |= {"metrics": self.table.get(record["metrics"], NULL)} if self._measured else {}
            blanks |= {} if self.snapshots else NO_SNAPSHOT
            blanks |= {} if self.keep_state else {"power_state": "Halted", "suspend_VDI": NULL}
        if cls in DEVICES and not self.keep_state:
            blanks["currently_attached"] = False
        record |= {name: value for name, value in blanks.items() if name in record}
        links = (*shape.renumbered, "snapshot_of", "parent") if cls == "VM" else shape.renumbered
        for name in links:
            if name in record and name not in blanks:
                record[name] = self.table.get(record[name], NULL)
        for name in shape.filtered:
            if name in record:
                record[name] = [self.table[member] for member in record[name] if member in self.table]
        if cls == "VTPM":
            secret = self.engine.behaviours["VTPM"].get_contents(ref)
            record = {told: record[name] if name != "contents" else secret for name, told in TPM_NAMES.items()}
        return {"class": cls, "id": self.table[ref], "snapshot": record}

    def version(self) -> dict[str, str]:
        """What made the archive."""
        software = self.db.get("host", self.engine.coordinator, "software_version")
        major, _unused, minor = software.get("xapi", "").partition(".")
        told = {name: software.get(name, "") for name in ("product_version", "product_brand", "build_number")}
        return {
            "hostname": software.get("hostname", "localhost"),
            "date": self.engine.clock.now(),
            **told,
            "xapi_major": major,
            "xapi_minor": minor,
            "export_vsn": "2",
        }
