# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host is told about itself: names, iSCSI, display, management, clocks (X/xapi_host.ml)."""

from __future__ import annotations

import re

from ..engine.behaviour import Behaviour
from ..engine.clock import wire_time
from ..engine.failure import Failure, internal_error
from ..engine.implicit import map_add
from ..engine.types import DateTime
from ._host_forwarding import at_host

HOSTNAME = re.compile(r"[A-Za-z0-9.-]+")
# Current state and request → new state (X/xapi_host.ml update_display).
DISPLAY = {
    ("enabled", "enable"): "enabled",
    ("disable_on_reboot", "enable"): "enabled",
    ("disabled", "enable"): "enable_on_reboot",
    ("enable_on_reboot", "enable"): "enable_on_reboot",
    ("enabled", "disable"): "disable_on_reboot",
    ("disable_on_reboot", "disable"): "disable_on_reboot",
    ("disabled", "disable"): "disabled",
    ("enable_on_reboot", "disable"): "disabled",
}


class Settings(Behaviour):
    """The part of host that edits the host's own record, and small questions about it."""

    @at_host
    def get_servertime(self, host: str) -> DateTime:
        return DateTime(self.engine.clock.now())

    @at_host
    def get_server_localtime(self, host: str) -> DateTime:
        """Without a zone: dom0's is UTC here."""
        return DateTime(wire_time(self.engine.clock.time()).removesuffix("Z"))

    @at_host
    def set_hostname_live(self, host: str, hostname: str) -> None:
        row = self.row(host)
        if row["external_auth_type"] == "AD":
            raise Failure("AUTH_ALREADY_ENABLED", row["external_auth_type"], row["external_auth_service_name"])
        if not hostname:
            raise Failure("HOST_NAME_INVALID", "hostname empty")
        if len(hostname) > 255:
            raise Failure("HOST_NAME_INVALID", "hostname is too long")
        if not HOSTNAME.fullmatch(hostname) or hostname.startswith("-") or hostname.endswith("-"):
            raise Failure("HOST_NAME_INVALID", "hostname contains invalid characters")
        self.db.set("host", host, "hostname", hostname)
        if self.is_set("VM", row["control_domain"]):
            self.db.set("VM", row["control_domain"], "name_label", f"Control domain on host: {hostname}")

    @at_host
    def set_iscsi_iqn(self, host: str, value: str) -> None:
        if not value:
            raise Failure("INVALID_VALUE", "value", value)
        self.db.set("host", host, "iscsi_iqn", value)
        self.db.put("host", host, "other_config", "iscsi_iqn", value)

    # xapi copies two keys of other_config into fields of their own whenever they change (X/xapi_host_helpers.ml).

    def set_other_config(self, host: str, value: dict[str, str]) -> None:
        self.db.set("host", host, "other_config", value)
        self.sync_other_config()

    def add_to_other_config(self, host: str, key: str, value: str) -> None:
        map_add(self.engine, self.engine.schema.classes["host"].messages["add_to_other_config"], host, key, value)
        self.sync_other_config()

    def sync_other_config(self) -> None:
        for ref, row in self.db.items("host"):
            config = row["other_config"]
            if "iscsi_iqn" in config and "iscsi_iqn" in row:
                self.db.set("host", ref, "iscsi_iqn", config["iscsi_iqn"])
            if config.get("multipathing") in ("true", "false") and "multipathing" in row:
                self.db.set("host", ref, "multipathing", config["multipathing"] == "true")

    @at_host
    def set_multipathing(self, host: str, value: bool) -> None:
        self.db.set("host", host, "multipathing", value)
        self.db.put("host", host, "other_config", "multipathing", str(value).lower())

    @at_host
    def enable_display(self, host: str) -> str:
        return self._display(host, "enable")

    @at_host
    def disable_display(self, host: str) -> str:
        return self._display(host, "disable")

    def _display(self, host: str, action: str) -> str:
        new = DISPLAY[self.row(host)["display"], action]
        self.db.set("host", host, "display", new)
        return new

    def set_power_on_mode(self, host: str, mode: str, config: dict[str, str]) -> None:
        self.db.update("host", host, power_on_mode=mode, power_on_config=config)

    def set_ssl_legacy(self, host: str, value: bool) -> None:
        if value and self.engine.schema.level != "8.2":
            raise Failure("VALUE_NOT_SUPPORTED", "value", "true", "Legacy SSL support has been removed")

    def set_https_only(self, host: str, value: bool) -> None:
        self.db.set("host", host, "https_only", value)

    def set_numa_affinity_policy(self, host: str, value: str) -> None:
        self.db.set("host", host, "numa_affinity_policy", value)

    def set_uefi_certificates(self, host: str, value: str) -> None:
        raise Failure("OPERATION_NOT_ALLOWED", "Setting UEFI certificates is deprecated, use pool.set_custom_uefi_certificates instead")

    def set_sched_gran(self, host: str, value: str) -> None:
        raise Failure("OPERATION_NOT_ALLOWED", "Disabled by xapi.conf")

    def get_sched_gran(self, host: str) -> str:
        return "cpu"

    @at_host
    def syslog_reconfigure(self, host: str) -> None:
        """The destination is read out of host.logging; nothing of it shows."""

    # Management interface

    def get_management_interface(self, host: str) -> str:
        for pif in self.row(host)["PIFs"]:
            if self.db.get("PIF", pif, "management"):
                return str(pif)
        raise internal_error("Not_found")

    def management_reconfigure(self, pif: str) -> None:
        row = self.db.row("PIF", pif)
        if self.db.get("pool", self.engine.pool, "ha_enabled"):
            raise Failure("HA_IS_ENABLED")
        if row["managed"]:
            self.other("PIF").require_usable_for_management(pif)
        if row["management"]:
            return
        self.other("network").attach(row["network"], row["host"])
        for other in self.db.get("host", row["host"], "PIFs"):
            self.db.set("PIF", other, "management", other == pif)
        if row["IP"]:
            self.db.set("host", row["host"], "address", row["IP"])
        self.other("host").open_management(row["host"])

    def local_management_reconfigure(self, interface: str) -> None:
        raise Failure("NOT_IN_EMERGENCY_MODE")

    def is_in_emergency_mode(self) -> bool:
        return False

    # Small answers

    @at_host
    def dmesg(self, host: str) -> str:
        return "Xen simulator"

    @at_host
    def dmesg_clear(self, host: str) -> str:
        raise Failure("NOT_IMPLEMENTED", "dmesg_clear")

    @at_host
    def get_log(self, host: str) -> str:
        raise Failure("NOT_IMPLEMENTED", "get_log")

    def list_methods(self) -> list[str]:
        raise Failure("NOT_IMPLEMENTED", "list_method")

    @at_host
    def get_system_status_capabilities(self, host: str) -> str:
        """There is no xen-bugtool in this dom0: what the shell answers is all that xapi says (recording small_classes)."""
        raise internal_error("127")

    def get_uncooperative_resident_VMs(self, host: str) -> list[str]:
        return []

    def retrieve_wlb_evacuate_recommendations(self, host: str) -> dict[str, list[str]]:
        raise Failure("WLB_NOT_INITIALIZED")

    def create_new_blob(self, host: str, name: str, mime_type: str, public: bool) -> str:
        blob = str(self.other("blob").create(mime_type, public))
        self.db.put("host", host, "blobs", name, blob)
        return blob
