# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""VIF: virtual NICs, hotplug, and the locking that keeps a guest to its addresses (facts 3.5)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from ..engine.behaviour import Behaviour, operation
from ..engine.failure import Failure
from . import _addresses, _pool_features

# VM operations that a VIF may not be plugged or unplugged beside.
VM_OPERATIONS_IN_THE_WAY = ("clean_shutdown", "hard_shutdown", "suspend", "pause")
# What OCaml's int_of_string takes for a device number, but for negative ones.
# What OCaml's int_of_string takes for a number, which is all that xapi asks of a device; since 2025 only digits will do.
NUMBER = re.compile(r"[-+]?(0[xX][0-9a-fA-F][0-9a-fA-F_]*|0[oO][0-7][0-7_]*|0[bB][01][01_]*|(0[uU])?[0-9][0-9_]*)")
DIGITS = re.compile(r"[0-9][0-9_]*")


class VIF(Behaviour):
    cls = "VIF"
    # When one is made, locked or freed, and when something happens to its VM (X/xapi_vif_helpers.ml).
    follows_changes = False

    def loaded(self, extra: Mapping[str, Any]) -> None:
        self._look_at_all()

    def restarted(self) -> None:
        self._look_at_all()

    def _look_at_all(self) -> None:
        for ref in self.db.refs("VIF"):
            self.engine.operations.again("VIF", ref)

    # Operations

    def advertised(self, ref: str) -> Iterable[str]:
        return ("attach", "plug", "unplug")

    def check(self, ref: str, op: str) -> None:
        row = self.row(ref)
        if row["current_operations"]:
            raise self._in_progress(ref, row["current_operations"])
        if op == "attach":
            return
        vm = self.db.row("VM", row["VM"])
        if op == "plug" and vm["is_control_domain"] and vm["domid"] == 0:
            raise Failure("OPERATION_NOT_ALLOWED", "Control domain does not support hotplug")
        if any(self.db.get("PIF", pif, "sriov_logical_PIF_of") for pif in self.db.get("network", row["network"], "PIFs")):
            raise Failure("OPERATION_NOT_ALLOWED", "Network SR-IOV VIF plug/unplug not allowed")
        if vm["power_state"] != "Running":
            raise Failure("VM_BAD_POWER_STATE", row["VM"], "running", vm["power_state"].lower())
        plugged = row["currently_attached"] or row["reserved"]
        if plugged and op == "plug":
            raise Failure("DEVICE_ALREADY_ATTACHED", ref)
        if not plugged and op == "unplug":
            raise Failure("DEVICE_ALREADY_DETACHED", ref)
        for running_on_vm in vm["current_operations"].values():
            if running_on_vm in VM_OPERATIONS_IN_THE_WAY:
                raise Failure("OPERATION_NOT_ALLOWED", f"Current operation on VM:{row['VM']} is {running_on_vm}")
        self._check_drivers(row["VM"], vm)

    def _in_progress(self, ref: str, running: dict[str, str]) -> Failure:
        """Since xapi 25.27 all operations and their tasks, in braces even when it is one (X/xapi_vif_helpers.ml)."""
        if self.engine.schema.level != "26":
            return Failure("OTHER_OPERATION_IN_PROGRESS", "VIF", ref, next(iter(running.values())))
        ops, tasks = ("; ".join(reversed(names)) for names in (list(running.values()), list(running)))
        return Failure("OTHER_OPERATION_IN_PROGRESS", "VIF", ref, f"{{{ops}}}", f"{{{tasks}}}")

    def _check_drivers(self, ref: str, vm: dict[str, Any]) -> None:
        """An HVM guest must have PV drivers, and must not say that it cannot hotplug."""
        metrics = self.db.tables["VM_metrics"].rows.get(vm["metrics"], {})
        if metrics.get("current_domain_type", "hvm") not in ("hvm", "unspecified"):
            return
        guest = self.db.tables["VM_guest_metrics"].rows.get(vm["guest_metrics"])
        claim = guest["can_use_hotplug_vif"] if guest else "unspecified"
        if claim == "no":
            raise Failure("OPERATION_NOT_ALLOWED", "VM states it does not support VIF hotplug.")
        if claim == "yes" or (guest and (guest["PV_drivers_detected"] or {"major", "minor"} <= set(guest["PV_drivers_version"]))):
            return
        raise Failure("VM_MISSING_PV_DRIVERS", ref)

    # Life

    def create(self, args: dict[str, Any]) -> str:
        self.existing("VM", args["VM"])
        self.existing("network", args["network"])
        if args["locking_mode"] == "locked" or args["ipv4_allowed"] or args["ipv6_allowed"]:
            _pool_features.require(self.engine, "VIF_locking")
        device = args["device"]
        if not (DIGITS if self.engine.schema.level == "26" else NUMBER).fullmatch(device):
            raise Failure("INVALID_DEVICE", device)
        seed = self.db.get("VM", args["VM"], "other_config").get("mac_seed")
        generated = args["MAC"] == "" and seed is not None
        mac = _addresses.mac_of_seed(_number(device), seed) if generated else args["MAC"]
        if not _addresses.is_mac(mac):
            raise Failure("MAC_INVALID", mac)
        taken = {self.row(vif)["device"] for vif in self.db.get("VM", args["VM"], "VIFs")}
        if device in taken or (self.engine.schema.level == "26" and _number(device) in map(_number, taken)):
            raise Failure("DEVICE_ALREADY_EXISTS", device)
        suspended = self.db.get("VM", args["VM"], "power_state") == "Suspended"
        values = {**args, "MAC": mac, "MAC_autogenerated": generated, "currently_attached": suspended and args["currently_attached"]}
        ref = self.db.create("VIF", {**values, "metrics": self.db.create("VIF_metrics", {})})
        self.engine.operations.again("VIF", ref)
        return ref

    def copy(self, ref: str, vm: str, *, keep_mac: bool) -> str:
        """The same NIC on another VM; without `keep_mac` its address comes from that VM's mac_seed (facts 3.3)."""
        row = self.row(ref)
        fields = self.engine.schema.classes["VIF"].fields.values()
        values = {field.name: row[field.name] for field in fields if field.create}
        new = self.create({**values, "VM": vm, "MAC": row["MAC"] if keep_mac else ""})
        kept = ("ipv4_configuration_mode", "ipv4_addresses", "ipv4_gateway", "ipv6_configuration_mode", "ipv6_addresses", "ipv6_gateway")
        self.db.update("VIF", new, **{name: row[name] for name in kept})
        return new

    def destroy(self, ref: str) -> None:
        row = self.row(ref)
        vm = self.db.tables["VM"].rows.get(row["VM"], {})
        # A domain that is paused is one, too (Helpers.is_running).
        if row["currently_attached"] and vm.get("domid", -1) != -1:
            raise Failure("OPERATION_NOT_ALLOWED", "VIF currently attached to a running VM")
        self.discard(ref)

    def discard(self, ref: str) -> None:
        """Remove the row and its metrics, whatever the state."""
        metrics = self.row(ref)["metrics"]
        if self.is_set("VIF_metrics", metrics):
            self.db.delete("VIF_metrics", metrics)
        self.db.delete("VIF", ref)

    @operation("plug")
    async def plug(self, ref: str) -> None:
        vm = self.db.row("VM", self.row(ref)["VM"])
        self.other("network").attach(self.row(ref)["network"], vm["resident_on"])
        self.db.set("VIF", ref, "currently_attached", True)

    @operation("unplug")
    async def unplug(self, ref: str) -> None:
        self.db.set("VIF", ref, "currently_attached", False)

    @operation("unplug")
    async def unplug_force(self, ref: str) -> None:
        self.db.set("VIF", ref, "currently_attached", False)

    def move(self, ref: str, network: str) -> None:
        self.existing("network", network)
        row = self.row(ref)
        vm = self.db.row("VM", row["VM"])
        if row["currently_attached"] and vm["power_state"] != "Suspended":
            host = vm["resident_on"]
            try:
                self.other("network").require_available(row["VM"], host, [network])
            except Failure as failure:
                if failure.code != "VM_REQUIRES_NETWORK":
                    raise
                raise Failure("HOST_CANNOT_ATTACH_NETWORK", host, network) from None
        if row.get("trunks"):
            self._require_untagged(network)
        self.db.set("VIF", ref, "network", network)

    # Locking

    def _effective_mode(self, ref: str, mode: str) -> str:
        if mode != "network_default":
            return mode
        return str(self.db.get("network", self.row(ref)["network"], "default_locking_mode"))

    def set_locking_mode(self, ref: str, value: str) -> None:
        if self._effective_mode(ref, value) == "locked":
            if self.db.refs("SDN_controller"):
                raise Failure("OPERATION_NOT_ALLOWED", "A vswitch controller is active")
            _pool_features.require(self.engine, "VIF_locking")
        self.db.set("VIF", ref, "locking_mode", value)

    def _set_allowed(self, ref: str, version: int, addresses: list[str]) -> None:
        field = f"ipv{version}_allowed"
        unique = list(dict.fromkeys(addresses))
        if unique:
            _pool_features.require(self.engine, "VIF_locking")
        for address in unique:
            _addresses.require_address_or_network(address, version, field)
        self.db.set("VIF", ref, field, unique)

    def _add_allowed(self, ref: str, version: int, address: str) -> None:
        current = self.row(ref)[f"ipv{version}_allowed"]
        _pool_features.require(self.engine, "VIF_locking")
        _addresses.require_address_or_network(address, version, f"ipv{version}_allowed")
        if address not in current:
            self.db.set("VIF", ref, f"ipv{version}_allowed", [address, *current])

    def _remove_allowed(self, ref: str, version: int, address: str) -> None:
        left = [known for known in self.row(ref)[f"ipv{version}_allowed"] if known != address]
        self.db.set("VIF", ref, f"ipv{version}_allowed", left)

    def set_ipv4_allowed(self, ref: str, value: list[str]) -> None:
        self._set_allowed(ref, 4, value)

    def add_ipv4_allowed(self, ref: str, value: str) -> None:
        self._add_allowed(ref, 4, value)

    def remove_ipv4_allowed(self, ref: str, value: str) -> None:
        self._remove_allowed(ref, 4, value)

    def set_ipv6_allowed(self, ref: str, value: list[str]) -> None:
        self._set_allowed(ref, 6, value)

    def add_ipv6_allowed(self, ref: str, value: str) -> None:
        self._add_allowed(ref, 6, value)

    def remove_ipv6_allowed(self, ref: str, value: str) -> None:
        self._remove_allowed(ref, 6, value)

    # Addresses that the guest agent sets

    def configure_ipv4(self, ref: str, mode: str, address: str, gateway: str) -> None:
        self._configure(ref, 4, mode, address, gateway)

    def configure_ipv6(self, ref: str, mode: str, address: str, gateway: str) -> None:
        self._configure(ref, 6, mode, address, gateway)

    def _configure(self, ref: str, version: int, mode: str, address: str, gateway: str) -> None:
        row = self.row(ref)
        if mode == "Static":
            _pool_features.require(self.engine, "Guest_ip_setting")
            _addresses.require_network(address, version, "address")
            parts = _addresses.network_part(address, version)
            locked = self._effective_mode(ref, row["locking_mode"]) == "locked"
            if locked and parts is not None and parts[0] not in row[f"ipv{version}_allowed"]:
                raise Failure("ADDRESS_VIOLATES_LOCKING_CONSTRAINT", address)
            if gateway:
                _addresses.require_address(gateway, version, "gateway")
        guest = self.db.tables["VM_guest_metrics"].rows.get(self.db.get("VM", row["VM"], "guest_metrics"))
        if guest is None or guest["other"].get("feature-static-ip-setting") != "1":
            raise Failure("VM_LACKS_FEATURE", row["VM"])
        fields = {"configuration_mode": mode, "addresses": [address], "gateway": gateway}
        self.db.update("VIF", ref, **{f"ipv{version}_{name}": value for name, value in fields.items()})

    # VLANs inside the guest (API 26)

    def _require_untagged(self, network: str) -> None:
        if any(self.db.get("PIF", pif, "VLAN") != -1 for pif in self.db.get("network", network, "PIFs")):
            raise Failure("NETWORK_INCOMPATIBLE_WITH_TRUNKS", network)

    def set_trunks(self, ref: str, value: list[int]) -> None:
        if value:
            self._require_untagged(self.row(ref)["network"])
        for tag in value:
            self.other("VLAN").require_tag(tag)
        self.db.set("VIF", ref, "trunks", list(dict.fromkeys(value)))

    def add_trunks(self, ref: str, value: int) -> None:
        self.other("VLAN").require_tag(value)
        self._require_untagged(self.row(ref)["network"])
        current = self.row(ref)["trunks"]
        if value not in current:
            self.db.set("VIF", ref, "trunks", [value, *current])

    def remove_trunks(self, ref: str, value: int) -> None:
        self.db.set("VIF", ref, "trunks", [tag for tag in self.row(ref)["trunks"] if tag != value])


def _number(text: str) -> int:
    """OCaml's reading of a number that has passed: underscores count for nothing, a zero in front does not make it octal."""
    plain = text.replace("_", "").lower().replace("0u", "")
    return int(plain, 0 if any(prefix in plain for prefix in ("0x", "0o", "0b")) else 10)
