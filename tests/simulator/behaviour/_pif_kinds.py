# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a PIF is: a NIC, a VLAN, a bond, a tunnel; and what may be put on top of it (X/xapi_pif_helpers.ml)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..engine.behaviour import Behaviour
from ..engine.failure import NULL, Failure

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

    def require_tunnel_allowed(self, ref: str) -> None:
        kind, _unused = self.kind(ref)
        if kind == "physical" and self.row(ref)["bond_slave_of"] != NULL:
            raise Failure("CANNOT_ADD_TUNNEL_TO_BOND_SLAVE", ref)
        if kind == "tunnel":
            raise Failure("IS_TUNNEL_ACCESS_PIF", ref)
        if kind == "sriov":
            raise Failure("CANNOT_ADD_TUNNEL_TO_SRIOV_LOGICAL", ref)

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
        card = self._hardware[host][device]
        # X/xapi_pif.ml bridge_naming_convention
        bridge = f"xenbr{device.removeprefix('eth')}" if device.startswith("eth") else f"br{device}"
        bridge = bridge if managed else ""
        networks = self.db.where("network", bridge=bridge)
        name = f"Pool-wide network associated with {device}"
        network = networks[0] if len(networks) == 1 else self.db.create("network", {"name_label": name, "bridge": bridge, "managed": managed, "MTU": 1500})
        values = {**MADE, "physical": True, "IPv6": [], "properties": {"gro": "on"}, "managed": managed, "VLAN": -1}
        place = {"host": host, "network": network, "device": device, "device_name": device, "MAC": card["MAC"], "MTU": 1500}
        return self.db.create("PIF", {**values, **place, "capabilities": card["capabilities"], "metrics": self.db.create("PIF_metrics", {})})
