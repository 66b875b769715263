# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.xapi.xenserver.plugins.module_utils import _guest

# As xapi 24 (0/ipv4/0), older ones (0/ip, several addresses in one value) and a guest whose first device is 2 report.
NETWORKS = [
    ({}, {}),
    ({"0/ip": "192.0.2.5"}, {"0": ["192.0.2.5"]}),
    ({"0/ip": "192.0.2.5", "0/ipv4/0": "192.0.2.5", "0/ipv6/0": "fe80::1"}, {"0": ["192.0.2.5", "fe80::1"]}),
    ({"2/ipv4/1": "192.0.2.9", "2/ipv6/0": "2001:db8::2"}, {"2": ["192.0.2.9", "2001:db8::2"]}),
    ({"10/ip": "192.0.2.10", "9/ip": "192.0.2.9 192.0.2.8"}, {"9": ["192.0.2.8", "192.0.2.9"], "10": ["192.0.2.10"]}),
    ({"0/ip": "", "error/0/ip": "192.0.2.1", "0/mac": "02:00:00:00:00:01"}, {}),
]


@pytest.mark.parametrize(("networks", "found"), NETWORKS, ids=str)
def test_addresses_of_each_interface(networks: dict[str, str], found: dict[str, list[str]]) -> None:
    addresses = _guest.addresses({"networks": networks})
    assert addresses == found
    assert list(addresses) == list(found)


def test_a_guest_that_reports_nothing_has_none() -> None:
    assert _guest.addresses(None) == {}
    assert not _guest.has_address(None)
    assert not _guest.tools_running(None)


@pytest.mark.parametrize(
    ("networks", "reachable"),
    [
        ({"0/ip": "192.0.2.5"}, True),
        ({"0/ipv6/0": "fe80::1"}, False),
        ({"0/ip": "169.254.7.7"}, False),
        ({"0/ipv6/0": "fe80::1", "0/ipv6/1": "2001:db8::2"}, True),
        ({"0/ip": "none yet"}, False),
    ],
    ids=str,
)
def test_a_link_local_address_is_none_to_reach(networks: dict[str, str], reachable: bool) -> None:
    assert _guest.has_address({"networks": networks}) is reachable


@pytest.mark.parametrize(
    ("metrics", "told"),
    [
        (None, "its tools have not reported"),
        ({"networks": {}, "PV_drivers_version": {}}, "its tools have not reported"),
        ({"networks": {}, "PV_drivers_version": {"major": "7"}}, "its tools report no address"),
        (
            {"networks": {"0/ip": "192.0.2.5", "0/ipv6/0": "fe80::1", "2/ip": "192.0.2.9"}},
            "its tools report 192.0.2.5, fe80::1 on interface 0 and 192.0.2.9 on interface 2",
        ),
    ],
    ids=["nothing", "no tools", "no address", "addresses"],
)
def test_what_a_guest_reported_is_told(metrics: dict[str, Any] | None, told: str) -> None:
    assert _guest.reported(metrics) == told


@pytest.mark.parametrize(("version", "running"), [({"major": "7", "minor": "30"}, True), ({}, False)], ids=str)
def test_tools_report_the_version_of_the_drivers(version: dict[str, Any], running: bool) -> None:
    assert _guest.tools_running({"PV_drivers_version": version}) is running


@pytest.mark.parametrize(
    ("device", "network", "found"),
    [
        (None, None, True),
        (0, None, False),  # only link-local there
        (2, None, True),
        (7, None, False),
        (None, "192.0.2.0/24", True),
        (None, "198.51.100.0/24", False),
        (0, "192.0.2.0/24", False),
        (2, "192.0.2.0/24", True),
        (2, "2001:db8::/32", True),
        (0, "fe80::/10", True),  # asked for
    ],
)
def test_address_that_is_waited_for(device: int | None, network: str | None, found: bool) -> None:
    metrics = {"networks": {"0/ipv6/0": "fe80::1", "2/ipv4/0": "192.0.2.10", "2/ip": "192.0.2.10", "2/ipv6/1": "2001:db8::10"}}
    assert _guest.has_address(metrics, device, network) is found
