# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from simulator import Simulator

from ..conftest import Run
from ..scenario import reads

SCENARIO = reads({}, {"name": "Private"}, {"name": "no such"}, {"bridge": "xenbr0"}, world="three_hosts")

pytestmark = pytest.mark.world("three_hosts")


def test_lists_all_networks_by_name(run_module: Run, simulator: Simulator) -> None:
    listed = run_module("xen_network_info")["networks"]
    assert [network["name"] for network in listed] == sorted(record["name_label"] for record in simulator.records("network").values())
    assert "OpaqueRef" not in str(listed)


def test_all_networks_take_three_reads_whatever_their_number(run_module: Run) -> None:
    assert run_module("xen_network_info").methods == ["network.get_all_records", "PIF.get_all_records", "host.get_all_records"]


def test_vlan_and_its_interfaces(run_module: Run, simulator: Simulator) -> None:
    (network,) = run_module("xen_network_info", name="VLAN 100")["networks"]
    assert network["vlan"] == 100
    assert [(pif["device"], pif["vlan"], pif["physical"]) for pif in network["pifs"]] == [("eth1", 100, False)] * 3
    assert {pif["host"] for pif in network["pifs"]} == {record["uuid"] for record in simulator.records("host").values()}


def test_private_network_has_neither(run_module: Run) -> None:
    (network,) = run_module("xen_network_info", name="Private")["networks"]
    assert (network["vlan"], network["pifs"], network["mtu"]) == (None, [], 1500)


def test_nothing_found_is_an_empty_list(run_module: Run) -> None:
    for wrong in ({"name": "no such"}, {"uuid": "no such"}, {"bridge": "no such"}, {"port_id": "no such"}):
        outcome = run_module("xen_network_info", **wrong)
        assert (outcome["networks"], outcome.changed, outcome.failed) == ([], False, False)


def test_networks_of_one_name_are_all_listed(run_module: Run, simulator: Simulator) -> None:
    for _unused in range(2):
        simulator.session().network.create({"name_label": "twin", "other_config": {}})
    assert len(run_module("xen_network_info", name="twin")["networks"]) == 2


def test_interim_network_is_found_by_its_port(run_module: Run) -> None:
    made = run_module("xen_network", port_id="0123456789abc")
    assert run_module("xen_network_info", port_id="0123456789abc")["networks"] == [made["network"]]
