# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks as trees of VHDs: snapshots share a hidden base copy, which goes when nothing needs it (SM FileSR.py, LVHDSR.py, cleanup.py)."""

from __future__ import annotations

import uuid
from typing import ClassVar

from ...engine.failure import Failure
from ...engine.registry import Row
from ...storage import Volume
from ...storage.sizes import LARGEST, MIB, SMALLEST, round_up
from ...storage.volume import CHAIN_MOST
from .base import Config, Driver
from .changes import ChangeTracking
from .collector import Collector
from .errors import Unimplemented, sm_error

PASSED_THROUGH = ("base_mirror", "key_hash")


class VhdDriver(ChangeTracking, Collector, Driver):
    """What files and logical volumes have in common."""

    # What its raw disks are called in sm_config, and whether they can grow.
    raw: ClassVar[dict[str, str]] = {"type": "raw"}
    grows_raw: ClassVar[bool] = False

    def adopt(self, vdi: str, row: Row) -> Volume:
        volume = super().adopt(vdi, row)
        volume.hidden = not row["managed"]
        volume.inflated = not row["is_a_snapshot"] and row["managed"]
        volume.unexplained = max(0, row["physical_utilisation"] - volume.utilisation())
        if row["cbt_enabled"]:
            self.repository(row["SR"]).begin_log(volume)
        return volume

    def relate(self, row: Row) -> None:
        """Hang the volume of a start state's VDI under its parent."""
        volumes = self.repository(row["SR"]).volumes
        parent = row["sm_config"].get("vhd-parent")
        if parent in volumes:
            volume = volumes[row["location"]]
            before = volume.utilisation()
            volume.move_to(volumes[parent])
            volume.unexplained = max(0, volume.unexplained - (volume.utilisation() - before))

    def delete(self, sr: str) -> None:
        """Disks that the pool has forgotten are still there; what only the collector would look at is not."""
        self.collect(sr)
        repository = self.repository(sr)
        if repository.volumes or repository.logs:
            raise sm_error("SRNotEmpty")
        super().delete(sr)

    # Creation

    @staticmethod
    def rounded(size: int) -> int:
        """The size that a VHD gets; VDISize when there is none (validate_and_round_vhd_size)."""
        if not 0 <= size <= LARGEST:
            raise sm_error("VDISize", f"VDI size must be between 1 MB and {LARGEST // MIB} MB")
        return round_up(max(size, SMALLEST), SMALLEST)

    def need(self, sr: str, amount: int) -> None:
        """Refuse when the repository has no room for so many bytes."""
        if self.repository(sr).free < amount:
            raise sm_error("SRNoSpace")

    def vdi_create(self, sr: str, args: Row) -> str:
        wanted = args["sm_config"].get("type", "vhd")
        if wanted not in ("vhd", "raw"):
            raise self.bad_type(wanted)
        kind = "raw" if wanted == "raw" else self.kind
        size = self.rounded(args["virtual_size"]) if kind != "raw" else self.raw_size(args["virtual_size"])
        volume = Volume("", size, self.repository(sr).new_layer(), kind=kind)
        self.need(sr, volume.utilisation())
        name = self.new_uuid(sr, args)
        if name in self.repository(sr).volumes:
            raise sm_error("VDIExists")
        volume = self.repository(sr).add(name, size, kind=kind)
        volume.label, volume.description = args["name_label"], args["name_description"]
        fields = {key: args[key] for key in ("name_label", "name_description", "type", "read_only")}
        sm_config = self.sm_config_of(volume, args["sm_config"])
        vdi = self.introduce_row(
            sr,
            **fields,
            uuid=name,
            virtual_size=size,
            physical_utilisation=volume.utilisation(),
            sm_config=sm_config,
            metadata_of_pool="",
        )
        self.allocate(sr, size)
        return vdi

    def raw_size(self, size: int) -> int:
        """The size of a disk without a format: what was asked for, as a file has it."""
        return size

    def bad_type(self, wanted: str) -> Failure:
        return sm_error("VDIType", f"Invalid VDI type {wanted}")

    def sm_config_of(self, volume: Volume, given: Config) -> dict[str, str]:
        """sm_config of a new disk."""
        kept = {key: given[key] for key in PASSED_THROUGH if given.get(key)}
        return {**kept, **(self.raw if volume.kind == "raw" else {})}

    # Life

    def vdi_delete(self, vdi: str, *, data_only: bool = False) -> None:
        row = self.db.row("VDI", vdi)
        sr, name = row["SR"], row["location"]
        repository = self.repository(sr)
        volume = repository.volumes.get(name)
        if volume is not None and volume.children:
            raise sm_error("VDIDelete", "Deleting non-leaf node not permitted")
        if not data_only:
            if name in repository.logs:
                repository.end_log(name)
            self.db.delete("VDI", vdi)
        if volume is not None:
            repository.remove(name)
            self.allocate(sr, -volume.size)
            self.kick(sr)

    def vdi_resize(self, vdi: str, size: int) -> None:
        volume = self.volume(vdi)
        if volume.kind == "raw" and not self.grows_raw:
            raise Unimplemented
        if size < volume.size:
            raise sm_error("VDISize", "shrinking not allowed")
        if size == volume.size:
            return
        sr, old, before = self.db.get("VDI", vdi, "SR"), volume.size, volume.utilisation()
        new = self.raw_size(size) if volume.kind == "raw" else self.rounded(size)
        volume.size = new
        grown = volume.utilisation() - before
        volume.size = old
        self.need(sr, grown)
        volume.resize(new)
        self.vdi_update(vdi)
        self.allocate(sr, new - old)

    def vdi_reset(self, vdi: str) -> None:
        volume = self.volume(vdi)
        if volume.kind == "raw":
            raise Unimplemented
        if volume.parent is None:
            raise Failure("SR_BACKEND_FAILURE", "non-zero exit", "", f"ERROR: VDI {volume.name} has no parent, will not reset contents")
        self.repository(self.db.get("VDI", vdi, "SR")).reset(volume)

    def vdi_update(self, vdi: str) -> None:
        row = self.db.row("VDI", vdi)
        volume = self.repository(row["SR"]).volumes.get(row["location"])
        if volume is None:
            return
        sm_config = {key: value for key, value in row["sm_config"].items() if key != "vhd-parent"}
        if volume.parent is not None:
            sm_config["vhd-parent"] = volume.parent.name
        logged = row["location"] in self.repository(row["SR"]).logs
        wanted = {"virtual_size": volume.size, "physical_utilisation": volume.utilisation(), "sm_config": sm_config, "cbt_enabled": logged}
        self.db.update("VDI", vdi, **{name: value for name, value in wanted.items() if row[name] != value})

    def vdi_exists(self, vdi: str) -> bool:
        row = self.db.row("VDI", vdi)
        repository = self.repository(row["SR"])
        return row["location"] in repository.volumes or row["location"] in repository.logs

    # Snapshots and clones

    def vdi_clone(self, vdi: str, params: Config, *, snapshot: bool) -> str:
        row, source = self.db.row("VDI", vdi), self.volume(vdi)
        if source.kind == "raw":
            raise Unimplemented
        if source.hidden:
            raise sm_error("VDIClone", "hidden VDI")
        if source.depth >= CHAIN_MOST:
            raise sm_error("SnapshotChainTooLong")
        sr, repository = row["SR"], self.repository(row["SR"])
        self.need(sr, self.room_to_branch(source, snapshot=snapshot))
        before, log = source.utilisation(), source.changes
        copy, base = str(uuid.uuid4()), str(uuid.uuid4())
        shared = repository.branch(row["location"], copy, base)
        new = repository.volumes[copy]
        new.label, new.description = row["name_label"], row["name_description"]
        self.after_branch(source, new, shared, snapshot=snapshot, was_snapshot=row["is_a_snapshot"])
        parent = {"vhd-parent": new.parent.name} if new.parent else {}
        inherited = {key: value for key, value in row["sm_config"].items() if key in PASSED_THROUGH}
        fields = {"virtual_size": source.size, "sm_config": {**self.tags, **inherited, **parent}}
        made = self.introduce_row(sr, uuid=copy, physical_utilisation=before, cbt_enabled=bool(log) and snapshot, **fields)
        if shared is not None:
            shared.label = "base copy"
            self._introduce_base(sr, shared, before)
        self.db.set("VDI", vdi, "sm_config", {**row["sm_config"], **parent})
        if log is not None and snapshot:
            repository.split_log(row["location"], copy)
            new.changes = None
        self.allocate(sr, source.size)
        return made

    # What every VHD's sm_config says.
    tags: ClassVar[dict[str, str]] = {}

    def _introduce_base(self, sr: str, shared: Volume, utilisation: int) -> None:
        sm_config = {**self.tags, **({"vhd-parent": shared.parent.name} if shared.parent else {})}
        held = self.utilisation_of_base(shared, utilisation)
        self.introduce_row(
            sr,
            uuid=shared.name,
            name_label="base copy",
            read_only=True,
            managed=False,
            virtual_size=shared.size,
            physical_utilisation=held,
            sm_config=sm_config,
        )

    def utilisation_of_base(self, _shared: Volume, before: int) -> int:
        return before

    def room_to_branch(self, source: Volume, *, snapshot: bool) -> int:
        """Bytes that a snapshot or clone takes at once."""
        return 0

    def after_branch(self, source: Volume, new: Volume, shared: Volume | None, *, snapshot: bool, was_snapshot: bool) -> None:
        """Give the volumes of a branch their room."""

    # Scan

    def scan(self, sr: str) -> None:
        rows = {self.db.get("VDI", vdi, "location"): vdi for vdi in self.db.get("SR", sr, "VDIs")}
        repository = self.repository(sr)
        for name, vdi in rows.items():
            if name in repository.volumes:
                self.vdi_update(vdi)
            elif name not in repository.logs:
                self.engine.behaviours["VDI"].lose(vdi)
        for name, volume in repository.volumes.items():
            # A deleted disk that the collector has not met yet is hidden and nobody's parent.
            if name not in rows and not (volume.hidden and not volume.children):
                self._found(sr, volume)
        self.update(sr)
        self.kick(sr)

    def _found(self, sr: str, volume: Volume) -> None:
        sm_config = {**self.tags, **(self.raw if volume.kind == "raw" else {})}
        if volume.parent is not None:
            sm_config["vhd-parent"] = volume.parent.name
        self.introduce_row(
            sr,
            **self.remembered(volume),
            uuid=volume.name,
            virtual_size=volume.size,
            physical_utilisation=volume.utilisation(),
            read_only=bool(volume.children),
            managed=not volume.hidden,
            sm_config=sm_config,
            cbt_enabled=volume.name in self.repository(sr).logs,
        )

    def remembered(self, volume: Volume) -> dict[str, str]:
        """Names that the repository itself keeps: files have none."""
        return {}
