# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The forms of network configuration, as cloud-init and OpenStack document them."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.xapi.xenserver.plugins.module_utils._errors import XenError
from ansible_collections.xapi.xenserver.plugins.module_utils._network_data import as_cloud_init, as_openstack

MAC = "02:16:3e:00:00:01"


def ethernet(**more: Any) -> dict[str, Any]:
    return {"version": 2, "ethernets": {"eth0": {"match": {"macaddress": MAC}, **more}}}


def network_data(*networks: dict[str, Any], services: tuple[str, ...] = ()) -> dict[str, Any]:
    numbered = [{"id": f"network{number}", "link": "eth0", **item} for number, item in enumerate(networks)]
    links = [{"id": "eth0", "type": "phy", "ethernet_mac_address": MAC}]
    return {"links": links, "networks": numbered, "services": [{"type": "dns", "address": server} for server in services]}


IPV4 = {"type": "ipv4", "ip_address": "192.0.2.7", "netmask": "255.255.255.0"}
IPV6 = {"type": "ipv6", "ip_address": "2001:db8::7", "netmask": "ffff:ffff:ffff:ffff::"}
DEFAULT4 = {"network": "0.0.0.0", "netmask": "0.0.0.0", "gateway": "192.0.2.1"}
DEFAULT6 = {"network": "::", "netmask": "::", "gateway": "2001:db8::1"}
PRIVATE = {"network": "10.0.0.0", "netmask": "255.0.0.0", "gateway": "192.0.2.9"}


@pytest.mark.parametrize(
    ("version_2", "openstack"),
    [
        pytest.param(ethernet(dhcp4=True), network_data({"type": "ipv4_dhcp"}), id="dhcp"),
        pytest.param(ethernet(dhcp4=True, dhcp6=True), network_data({"type": "ipv4_dhcp"}, {"type": "ipv6_dhcp"}), id="both dhcp"),
        pytest.param(ethernet(addresses=["192.0.2.7/24"]), network_data({**IPV4, "routes": []}), id="address"),
        pytest.param(
            ethernet(addresses=["192.0.2.7/24", "2001:db8::7/64"], routes=[{"to": "0.0.0.0/0", "via": "192.0.2.1"}, {"to": "::/0", "via": "2001:db8::1"}]),
            network_data({**IPV4, "routes": [DEFAULT4]}, {**IPV6, "routes": [DEFAULT6]}),
            id="two families",
        ),
        pytest.param(
            ethernet(addresses=["192.0.2.7/24"], routes=[{"to": "10.0.0.0/8", "via": "192.0.2.9"}], nameservers={"addresses": ["192.0.2.53", "2001:db8::53"]}),
            network_data({**IPV4, "routes": [PRIVATE]}, services=("192.0.2.53", "2001:db8::53")),
            id="route and name servers",
        ),
    ],
)
def test_version_2_and_openstack_say_the_same(version_2: dict[str, Any], openstack: dict[str, Any]) -> None:
    assert as_openstack(version_2) == openstack
    assert as_cloud_init(openstack) == version_2
    assert as_openstack(openstack) == openstack
    assert as_cloud_init({"network": version_2}) == version_2


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({"gateway4": "192.0.2.1"}, id="gateway4"),
        pytest.param({"routes": [{"to": "default", "via": "192.0.2.1"}]}, id="default"),
        pytest.param({"routes": [{"to": "0.0.0.0/0", "via": "192.0.2.1"}]}, id="0.0.0.0/0"),
    ],
)
def test_ways_to_say_the_default_route(more: dict[str, Any]) -> None:
    assert as_openstack(ethernet(addresses=["192.0.2.7/24"], **more)) == network_data({**IPV4, "routes": [DEFAULT4]})


@pytest.mark.parametrize(
    ("subnet", "network"),
    [
        pytest.param({"type": "dhcp"}, {"type": "ipv4_dhcp"}, id="dhcp"),
        pytest.param({"type": "dhcp6"}, {"type": "ipv6_dhcp"}, id="dhcp6"),
        pytest.param({"type": "static", "address": "192.0.2.7/24", "gateway": "192.0.2.1"}, {**IPV4, "routes": [DEFAULT4]}, id="static"),
        pytest.param({"type": "static6", "address": "2001:db8::7/64", "gateway": "2001:db8::1"}, {**IPV6, "routes": [DEFAULT6]}, id="static6"),
        pytest.param(
            {
                "type": "static",
                "address": "192.0.2.7",
                "netmask": "255.255.255.0",
                "routes": [{"network": "10.0.0.0", "netmask": "255.0.0.0", "gateway": "192.0.2.9"}],
            },
            {**IPV4, "routes": [PRIVATE]},
            id="netmasks",
        ),
    ],
)
def test_version_1(subnet: dict[str, Any], network: dict[str, Any]) -> None:
    card = {"type": "physical", "name": "eth0", "mac_address": MAC, "subnets": [subnet]}
    servers = {"type": "nameserver", "address": ["192.0.2.53"]}
    assert as_openstack({"version": 1, "config": [card, servers]}) == network_data(network, services=("192.0.2.53",))


@pytest.mark.parametrize(
    ("network", "message"),
    [
        pytest.param({}, "network is no network configuration", id="empty"),
        pytest.param({"version": 3}, "network is no network configuration", id="version 3"),
        pytest.param({"network": None}, "network is no network configuration", id="nothing in it"),
        pytest.param(ethernet(addresses=["nonsense"]), "network_data ('nonsense' does not appear to be an IPv4 or IPv6 interface); write it", id="address"),
        pytest.param(ethernet(wakeonlan=True), "network: wakeonlan of ethernets eth0 cannot be turned", id="unknown key"),
        pytest.param(ethernet(dhcp4=True, gateway4="192.0.2.1"), "eth0 has a route of a family of which it has no address", id="route without address"),
        pytest.param({"version": 2, "ethernets": ["eth0"]}, "network_data (a part of it is text, a number or a list where", id="a list"),
        pytest.param({"version": 2, "ethernets": {"eth0": {"match": {"macaddress": "1:2"}}}}, "mac '1:2' is no MAC address", id="mac"),
        pytest.param({"version": 1, "config": [{"type": "physical"}]}, "cannot be turned into OpenStack's network_data (name is missing)", id="no name"),
    ],
)
def test_refuses_for_openstack(network: dict[str, Any], message: str) -> None:
    with pytest.raises(XenError) as caught:
        as_openstack(network)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        pytest.param({"links": [{"id": "b", "type": "bond"}], "networks": []}, "network: a bond cannot be turned into cloud-init's", id="bond"),
        pytest.param({"links": [{"id": "b"}], "networks": []}, "network is no proper network_data (type is missing)", id="no type"),
        pytest.param({"links": [{"id": "b", "type": "phy"}], "networks": []}, "network: b has no MAC address", id="no mac"),
    ],
)
def test_refuses_for_cloud_init(network: dict[str, Any], message: str) -> None:
    with pytest.raises(XenError) as caught:
        as_cloud_init(network)
    assert message in str(caught.value)
