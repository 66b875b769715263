# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""tunnel: a network carried between hosts over another one (X/xapi_tunnel.ml)."""

from __future__ import annotations

import uuid

from ..engine.behaviour import Behaviour
from ..engine.failure import Failure
from . import _addresses


class Tunnel(Behaviour):
    cls = "tunnel"

    def create(self, transport: str, network: str, protocol: str = "gre") -> str:
        pifs = self.other("PIF")
        row = self.db.row("PIF", transport)
        self.other("network").require_managed(network)
        pifs.require_free_network(row["host"], network)
        pifs.require_managed(transport)
        pifs.require_tunnel_allowed(transport)
        self.other("network").require_no_sriov(network, "NETWORK_INCOMPATIBLE_WITH_TUNNEL")
        if any(host["software_version"].get("network_backend") != "openvswitch" for _unused, host in self.db.items("host")):
            raise Failure("OPENVSWITCH_NOT_ACTIVE")
        tunnel = self.make(transport, network, protocol)
        pifs.plug(self.row(tunnel)["access_PIF"])
        return tunnel

    def make(self, transport: str, network: str, protocol: str) -> str:
        """The two objects, unplugged."""
        row = self.db.row("PIF", transport)
        pifs = self.other("PIF")
        mac = _addresses.mac_of_seed(0, str(uuid.uuid4()))
        access = pifs.make(row["host"], network, pifs.free_device(row["host"], "tunnel", "tunnel"), transport, MAC=mac, MTU=-1, metrics=row["metrics"])
        values = {"access_PIF": access, "transport_PIF": transport, "protocol": protocol, "status": {"active": "false"}}
        known = self.engine.schema.classes["tunnel"].fields
        return self.db.create("tunnel", {name: value for name, value in values.items() if name in known})

    def destroy(self, ref: str) -> None:
        access = self.row(ref)["access_PIF"]
        self.other("PIF").unplug(access)
        self.discard(ref)

    def discard(self, ref: str) -> None:
        access = self.row(ref)["access_PIF"]
        self.db.delete("PIF", access)
        self.db.delete("tunnel", ref)
