# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""VHDs as files: on a local path, an ext file system, NFS or SMB (SM FileSR.py, EXTSR.py, NFSSR.py, SMBSR.py)."""

from __future__ import annotations

import xmlrpc.client
from typing import ClassVar

from . import network
from .base import Config
from .errors import sm_error
from .vhd import VhdDriver


class FileDriver(VhdDriver):
    # What else of its SR a host needs that reaches a disk without the toolstack.
    tells_of_sr: ClassVar[tuple[str, ...]] = ()
    required: ClassVar[tuple[tuple[str, str], ...]] = (("location", "ConfigLocationMissing"),)

    def require_unused(self, sr: str, config: Config) -> None:
        """A folder must be empty, whoever has filled it (FileSR.create)."""
        super().require_unused(sr, config)
        for pbd in self.neighbours(sr):
            shares = "location" in config and pbd["device_config"].get("location") == config["location"]
            if not shares or not self.db.exists("SR", pbd["SR"]) or self.db.get("SR", pbd["SR"], "type") != self.kind_of_sr:
                continue
            repository = self.repository(pbd["SR"])
            if repository.volumes or repository.logs:
                raise sm_error("FileSRCreate")

    def vdi_update(self, vdi: str) -> None:
        super().vdi_update(vdi)
        row = self.db.row("VDI", vdi)
        volume = self.repository(row["SR"]).volumes.get(row["location"])
        if volume is not None:
            # Files do not know that a disk was made read-only; parents are (FileSR._loadvdis).
            self.db.set("VDI", vdi, "read_only", bool(volume.children))

    def vdi_generate_config(self, vdi: str, config: Config) -> str:
        row = self.db.row("VDI", vdi)
        sr = self.db.row("SR", row["SR"])
        answer = {"device_config": dict(config), "sr_uuid": sr["uuid"], "vdi_uuid": row["uuid"]}
        answer |= {f"sr_{name}": dict(sr[name]) for name in self.tells_of_sr}
        return xmlrpc.client.dumps(({**answer, "command": "vdi_attach_from_config"},), "vdi_attach_from_config")


class ExtDriver(FileDriver):
    required: ClassVar[tuple[tuple[str, str], ...]] = (("device", "ConfigDeviceMissing"),)


class NfsDriver(FileDriver):
    tells_of_sr: ClassVar[tuple[str, ...]] = ("sm_config", "other_config")
    required: ClassVar[tuple[tuple[str, str], ...]] = (("server", "ConfigServerMissing"), ("serverpath", "ConfigServerPathMissing"))

    def check_config(self, config: Config) -> None:
        if config.get("server"):
            network.reach(config["server"], "NFSTarget")
            if not config.get("serverpath"):
                raise sm_error("ConfigServerPathMissing", text=network.exports(config))
        super().check_config(config)

    def probe(self, config: Config, sm_config: Config) -> str:
        """The SRs that lie on this path of this server."""
        self.check_config(config)
        return network.document("SRlist", "SR", [{"UUID": uuid} for uuid in self.known(config, "server", "serverpath")])


class SmbDriver(FileDriver):
    tells_of_sr: ClassVar[tuple[str, ...]] = ("sm_config",)
    required: ClassVar[tuple[tuple[str, str], ...]] = (("server", "ConfigServerMissing"),)

    def check_config(self, config: Config) -> None:
        super().check_config(config)
        network.reach(config["server"].strip("\\").partition("\\")[0], "SMBMount")

    def probe(self, config: Config, sm_config: Config) -> str:
        self.check_config(config)
        return network.document("SRlist", "SR", [{"UUID": uuid} for uuid in self.known(config, "server")])
