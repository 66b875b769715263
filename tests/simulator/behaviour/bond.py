# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bond: several NICs as one; what stood on the members moves to it and back (X/xapi_bond.ml)."""

from __future__ import annotations

from ..engine.behaviour import Behaviour
from ..engine.failure import NULL, Failure
from . import _addresses

# Properties by mode: name → (default, allowed values; None is any number).
PROPERTIES: dict[str, dict[str, tuple[str | None, tuple[str, ...] | None]]] = {
    "lacp": {
        "hashing_algorithm": ("tcpudp_ports", ("src_mac", "tcpudp_ports")),
        "lacp-time": ("slow", ("fast", "slow")),
        "lacp-aggregation-key": (None, None),
        "lacp-fallback-ab": ("true", ("true", "false")),
    }
}
ADDRESSING = ("ip_configuration_mode", "IP", "netmask", "gateway", "DNS")
NO_ADDRESS = {"ip_configuration_mode": "None", "IP": "", "netmask": "", "gateway": "", "DNS": ""}


class Bond(Behaviour):
    cls = "Bond"

    def create(self, network: str, members: list[str], mac: str, mode: str, properties: dict[str, str]) -> str:
        if not members:
            raise Failure("PIF_BOND_NEEDS_MORE_MEMBERS")
        pifs = self.other("PIF")
        host = self.db.get("PIF", members[0], "host")
        self.other("network").require_managed(network)
        pifs.require_free_network(host, network)
        self.other("network").require_no_sriov(network, "NETWORK_INCOMPATIBLE_WITH_BOND")
        if mac and not _addresses.is_mac(mac):
            raise Failure("MAC_INVALID", mac)
        properties = self._checked_properties(mode, properties)
        # Of two mentions the later one counts (xapi-stdext-std Listext.setify).
        members = list(dict.fromkeys(reversed(members)))[::-1]
        primary = self._primary(members)
        self._check_members(members, primary)
        return self._make(network, members, primary, mac, mode, properties)

    @staticmethod
    def _checked_properties(mode: str, properties: dict[str, str]) -> dict[str, str]:
        known = PROPERTIES.get(mode, {})
        for name, value in properties.items():
            _check_property(mode, name, value)
        return {**{name: default for name, (default, _unused) in known.items() if default is not None}, **properties}

    def _primary(self, members: list[str]) -> str:
        """The management interface, else the first with an address, else the first."""
        rows = {pif: self.db.row("PIF", pif) for pif in members}
        return next((pif for pif, row in rows.items() if row["management"]), None) or next((pif for pif in members if self._has_address(pif)), members[0])

    def _has_address(self, pif: str) -> bool:
        row = self.db.row("PIF", pif)
        mode = "ip_configuration_mode" if row["primary_address_type"] == "IPv4" else "ipv6_configuration_mode"
        return bool(row[mode] != "None")

    def _check_members(self, members: list[str], primary: str) -> None:
        rows = {pif: self.db.row("PIF", pif) for pif in members}
        for pif, row in rows.items():
            if row["primary_address_type"] != rows[primary]["primary_address_type"]:
                raise Failure("PIF_INCOMPATIBLE_PRIMARY_ADDRESS_TYPE", pif)
        for pif, row in rows.items():
            self.other("PIF").require_managed(pif)
            self.other("PIF").require_bond_allowed(pif)
            if row["management"] and self.db.get("pool", self.engine.pool, "ha_enabled"):
                raise Failure("HA_CANNOT_CHANGE_BOND_STATUS_OF_MGMT_IFACE")
        if len({row["host"] for row in rows.values()}) != 1:
            raise Failure("PIF_CANNOT_BOND_CROSS_HOST")
        if any(row["properties"] != rows[members[0]]["properties"] for row in rows.values()):
            raise Failure("INCOMPATIBLE_PIF_PROPERTIES")
        if sum(self._has_address(pif) for pif in members) > 1:
            raise Failure("PIF_BOND_MORE_THAN_ONE_IP")

    def _make(self, network: str, members: list[str], primary: str, mac: str, mode: str, properties: dict[str, str]) -> str:
        pifs = self.other("PIF")
        first = self.db.row("PIF", primary)
        fields = {"MAC": mac or first["MAC"], "MTU": -1, "properties": first["properties"], "metrics": self.db.create("PIF_metrics", {})}
        master = pifs.make(first["host"], network, pifs.free_device(first["host"], "bond", "bond"), primary, **fields)
        local = self._local_vifs(first["host"], [self.db.get("PIF", pif, "network") for pif in members])
        values = {"master": master, "primary_slave": primary, "mode": mode, "properties": properties, "auto_update_mac": not mac}
        known = self.engine.schema.classes["Bond"].fields
        bond = self.db.create("Bond", {name: value for name, value in values.items() if name in known})
        for pif in members:
            self.db.set("PIF", pif, "bond_slave_of", bond)
        self._move_addressing(primary, master)
        pifs.bring_up(master)
        self.engine.tasks.progress(0.2)
        for pif in members:
            self._move_upper(pif, master)
        for vif in local:
            self.db.set("VIF", vif, "network", network)
        if any(self.db.get("PIF", pif, "disallow_unplug") for pif in members):
            self.db.set("PIF", master, "disallow_unplug", True)
            for pif in members:
                self.db.set("PIF", pif, "disallow_unplug", False)
        self.engine.tasks.progress(1.0)
        return bond

    def destroy(self, ref: str) -> None:
        row = self.row(ref)
        master, primary, members = row["master"], row["primary_slave"], list(row["slaves"])
        upper = self.db.row("PIF", master)
        if upper["management"] and self.db.get("pool", self.engine.pool, "ha_enabled"):
            raise Failure("HA_CANNOT_CHANGE_BOND_STATUS_OF_MGMT_IFACE")
        local = self._local_vifs(upper["host"], [upper["network"]])
        plugged = upper["currently_attached"]
        self._move_addressing(master, primary)
        if plugged:
            for pif in members:
                self.other("PIF").bring_up(pif)
        self._move_upper(master, primary)
        for vif in local:
            self.db.set("VIF", vif, "network", self.db.get("PIF", primary, "network"))
        if upper["disallow_unplug"]:
            self.db.set("PIF", primary, "disallow_unplug", True)
        self.db.delete("Bond", ref)
        self.other("PIF").discard(master)
        for pif in members:
            self.db.set("PIF", pif, "bond_slave_of", NULL)

    def _move_addressing(self, source: str, target: str) -> None:
        """IP configuration and the management flag follow the traffic."""
        row = self.db.row("PIF", source)
        self.db.update("PIF", target, **{name: row[name] for name in ADDRESSING}, management=row["management"])
        self.db.update("PIF", source, **NO_ADDRESS, management=False)

    def _move_upper(self, source: str, target: str) -> None:
        """Move VLANs and tunnels from one interface to another; an equal tag there swallows the VLAN."""
        vlans, tunnels, pifs = self.other("VLAN"), self.other("tunnel"), self.other("PIF")
        for old in list(self.db.get("PIF", source, "VLAN_slave_of")):
            tag, upper = self.db.get("VLAN", old, "tag"), self.db.get("VLAN", old, "untagged_PIF")
            network, plugged = self.db.get("PIF", upper, "network"), self.db.get("PIF", upper, "currently_attached")
            same = [vlan for vlan in self.db.get("PIF", target, "VLAN_slave_of") if self.db.get("VLAN", vlan, "tag") == tag]
            new = same[0] if same else vlans.make(target, tag, network)
            interface = self.db.get("VLAN", new, "untagged_PIF")
            if same:
                for vif in self._local_vifs(self.db.get("PIF", upper, "host"), [network]):
                    self.db.set("VIF", vif, "network", self.db.get("PIF", interface, "network"))
            self._move_addressing(upper, interface)
            vlans.discard(old)
            if plugged:
                pifs.bring_up(interface)
        for old in list(self.db.get("PIF", source, "tunnel_transport_PIF_of")):
            access = self.db.row("PIF", self.db.get("tunnel", old, "access_PIF"))
            network, plugged = access["network"], access["currently_attached"]
            protocol = self.db.row("tunnel", old).get("protocol", "gre")
            tunnels.discard(old)
            new = tunnels.make(target, network, protocol)
            if plugged:
                pifs.bring_up(self.db.get("tunnel", new, "access_PIF"))

    def _local_vifs(self, host: str, networks: list[str]) -> list[str]:
        """VIFs of VMs that run on this host, or that could start on no other one."""
        vifs = [vif for network in networks for vif in self.db.get("network", network, "VIFs")]
        return [vif for vif in vifs if self._is_local(self.db.get("VIF", vif, "VM"), host)]

    def _is_local(self, vm: str, host: str) -> bool:
        resident = self.db.get("VM", vm, "resident_on")
        if resident != NULL:
            return bool(resident == host)
        possible = self.other("VM").get_possible_hosts(vm)
        return possible in ([], [host])

    def set_mode(self, ref: str, value: str) -> None:
        known = PROPERTIES.get(value, {})
        kept = {name: text for name, text in self.row(ref)["properties"].items() if name in known and _fits(value, name, text)}
        self.db.update("Bond", ref, mode=value, properties=self._checked_properties(value, kept))
        self.other("PIF").bring_up(self.row(ref)["master"])

    def set_property(self, ref: str, name: str, value: str) -> None:
        _check_property(self.row(ref)["mode"], name, value)
        self.db.put("Bond", ref, "properties", name, value)


def _fits(mode: str, name: str, value: str) -> bool:
    _unused, allowed = PROPERTIES[mode][name]
    return value in allowed if allowed is not None else value.lstrip("-").isdigit()


def _check_property(mode: str, name: str, value: str) -> None:
    if name not in PROPERTIES.get(mode, {}) or not _fits(mode, name, value):
        raise Failure("INVALID_VALUE", "properties", f"{name} = {value}")
