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
    required: ClassVar[tuple[tuple[str, str], ...]] = (("location", "ConfigLocationMissing"),)

    def vdi_update(self, vdi: str) -> None:
        super().vdi_update(vdi)
        row = self.db.row("VDI", vdi)
        volume = self.repository(row["SR"]).volumes.get(row["location"])
        if volume is not None:
            # Files do not know that a disk was made read-only; parents are (FileSR._loadvdis).
            self.db.set("VDI", vdi, "read_only", bool(volume.children))

    def vdi_generate_config(self, vdi: str, config: Config) -> str:
        row = self.db.row("VDI", vdi)
        answer = {
            "device_config": dict(config),
            "sr_uuid": self.db.get("SR", row["SR"], "uuid"),
            "vdi_uuid": row["uuid"],
            "command": "vdi_attach_from_config",
        }
        return xmlrpc.client.dumps((answer,), "vdi_attach_from_config")


class ExtDriver(FileDriver):
    required: ClassVar[tuple[tuple[str, str], ...]] = (("device", "ConfigDeviceMissing"),)


class NfsDriver(FileDriver):
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
    required: ClassVar[tuple[tuple[str, str], ...]] = (("server", "ConfigServerMissing"),)

    def check_config(self, config: Config) -> None:
        super().check_config(config)
        network.reach(config["server"].strip("\\").partition("\\")[0], "SMBMount")

    def probe(self, config: Config, sm_config: Config) -> str:
        self.check_config(config)
        return network.document("SRlist", "SR", [{"UUID": uuid} for uuid in self.known(config, "server")])
