# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every storage driver does: one per SR type, called by SR, PBD and VDI once xapi's own checks have passed."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from ...engine.failure import NULL
from ...engine.registry import Row
from ...storage import Repository, Volume
from .errors import Unimplemented, sm_error

if TYPE_CHECKING:
    from ...engine.core import Engine
    from ...storage import Store

Config = Mapping[str, str]
DEFAULT_SIZE = 1024**4
# The name of a disk whose uuid is made of its SR's, and the namespace (libs/uuid/uuidx.ml Hash).
BACKUP, BACKUPS = "Pool Metadata Backup", uuid.UUID("e93e0639-2bdb-4a59-8b46-352b3f408c19")
LOOPBACK = ("127.0.0.1", "localhost", "::1")


def devices(config: Config) -> set[str]:
    return set(config.get("device", "").split(",")) - {""}


class Driver:
    """`sr` and `vdi` are references. What a driver leaves unimplemented raises `Unimplemented`."""

    # device_config keys that must be there, each with the error of the storage manager when it is not.
    required: ClassVar[tuple[tuple[str, str], ...]] = ()
    # The kind of volume it keeps.
    kind: ClassVar[str] = "vhd"
    # Whether the storage manager scans an SR as soon as its master is connected (SM SR.py after_master_attach).
    looks_when_attached: ClassVar[bool] = True

    def __init__(self, engine: Engine, kind_of_sr: str) -> None:
        self.engine = engine
        self.db = engine.db
        self.kind_of_sr = kind_of_sr  # the type that this driver serves

    # Its storage

    def repository(self, sr: str) -> Repository:
        store: Store = self.engine.store
        return store.repository(self.db.get("SR", sr, "uuid"))

    def volume(self, vdi: str) -> Volume:
        """The bytes of a VDI; SR_BACKEND_FAILURE_46 when they are gone."""
        row = self.db.row("VDI", vdi)
        try:
            return self.repository(row["SR"]).volumes[row["location"]]
        except KeyError:
            raise sm_error("VDIUnavailable", f"VDI {row['location']} not found") from None

    def adopt(self, vdi: str, row: Row) -> Volume:
        """The volume of a VDI that a start state has."""
        kind = "raw" if row["sm_config"].get("type") == "raw" else self.kind
        return self.repository(row["SR"]).add(row["location"], row["virtual_size"], kind=kind)

    # SR

    def check_config(self, config: Config) -> None:
        for key, error in self.required:
            if not config.get(key):
                raise sm_error(error)

    def create(self, sr: str, config: Config, size: int) -> None:
        """Make an empty repository."""
        self.check_config(config)
        self.require_unused(sr, config)
        repository = self.repository(sr)
        repository.size = size or self.size_of(config)

    def require_unused(self, sr: str, config: Config) -> None:
        """Devices that another connection of the host names are taken (SM util.py test_hostPBD_devs)."""
        wanted = devices(config)
        if any(wanted & devices(pbd["device_config"]) for pbd in self.neighbours(sr)):
            raise sm_error("SRInUse")

    def neighbours(self, sr: str) -> list[Row]:
        """Connections of the same host to other SRs."""
        pbds = [row for _unused, row in self.db.items("PBD")]
        hosts = {row["host"] for row in pbds if row["SR"] == sr}
        return [row for row in pbds if row["SR"] != sr and row["host"] in hosts]

    def size_of(self, config: Config) -> int:
        """How large the storage is: a share of this very host is on the host's own file system, of others nothing is known."""
        if config.get("server", "").strip() in LOOPBACK:
            sizes = [row["physical_size"] for _unused, row in self.db.items("SR") if row["type"] in ("file", "ext")]
            return max(sizes, default=DEFAULT_SIZE)
        return DEFAULT_SIZE

    def delete(self, sr: str) -> None:
        store: Store = self.engine.store
        store.drop(self.db.get("SR", sr, "uuid"))

    def attach(self, sr: str, config: Config) -> None:
        """Reach the repository from one host."""
        self.check_config(config)
        repository = self.repository(sr)
        if not repository.size:
            repository.size = self.size_of(config)

    def detach(self, sr: str) -> None:
        """Let go of the repository."""

    def probe(self, config: Config, sm_config: Config) -> str:
        """What is there, as XML text; what is missing in `config` is an error that shows the choices."""
        self.check_config(config)
        raise Unimplemented

    def known(self, config: Config, *keys: str) -> list[str]:
        """uuids of the SRs of this type that some PBD reaches by the same settings."""
        kind = self.kind_of_sr
        found = set()
        for _unused, pbd in self.db.items("PBD"):
            sr = self.db.tables["SR"].rows.get(pbd["SR"])
            if sr is not None and sr["type"] == kind and all(pbd["device_config"].get(key) == config.get(key) for key in keys):
                found.add(sr["uuid"])
        return sorted(found)

    def scan(self, sr: str) -> None:
        """Make the database agree with what is in the repository."""
        self.update(sr)

    def update(self, sr: str) -> None:
        """Refresh sizes of the SR."""
        repository = self.repository(sr)
        self.db.update("SR", sr, physical_size=repository.size, physical_utilisation=repository.used)

    def allocate(self, sr: str, difference: int) -> None:
        """Keep account of virtual sizes, and refresh the others."""
        self.db.set("SR", sr, "virtual_allocation", self.db.get("SR", sr, "virtual_allocation") + difference)
        self.update(sr)

    # VDI

    def introduce_row(self, sr: str, **fields: Any) -> str:
        """A VDI row as the storage manager introduces it (VDI._db_introduce)."""
        values: Row = {"uuid": str(uuid.uuid4()), "SR": sr, "type": "user", "managed": True, "on_boot": "persist"}
        values |= {"metadata_of_pool": NULL, "other_config": {}, **fields}
        values.setdefault("location", values["uuid"])
        return self.db.create("VDI", values)

    def new_uuid(self, sr: str, args: Row) -> str:
        """Of a new disk: the one that backups of the pool's metadata are looked for by, or any (X/xapi_vdi.ml create)."""
        if (args["type"], args["name_label"]) == ("user", BACKUP):
            return str(uuid.uuid5(BACKUPS, self.db.get("SR", sr, "uuid")))
        return str(uuid.uuid4())

    def vdi_create(self, sr: str, args: Row) -> str:
        raise Unimplemented

    def vdi_delete(self, vdi: str, *, data_only: bool = False) -> None:
        raise Unimplemented

    def vdi_clone(self, vdi: str, params: Config, *, snapshot: bool) -> str:
        raise Unimplemented

    def vdi_resize(self, vdi: str, size: int) -> None:
        raise Unimplemented

    def vdi_reset(self, vdi: str) -> None:
        """Throw away what was written since the disk was set to be reset."""
        raise Unimplemented

    def vdi_update(self, vdi: str) -> None:
        """Refresh a VDI's row from its volume."""

    def vdi_exists(self, vdi: str) -> bool:
        """Whether the storage manager finds what it is to look at."""
        return True

    def vdi_introduce(self, sr: str, uuid: str, sm_config: Config, location: str) -> str:
        raise Unimplemented

    def vdi_generate_config(self, vdi: str, config: Config) -> str:
        raise Unimplemented

    def vdi_set_changes(self, vdi: str, *, enabled: bool) -> None:
        raise Unimplemented

    def vdi_changes(self, start: str, end: str) -> bytes:
        raise Unimplemented
