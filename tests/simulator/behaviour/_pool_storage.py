# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a pool does with its hosts' storage and switches as a whole: caches, the redo log, secrets (X/xapi_pool.ml, X/xapi_psr.ml)."""

from __future__ import annotations

import inspect
import uuid
from collections.abc import Callable
from typing import Any

from ..engine.behaviour import Behaviour
from ..engine.failure import NULL, Failure, internal_error
from . import _addresses, _pool_features, _versions

SWITCH_PORT = 6632
REDO_LOG_SIZE = (4_000_000_000 // (4 << 20) - 2) * (4 << 20)  # D/redo_log.ml
TELEMETRY_DAYS = {"daily": 2, "weekly": 14, "monthly": 62}
NO_LOCAL_STORAGE = "no_local_storage"


class WholePool(Behaviour):
    """Messages that go to every host, and those about things of which a pool has one."""

    _secret: str = ""

    def on_every_host(self, action: Callable[[str], Any], code: str) -> None:
        """Those that refused are named when all had their turn."""
        failed = []
        for host in self.db.refs("host"):
            try:
                action(host)
            except Failure:
                failed.append(host)
        if failed:
            raise Failure(code, *failed)

    # Local caches

    def enable_local_storage_caching(self, ref: str) -> None:
        """Every host caches on the SR of its own that can do it."""

        def enable(host: str) -> None:
            done = False
            for pbd in self.db.get("host", host, "PBDs"):
                try:
                    self.other("host").enable_local_storage_caching(host, self.db.get("PBD", pbd, "SR"))
                    done = True
                except Failure:
                    continue
            if not done:
                raise Failure("SR_OPERATION_NOT_SUPPORTED")

        self.on_every_host(enable, "HOSTS_FAILED_TO_ENABLE_CACHING")

    def disable_local_storage_caching(self, ref: str) -> None:
        self.on_every_host(self.other("host").disable_local_storage_caching, "HOSTS_FAILED_TO_DISABLE_CACHING")

    # Large objects on the hosts' own disks

    def enable_binary_storage(self) -> None:
        for host in self.db.refs("host"):
            self.db.drop("host", host, "other_config", NO_LOCAL_STORAGE)

    def disable_binary_storage(self) -> None:
        for host in self.db.refs("host"):
            self.db.put("host", host, "other_config", NO_LOCAL_STORAGE, "true")

    # The redo log

    async def enable_redo_log(self, sr: str) -> None:
        try:
            vdi = await self._redo_log(sr)
        except Failure:
            text = "failed to create a VDI for the redo log on the SR with the given UUID."
            raise Failure("CANNOT_ENABLE_REDO_LOG", text) from None
        self.db.update("pool", self.engine.pool, redo_log_vdi=vdi, redo_log_enabled=True)

    async def _redo_log(self, sr: str) -> str:
        description = "Used when HA is disabled, while extra security is still desired"
        return await self.find_or_make_disk(sr, "redo_log", REDO_LOG_SIZE, "Metadata redo-log", description)

    async def find_or_make_disk(self, sr: str, kind: str, size: int, label: str, description: str) -> str:
        """The disk there is, or a new one."""
        for vdi in self.db.get("SR", sr, "VDIs"):
            row = self.db.row("VDI", vdi)
            if row["type"] == kind and row["virtual_size"] >= size:
                return str(vdi)
        fields = {"name_label": label, "name_description": description, "SR": sr, "virtual_size": size, "type": kind}
        options = {"sharable": True, "read_only": False, "other_config": {}}
        made = self.other("VDI").create(self.engine.decode_record("VDI", {**fields, **options}))
        return str(await made if inspect.isawaitable(made) else made)

    def disable_redo_log(self) -> None:
        self.db.set("pool", self.engine.pool, "redo_log_enabled", False)

    # Switches

    def set_vswitch_controller(self, address: str) -> None:
        controllers, pool = self.other("SDN_controller"), self.engine.pool
        controllers.require_switches()
        if self.db.get("pool", pool, "vswitch_controller") == address:
            return
        if address:
            _addresses.require_address(address, 4, "address")
        self.db.set("pool", pool, "vswitch_controller", address)
        for known in self.db.refs("SDN_controller")[:1]:
            controllers.forget(known)
        if address:
            controllers.introduce("ssl", address, SWITCH_PORT)

    # The secret that hosts of a pool share

    @property
    def secret(self) -> str:
        if not self._secret:
            self.rotate_secret_now()
        return self._secret

    def rotate_secret_now(self) -> None:
        self._secret = "/".join(str(uuid.uuid4()) for _part in range(3))

    def initial_auth(self) -> str:
        """For a host that joins."""
        return self.secret

    def rotate_secret(self) -> None:
        _pool_features.require(self.engine, "Pool_secret_rotation")
        for host in self.db.refs("host"):
            if not self.other("host").is_live(host):
                raise Failure("CANNOT_CONTACT_HOST", host)
        if self.db.get("pool", self.engine.pool, "ha_enabled"):
            raise Failure("HA_IS_ENABLED")
        _versions.require_no_upgrade(self.engine)
        running = self.db.get("pool", self.engine.pool, "current_operations").values()
        if running:
            raise internal_error(f"pool operations in progress: [ {'; '.join(running)} ]")
        self.rotate_secret_now()

    def set_telemetry_next_collection(self, ref: str, value: str) -> None:
        latest = self.engine.clock.ago(-TELEMETRY_DAYS[self.row(ref)["telemetry_frequency"]] * 86400)
        if value > latest:
            raise Failure("TELEMETRY_NEXT_COLLECTION_TOO_LATE", value)
        self.db.set("pool", ref, "telemetry_next_collection", value)

    # Client certificates

    def enable_client_certificate_auth(self, ref: str, name: str) -> None:
        self.db.update("pool", ref, client_certificate_auth_name=name, client_certificate_auth_enabled=True)

    def disable_client_certificate_auth(self, ref: str) -> None:
        self.db.update("pool", ref, client_certificate_auth_enabled=False, client_certificate_auth_name="")

    # A proxy for updates

    def configure_repository_proxy(self, ref: str, url: str, username: str, password: str) -> None:
        if not url.startswith(("http://", "https://")):
            raise Failure("INVALID_REPOSITORY_PROXY_URL", url)
        if bool(username) != bool(password) or "\n" in username + password:
            raise Failure("INVALID_REPOSITORY_PROXY_CREDENTIAL")
        secret = self.db.create("secret", {"value": password}) if password else NULL
        self._replace_proxy(ref, url, username, secret)

    def disable_repository_proxy(self, ref: str) -> None:
        self._replace_proxy(ref, "", "", NULL)

    def _replace_proxy(self, ref: str, url: str, username: str, secret: str) -> None:
        old = self.row(ref)["repository_proxy_password"]
        self.db.update("pool", ref, repository_proxy_url=url, repository_proxy_username=username, repository_proxy_password=secret)
        if self.is_set("secret", old):
            self.db.delete("secret", old)
