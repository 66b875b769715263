# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Network configuration for guests: cloud-init's versions 1 and 2, and OpenStack's network_data, each turned into the one that is needed.

Sources: cloud-init's documentation of network config v1 and v2; nova's netutils.get_network_metadata. What is turned
are interfaces that are known by their MAC address, with addresses, routes and name servers; more than that is refused.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ._device_names import mac_address
from ._errors import XenError

Json = Mapping[str, Any]
HINT = "write it in the form of the layout itself"
# Links that a guest sees as a network card; nova writes the kind of the port on the host.
COMPOUND = {"bond", "vlan"}


@dataclass
class Route:
    """A route; the default one has the network 0.0.0.0/0 or ::/0."""

    network: str
    gateway: str

    @property
    def version(self) -> int:
        return ipaddress.ip_network(self.network).version


@dataclass
class Nic:
    """A network card and what shall be set on it. ``addresses`` have their prefix, as 192.0.2.7/24."""

    name: str
    mac: str
    mtu: int | None = None
    dhcp: list[int] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)
    routes: list[Route] = field(default_factory=list)
    servers: list[str] = field(default_factory=list)


def as_openstack(network: Json) -> Json:
    """For OpenStack's layout."""
    plain = _unwrapped(network)
    return plain if _is_openstack(plain) else _openstack(list(_nics(plain)))


def as_cloud_init(network: Json) -> Json:
    """For NoCloud."""
    plain = _unwrapped(network)
    return _version_2(list(_of_openstack(plain))) if _is_openstack(plain) else plain


def _unwrapped(network: Json) -> Json:
    plain = network["network"] if set(network) == {"network"} else network
    if isinstance(plain, Mapping) and (_is_openstack(plain) or plain.get("version") in (1, 2)):
        return plain
    raise XenError("network is no network configuration: it has neither version 1 or 2 as cloud-init's, nor links and networks as OpenStack's network_data")


def _is_openstack(network: Json) -> bool:
    return "links" in network and "networks" in network


def _nics(network: Json) -> Iterator[Nic]:
    try:
        yield from _of_version_1(network) if network["version"] == 1 else _of_version_2(network)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise XenError(f"network cannot be turned into OpenStack's network_data ({_reason(error)}); {HINT}") from error


def _of_version_2(network: Json) -> Iterator[Nic]:
    _only(network, {"version", "ethernets", "renderer"}, "network")
    for name, ethernet in network.get("ethernets", {}).items():
        what = f"ethernets {name}"
        _only(ethernet, {"match", "set-name", "mtu", "dhcp4", "dhcp6", "addresses", "gateway4", "gateway6", "routes", "nameservers"}, what)
        nic = Nic(ethernet.get("set-name", name), _mac(ethernet.get("match", {}).get("macaddress"), what), ethernet.get("mtu"))
        nic.dhcp = [version for version in (4, 6) if ethernet.get(f"dhcp{version}")]
        nic.addresses = [_interface(address) for address in ethernet.get("addresses", [])]
        nic.routes = [Route(default, ethernet[key]) for key, default in (("gateway4", "0.0.0.0/0"), ("gateway6", "::/0")) if key in ethernet]
        nic.routes += [Route(_destination(route["to"], route["via"]), route["via"]) for route in ethernet.get("routes", [])]
        nic.servers = list(ethernet.get("nameservers", {}).get("addresses", []))
        yield nic


def _of_version_1(network: Json) -> Iterator[Nic]:
    _only(network, {"version", "config"}, "network")
    servers = [server for item in network["config"] if item["type"] == "nameserver" for server in _listed(item["address"])]
    for item in network["config"]:
        if item["type"] == "nameserver":
            continue
        if item["type"] != "physical":
            raise XenError(f"network: a {item['type']} cannot be turned into OpenStack's network_data; {HINT}")
        nic = Nic(item["name"], _mac(item.get("mac_address"), item["name"]), item.get("mtu"), servers=servers)
        for subnet in item.get("subnets", []):
            _add_subnet(nic, subnet)
        yield nic


def _add_subnet(nic: Nic, subnet: Json) -> None:
    kind = subnet["type"]
    if kind in ("dhcp", "dhcp4", "dhcp6", "ipv6_dhcpv6-stateful"):
        nic.dhcp.append(6 if "6" in kind else 4)
    elif kind in ("static", "static6"):
        address = _interface(subnet["address"], subnet.get("netmask"))
        nic.addresses.append(address)
        if "gateway" in subnet:
            nic.routes.append(Route(_destination("default", subnet["gateway"]), subnet["gateway"]))
    else:
        raise XenError(f"network: a subnet of type {kind} cannot be turned into OpenStack's network_data; {HINT}")
    for route in subnet.get("routes", []):
        target = route.get("network") or route["destination"]
        netmask = f"/{route['netmask']}" if "netmask" in route and "/" not in target else ""
        nic.routes.append(Route(_destination(f"{target}{netmask}", route["gateway"]), route["gateway"]))
    nic.servers = [*nic.servers, *_listed(subnet.get("dns_nameservers", []))]


def _openstack(nics: list[Nic]) -> Json:
    links, networks, services = [], [], []
    for nic in nics:
        links.append({"id": nic.name, "type": "phy", "ethernet_mac_address": nic.mac, **({"mtu": nic.mtu} if nic.mtu else {})})
        found: list[dict[str, Any]] = [{"type": f"ipv{version}_dhcp"} for version in nic.dhcp]
        with_routes = set()
        for address in nic.addresses:
            interface = ipaddress.ip_interface(address)
            # Routes belong to the first network of their family.
            routes = [] if interface.version in with_routes else [_route(route) for route in nic.routes if route.version == interface.version]
            with_routes.add(interface.version)
            found.append({"type": f"ipv{interface.version}", "ip_address": str(interface.ip), "netmask": str(interface.netmask), "routes": routes})
        if any(route.version not in with_routes for route in nic.routes):
            raise XenError(f"network: {nic.name} has a route of a family of which it has no address; {HINT}")
        networks += [{**item, "link": nic.name} for item in found]
        services += [{"type": "dns", "address": server} for server in nic.servers]
    numbered = [{"id": f"network{number}", **item} for number, item in enumerate(networks)]
    return {"links": links, "networks": numbered, "services": _once(services)}


def _route(route: Route) -> dict[str, str]:
    network = ipaddress.ip_network(route.network)
    return {"network": str(network.network_address), "netmask": str(network.netmask), "gateway": route.gateway}


def _of_openstack(network: Json) -> Iterator[Nic]:
    try:
        servers = [service["address"] for service in network.get("services", []) if service["type"] == "dns"]
        for link in network["links"]:
            if link["type"] in COMPOUND:
                raise XenError(f"network: a {link['type']} cannot be turned into cloud-init's network configuration; {HINT}")
            nic = Nic(link["id"], _mac(link.get("ethernet_mac_address"), link["id"]), link.get("mtu"), servers=servers)
            for item in (item for item in network["networks"] if item["link"] == link["id"]):
                _add_network(nic, item)
            yield nic
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise XenError(f"network is no proper network_data ({_reason(error)}); see OpenStack's documentation of it") from error


def _add_network(nic: Nic, item: Json) -> None:
    if "dhcp" in item["type"] or item["type"] == "ipv6_slaac":
        nic.dhcp.append(6 if item["type"].startswith("ipv6") else 4)
        return
    nic.addresses.append(_interface(item["ip_address"], item.get("netmask")))
    nic.routes += [
        Route(_destination(f"{route['network']}/{_prefix(route['netmask'])}", route["gateway"]), route["gateway"]) for route in item.get("routes", [])
    ]


def _version_2(nics: list[Nic]) -> Json:
    ethernets = {}
    for nic in nics:
        ethernet: dict[str, Any] = {"match": {"macaddress": nic.mac}, **{f"dhcp{version}": True for version in nic.dhcp}}
        more = {
            "mtu": nic.mtu,
            "addresses": nic.addresses,
            "routes": [{"to": route.network, "via": route.gateway} for route in nic.routes],
            "nameservers": {"addresses": nic.servers} if nic.servers else None,
        }
        ethernets[nic.name] = {**ethernet, **{key: value for key, value in more.items() if value}}
    return {"version": 2, "ethernets": ethernets}


def _reason(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"{error.args[0]} is missing"
    return str(error) if isinstance(error, ValueError) else "a part of it is text, a number or a list where others belong"


def _only(part: Json, known: Iterable[str], what: str) -> None:
    more = sorted(set(part) - set(known))
    if more:
        raise XenError(f"network: {', '.join(more)} of {what} cannot be turned into OpenStack's network_data; {HINT}")


def _mac(text: str | None, what: str) -> str:
    if not text:
        raise XenError(f"network: {what} has no MAC address by which the guest could know it; {HINT}")
    return mac_address(text)


def _interface(address: str, netmask: str | None = None) -> str:
    return ipaddress.ip_interface(address if "/" in address or not netmask else f"{address}/{_prefix(netmask)}").with_prefixlen


def _prefix(netmask: str) -> str:
    """Also of IPv6, whose netmask ``ipaddress`` does not read."""
    if ":" not in str(netmask):
        return str(netmask)
    return str(bin(int(ipaddress.IPv6Address(netmask))).count("1"))


def _destination(text: str, gateway: str) -> str:
    if text == "default":
        return "::/0" if ":" in gateway else "0.0.0.0/0"
    return str(ipaddress.ip_network(text, strict=False))


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _once(items: list[dict[str, str]]) -> list[dict[str, str]]:
    return list({item["address"]: item for item in items}.values())
