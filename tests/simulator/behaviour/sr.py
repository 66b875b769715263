# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""SR: storage repositories (facts 3.7, ocaml/xapi/xapi_sr.ml)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import Any

from ..engine.behaviour import locks_itself
from ..engine.failure import NULL, Failure
from . import _secrets, _sr_operations, _versions
from ._sr_services import Services
from ._sr_start import Start
from .drivers.errors import NOT_IMPLEMENTED, Unimplemented, storage_error


class SR(Start, Services):
    cls = "SR"

    # Operations

    def advertised(self, ref: str) -> Iterable[str]:
        known = self.engine.schema.enums["storage_operations"]
        return [op for op in _sr_operations.FEATURES if op in known]

    def check(self, ref: str, op: str) -> None:
        _sr_operations.check(self.engine, ref, op)

    def host_of(self, sr: str, *, unplugged: bool = False) -> str:
        """The host that works on an SR: for a shared one the coordinator. SR_HAS_NO_PBDS when it is not connected."""
        row, coordinator = self.row(sr), self.engine.coordinator
        pbds = [self.db.row("PBD", pbd) for pbd in row["PBDs"]]
        hosts = [pbd["host"] for pbd in pbds if pbd["currently_attached"] or unplugged]
        if row["shared"]:
            hosts = [host for host in hosts if host == coordinator]
        if not hosts:
            raise Failure("SR_HAS_NO_PBDS", sr)
        return str(hosts[0])

    def hosts_that_see(self, sr: str) -> list[str]:
        """Hosts connected to the SR, the coordinator first."""
        pbds = [self.db.row("PBD", pbd) for pbd in self.row(sr)["PBDs"]]
        hosts = [pbd["host"] for pbd in pbds if pbd["currently_attached"]]
        return sorted(hosts, key=lambda host: host != self.engine.coordinator)

    # Life

    def introduce(self, uuid: str, name_label: str, name_description: str, type_: str, content_type: str, shared: bool, sm_config: dict[str, str]) -> str:
        if uuid and uuid in self.db.tables["SR"].by_uuid:
            raise Failure("SR_UUID_EXISTS", uuid)
        names = {"name_label": name_label, "name_description": name_description}
        sizes = {"physical_utilisation": -1, "physical_size": -1, "virtual_allocation": 0}
        kind = {"type": type_.lower(), "content_type": content_type, "shared": shared, "sm_config": sm_config}
        return self.db.create("SR", {"uuid": uuid, "default_vdi_visibility": True, "other_config": {}, **names, **sizes, **kind})

    async def create(
        self,
        host: str,
        device_config: dict[str, str],
        physical_size: int,
        name_label: str,
        name_description: str,
        type_: str,
        content_type: str,
        shared: bool,
        sm_config: dict[str, str],
    ) -> str:
        if not shared:
            # Of a shared one the coordinator is the host, whatever was said.
            self.existing("host", host)
        _versions.require_no_upgrade(self.engine)
        config = _secrets.moved(self.db, device_config)
        coordinator = self.engine.coordinator
        hosts = [coordinator, *(h for h in self.db.refs("host") if h != coordinator)] if shared else [host]
        sr = self.introduce("", name_label, name_description, type_, content_type, shared, sm_config)
        pbds = [self.other("PBD").insert(h, sr, config) for h in hosts]
        try:
            self._on_disk(lambda driver: driver.create(sr, config, physical_size), sr)
        except Failure:
            for pbd in pbds:
                self.db.delete("PBD", pbd)
            self.db.delete("SR", sr)
            raise
        for pbd in pbds:
            # What a host has against it nobody hears of but who looks at its PBD: xapi waits for the tasks and asks for no outcome.
            with contextlib.suppress(Failure):
                await self.other("PBD").plug(pbd)
        return sr

    def make(self, *_unused: Any) -> str:
        raise Failure("MESSAGE_DEPRECATED")

    @locks_itself
    async def destroy(self, sr: str) -> None:
        async with self.engine.operations.hold("SR", sr, "destroy"):
            await self.engine.pass_time("SR.destroy")
            row = self.row(sr)
            if row["other_config"].get("indestructible") == "true":
                raise Failure("SR_INDESTRUCTIBLE", sr)
            for host, host_row in self.db.items("host"):
                if host_row["local_cache_sr"] == sr:
                    raise Failure("SR_IS_CACHE_SR", host)
            self.host_of(sr, unplugged=True)
            self.require_master(sr)
            self._on_disk(lambda driver: driver.delete(sr), sr)
            _secrets.destroyed(self.db, row["sm_config"])
            self._forget(sr)

    @locks_itself
    async def forget(self, sr: str) -> None:
        async with self.engine.operations.hold("SR", sr, "forget"):
            await self.engine.pass_time("SR.forget")
            self._forget(sr)

    def _forget(self, sr: str) -> None:
        """The pool knows it no more; what is on it stays."""
        for pbd in list(self.row(sr)["PBDs"]):
            self.other("PBD").discard(pbd)
        drives = [drive for vdi in self.row(sr)["VDIs"] for drive in self.db.get("VDI", vdi, "VBDs")]
        for vdi in list(self.row(sr)["VDIs"]):
            self.db.delete("VDI", vdi)
        self.db.delete("SR", sr)
        self.other("VBD").sweep_later(drives)

    def _on_disk(self, action: Any, sr: str) -> Any:
        try:
            return action(self.driver(sr))
        except Unimplemented:
            raise Failure("SR_OPERATION_NOT_SUPPORTED", sr) from None

    # Contents

    @locks_itself
    async def scan(self, sr: str) -> None:
        async with self.engine.operations.hold("SR", sr, "scan"):
            self.host_of(sr)
            await self.engine.pass_time("SR.scan")
            self.require_master(sr)
            self.scan_now(sr)

    def update(self, sr: str) -> None:
        self.host_of(sr)
        self.require_master(sr)
        self.driver(sr).update(sr)

    def get_supported_types(self) -> list[str]:
        return sorted({row["type"] for _unused, row in self.db.items("SM")})

    def probe(self, host: str, device_config: dict[str, str], type_: str, sm_config: dict[str, str]) -> str:
        self.existing("host", host)
        config = _secrets.moved(self.db, device_config)
        try:
            return self.driver_of(type_.lower()).probe(config, sm_config)
        except Unimplemented:
            raise storage_error("Internal_error", NOT_IMPLEMENTED) from None

    def probe_ext(self, host: str, device_config: dict[str, str], type_: str, sm_config: dict[str, str]) -> list[dict[str, Any]]:
        self.probe(host, device_config, type_, sm_config)
        # Drivers of this generation print text, which probe_ext does not take.
        raise Failure("SR_OPERATION_NOT_SUPPORTED")

    # Fields

    def set_name_label(self, sr: str, value: str) -> None:
        self._set_name(sr, "name_label", value)

    def set_name_description(self, sr: str, value: str) -> None:
        self._set_name(sr, "name_description", value)

    def _set_name(self, sr: str, field: str, value: str) -> None:
        """Names go through the storage manager, which looks at the SR afterwards."""
        self.host_of(sr)
        self.db.set("SR", sr, field, value)
        self.update(sr)

    def set_shared(self, sr: str, value: bool) -> None:
        pbds = self.row(sr)["PBDs"]
        if not value and len(pbds) > 1:
            raise Failure("SR_HAS_MULTIPLE_PBDS", *pbds)
        self.db.set("SR", sr, "shared", value)

    def _internal(self, *_unused: Any) -> None:
        raise Failure("PERMISSION_DENIED", "")

    # For the storage manager's own session only.
    set_physical_size = set_virtual_allocation = set_physical_utilisation = _internal

    def create_new_blob(self, sr: str, name: str, mime_type: str, public: bool) -> str:
        blob = str(self.other("blob").create(mime_type, public))
        self.db.put("SR", sr, "blobs", name, blob)
        return blob

    def get_live_hosts(self, sr: str) -> list[str]:
        return [host for host in self.hosts_that_see(sr) if self._is_live(host)]

    def _is_live(self, host: str) -> bool:
        metrics = self.db.get("host", host, "metrics")
        return bool(self.db.get("host", host, "enabled") and metrics != NULL and self.db.get("host_metrics", metrics, "live"))
