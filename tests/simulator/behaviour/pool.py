# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""pool: its operations, VLANs on every host, settings; membership and HA are files of their own (facts 3.10)."""

from __future__ import annotations

import functools
import uuid
from collections.abc import Mapping
from typing import Any

from ..engine.failure import NULL, Failure
from . import _cpu_features as cpu
from . import _versions
from ._certificates import PoolCertificates
from ._external_auth import PoolAuthentication
from ._ha_failover import Failover
from ._host_access import PoolAccess
from ._licensing import PoolLicensing
from ._pool_ha import HighAvailability
from ._pool_join import Joining
from ._pool_membership import Membership
from ._pool_operations import PoolOperations
from ._pool_welcome import Welcome
from ._trusted_certificates import PoolTrust

# The fields of a host's cpu_info that the pool's is made of.
CPU_FEATURES = (cpu.level_key("hvm"), cpu.level_key("pv"))
AGENT_KEYS = ("auto_update_enabled", "auto_update_url")


class Pool(
    PoolOperations, Membership, Joining, Welcome, HighAvailability, Failover, PoolAuthentication, PoolCertificates, PoolAccess, PoolLicensing, PoolTrust
):
    cls = "pool"

    def loaded(self, extra: Mapping[str, Any]) -> None:
        super().loaded(extra)
        # The HA daemon needs Xen; where that is only simulated, it is not installed (recording small_classes).
        self._has_cluster_stack = extra.get("hypervisor") != "simulated"
        _versions.notice(self.engine)

    def restarted(self) -> None:
        super().restarted()
        _versions.notice(self.engine)

    def hosts_changed(self) -> None:
        """One came or went, or another leads."""
        self._update_cpu_info()
        _versions.notice(self.engine)

    def _update_cpu_info(self) -> None:
        """What all hosts have in common, and how much of it there is."""
        infos = [row["cpu_info"] for _unused, row in self.db.items("host") if row["cpu_info"]]
        if not infos:
            return
        totals = {key: str(sum(int(info.get(key, 0)) for info in infos)) for key in ("cpu_count", "socket_count")}
        shared = {key: functools.reduce(cpu.common, (info.get(key, "") for info in infos)) for key in CPU_FEATURES}
        self.db.set("pool", self.engine.pool, "cpu_info", {"vendor": infos[-1].get("vendor", ""), **shared, **totals})

    # VLANs

    def create_VLAN(self, device: str, network: str, vlan: int) -> list[str]:
        """On every host's NIC of that name; what was made is taken back when one host refuses."""
        made: list[str] = []
        try:
            for host in self.db.refs("host"):
                bases = [pif for pif in self.db.get("host", host, "PIFs") if self._is_base(pif, device)]
                if not bases:
                    raise Failure("INVALID_VALUE", "device", device)
                made.append(self.other("VLAN").create(bases[0], vlan, network))
        except Failure:
            self._take_back(made)
            raise
        return [self.db.get("VLAN", one, "untagged_PIF") for one in made]

    def _is_base(self, pif: str, device: str) -> bool:
        row = self.db.row("PIF", pif)
        return bool(row["device"] == device and row["VLAN"] == -1)

    def create_VLAN_from_PIF(self, pif: str, network: str, vlan: int) -> list[str]:
        """On the PIFs of all live hosts that share a network with this one."""
        self.existing("network", network)
        siblings = self.db.get("network", self.db.get("PIF", pif, "network"), "PIFs")
        made: list[str] = []
        try:
            for sibling in siblings:
                if self.other("host").is_live(self.db.get("PIF", sibling, "host")):
                    made.append(self.other("VLAN").create(sibling, vlan, network))
        except Failure:
            self._take_back(made)
            raise
        return [self.db.get("VLAN", one, "untagged_PIF") for one in made]

    def _take_back(self, vlans: list[str]) -> None:
        for vlan in vlans:
            self.other("VLAN").destroy(vlan)

    def management_reconfigure(self, network: str) -> None:
        if self.db.get("pool", self.engine.pool, "ha_enabled"):
            raise Failure("HA_IS_ENABLED")
        pifs = {self.db.get("PIF", pif, "host"): pif for pif in self.db.get("network", network, "PIFs")}
        for host in self.db.refs("host"):
            if host not in pifs:
                raise Failure("PIF_NOT_PRESENT", host, network)
        kinds = {pif: self.db.get("PIF", pif, "primary_address_type") for pif in pifs.values()}
        for pif, kind in kinds.items():
            if kind != next(iter(kinds.values())):
                raise Failure("PIF_INCOMPATIBLE_PRIMARY_ADDRESS_TYPE", pif)
            self.other("PIF").require_usable_for_management(pif)
        # The coordinator last: until then it can be told how the others did.
        for pif in [pif for host, pif in pifs.items() if host != self.engine.coordinator] + [pifs[self.engine.coordinator]]:
            self.other("host").management_reconfigure(pif)

    # Settings

    def sync_database(self) -> None:
        """Every member gets a copy of the database; nothing of it shows."""

    def create_new_blob(self, ref: str, name: str, mime_type: str, public: bool) -> str:
        blob = str(self.other("blob").create(mime_type, public))
        self.db.put("pool", ref, "blobs", name, blob)
        return blob

    def set_igmp_snooping_enabled(self, ref: str, value: bool) -> None:
        if any(host["software_version"].get("network_backend") != "openvswitch" for _unused, host in self.db.items("host")):
            raise Failure("OPENVSWITCH_NOT_ACTIVE")
        self.db.set("pool", ref, "igmp_snooping_enabled", value)
        for pif, row in self.db.items("PIF"):
            if row["VLAN"] == -1 and row["bond_slave_of"] == NULL and row["currently_attached"]:
                self.db.set("PIF", pif, "igmp_snooping_status", "enabled" if value else "disabled")

    def has_extension(self, ref: str, name: str) -> bool:
        return all(self.other("host").has_extension(host, name) for host in self.db.refs("host"))

    def add_to_guest_agent_config(self, ref: str, key: str, value: str) -> None:
        fits = value in ("true", "false") if key == "auto_update_enabled" else value.startswith(("http://", "https://"))
        if key not in AGENT_KEYS or not fits:
            raise Failure("INVALID_VALUE", "guest_agent_config", f"{key} = {value}")
        if key in self.row(ref)["guest_agent_config"]:
            raise Failure("MAP_DUPLICATE_KEY", "pool", "guest_agent_config", ref, key)
        self.db.put("pool", ref, "guest_agent_config", key, value)

    def remove_from_guest_agent_config(self, ref: str, key: str) -> None:
        self.db.drop("pool", ref, "guest_agent_config", key)

    def set_https_only(self, ref: str, value: bool) -> None:
        for host in self.db.refs("host"):
            self.other("host").set_https_only(host, value)

    def set_local_auth_max_threads(self, ref: str, value: int) -> None:
        self.db.set("pool", ref, "local_auth_max_threads", value)

    def set_ext_auth_max_threads(self, ref: str, value: int) -> None:
        self.db.set("pool", ref, "ext_auth_max_threads", value)

    def set_uefi_certificates(self, ref: str, value: str) -> None:
        text = "Setting UEFI certificates is deprecated, please use `set_custom_uefi_certificates`"
        raise Failure("OPERATION_NOT_ALLOWED", text)

    def set_custom_uefi_certificates(self, ref: str, value: str) -> None:
        text = "Setting UEFI certificates is not possible when allow_custom_uefi_certs is false"
        raise Failure("OPERATION_NOT_ALLOWED", text)

    def disable_ssl_legacy(self, ref: str) -> None:
        """Does nothing since 8.2 (X/xapi_pool.ml)."""

    def reset_telemetry_uuid(self, ref: str) -> None:
        old = self.row(ref)["telemetry_uuid"]
        self.db.set("pool", ref, "telemetry_uuid", self.db.create("secret", {"value": str(uuid.uuid4())}))
        if self.is_set("secret", old):
            self.db.delete("secret", old)

    def configure_update_sync(self, ref: str, frequency: str, day: int) -> None:
        if frequency == "weekly" and not 0 <= day <= 6:
            raise Failure("INVALID_UPDATE_SYNC_DAY", str(day))
        self.db.update("pool", ref, update_sync_frequency=frequency, update_sync_day=day if frequency == "weekly" else 0)

    def set_update_sync_enabled(self, ref: str, value: bool) -> None:
        if value and not self.row(ref)["repositories"]:
            raise Failure("NO_REPOSITORIES_CONFIGURED")
        self.db.set("pool", ref, "update_sync_enabled", value)

    def get_guest_secureboot_readiness(self, ref: str) -> str:
        return "not_ready"

    def test_archive_target(self, ref: str, config: dict[str, str]) -> str:
        raise Failure("MESSAGE_REMOVED")

    # Workload balancing is not there

    def retrieve_wlb_configuration(self) -> dict[str, str]:
        raise Failure("WLB_NOT_INITIALIZED")

    def retrieve_wlb_recommendations(self) -> dict[str, list[str]]:
        raise Failure("WLB_NOT_INITIALIZED")

    def send_wlb_configuration(self, config: dict[str, str]) -> None:
        raise Failure("WLB_NOT_INITIALIZED")
