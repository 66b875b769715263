# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest

from simulator import Rule, Simulator

from ..conftest import Run
from ..scenario import Do, Scenario

PORT = "3f0e5a9c-7f1e-4f0c-9d35-a6b1f4a1f7e2"
SCENARIO = Scenario(
    Do({"name": "storage", "description": "NFS traffic", "mtu": 9000, "tags": ["nfs", "fast"], "other_config": {"automatic": True}}),
    Do({"name": "storage", "mtu": 1500, "tags": [], "other_config": {"automatic": None, "owner": "ops"}}),
    Do({"name": "storage", "new_name": "nfs"}),
    Do({"name": "nfs", "state": "absent"}),
    Do({"port_id": PORT}),
    Do({"port_id": PORT, "state": "absent"}),
    Do({"name": "office", "vlan": 42, "device": "eth0"}),
    Do({"name": "later"}),
    Do({"name": "later", "vlan": 43, "device": "eth0"}),
    Do({"name": "office", "state": "absent"}),
    world="three_hosts",
)


def networks(simulator: Simulator, name: str) -> list[dict[str, Any]]:
    return [record for record in simulator.records("network").values() if record["name_label"] == name]


def test_left_out_options_leave_their_fields_alone(run_module: Run, simulator: Simulator) -> None:
    run_module("xen_network", name="storage", description="NFS", mtu=9000, tags=["nfs"], other_config={"a": "1"})
    outcome = run_module("xen_network", name="storage", other_config={"b": "2"})
    assert outcome.writes == ["network.set_other_config"]
    (record,) = networks(simulator, "storage")
    assert (record["name_description"], record["MTU"], record["tags"]) == ("NFS", 9000, ["nfs"])
    assert record["other_config"] == {"a": "1", "b": "2"}


def test_order_of_tags_is_no_difference(run_module: Run) -> None:
    run_module("xen_network", name="storage", tags=["b", "a"])
    assert not run_module("xen_network", name="storage", tags=["a", "b", "a"]).changed


def test_result_has_the_uuid_and_no_references(run_module: Run, simulator: Simulator) -> None:
    outcome = run_module("xen_network", name="storage")
    (record,) = networks(simulator, "storage")
    assert outcome["network"]["uuid"] == record["uuid"]
    assert "OpaqueRef" not in str(outcome.result)


def test_select_by_uuid(run_module: Run, simulator: Simulator) -> None:
    uuid = run_module("xen_network", name="storage")["network"]["uuid"]
    run_module("xen_network", uuid=uuid, new_name="nfs", mtu=9000)
    (record,) = networks(simulator, "nfs")
    assert (record["uuid"], record["MTU"]) == (uuid, 9000)
    assert run_module("xen_network", uuid=uuid, state="absent").changed
    assert networks(simulator, "nfs") == []


def test_names_with_quotes_are_found(run_module: Run, simulator: Simulator) -> None:
    run_module("xen_network", name='the "fast" one')
    assert not run_module("xen_network", name='the "fast" one').changed
    assert len(networks(simulator, 'the "fast" one')) == 1


@pytest.mark.parametrize(
    ("params", "message"),
    [
        pytest.param({}, "one of the following is required: name, uuid, port_id", id="nothing selected"),
        pytest.param({"name": "twin"}, "2 networks are named 'twin'; select one by uuid", id="ambiguous"),
        pytest.param({"name": "twin", "state": "absent"}, "2 networks are named 'twin'", id="ambiguous absent"),
        pytest.param({"uuid": "no-such"}, "there is no network 'no-such' in this pool", id="unknown uuid"),
        pytest.param({"name": "alone", "new_name": "Private"}, "another network named 'Private' already", id="name taken"),
        pytest.param({"name": "alone", "bridge": "other"}, "bridge of network 'alone' is 'xapi", id="bridge fixed"),
        pytest.param({"name": "new", "vlan": 4095, "device": "eth0"}, "4095 is no VLAN tag; use 1 to 4094", id="tag"),
        pytest.param({"name": "new", "vlan": 7}, "parameters are required together: vlan, device", id="no device"),
        pytest.param({"name": "new", "vlan": 7, "device": "eth9"}, "no host has an interface 'eth9'; the hosts have eth0", id="device"),
        pytest.param({"name": "new", "vlan": 100, "device": "eth1"}, "VLAN 100 of eth1 carries another network", id="tag taken"),
        pytest.param({"name": "VLAN 100", "vlan": 7, "device": "eth1"}, "vlan of network 'VLAN 100' is 100", id="other tag"),
        pytest.param({"name": "Pool-wide network associated with eth0", "state": "absent"}, "cannot be removed", id="physical"),
    ],
)
@pytest.mark.world("three_hosts")
def test_refuses(run_module: Run, simulator: Simulator, params: dict[str, Any], message: str) -> None:
    session = simulator.session()
    for name in ("twin", "twin", "alone"):
        session.network.create({"name_label": name, "other_config": {}})
    for check in (True, False):
        outcome = run_module("xen_network", check=check, **params)
        assert outcome.failed
        assert message in outcome.msg
        assert outcome.writes == []


@pytest.mark.parametrize("bridge", ["xapi9", "eth9", "averyveryverylongname"])
def test_refusal_of_the_pool_is_explained(run_module: Run, bridge: str) -> None:
    outcome = run_module("xen_network", name="new", bridge=bridge)
    assert outcome.failed
    assert outcome["xenapi_error"] == {"code": "INVALID_VALUE", "arguments": ["bridge", bridge]}
    assert f"does not accept '{bridge}' for bridge" in outcome.msg


@pytest.mark.world("three_hosts")
class TestVlan:
    def test_is_carried_by_every_host(self, run_module: Run, simulator: Simulator) -> None:
        outcome = run_module("xen_network", name="office", vlan=42, device="eth0")
        assert outcome.writes == ["network.create", "pool.create_VLAN"]
        hosts = {record["uuid"] for record in simulator.records("host").values()}
        assert {pif["host"] for pif in outcome["network"]["pifs"]} == hosts
        assert {(pif["device"], pif["vlan"]) for pif in outcome["network"]["pifs"]} == {("eth0", 42)}

    def test_is_added_where_it_is_missing(self, run_module: Run, simulator: Simulator) -> None:
        session = simulator.session()
        network = session.network.create({"name_label": "office", "other_config": {}})
        pifs = [ref for ref, pif in simulator.records("PIF").items() if pif["device"] == "eth0" and pif["VLAN"] == -1]
        session.VLAN.create(pifs[0], 42, network)
        outcome = run_module("xen_network", name="office", vlan=42, device="eth0")
        assert outcome.writes == ["VLAN.create", "VLAN.create"]
        assert len(outcome["network"]["pifs"]) == 3

    def test_network_is_not_left_behind_when_the_vlan_fails(self, run_module: Run, simulator: Simulator) -> None:
        simulator.faults.add(Rule("pool.create_VLAN", error=("HOST_OFFLINE", "x")))
        outcome = run_module("xen_network", name="office", vlan=42, device="eth0")
        assert outcome.failed
        assert "could not carry it as VLAN 42 of eth0" in outcome.msg
        assert (outcome["steps_done"], outcome["undone"], outcome["changed"]) == (
            ["create network 'office'"],
            ["create network 'office'"],
            False,
        )
        assert networks(simulator, "office") == []


class TestInterim:
    def test_is_marked_as_the_facts_say(self, run_module: Run, simulator: Simulator) -> None:
        run_module("xen_network", port_id=PORT)
        (record,) = networks(simulator, "net-3f0e5a9c-7")
        assert record["other_config"] == {"assume_network_is_shared": "true", "xen_ansible:port_id": PORT}
        assert PORT in record["name_description"]

    def test_ports_with_the_same_first_characters_have_their_own(self, run_module: Run, simulator: Simulator) -> None:
        first = run_module("xen_network", port_id=PORT)
        second = run_module("xen_network", port_id=PORT[:-1] + "3")
        assert second.changed
        assert first["network"]["uuid"] != second["network"]["uuid"]
        assert len(networks(simulator, "net-3f0e5a9c-7")) == 2
