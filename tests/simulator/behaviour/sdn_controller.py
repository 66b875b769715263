# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""SDN_controller: who rules the virtual switches (X/xapi_sdn_controller.ml)."""

from __future__ import annotations

from ..engine.behaviour import Behaviour
from ..engine.failure import Failure
from . import _addresses

DEFAULT_PORT = 6632


class SdnController(Behaviour):
    cls = "SDN_controller"

    def require_switches(self) -> None:
        if self.db.get("host", self.engine.coordinator, "software_version").get("network_backend") != "openvswitch":
            raise Failure("OPERATION_NOT_ALLOWED", "host not configured for vswitch operation")

    def introduce(self, protocol: str, address: str, port: int) -> str:
        self.require_switches()
        if self.db.refs("SDN_controller"):
            raise Failure("OPERATION_NOT_ALLOWED", "SDN controller has been configured. Please forget it first.")
        if protocol == "pssl" and address:
            raise Failure("INVALID_VALUE", "address", address)
        if protocol == "pssl" and port:
            raise Failure("INVALID_VALUE", "port", str(port))
        if protocol == "ssl" and not address:
            raise Failure("INVALID_VALUE", "address", address)
        if protocol == "ssl":
            _addresses.require_address(address, 4, "address")
        if port and not 1 <= port <= 65535:
            raise Failure("VALUE_NOT_SUPPORTED", "port", str(port), "Port out of range")
        chosen = DEFAULT_PORT if protocol == "ssl" and not port else port
        return self.db.create("SDN_controller", {"protocol": protocol, "address": address, "port": chosen})

    def forget(self, ref: str) -> None:
        self.db.delete("SDN_controller", ref)
