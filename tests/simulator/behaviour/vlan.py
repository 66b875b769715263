# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""VLAN: a tag on a NIC or a bond, and the PIF that carries its untagged side (X/xapi_vlan.ml)."""

from __future__ import annotations

from ..engine.behaviour import Behaviour
from ..engine.failure import Failure

# What the interface of a VLAN has for an address.
MAC = "fe:ff:ff:ff:ff:ff"


class VLAN(Behaviour):
    cls = "VLAN"

    def require_tag(self, tag: int) -> None:
        if not 0 <= tag <= 4094:
            raise Failure("VLAN_TAG_INVALID", str(tag))

    def create(self, tagged: str, tag: int, network: str) -> str:
        pifs = self.other("PIF")
        row = self.db.row("PIF", tagged)
        self.other("network").require_managed(network)
        pifs.require_free_network(row["host"], network)
        pifs.require_managed(tagged)
        pifs.require_vlan_allowed(tagged)
        self._require_fitting(network, tagged)
        self.require_tag(tag)
        if any(self.row(vlan)["tag"] == tag for vlan in row["VLAN_slave_of"]):
            raise Failure("PIF_VLAN_EXISTS", row["device"])
        vlan = self.make(tagged, tag, network)
        pifs.plug(self.row(vlan)["untagged_PIF"])
        return vlan

    def _require_fitting(self, network: str, tagged: str) -> None:
        """VLANs on SR-IOV have networks of their own (assert_vlan_network_compatible_with_pif)."""
        pifs, networks = self.other("PIF"), self.other("network")
        if pifs.kind(tagged)[0] != "sriov":
            networks.require_no_sriov(network, "NETWORK_INCOMPATIBLE_WITH_VLAN_ON_BRIDGE")
        elif any(pifs.kind(pif)[0] != "VLAN" or not pifs.is_on_sriov(pif) for pif in self.db.get("network", network, "PIFs")[:1]):
            raise Failure("NETWORK_INCOMPATIBLE_WITH_VLAN_ON_SRIOV", network)

    def make(self, tagged: str, tag: int, network: str) -> str:
        """The two objects, unplugged."""
        row = self.db.row("PIF", tagged)
        if any(self.db.row("VIF", vif).get("trunks") for vif in self.db.get("network", network, "VIFs")):
            raise Failure("NETWORK_INCOMPATIBLE_WITH_TRUNKS", network)
        shared = {"MTU": row["MTU"], "metrics": row["metrics"]}
        untagged = self.other("PIF").make(row["host"], network, row["device"], tagged, MAC=MAC, **{**shared, "VLAN": tag})
        return self.pool_introduce(tagged, untagged, tag, {})

    def pool_introduce(self, tagged: str, untagged: str, tag: int, other_config: dict[str, str]) -> str:
        values = {"tagged_PIF": tagged, "untagged_PIF": untagged, "tag": tag, "other_config": other_config}
        vlan = self.db.create("VLAN", values)
        self.db.set("PIF", untagged, "VLAN_master_of", vlan)
        return vlan

    def destroy(self, ref: str) -> None:
        untagged = self.row(ref)["untagged_PIF"]
        if not self.is_set("PIF", untagged):
            self.db.delete("VLAN", ref)
            return
        pifs = self.other("PIF")
        pifs.require_unbonded(untagged)
        row = self.db.row("PIF", untagged)
        if row["host"] != self.engine.coordinator and row["currently_attached"]:
            pifs.require_not_management(untagged)
        pifs.require_no_protection(untagged)
        if row["VLAN"] < 0:
            raise Failure("PIF_IS_PHYSICAL")
        pifs.unplug(untagged)
        self.discard(ref)

    def discard(self, ref: str) -> None:
        untagged = self.row(ref)["untagged_PIF"]
        self.db.delete("VLAN", ref)
        self.db.delete("PIF", untagged)
