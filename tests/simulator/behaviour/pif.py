# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""PIF: a host's NICs, and the VLANs, bonds and tunnels on them as interfaces (facts 3.8; X/xapi_pif.ml)."""

from __future__ import annotations

from typing import Any

from ..engine.behaviour import Behaviour
from ..engine.failure import NULL, Failure
from . import _addresses
from ._pif_kinds import Kinds

PROPERTIES = {"gro": ("on", "off")}
BONDED_BY = {"Tunnel": "tunnel", "VLAN": "VLAN"}


class PIF(Kinds, Behaviour):
    cls = "PIF"

    # What the refusals below are made of

    def require_managed(self, ref: str) -> None:
        if not self.row(ref)["managed"]:
            raise Failure("PIF_UNMANAGED", ref)

    def require_not_management(self, ref: str) -> None:
        if self.row(ref)["management"]:
            raise Failure("PIF_IS_MANAGEMENT_INTERFACE", ref)

    def require_no_protection(self, ref: str) -> None:
        """An attached interface stays as it is while HA or the redo log depends on it."""
        pool = self.db.row("pool", self.engine.pool)
        if self.row(ref)["currently_attached"]:
            if pool["ha_enabled"]:
                raise Failure("HA_IS_ENABLED")
            if pool["redo_log_enabled"]:
                raise Failure("REDO_LOG_IS_ENABLED")

    def require_unbonded(self, ref: str) -> None:
        row = self.row(ref)
        if self.is_set("Bond", row["bond_slave_of"]) or row["bond_master_of"]:
            raise Failure("PIF_ALREADY_BONDED", ref)

    def require_free_network(self, host: str, network: str) -> None:
        """A network has one PIF a host at most."""
        others = self.other("network").local_pifs(network, host)
        if others:
            raise Failure("NETWORK_ALREADY_CONNECTED", host, others[0])

    # Up and down

    def bring_up(self, ref: str) -> None:
        row = self.row(ref)
        network = self.db.row("network", row["network"])
        for bond in row["bond_master_of"]:
            for slave in self.db.get("Bond", bond, "slaves"):
                self.db.set("PIF", slave, "currently_attached", False)
                self.db.set("network", self.row(slave)["network"], "MTU", network["MTU"])
            if self.db.get("Bond", bond, "auto_update_mac"):
                self.db.set("PIF", ref, "MAC", self.row(self.db.get("Bond", bond, "primary_slave"))["MAC"])
        self.db.set("PIF", ref, "currently_attached", True)
        if row["bond_slave_of"] != NULL:
            self.db.set("PIF", self.db.get("Bond", row["bond_slave_of"], "master"), "currently_attached", False)
        self.db.set("PIF", ref, "MTU", int(row["other_config"].get("mtu") or network["other_config"].get("mtu") or network["MTU"]))
        if row["VLAN"] == -1:
            snooping = self.db.get("pool", self.engine.pool, "igmp_snooping_enabled")
            self.db.set("PIF", ref, "igmp_snooping_status", "enabled" if snooping else "disabled")
        for tunnel in row["tunnel_access_PIF_of"]:
            self.db.put("tunnel", tunnel, "status", "active", "true")

    def bring_down(self, ref: str) -> None:
        self.db.set("PIF", ref, "currently_attached", False)
        for tunnel in self.row(ref)["tunnel_access_PIF_of"]:
            self.db.put("tunnel", tunnel, "status", "active", "false")

    def plug(self, ref: str) -> None:
        self.require_managed(ref)
        row = self.row(ref)
        kind, other = self.kind(ref)
        if kind == "tunnel":
            transport = self.db.get("tunnel", other, "transport_PIF")
            if self.row(transport)["ip_configuration_mode"] == "None":
                raise Failure("TRANSPORT_PIF_NOT_CONFIGURED", transport)
            self.plug(transport)
        elif kind == "physical" and row["bond_slave_of"] != NULL:
            raise Failure("CANNOT_PLUG_BOND_SLAVE", ref)
        if row["bond_slave_of"] == NULL:
            self.bring_up(ref)

    def unplug(self, ref: str) -> None:
        self.require_managed(ref)
        self.require_no_protection(ref)
        self.require_not_management(ref)
        row = self.row(ref)
        # What HA restarts has to find its network; later levels leave that to the plan (X/xapi_pif.ml unplug).
        if self.engine.schema.level != "26" and self.db.get("host", row["host"], "enabled"):
            self.require_no_protected_vms(ref)
        self._require_no_running_vifs(row["network"], row["host"])
        if row["disallow_unplug"]:
            raise Failure("PIF_DOES_NOT_ALLOW_UNPLUG", ref)
        for tunnel in list(row["tunnel_transport_PIF_of"]):
            self.unplug(self.db.get("tunnel", tunnel, "access_PIF"))
        if row["bond_slave_of"] == NULL:
            self.bring_down(ref)

    def _require_no_running_vifs(self, network: str, host: str) -> None:
        for vif in self.db.get("network", network, "VIFs"):
            row = self.db.row("VIF", vif)
            vm = self.db.row("VM", row["VM"])
            starting = "attach" in row["current_operations"].values() and host in (vm["resident_on"], vm["scheduled_to_be_resident_on"])
            live = row["currently_attached"] and vm["resident_on"] == host and vm["power_state"] in ("Running", "Paused")
            if starting or live:
                raise Failure("VIF_IN_USE", network, vif)

    # Making and removing

    async def create_VLAN(self, device: str, network: str, host: str, vlan: int) -> str:
        self.existing("network", network)
        base = [pif for pif in self.db.get("host", host, "PIFs") if (self.row(pif)["device"], self.row(pif)["VLAN"]) == (device, -1)]
        if not base:
            raise Failure("INVALID_VALUE", "device", device)
        made = self.other("VLAN").create(base[0], vlan, network)
        return str(self.db.get("VLAN", made, "untagged_PIF"))

    def destroy(self, ref: str) -> None:
        row = self.row(ref)
        if row["VLAN"] < 0:
            raise Failure("PIF_IS_PHYSICAL")
        self.other("VLAN").destroy(row["VLAN_master_of"])

    def forget(self, ref: str) -> None:
        row = self.row(ref)
        self.require_not_management(ref)
        self.require_unbonded(ref)
        if row["VLAN_slave_of"] or row["VLAN"] != -1:
            raise Failure("PIF_VLAN_STILL_EXISTS", ref)
        if row["tunnel_transport_PIF_of"] or row["tunnel_access_PIF_of"]:
            raise Failure("PIF_TUNNEL_STILL_EXISTS", ref)
        self.require_no_protection(ref)
        if row["sriov_logical_PIF_of"]:
            raise Failure("CANNOT_FORGET_SRIOV_LOGICAL", ref)
        if row["sriov_physical_PIF_of"]:
            raise Failure("PIF_SRIOV_STILL_EXISTS", ref)
        self.discard(ref)

    def discard(self, ref: str) -> None:
        metrics = self.row(ref)["metrics"]
        self.db.delete("PIF", ref)
        if self.is_set("PIF_metrics", metrics) and not self.db.where("PIF", metrics=metrics):
            self.db.delete("PIF_metrics", metrics)

    def introduce(self, host: str, mac: str, device: str, managed: bool) -> str:
        """A NIC that was forgotten is still in the machine: its device and address are known (see `start`)."""
        self.existing("host", host)
        hardware = self._hardware[host]
        mac = (mac or hardware.get(device, {}).get("MAC", "")).lower()
        if not _addresses.is_mac(mac):
            raise Failure("MAC_INVALID", mac)
        if device in {self.row(pif)["device"] for pif in self.db.get("host", host, "PIFs") if self.row(pif)["physical"]}:
            raise Failure("DUPLICATE_PIF_DEVICE_NAME", device)
        if hardware.get(device, {}).get("MAC") != mac:
            raise Failure("COULD_NOT_FIND_NETWORK_INTERFACE_WITH_SPECIFIED_DEVICE_NAME_AND_MAC_ADDRESS", device, mac)
        return self._introduce_nic(host, device, managed)

    def scan(self, host: str) -> None:
        known = {self.row(pif)["device"] for pif in self.db.get("host", host, "PIFs") if self.row(pif)["physical"]}
        for device in self._hardware[host]:
            if device not in known:
                self._introduce_nic(host, device, managed=True)

    def pool_introduce(self, *values: Any) -> str:
        names = [parameter.name for parameter in self.engine.schema.classes["PIF"].messages["pool_introduce"].params]
        fields = dict(zip(names, values, strict=True))
        fields.update(bond_slave_of=NULL, device_name=fields["device"], metrics=self.db.create("PIF_metrics", {}), currently_attached=False)
        return self.db.create("PIF", fields)

    def db_introduce(self, *values: Any) -> str:
        return self.pool_introduce(*values)

    def db_forget(self, ref: str) -> None:
        self.db.delete("PIF", ref)

    # Configuration

    def reconfigure_ip(self, ref: str, mode: str, ip: str, netmask: str, gateway: str, dns: str) -> None:
        self.require_managed(ref)
        row = self.row(ref)
        if (mode, "Static", ip, netmask, gateway) != ("Static", row["ip_configuration_mode"], row["IP"], row["netmask"], row["gateway"]):
            self.require_no_protection(ref)
        for field, value in (("IP", ip), ("netmask", netmask), ("gateway", gateway)):
            if value or (mode == "Static" and field != "gateway"):
                _addresses.require_address(value, 4, field)
        if row["management"] and mode == "None" and row["primary_address_type"] == "IPv4":
            raise Failure("PIF_IS_MANAGEMENT_INTERFACE", ref)
        kept = _addresses.of_version(row["DNS"], 6)
        fields = {"ip_configuration_mode": mode, "IP": ip, "netmask": netmask, "gateway": gateway}
        self.db.update("PIF", ref, **fields, DNS=",".join([*_addresses.of_version(dns, 4), *kept]))
        self._reconfigured(ref)

    def reconfigure_ipv6(self, ref: str, mode: str, ipv6: str, gateway: str, dns: str) -> None:
        self.require_managed(ref)
        row = self.row(ref)
        if (mode, "Static", [ipv6], gateway) != ("Static", row["ipv6_configuration_mode"], row["IPv6"], row["ipv6_gateway"]):
            self.require_no_protection(ref)
        if gateway:
            _addresses.require_address(gateway, 6, "gateway")
        if ipv6:
            _addresses.require_network(ipv6, 6, "IPv6")
        if row["management"] and mode == "None" and row["primary_address_type"] == "IPv6":
            raise Failure("PIF_IS_MANAGEMENT_INTERFACE", ref)
        kept = _addresses.of_version(row["DNS"], 4)
        fields = {"ipv6_configuration_mode": mode, "IPv6": [ipv6], "ipv6_gateway": gateway}
        self.db.update("PIF", ref, **fields, DNS=",".join([*_addresses.of_version(dns, 6), *kept]))
        self._reconfigured(ref)

    def _reconfigured(self, ref: str) -> None:
        if self.row(ref)["currently_attached"]:
            self.bring_up(ref)

    def set_primary_address_type(self, ref: str, value: str) -> None:
        self.require_no_protection(ref)
        self.require_not_management(ref)
        self.db.set("PIF", ref, "primary_address_type", value)

    def set_disallow_unplug(self, ref: str, value: bool) -> None:
        self.db.set("PIF", ref, "disallow_unplug", value)

    def set_property(self, ref: str, name: str, value: str) -> None:
        row = self.row(ref)
        if value not in PROPERTIES.get(name, ()):
            raise Failure("INVALID_VALUE", "properties", f"{name} = {value}")
        if not (row["physical"] or row["bond_master_of"]) or row["bond_slave_of"] != NULL:
            raise Failure("CANNOT_CHANGE_PIF_PROPERTIES", ref)
        members = [slave for bond in row["bond_master_of"] for slave in self.db.get("Bond", bond, "slaves")]
        for pif in (ref, *members):
            self.db.put("PIF", pif, "properties", name, value)
