# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a PIF is: a NIC, a VLAN, a bond, a tunnel; and what may be put on top of it (X/xapi_pif_helpers.ml)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..engine.behaviour import Behaviour
from ..engine.failure import NULL, Failure
from ._ha_plan import BROKEN, is_protected_network

# Kind of interface → the class that makes it so, and its field for what is below.
BELOW = {"VLAN": ("VLAN", "tagged_PIF"), "tunnel": ("tunnel", "transport_PIF"), "sriov": ("network_sriov", "physical_PIF")}
# Fields of an interface that xapi makes itself, on top of another one.
MADE = {
    "physical": False,
    "currently_attached": False,
    "igmp_snooping_status": "unknown",
    "ip_configuration_mode": "None",
    "ipv6_configuration_mode": "None",
    "IPv6": [""],
    "management": False,
    "disallow_unplug": False,
    "managed": True,
    "properties": {},
}


class Kinds(Behaviour):
    """The part of PIF that knows how interfaces stand on each other."""

    _hardware: dict[str, dict[str, dict[str, Any]]]

    def loaded(self, extra: Mapping[str, Any]) -> None:
        """Remember which NICs the machines have: forgetting a PIF does not take the card out."""
        self._hardware = {host: {} for host in self.db.refs("host")}
        for pif, row in self.db.items("PIF"):
            if row["physical"] and self.is_set("host", row["host"]):
                self.remember_nic(pif)

    def remember_nic(self, pif: str) -> None:
        row = self.row(pif)
        card = {"MAC": row["MAC"], "network": row["network"], "capabilities": row["capabilities"]}
        self._hardware.setdefault(row["host"], {})[row["device"]] = card

    def kind(self, ref: str) -> tuple[str, str]:
        """(kind, the object that makes it so)."""
        row = self.row(ref)
        for kind, field in (("tunnel", "tunnel_access_PIF_of"), ("sriov", "sriov_logical_PIF_of"), ("bond", "bond_master_of")):
            if kind != "tunnel" and row["VLAN_master_of"] != NULL:
                return "VLAN", row["VLAN_master_of"]
            if row[field]:
                return kind, row[field][0]
        return "physical", ref

    def is_pluggable(self, ref: str) -> bool:
        """Unless the card at its bottom is part of a bond."""
        kind, other = self.kind(ref)
        if kind == "physical":
            return not self.is_set("Bond", self.row(ref)["bond_slave_of"])
        below = BELOW.get(kind)
        return below is None or self.is_pluggable(self.db.get(below[0], other, below[1]))

    def require_no_protected_vms(self, ref: str) -> None:
        """With HA on: nothing that it would restart elsewhere is on the network (abort_if_network_attached_to_protected_vms)."""
        pool, network = self.db.row("pool", self.engine.pool), self.row(ref)["network"]
        if pool["ha_enabled"] and not pool["ha_allow_overcommit"] and is_protected_network(self.engine, network):
            if self.engine.schema.level == "26":
                raise Failure("HA_CONSTRAINT_VIOLATION_NETWORK_NOT_SHARED", network)
            raise Failure(BROKEN)

    def require_usable_for_management(self, ref: str) -> None:
        row = self.row(ref)
        if row["bond_slave_of"] != NULL:
            raise Failure("CANNOT_PLUG_BOND_SLAVE", ref)
        if row["primary_address_type"] == "IPv4" and row["ip_configuration_mode"] == "None":
            raise Failure("PIF_HAS_NO_NETWORK_CONFIGURATION", ref)
        if row["primary_address_type"] == "IPv6" and row["ipv6_configuration_mode"] == "None":
            raise Failure("PIF_HAS_NO_V6_NETWORK_CONFIGURATION", ref)

    def require_vlan_allowed(self, ref: str) -> None:
        kind, _unused = self.kind(ref)
        if kind == "physical" and self.row(ref)["bond_slave_of"] != NULL:
            raise Failure("CANNOT_ADD_VLAN_TO_BOND_SLAVE", ref)
        if kind == "VLAN":
            raise Failure("PIF_IS_VLAN", ref)
        if kind == "tunnel":
            raise Failure("IS_TUNNEL_ACCESS_PIF", ref)

    def require_bond_allowed(self, ref: str) -> None:
        kind, _unused = self.kind(ref)
        if kind == "physical" and self.is_set("Bond", self.row(ref)["bond_slave_of"]):
            raise Failure("PIF_ALREADY_BONDED", ref)
        if kind == "VLAN":
            raise Failure("PIF_VLAN_EXISTS", self.row(ref)["device_name"])
        if kind == "tunnel":
            raise Failure("IS_TUNNEL_ACCESS_PIF", ref)
        if kind == "sriov":
            raise Failure("PIF_IS_SRIOV_LOGICAL", ref)

    def is_on_sriov(self, ref: str) -> bool:
        """A card's many faces, or a VLAN on them."""
        kind, other = self.kind(ref)
        return kind == "sriov" or (kind == "VLAN" and self.kind(self.db.get("VLAN", other, "tagged_PIF"))[0] == "sriov")

    def require_tunnel_allowed(self, ref: str) -> None:
        kind, _unused = self.kind(ref)
        if kind == "physical" and self.row(ref)["bond_slave_of"] != NULL:
            raise Failure("CANNOT_ADD_TUNNEL_TO_BOND_SLAVE", ref)
        if kind == "tunnel":
            raise Failure("IS_TUNNEL_ACCESS_PIF", ref)
        if kind == "sriov":
            raise Failure("CANNOT_ADD_TUNNEL_TO_SRIOV_LOGICAL", ref)
        if self.is_on_sriov(ref):
            raise Failure("CANNOT_ADD_TUNNEL_TO_VLAN_ON_SRIOV_LOGICAL", ref)

    def make(self, host: str, network: str, device: str, below: str, **fields: Any) -> str:
        """An interface on top of another one, down."""
        values = {**MADE, "host": host, "network": network, "device": device, "device_name": device, "VLAN": -1}
        values["primary_address_type"] = self.row(below)["primary_address_type"]
        return self.db.create("PIF", {**values, **fields})

    def free_device(self, host: str, stem: str, kind: str) -> str:
        """The first of bond0, bond1, … (or tunnel0, …) that no PIF of that kind on this host is named."""
        taken = {self.row(pif)["device"] for pif in self.db.get("host", host, "PIFs") if self.kind(pif)[0] == kind}
        number = 0
        while f"{stem}{number}" in taken:
            number += 1
        return f"{stem}{number}"

    def _introduce_nic(self, host: str, device: str, managed: bool) -> str:
        """Onto the network of its bridge. Before API 26 who manages the card made no difference to that."""
        new = self.engine.schema.level == "26"
        managed_bridge = managed or not new
        bridge = _bridge(device, by_position=new) if managed_bridge else ""
        networks = self.db.where("network", bridge=bridge)
        name = _network_name(device, by_position=new)
        fields = {"name_label": name, "bridge": bridge, "managed": managed_bridge, "MTU": 1500}
        network = networks[0] if len(networks) == 1 else self.db.create("network", fields)
        values = {**MADE, "physical": True, "IPv6": [], "properties": {"gro": "on"}, "managed": managed, "VLAN": -1}
        card = self._hardware[host][device]
        place = {"host": host, "network": network, "device": device, "device_name": device, "MAC": card["MAC"], "MTU": 1500}
        if new:
            place["primary_address_type"] = next((row["primary_address_type"] for row in map(self.row, self._of(host)) if row["management"]), "IPv4")
        return self.db.create("PIF", {**values, **place, "capabilities": card["capabilities"], "metrics": self.db.create("PIF_metrics", {})})

    def _of(self, host: str) -> list[str]:
        found: list[str] = self.db.get("host", host, "PIFs")
        return found


def _position(device: str) -> str:
    """The number of the card in the machine; the simulator's are named after it."""
    number = device.removeprefix("eth")
    return number if number != device and number.isdigit() else ""


def _bridge(device: str, *, by_position: bool) -> str:
    """bridge_naming_convention in X/xapi_pif.ml"""
    number = _position(device) if by_position else device.removeprefix("eth") if device.startswith("eth") else ""
    return f"xenbr{number}" if number else f"br{device}"


def _network_name(device: str, *, by_position: bool) -> str:
    """choose_network_name_for_pif in X/helpers.ml"""
    if by_position and _position(device):
        return f"Pool-wide network {_position(device)}"
    return f"Pool-wide network associated with {device}"
