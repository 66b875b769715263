# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks that are what they are: ISO images, LUNs, devices, and the dummy that stores nothing (SM ISOSR.py, LUNperVDI.py, udevSR.py, DummySR.py)."""

from __future__ import annotations

import re
import time
import uuid
from typing import ClassVar

from ...engine.registry import Row
from ...storage import Volume
from . import network
from .base import Config, Driver
from .errors import sm_error

IMAGE_NAME = re.compile(r"[a-z0-9.-]+\.(iso|img)", re.IGNORECASE)
DUMMY_SIZE = 2000000000000


def check_target(config: Config) -> None:
    """An iSCSI target that answers; without an IQN the error lists those that it has (SM BaseISCSI.py)."""
    if not config.get("target"):
        raise sm_error("ConfigTargetMissing")
    network.reach(config["target"], "ISCSITarget")
    if not config.get("targetIQN"):
        raise sm_error("ConfigTargetIQNMissing", text=network.targets(config))


class RawDriver(Driver):
    """Volumes without a format."""

    kind = "raw"

    def vdi_delete(self, vdi: str, *, data_only: bool = False) -> None:
        row = self.db.row("VDI", vdi)
        repository = self.repository(row["SR"])
        if row["location"] in repository.volumes:
            repository.remove(row["location"])
        self.db.delete("VDI", vdi)


class IsoDriver(RawDriver):
    looks_when_attached: ClassVar[bool] = False
    required: ClassVar[tuple[tuple[str, str], ...]] = (("location", "ConfigLocationMissing"),)

    def attach(self, sr: str, config: Config) -> None:
        super().attach(sr, config)
        is_cifs = "legacy_mode" not in config and "type" not in config and ":/" not in config["location"]
        if is_cifs and not config.get("options", "").startswith("-o"):
            # Taken for CIFS as xe-mount-iso-sr asks for it, which gives its options.
            raise sm_error("ISOInvalidXeMountOptions")

    def create(self, sr: str, config: Config, size: int) -> None:
        super().create(sr, config, size)
        self.attach(sr, config)
        if "type" in config:
            self.db.put("SR", sr, "sm_config", "iso_type", config["type"])

    def vdi_create(self, sr: str, args: Row) -> str:
        name = self.new_uuid(sr, args)
        path = args["sm_config"].get("path", f"{name}.img")
        if not IMAGE_NAME.match(path):
            raise sm_error("VDICreate", f'Invalid path "{path}"')
        repository = self.repository(sr)
        if path in repository.volumes:
            raise sm_error("VDIExists")
        if args["virtual_size"] < 0:
            raise sm_error("VDICreate", f'could not create file: "{path}"')
        repository.add(path, args["virtual_size"], kind=self.kind)
        fields = {key: args[key] for key in ("name_label", "name_description", "type", "virtual_size")}
        created = time.strftime("%Y-%m-%d:%H:%M:%S", time.gmtime(self.engine.clock.time()))
        sm_config = {**args["sm_config"], "created": created}
        return self.introduce_row(sr, **fields, uuid=name, location=path, sm_config=sm_config, metadata_of_pool="")

    def scan(self, sr: str) -> None:
        rows = {self.db.get("VDI", vdi, "location"): vdi for vdi in self.db.get("SR", sr, "VDIs")}
        volumes = self.repository(sr).volumes
        for name, vdi in rows.items():
            if name not in volumes:
                self.engine.behaviours["VDI"].lose(vdi)
                continue
            held = volumes[name].utilisation()
            kept = {key: value for key, value in self.db.get("VDI", vdi, "sm_config").items() if key == "created" or key.startswith("xs-tools")}
            sizes = {"virtual_size": volumes[name].size, "physical_utilisation": held}
            self.db.update("VDI", vdi, **sizes, read_only="created" not in kept, sm_config=kept)
        for name, volume in volumes.items():
            if name not in rows:
                self._found(sr, name, volume)
        self.update(sr)

    def _found(self, sr: str, name: str, volume: Volume) -> None:
        named = re.match(r"([0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12})\.(?:iso|img)", name, re.IGNORECASE)
        identity = {"uuid": named[1]} if named else {}
        sizes = {"virtual_size": volume.size, "physical_utilisation": volume.utilisation()}
        self.introduce_row(sr, **identity, **sizes, name_label=name, location=name, read_only=True)


class DummyDriver(RawDriver):
    """Made for tests of the toolstack: says yes to nearly everything and keeps nothing but sizes."""

    def size_of(self, config: Config) -> int:
        return DUMMY_SIZE

    def update(self, sr: str) -> None:
        """Nothing but a scan sets its sizes."""

    def scan(self, sr: str) -> None:
        """It has no state: what it finds are its rows without what it knows nothing of (DummySR.scan, VDI._db_update)."""
        for vdi in self.db.get("SR", sr, "VDIs"):
            self.db.update("VDI", vdi, read_only=False, sm_config={})
        self.db.update("SR", sr, physical_size=DUMMY_SIZE, physical_utilisation=0)

    def probe(self, config: Config, sm_config: Config) -> str:
        return network.document("SRlist", "SR", [{"UUID": str(uuid.uuid4()), "Size": "1024"}])

    def vdi_create(self, sr: str, args: Row) -> str:
        name, size = self.new_uuid(sr, args), args["virtual_size"]
        if name in self.db.tables["VDI"].by_uuid:
            raise sm_error("VDIExists")
        self.repository(sr).add(name, max(0, size), kind=self.kind)
        fields = {key: args[key] for key in ("name_label", "name_description", "type", "virtual_size", "read_only")}
        sm_config = {"samplekey": "This is a dummy SR VDI"}
        return self.introduce_row(sr, **fields, uuid=name, physical_utilisation=size, sm_config=sm_config, metadata_of_pool="")

    def vdi_clone(self, vdi: str, params: Config, *, snapshot: bool) -> str:
        sr, name = self.db.get("VDI", vdi, "SR"), str(uuid.uuid4())
        self.repository(sr).add(name, 0, kind=self.kind)
        return self.introduce_row(sr, uuid=name, read_only=snapshot)

    def vdi_resize(self, vdi: str, size: int) -> None:
        self.volume(vdi).resize(max(0, size))
        self.db.update("VDI", vdi, virtual_size=size, physical_utilisation=size)

    def vdi_introduce(self, sr: str, uuid: str, sm_config: Config, location: str) -> str:
        if uuid in self.db.tables["VDI"].by_uuid:
            raise sm_error("VDIExists")
        self.repository(sr).add(location, 0, kind=self.kind)
        return self.introduce_row(sr, uuid=uuid, location=location)


class LunDriver(RawDriver):
    """A LUN a disk: the LUNs are there as unmanaged VDIs; creating a disk takes the smallest that is large enough."""

    required: ClassVar[tuple[tuple[str, str], ...]] = (("target", "ConfigTargetMissing"), ("targetIQN", "ConfigTargetIQNMissing"))

    def check_config(self, config: Config) -> None:
        check_target(config)

    def probe(self, config: Config, sm_config: Config) -> str:
        self.check_config(config)
        rows = [{"UUID": uuid, "Target": config["target"], "TargetIQN": config["targetIQN"]} for uuid in self.known(config, "target", "targetIQN")]
        return network.document("SRlist", "SR", rows)

    def scan(self, sr: str) -> None:
        """The LUNs of the target are its disks, unmanaged until somebody creates one."""
        config = self.config_of(sr)
        rows = {self.db.get("VDI", vdi, "sm_config").get("LUNid") for vdi in self.db.get("SR", sr, "VDIs")}
        for number, size in enumerate(network.LUN_SIZES):
            if str(number) in rows:
                continue
            name = str(uuid.uuid5(uuid.NAMESPACE_OID, network.scsi_id(config, number)))
            if name not in self.repository(sr).volumes:
                self.repository(sr).add(name, size, kind=self.kind)
            tags = {"LUNid": str(number), "SCSIid": network.scsi_id(config, number), "backend-kind": "vbd"}
            sizes = {"virtual_size": size, "physical_utilisation": size}
            self.introduce_row(sr, uuid=name, managed=False, sm_config=tags, **sizes)
        self.db.update("SR", sr, physical_size=sum(network.LUN_SIZES), physical_utilisation=sum(network.LUN_SIZES))

    def config_of(self, sr: str) -> Config:
        pbds = self.db.get("SR", sr, "PBDs")
        config: Config = self.db.get("PBD", pbds[0], "device_config") if pbds else {}
        return config

    def vdi_create(self, sr: str, args: Row) -> str:
        rows = [(self.db.row("VDI", vdi), vdi) for vdi in self.db.get("SR", sr, "VDIs")]
        free = [(row["virtual_size"], vdi) for row, vdi in rows if not row["managed"] and row["virtual_size"] >= args["virtual_size"]]
        if not free:
            raise sm_error("SRNoSpace")
        vdi: str = min(free)[1]
        fields = {key: args[key] for key in ("name_label", "name_description", "type", "read_only")}
        self.db.update("VDI", vdi, managed=True, **fields)
        return vdi

    def vdi_delete(self, vdi: str, *, data_only: bool = False) -> None:
        self.db.set("VDI", vdi, "managed", False)


class UdevDriver(RawDriver):
    """Devices that dom0 has; a device comes and goes by introduce and forget."""

    required: ClassVar[tuple[tuple[str, str], ...]] = (("location", "ConfigLocationMissing"),)

    def vdi_introduce(self, sr: str, uuid: str, sm_config: Config, location: str) -> str:
        self.repository(sr).add(location, 0, kind=self.kind)
        return self.introduce_row(sr, uuid=uuid, location=location, sm_config=dict(sm_config))
