# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a guest is told of its network interfaces: a JSON text for each MAC address in its xenstore (driver-operations §14.4)."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterable, Mapping
from typing import Any

from ._device_job import load_vm
from ._device_names import mac_address, number_or_none
from ._errors import XenError
from ._guest_data import NETWORKING, decoded, plan_keys
from ._lookup import Caller, Record, View
from ._plan import Plan, Values

SUBNET: dict[str, dict[str, Any]] = {
    "addresses": {"type": "list", "elements": "str", "required": True},
    "gateway": {"type": "str"},
    "dns": {"type": "list", "elements": "str", "default": []},
    "routes": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {"network": {"type": "str", "required": True}, "gateway": {"type": "str", "required": True}},
    },
}
NIC: dict[str, dict[str, Any]] = {
    "mac": {"type": "str"},
    "device": {"type": "int"},
    "label": {"type": "str", "default": ""},
    "subnets": {"type": "list", "elements": "dict", "default": [], "options": SUBNET},
}
NETWORK_OPTIONS: dict[str, dict[str, Any]] = {
    "nics": {"type": "list", "elements": "dict", "options": NIC, "mutually_exclusive": [("mac", "device")], "required_one_of": [("mac", "device")]},
    "purge": {"type": "bool", "default": False},
}


def plan_network(session: Caller, params: dict[str, Any]) -> Plan:
    """Tell of these interfaces; with ``purge``, or when absent without any named, of no other."""
    nics = params["nics"] or []
    described = [_described(nic) for nic in nics] if params["state"] == "present" else [{} for _nic in nics]
    view = View(session)
    found = load_vm(view, params)
    macs = _macs(view, found[1], nics)
    wanted: dict[str, str | None] = {}
    if params["purge"] or (params["state"] == "absent" and not nics):
        wanted = {key: None for key in found[1]["xenstore_data"] if key.startswith(NETWORKING)}
    for mac, description in zip(macs, described, strict=True):
        key = f"{NETWORKING}{mac.replace(':', '')}"
        wanted[key] = _text({**description, "mac": mac}) if params["state"] == "present" else None
    return plan_keys(session, found, wanted, _result)


def _macs(view: View, vm: Record, nics: list[Mapping[str, Any]]) -> list[str]:
    """The MAC address of each interface; the one that the pool chose, when it is told by its device."""
    there: dict[int | None, str] = {}
    if any(nic["mac"] is None for nic in nics):
        there = {number_or_none(vif["device"]): vif["MAC"].lower() for vif in (view.record("VIF", ref) for ref in vm["VIFs"]) if vif}
    macs = []
    for nic in nics:
        mac = mac_address(nic["mac"]) if nic["mac"] is not None else there.get(nic["device"])
        if mac is None:
            raise XenError(f"VM {vm['name_label']!r} has no network interface {nic['device']}; add it first (xen_vif), or give its mac")
        if mac in macs:
            raise XenError(f"interface {mac} is described twice; give each one once")
        macs.append(mac)
    return macs


def _text(description: Values) -> str:
    return json.dumps(description, sort_keys=True)


def _described(nic: Mapping[str, Any]) -> Values:
    """The object that the old driver wrote, but for the MAC address."""
    subnets = [_subnet(subnet) for subnet in nic["subnets"]]
    four, six = ([subnet for subnet in subnets if subnet["version"] == version] for version in (4, 6))
    told: Values = {"label": nic["label"]}
    if four:
        told |= {"gateway": four[0]["gateway"], "broadcast": four[0]["broadcast"], "ips": [ip for subnet in four for ip in subnet["ips"]]}
    if six:
        told |= {"gateway_v6": six[0]["gateway"], "ip6s": [ip for subnet in six for ip in subnet["ips"]]}
    routes = [route for subnet in subnets for route in subnet["routes"]]
    # The order of name servers means nothing to the old driver, which would look changed each time.
    dns = sorted({server for subnet in subnets for server in subnet["dns"]})
    return told | ({"routes": routes} if routes else {}) | ({"dns": dns} if dns else {})


def _subnet(subnet: Mapping[str, Any]) -> Values:
    interfaces = [_parsed(ipaddress.ip_interface, text, "an address with its prefix, as 192.0.2.10/24") for text in subnet["addresses"]]
    versions = {interface.version for interface in interfaces}
    if len(versions) != 1:
        raise XenError(f"a subnet has addresses of one version, not {subnet['addresses']}; describe two subnets")
    if any("/" not in text for text in subnet["addresses"]):
        raise XenError(f"addresses {subnet['addresses']} need their prefix, as 192.0.2.10/24")
    version = versions.pop()
    gateway = None if subnet["gateway"] is None else _address(subnet["gateway"], version)
    return {
        "version": version,
        "gateway": gateway,
        "broadcast": str(interfaces[0].network.broadcast_address),
        "ips": [_ip(interface, gateway) for interface in interfaces],
        "routes": [_route(route) for route in subnet["routes"]],
        "dns": [str(_parsed(ipaddress.ip_address, server, "the address of a name server")) for server in subnet["dns"]],
    }


def _ip(interface: Any, gateway: str | None) -> Values:
    netmask = str(interface.netmask) if interface.version == 4 else interface.network.prefixlen
    return {"ip": str(interface.ip), "enabled": "1", "netmask": netmask, "gateway": gateway}


def _route(route: Mapping[str, str]) -> Values:
    network = _parsed(ipaddress.ip_network, route["network"], "a network, as 198.51.100.0/24")
    return {"route": str(network.network_address), "netmask": str(network.netmask), "gateway": _address(route["gateway"], network.version)}


def _address(text: str, version: int) -> str:
    address = _parsed(ipaddress.ip_address, text, "the address of a gateway")
    if address.version != version:
        raise XenError(f"gateway {text} is no IPv{version} address, but what it leads out of is")
    return str(address)


def _parsed(parse: Any, text: str, what: str) -> Any:
    try:
        return parse(text)
    except ValueError as error:
        raise XenError(f"{text!r} is not {what}: {error}") from error


def _result(data: Mapping[str, str]) -> Values:
    return {"nics": list(_told(data))}


def _told(data: Mapping[str, str]) -> Iterable[Any]:
    return (decoded(text) for key, text in sorted(data.items()) if key.startswith(NETWORKING))
