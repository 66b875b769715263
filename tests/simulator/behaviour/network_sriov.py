# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""network_sriov: a NIC that shows itself to guests many times over (X/xapi_network_sriov.ml)."""

from __future__ import annotations

from ..engine.behaviour import Behaviour
from ..engine.failure import Failure
from . import _pool_features

MAC = "fe:ff:ff:ff:ff:ff"
# Virtual functions of a card that can do this.
FUNCTIONS = 8


class NetworkSriov(Behaviour):
    cls = "network_sriov"

    def create(self, pif: str, network: str) -> str:
        _pool_features.require(self.engine, "Network_sriov")
        pifs, networks = self.other("PIF"), self.other("network")
        networks.require_managed(network)
        pifs.require_managed(pif)
        row = self.db.row("PIF", pif)
        if pifs.kind(pif)[0] != "physical":
            raise Failure("PIF_IS_NOT_PHYSICAL", pif)
        if row["sriov_physical_PIF_of"]:
            raise Failure("NETWORK_SRIOV_ALREADY_ENABLED", pif)
        if "sriov" not in row["capabilities"]:
            raise Failure("PIF_IS_NOT_SRIOV_CAPABLE", pif)
        pifs.require_free_network(row["host"], network)
        self._require_compatible(pif, network)
        logical = pifs.make(row["host"], network, row["device"], pif, MAC=MAC, MTU=row["MTU"], metrics=row["metrics"], IPv6=[])
        sriov = self.db.create("network_sriov", {"physical_PIF": pif, "logical_PIF": logical, "requires_reboot": False})
        pifs.plug(logical)
        self.db.set("network_sriov", sriov, "configuration_mode", "sysfs")
        return sriov

    def _require_compatible(self, pif: str, network: str) -> None:
        """What is on the network on other hosts must be the same kind of card."""
        for other in self.db.get("network", network, "PIFs")[:1]:
            above = self.db.get("PIF", other, "sriov_logical_PIF_of")
            if not above:
                raise Failure("NETWORK_INCOMPATIBLE_WITH_SRIOV", network)
            if self._card(pif) != self._card(self.row(above[0])["physical_PIF"]):
                raise Failure("NETWORK_HAS_INCOMPATIBLE_SRIOV_PIFS", pif, network)

    def _card(self, pif: str) -> tuple[str, str]:
        row = self.db.tables["PCI"].rows.get(self.db.get("PIF", pif, "PCI"), {})
        return row.get("vendor_name", ""), row.get("device_name", "")

    def destroy(self, ref: str) -> None:
        logical = self.row(ref)["logical_PIF"]
        if self.db.get("PIF", logical, "VLAN_slave_of"):
            raise Failure("PIF_VLAN_STILL_EXISTS", logical)
        self.other("PIF").unplug(logical)
        self.db.delete("PIF", logical)
        self.db.delete("network_sriov", ref)

    def get_remaining_capacity(self, ref: str) -> int:
        logical = self.db.row("PIF", self.row(ref)["logical_PIF"])
        vifs = [self.db.row("VIF", vif) for vif in self.db.get("network", logical["network"], "VIFs")]
        used = [row for row in vifs if row["currently_attached"] and self.db.get("VM", row["VM"], "resident_on") == logical["host"]]
        return max(0, FUNCTIONS - len(used))
