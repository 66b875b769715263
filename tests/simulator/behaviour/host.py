# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""host: enable and disable, memory, migration targets; power, evacuation, plugins and settings are files of their own (facts 3.9)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..engine.behaviour import operation, unchecked
from ..engine.failure import NULL, Failure
from ..metrics.meter import Meter
from . import _forwarding, _pool_features
from ._certificates import HostCertificates
from ._emergency import HostEmergency
from ._external_auth import HostAuthentication
from ._ha_plan import Change, require_plan_after
from ._host_access import HostAccess
from ._host_evacuation import Evacuation
from ._host_forwarding import at_host
from ._host_operations import HostOperations
from ._host_plugins import Plugins
from ._host_power import Power
from ._host_settings import Settings
from ._licensing import HostLicensing
from ._trusted_certificates import HostTrust


class Host(HostOperations, Power, Evacuation, Plugins, Settings, HostAuthentication, HostCertificates, HostAccess, HostEmergency, HostLicensing, HostTrust):
    cls = "host"

    def loaded(self, extra: Mapping[str, Any]) -> None:
        super().loaded(extra)
        self._disabled_until_reboot = set()
        self._disabled_for_good = set()
        self.engine.forwarders.append(_forwarding.forward)
        self.engine.meter = Meter(self.engine, idle=extra.get("hypervisor") == "simulated")

    def restarted(self) -> None:
        self.sync_other_config()
        self.plug_again(self.engine.coordinator)

    # Enabled or not

    @unchecked
    def disable(self, host: str, auto_enable: bool = True) -> None:
        """Whether HA minds is looked at before the host is (message_forwarding.ml), and its name is read for that.

        `auto_enable` false (API 26): it stays disabled over restarts, until somebody enables it. Nothing happens to a host that is disabled."""
        self.existing("host", host)
        require_plan_after(self.engine, Change(disabled=[host]))
        self.reach(host)
        if not self.row(host)["enabled"]:
            return
        self.db.set("host", host, "enabled", False)
        if not auto_enable:
            self._disabled_for_good.add(host)

    @operation("enable")
    def enable(self, host: str) -> None:
        self.reach(host)
        if self.row(host)["enabled"]:
            return
        if self.row(host).get("pending_guidances"):
            raise Failure("HOST_PENDING_MANDATORY_GUIDANCE_NOT_EMPTY", host)
        if host in self._disabled_until_reboot:
            raise Failure("HOST_DISABLED_UNTIL_REBOOT", host)
        self._require_all_protected_served(host)
        self._disabled_for_good.discard(host)
        self.db.set("host", host, "enabled", True)

    def _require_all_protected_served(self, host: str) -> None:
        """With HA on a host comes back only with all that protected VMs need of it (assert_safe_to_reenable)."""
        if not self.db.get("pool", self.engine.pool, "ha_enabled"):
            return
        for pbd in self.row(host)["PBDs"]:
            if not self.db.get("PBD", pbd, "currently_attached"):
                self.other("PBD").require_no_protected_disks(self.db.get("PBD", pbd, "SR"))
        for pif in self.row(host)["PIFs"]:
            if not self.other("PIF").is_pluggable(pif):
                self.other("PIF").require_no_protected_vms(pif)

    # Memory

    def compute_free_memory(self, host: str) -> int:
        return self.free_memory(host)

    def compute_memory_overhead(self, host: str) -> int:
        return int(self.row(host)["memory_overhead"])

    # Migration

    def migrate_receive(self, host: str, network: str, options: dict[str, str]) -> dict[str, str]:
        """What the sender of a VM has to know: where, and a session to use there."""
        self.existing("network", network)
        _pool_features.require(self.engine, "Storage_motion")
        pifs = self.other("network").local_pifs(network, host)
        if not pifs:
            raise Failure("HOST_CANNOT_ATTACH_NETWORK", host, network)
        address = self._address(pifs[0])
        session = self.other("session").twin(self.context.session, host)
        services = f"http://{self._endpoint(host, address)}/services"
        return {
            "SM": f"{services}/SM?session_id={session}",
            "host": host,
            "xenops": f"{services}/xenops?session_id={session}",
            "session_id": session,
            "master": f"http://{self._endpoint(self.engine.coordinator, self.engine.coordinator_address)}",
        }

    def _address(self, pif: str) -> str:
        row = self.db.row("PIF", pif)
        version6 = row["primary_address_type"] == "IPv6"
        address = next((text.partition("/")[0] for text in row["IPv6"] if text), "") if version6 else row["IP"]
        if not address:
            mode = row["ipv6_configuration_mode"] if version6 else row["ip_configuration_mode"]
            raise Failure("PIF_HAS_NO_NETWORK_CONFIGURATION" if mode == "None" else "INTERFACE_HAS_NO_IP", pif)
        return str(address)

    def _endpoint(self, host: str, address: str) -> str:
        """The host's server, when it has one and it is the management address that is asked for."""
        return self.engine.endpoints.get(host, address) if self.row(host)["address"] == address else address

    def storage_of(self, host: str) -> list[str]:
        """SRs that are plugged on the host."""
        return [self.db.get("PBD", pbd, "SR") for pbd in self.row(host)["PBDs"] if self.db.get("PBD", pbd, "currently_attached")]

    # Measurements

    @at_host
    def get_data_sources(self, host: str) -> list[dict[str, Any]]:
        return list(self.engine.meter.describe("host", host))

    @at_host
    def query_data_source(self, host: str, name: str) -> float:
        return float(self.engine.meter.query("host", host, name))

    @at_host
    def record_data_source(self, host: str, name: str) -> None:
        self.engine.meter.record("host", host, name)

    @at_host
    def forget_data_source_archives(self, host: str, name: str) -> None:
        self.engine.meter.forget("host", host, name)

    # Local cache

    @at_host
    def enable_local_storage_caching(self, host: str, sr: str) -> None:
        self._require_idle(host)
        row = self.db.row("SR", sr)
        if row["shared"] or len(row["PBDs"]) != 1 or "SR_SUPPORTS_LOCAL_CACHING" not in self._sm_features(row["type"]):
            raise Failure("SR_OPERATION_NOT_SUPPORTED")
        if self.db.get("PBD", row["PBDs"][0], "host") != host:
            raise Failure("HOST_CANNOT_SEE_SR", host, sr)
        self._set_cache(host, sr)

    @at_host
    def disable_local_storage_caching(self, host: str) -> None:
        self._require_idle(host)
        self._set_cache(host, NULL)

    def _set_cache(self, host: str, sr: str) -> None:
        old = self.row(host)["local_cache_sr"]
        if self.is_set("SR", old):
            self.db.set("SR", old, "local_cache_enabled", False)
        self.db.set("host", host, "local_cache_sr", sr)
        if sr != NULL:
            self.db.set("SR", sr, "local_cache_enabled", True)

    def _sm_features(self, kind: str) -> dict[str, int]:
        return next((row["features"] for _unused, row in self.db.items("SM") if row["type"] == kind), {})

    def _require_idle(self, host: str) -> None:
        """Disabled, without running guests, without disks in dom0."""
        if self.row(host)["enabled"]:
            raise Failure("HOST_NOT_DISABLED")
        for vm in self.resident_guests(host):
            if self.db.get("VM", vm, "power_state") == "Running":
                raise Failure("HOST_IN_USE", host, "vm", vm)
        for vbd in self.db.get("VM", self.row(host)["control_domain"], "VBDs"):
            if self.db.get("VBD", vbd, "currently_attached"):
                raise Failure("HOST_IN_USE", host, "vbd", vbd)
