# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fields of VDI that are more than stored, changed-block tracking, and answers about a disk (ocaml/xapi/xapi_vdi.ml)."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from typing import Any

from ..engine.behaviour import locks_itself
from ..engine.failure import Failure, NotSimulated
from ._vdi_base import Disks
from ._vdi_types import spelt
from .drivers.errors import NOT_IMPLEMENTED, Unimplemented, storage_error

NBD_PORT = 10809
# Bytes that a checksum goes on at a time.
PIECE = 16 * 2**20
NO_CONTENT = "/No content: this is a cbt_metadata VDI/"
# Seconds that data_destroy waits for the disk's drives to go.
UNPLUG_WITHIN = 4.0


class Fields(Disks):
    """Part of VDI."""

    def set_name_label(self, vdi: str, value: str) -> None:
        self._set_name(vdi, "name_label", value)

    def set_name_description(self, vdi: str, value: str) -> None:
        self._set_name(vdi, "name_description", value)

    def _set_name(self, vdi: str, field: str, value: str) -> None:
        """Names go through the storage manager, which brings the row up to date on the way."""
        self.other("SR").host_of(self.row(vdi)["SR"])
        self.db.set("VDI", vdi, field, value)
        self.look(vdi)

    # The storage manager's own session may; no client can (Sm.assert_session_has_internal_sr_access).
    set_sharable = set_read_only = set_managed = set_missing = set_virtual_size = Disks.refuse_internal
    set_physical_utilisation = set_is_a_snapshot = set_snapshot_of = set_snapshot_time = Disks.refuse_internal
    set_metadata_of_pool = set_cbt_enabled = db_introduce = db_forget = pool_introduce = Disks.refuse_internal

    @locks_itself
    async def set_on_boot(self, vdi: str, value: str) -> None:
        self._require_halted(vdi)
        async with self.locked("set_on_boot", vdi, "set_on_boot", "vdi_set_on_boot"):
            self.other("SR").host_of(self.row(vdi)["SR"])
            if value == "reset":
                # An empty leaf over a base copy, to be thrown away at each boot.
                driver = self.served(vdi)
                try:
                    driver.vdi_delete(driver.vdi_clone(vdi, {}, snapshot=False))
                except Unimplemented:
                    raise storage_error("Internal_error", NOT_IMPLEMENTED) from None
            self.db.set("VDI", vdi, "on_boot", value)

    def begin_epoch(self, vdi: str) -> None:
        """A VM boots from the disk; resuming and migrating go on with what it holds (xenopsd VBD_epoch_begin)."""
        if self.is_set("VDI", vdi) and self.row(vdi)["on_boot"] == "reset":
            self.driver(vdi).vdi_reset(vdi)

    def set_allow_caching(self, vdi: str, value: bool) -> None:
        self._require_halted(vdi)
        self.db.set("VDI", vdi, "allow_caching", value)

    def _require_halted(self, vdi: str) -> None:
        for vbd in self.row(vdi)["VBDs"]:
            vm = self.db.get("VBD", vbd, "VM")
            state = self.db.get("VM", vm, "power_state")
            if state != "Halted":
                raise Failure("VM_BAD_POWER_STATE", vm, "halted", state.lower())

    # Changed blocks

    @locks_itself
    async def enable_cbt(self, vdi: str) -> None:
        async with self.locked("enable_cbt", vdi, "enable_cbt", "vdi_enable_cbt"):
            self._set_tracking(vdi, enabled=True)

    @locks_itself
    async def disable_cbt(self, vdi: str) -> None:
        async with self.locked("disable_cbt", vdi, "disable_cbt", "vdi_disable_cbt"):
            self._set_tracking(vdi, enabled=False)

    def _set_tracking(self, vdi: str, *, enabled: bool) -> None:
        self.other("SR").host_of(self.row(vdi)["SR"])
        if self.row(vdi)["cbt_enabled"] != enabled:
            self.on_disk(vdi, lambda: self.served(vdi).vdi_set_changes(vdi, enabled=enabled))
            self.db.set("VDI", vdi, "cbt_enabled", enabled)

    @locks_itself
    async def list_changed_blocks(self, vdi_from: str, vdi_to: str) -> str:
        self.existing("VDI", vdi_to)
        async with self.locked("list_changed_blocks", vdi_to, "list_changed_blocks", "vdi_list_changed_blocks"):
            self.other("SR").host_of(self.row(vdi_to)["SR"])
            changed = self.on_disk(vdi_to, lambda: self.served(vdi_to).vdi_changes(vdi_from, vdi_to))
            return base64.b64encode(changed).decode()

    @locks_itself
    async def data_destroy(self, vdi: str) -> None:
        async with self.locked("data_destroy", vdi, "data_destroy", "vdi_data_destroy"):
            kind = self.row(vdi)["type"]
            if kind == "cbt_metadata":
                return
            self.db.set("VDI", vdi, "type", "cbt_metadata")
            try:
                await self._drop_data(vdi)
            except Failure:
                self.db.set("VDI", vdi, "type", kind)
                raise
            self.db.put("VDI", vdi, "other_config", "content_id", NO_CONTENT)

    async def _drop_data(self, vdi: str) -> None:
        driver = self.ready(vdi)
        deadline = self.engine.clock.time() + UNPLUG_WITHIN
        while self.row(vdi)["VBDs"] and self.engine.clock.time() < deadline:
            await self.engine.clock.sleep(0.1)
        if self.row(vdi)["VBDs"]:
            raise Failure("VDI_IN_USE", vdi, "data_destroy")
        self.on_disk(vdi, lambda: driver.vdi_delete(vdi, data_only=True))

    # Questions

    def get_nbd_info(self, vdi: str) -> list[dict[str, Any]]:
        row = self.row(vdi)
        if row["type"] == "cbt_metadata":
            raise Failure("VDI_INCOMPATIBLE_TYPE", vdi, spelt("cbt_metadata"))
        export = f"/{row['uuid']}?session_id={self.context.session}"
        found = []
        for host in self.other("SR").hosts_that_see(row["SR"]):
            for address in self._nbd_addresses(host):
                certificate = self._server_certificate(host)
                subject = self.db.get("host", host, "hostname")
                server = {"address": address, "port": NBD_PORT, "cert": certificate, "subject": subject}
                found.append({"exportname": export, **server})
        return found

    def _server_certificate(self, host: str) -> str:
        ask = getattr(self.other("host"), "get_server_certificate", None)
        if ask is None:  # the certificate is the served host's: it comes with that message's behaviour
            raise NotSimulated("VDI.get_nbd_info of a network with the purpose nbd (host.get_server_certificate)")
        return str(ask(host))

    def _nbd_addresses(self, host: str) -> list[str]:
        found = []
        for pif in self.db.get("host", host, "PIFs"):
            row = self.db.row("PIF", pif)
            purposes = self.db.get("network", row["network"], "purpose")
            if row["currently_attached"] and {"nbd", "insecure_nbd"} & set(purposes):
                found += [address for address in (row["IP"], *row["IPv6"]) if address]
        return found

    @locks_itself
    async def generate_config(self, host: str, vdi: str) -> str:
        self.existing("host", host)
        self.existing("VDI", vdi)
        async with self.locked("generate_config", vdi, "generate_config"):
            sr = self.row(vdi)["SR"]
            pbds = [self.db.row("PBD", pbd) for pbd in self.db.get("SR", sr, "PBDs")]
            mine = [pbd["device_config"] for pbd in pbds if pbd["host"] == host and pbd["currently_attached"]]
            if not mine:
                # It is that host's own connection that counts (X/sm.ml assert_pbd_is_plugged).
                raise Failure("SR_HAS_NO_PBDS", sr)
            self.require_managed(vdi)
            config = {"SRmaster": "true" if self.other("SR").master_of(sr) == host else "false", **mine[0]}
            return self.on_disk(vdi, lambda: self.driver(vdi).vdi_generate_config(vdi, config))

    async def checksum(self, vdi: str) -> str:
        if not self.other("SR").hosts_that_see(self.row(vdi)["SR"]):
            raise Failure("NO_HOSTS_AVAILABLE")  # X/message_forwarding.ml forward_to_access_srs_and
        digest = hashlib.md5(usedforsecurity=False)
        async with self.in_dom0(vdi, "RO") as volume:
            for offset in range(0, volume.size, PIECE):
                piece = volume.read(offset, min(PIECE, volume.size - offset))
                # A large disk takes minutes, in which others are served.
                await asyncio.to_thread(digest.update, piece)
                self.engine.check_cancelled()
        return digest.hexdigest()

    def force_unlock(self, vdi: str) -> None:
        raise Failure("MESSAGE_DEPRECATED")

    def open_database(self, vdi: str) -> str:
        kind = self.row(vdi)["type"]
        if kind != "metadata":
            raise Failure("VDI_INCOMPATIBLE_TYPE", vdi, spelt(kind))
        raise Failure("COULD_NOT_IMPORT_DATABASE", "Database does not match local schema.")

    def read_database_pool_uuid(self, vdi: str) -> str:
        """No pool keeps its database on a simulated disk."""
        return ""
