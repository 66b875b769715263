# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""network: bridges and their names, purposes, default locking (facts 3.8)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..engine.behaviour import Behaviour
from ..engine.failure import Failure

BRIDGE_LENGTH = 15
RESERVED_PREFIXES = ("xen", "xapi", "vif", "tap", "eth")
# A network cannot be for NBD with and without encryption, and neither can any other of the pool.
EXCLUDES = {"nbd": "insecure_nbd", "insecure_nbd": "nbd"}


class Network(Behaviour):
    cls = "network"

    def loaded(self, extra: Mapping[str, Any]) -> None:
        self._made = 0  # names are not used twice in the life of a toolstack

    def restarted(self) -> None:
        self._made = 0

    def create(self, args: dict[str, Any]) -> str:
        bridges = {row["bridge"] for _unused, row in self.db.items("network")}
        bridge = args["bridge"] or self._free_name(bridges)
        if args["bridge"] and (len(bridge) > BRIDGE_LENGTH or bridge.startswith(RESERVED_PREFIXES)):
            raise Failure("INVALID_VALUE", "bridge", bridge)
        if bridge in bridges:
            raise Failure("BRIDGE_NAME_EXISTS", bridge)
        mtu = args["MTU"] if args["MTU"] > 0 else 1500
        return self.db.create("network", {**args, "bridge": bridge, "MTU": mtu, "default_locking_mode": "unlocked"})

    def _free_name(self, taken: set[str]) -> str:
        while True:
            name = f"xapi{self._made}"
            self._made += 1
            if name not in taken:
                return name

    def pool_introduce(
        self, name_label: str, name_description: str, mtu: int, other_config: dict[str, str], bridge: str, managed: bool, purpose: list[str]
    ) -> str:
        fields = {"name_label": name_label, "name_description": name_description, "MTU": mtu, "other_config": other_config}
        return self.db.create("network", {**fields, "bridge": bridge, "managed": managed, "purpose": purpose})

    def destroy(self, ref: str) -> None:
        row = self.row(ref)
        attached = [vif for vif in row["VIFs"] if self.db.get("VIF", vif, "currently_attached") or self.db.get("VIF", vif, "reserved")]
        if attached:
            raise Failure("NETWORK_CONTAINS_VIF", *attached)
        if row["PIFs"]:
            raise Failure("NETWORK_CONTAINS_PIF", *row["PIFs"])
        if row["other_config"].get("is_host_internal_management_network") == "true":
            raise Failure("CANNOT_DESTROY_SYSTEM_NETWORK", ref)
        for vif in list(row["VIFs"]):
            self.db.delete("VIF", vif)
        self.db.delete("network", ref)

    def require_managed(self, ref: str) -> None:
        if not self.row(ref)["managed"]:
            raise Failure("NETWORK_UNMANAGED", ref)

    def require_no_sriov(self, ref: str, code: str) -> None:
        """The first interface of a network says what it is for (X/xapi_network_helpers.ml)."""
        if any(self.other("PIF").is_on_sriov(pif) for pif in self.row(ref)["PIFs"][:1]):
            raise Failure(code, ref)

    def set_default_locking_mode(self, ref: str, value: str) -> None:
        for vif in self.row(ref)["VIFs"]:
            if self.db.get("VIF", vif, "currently_attached"):
                raise Failure("VIF_IN_USE", ref, vif)
        self.db.set("network", ref, "default_locking_mode", value)

    def add_purpose(self, ref: str, value: str) -> None:
        if self.engine.schema.level == "26":
            self.require_managed(ref)  # 24.19 and 8.2 take any network
        current = self.row(ref)["purpose"]
        if value in current:
            return
        conflicting = EXCLUDES[value]
        if any(conflicting in row["purpose"] for _unused, row in self.db.items("network")):
            raise Failure("NETWORK_INCOMPATIBLE_PURPOSES", value, conflicting)
        self.db.set("network", ref, "purpose", [value, *current])

    def remove_purpose(self, ref: str, value: str) -> None:
        self.db.set("network", ref, "purpose", [purpose for purpose in self.row(ref)["purpose"] if purpose != value])

    def create_new_blob(self, ref: str, name: str, mime_type: str, public: bool) -> str:
        blob = str(self.other("blob").create(mime_type, public))
        self.db.put("network", ref, "blobs", name, blob)
        return blob

    # Bridges come up when a VM or a PIF needs them: nothing of that is in the database.

    def attach(self, ref: str, host: str) -> None:
        self.existing("host", host)
        for pif in self.local_pifs(ref, host):
            if self.db.get("PIF", pif, "managed") and not self.db.get("PIF", pif, "currently_attached"):
                self.other("PIF").bring_up(pif)

    def attach_for_vm(self, host: str, vm: str) -> None:
        for vif in self.db.get("VM", vm, "VIFs"):
            self.attach(self.db.get("VIF", vif, "network"), host)

    def detach_for_vm(self, host: str, vm: str) -> None:
        self.existing("host", host)
        self.existing("VM", vm)

    def local_pifs(self, ref: str, host: str) -> list[str]:
        """The PIFs, one at most, that connect the network to this host."""
        return [pif for pif in self.row(ref)["PIFs"] if self.db.get("PIF", pif, "host") == host]

    def is_available(self, ref: str, host: str) -> bool:
        """Whether a VM on this host could use the network (X/xapi_network_attach_helpers.ml).

        A network without PIFs lives on one host at a time: where its running VMs are.
        """
        row = self.row(ref)
        if row["PIFs"]:
            return bool(self.local_pifs(ref, host))
        if row["other_config"].get("assume_network_is_shared") == "true" or not row["managed"]:
            return True
        vms = [self.db.row("VM", self.db.get("VIF", vif, "VM")) for vif in row["VIFs"]]
        hosts = [vm["resident_on"] for vm in vms if vm["power_state"] == "Running"]
        return not hosts or host in hosts

    def require_available(self, vm: str, host: str, networks: list[str]) -> None:
        """VM_REQUIRES_NETWORK, or HOST_CANNOT_ATTACH_NETWORK when the NIC behind it is part of a bond."""
        for network in networks:
            if not self.is_available(network, host):
                raise Failure("VM_REQUIRES_NETWORK", vm, network)
        for network in networks:
            for pif in self.local_pifs(network, host):
                if self.db.get("PIF", pif, "bond_slave_of") != "OpaqueRef:NULL":
                    raise Failure("HOST_CANNOT_ATTACH_NETWORK", host, network)
