# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Networks and what is under them: PIF, VLAN, Bond, tunnel (facts 3.8; recording networks)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from simulator import NULL, Simulator, worlds

from ._asking import fixtures, refusal

simulator, session = fixtures(lambda: Simulator("three_hosts"))


@pytest.fixture
def network(session: Any) -> Callable[..., str]:
    def create(name: str = "net", **fields: Any) -> str:
        return str(session.network.create({"name_label": name, "other_config": {}, **fields}))

    return create


@pytest.fixture
def nic(session: Any) -> Callable[..., str]:
    """The untagged interface of a device on a host."""

    def find(device: str = "eth1", host: str = "xs1") -> str:
        wanted = session.host.get_by_name_label(host)[0]
        rows = session.PIF.get_all_records().items()
        return str(next(ref for ref, row in rows if (row["device"], row["VLAN"], row["host"]) == (device, -1, wanted)))

    return find


# Networks


def test_bridges_get_names_that_were_never_used(session: Any, network: Callable[..., str]) -> None:
    first = network()
    name = session.network.get_bridge(first)
    session.network.destroy(first)
    second = session.network.get_bridge(network())
    assert name.startswith("xapi")
    assert name not in ("xapi0", "xapi1")  # of the world
    assert second != name


@pytest.mark.parametrize("bridge", ["xenbr7", "xapi9", "vif1.0", "tapas", "eth0", "sixteen-letters-"])
def test_names_that_a_bridge_must_not_have(network: Callable[..., str], bridge: str) -> None:
    assert refusal(lambda: network(bridge=bridge)) == ["INVALID_VALUE", "bridge", bridge]


def test_a_bridge_is_one_networks(session: Any, network: Callable[..., str]) -> None:
    assert session.network.get_bridge(network(bridge="mine")) == "mine"
    assert refusal(lambda: network(bridge="mine")) == ["BRIDGE_NAME_EXISTS", "mine"]


@pytest.mark.parametrize(("asked", "given"), [(9000, 9000), (0, 1500), (-1, 1500)])
def test_mtu(session: Any, network: Callable[..., str], asked: int, given: int) -> None:
    assert session.network.get_MTU(network(MTU=asked)) == given


def vm_on(session: Any, network: str, *, start: bool = False) -> tuple[str, str]:
    template = session.VM.get_by_name_label("Other install media")[0]
    vm = session.VM.clone(template, "guest")
    session.VM.provision(vm)
    vif = session.VIF.create(
        {"VM": vm, "network": network, "device": "0", "MAC": "", "MTU": 1500, "other_config": {}, "qos_algorithm_type": "", "qos_algorithm_params": {}}
    )
    if start:
        session.VM.start(vm, False, False)
    return vm, vif


def test_a_network_in_use_stays(session: Any, network: Callable[..., str], nic: Callable[..., str]) -> None:
    busy = network()
    vm, vif = vm_on(session, busy, start=True)
    assert refusal(session.network.destroy, busy) == ["NETWORK_CONTAINS_VIF", vif]
    session.VM.hard_shutdown(vm)
    session.network.destroy(busy)
    assert session.VM.get_VIFs(vm) == []  # unplugged ones go with it
    wired = session.PIF.get_network(nic())
    assert refusal(session.network.destroy, wired)[0] == "NETWORK_CONTAINS_PIF"
    internal = session.network.get_by_name_label("Host internal management network")[0]
    assert refusal(session.network.destroy, internal) == ["CANNOT_DESTROY_SYSTEM_NETWORK", internal]


def test_the_locking_mode_is_fixed_while_somebody_is_attached(session: Any, network: Callable[..., str]) -> None:
    busy = network()
    _unused, vif = vm_on(session, busy, start=True)
    assert refusal(session.network.set_default_locking_mode, busy, "disabled") == ["VIF_IN_USE", busy, vif]
    free = network()
    session.network.set_default_locking_mode(free, "disabled")
    assert session.network.get_default_locking_mode(free) == "disabled"


def test_purposes_that_exclude_each_other(session: Any, network: Callable[..., str]) -> None:
    first, second = network(), network()
    session.network.add_purpose(first, "nbd")
    session.network.add_purpose(first, "nbd")
    assert session.network.get_purpose(first) == ["nbd"]
    assert refusal(session.network.add_purpose, second, "insecure_nbd") == ["NETWORK_INCOMPATIBLE_PURPOSES", "insecure_nbd", "nbd"]
    session.network.remove_purpose(first, "nbd")
    session.network.add_purpose(second, "insecure_nbd")


# VLANs


def test_a_vlan_is_two_interfaces(session: Any, network: Callable[..., str], nic: Callable[..., str]) -> None:
    target, base = network(), nic()
    vlan = session.VLAN.create(base, 42, target)
    record = session.VLAN.get_record(vlan)
    assert (record["tagged_PIF"], record["tag"]) == (base, 42)
    upper = session.PIF.get_record(record["untagged_PIF"])
    lower = session.PIF.get_record(base)
    assert {name: upper[name] for name in ("MAC", "VLAN", "device", "physical", "currently_attached", "network", "VLAN_master_of")} == {
        "MAC": "fe:ff:ff:ff:ff:ff",
        "VLAN": 42,
        "device": "eth1",
        "physical": False,
        "currently_attached": True,
        "network": target,
        "VLAN_master_of": vlan,
    }
    assert upper["MTU"] == lower["MTU"]
    assert vlan in lower["VLAN_slave_of"]


@pytest.mark.parametrize(("tag", "fits"), [(-1, False), (0, True), (4094, True), (4095, False)])
def test_tags(session: Any, network: Callable[..., str], nic: Callable[..., str], tag: int, fits: bool) -> None:
    if fits:
        session.VLAN.create(nic(), tag, network())
    else:
        assert refusal(session.VLAN.create, nic(), tag, network()) == ["VLAN_TAG_INVALID", str(tag)]


def test_where_no_vlan_goes(session: Any, network: Callable[..., str], nic: Callable[..., str]) -> None:
    target, base = network(), nic()
    vlan = session.VLAN.create(base, 42, target)
    upper = session.VLAN.get_untagged_PIF(vlan)
    host = session.PIF.get_host(base)
    assert refusal(session.VLAN.create, base, 43, target) == ["NETWORK_ALREADY_CONNECTED", host, upper]
    assert refusal(session.VLAN.create, base, 42, network()) == ["PIF_VLAN_EXISTS", "eth1"]
    assert refusal(session.VLAN.create, upper, 44, network()) == ["PIF_IS_VLAN", upper]


@pytest.mark.parametrize("by", ["VLAN", "PIF"])
def test_both_halves_of_a_vlan_go_together(session: Any, network: Callable[..., str], nic: Callable[..., str], by: str) -> None:
    vlan = session.VLAN.create(nic(), 42, network())
    upper = session.VLAN.get_untagged_PIF(vlan)
    session.call(f"{by}.destroy", vlan if by == "VLAN" else upper)
    assert vlan not in session.VLAN.get_all()
    assert upper not in session.PIF.get_all()


def test_a_nic_is_not_destroyed_as_if_it_were_a_vlan(session: Any, nic: Callable[..., str]) -> None:
    assert refusal(session.PIF.destroy, nic()) == ["PIF_IS_PHYSICAL"]


def test_a_vlan_on_every_host(session: Any, network: Callable[..., str], nic: Callable[..., str]) -> None:
    target = network()
    made = session.pool.create_VLAN_from_PIF(nic(), target, 77)
    assert sorted(session.host.get_name_label(session.PIF.get_host(pif)) for pif in made) == ["xs1", "xs2", "xs3"]
    assert sorted(made) == sorted(session.network.get_PIFs(target))


def test_a_vlan_that_one_host_cannot_have_is_none_at_all(session: Any, network: Callable[..., str], nic: Callable[..., str]) -> None:
    session.VLAN.create(nic(host="xs3"), 77, network())
    before = session.VLAN.get_all()
    assert refusal(session.pool.create_VLAN_from_PIF, nic(), network(), 77) == ["PIF_VLAN_EXISTS", "eth1"]
    assert sorted(session.VLAN.get_all()) == sorted(before)


# Bonds


def test_a_bond_takes_over_from_its_first_member(session: Any, network: Callable[..., str], nic: Callable[..., str]) -> None:
    management, other = nic("eth0"), nic("eth1")
    before = session.PIF.get_record(management)
    bond = session.Bond.create(network("bonded"), [other, management], "", "balance-slb", {})
    record = session.Bond.get_record(bond)
    master = session.PIF.get_record(record["master"])
    assert record["primary_slave"] == management  # who has the address
    assert {name: master[name] for name in ("device", "MAC", "IP", "management", "physical", "VLAN")} == {
        **{name: before[name] for name in ("MAC", "IP", "management")},
        "device": "bond0",
        "physical": False,
        "VLAN": -1,
    }
    for member in (management, other):
        row = session.PIF.get_record(member)
        assert (row["bond_slave_of"], row["management"], row["ip_configuration_mode"]) == (bond, False, "None")
    session.Bond.destroy(bond)
    again = session.PIF.get_record(management)
    assert {name: again[name] for name in ("IP", "management", "bond_slave_of")} == {"IP": before["IP"], "management": True, "bond_slave_of": NULL}


def test_a_member_named_twice_counts_where_it_stands_last() -> None:
    """xapi-stdext-std listext.ml setify keeps the last mention, and the first of what is left is the primary slave (X/xapi_bond.ml)."""
    world = worlds.read("one_host")[1]
    third = {"name": "third", "bridge": "xenbr2", "device": "eth2"}
    with Simulator({**world, "hosts": [{**world["hosts"][0], "nics": 3}], "networks": [*world["networks"], third]}) as simulator:
        session = simulator.session()
        free = [ref for ref, row in session.PIF.get_all_records().items() if row["physical"] and not row["management"]]
        bonded = session.network.create({"name_label": "bonded", "other_config": {}})
        bond = session.Bond.create(bonded, [free[0], free[1], free[0]], "", "active-backup", {})
        assert session.Bond.get_primary_slave(bond) == free[1]
        assert simulator.problems == []


def test_vlans_move_onto_the_bond_and_back(session: Any, network: Callable[..., str], nic: Callable[..., str]) -> None:
    tagged = network("tagged")
    base = nic()
    session.VLAN.create(base, 7, tagged)
    bond = session.Bond.create(network("bonded"), [base], "", "active-backup", {})
    master = session.Bond.get_master(bond)

    def below() -> list[str]:
        host = session.PIF.get_host(base)
        uppers = [pif for pif in session.network.get_PIFs(tagged) if session.PIF.get_host(pif) == host]
        return [session.VLAN.get_tagged_PIF(session.PIF.get_VLAN_master_of(pif)) for pif in uppers]

    assert below() == [master]
    session.Bond.destroy(bond)
    assert below() == [base]


def test_what_cannot_be_bonded(session: Any, network: Callable[..., str], nic: Callable[..., str]) -> None:
    assert refusal(session.Bond.create, network(), [], "", "balance-slb", {}) == ["PIF_BOND_NEEDS_MORE_MEMBERS"]
    assert refusal(session.Bond.create, network(), [nic(), nic(host="xs2")], "", "balance-slb", {}) == ["PIF_CANNOT_BOND_CROSS_HOST"]
    assert refusal(session.Bond.create, network(), [nic()], "not a MAC", "balance-slb", {}) == ["MAC_INVALID", "not a MAC"]
    bond = session.Bond.create(network(), [nic()], "", "balance-slb", {})
    assert refusal(session.Bond.create, network(), [nic()], "", "balance-slb", {}) == ["PIF_ALREADY_BONDED", nic()]
    assert refusal(session.VLAN.create, nic(), 5, network()) == ["CANNOT_ADD_VLAN_TO_BOND_SLAVE", nic()]
    assert refusal(session.PIF.plug, nic()) == ["CANNOT_PLUG_BOND_SLAVE", nic()]
    upper = session.VLAN.get_untagged_PIF(session.VLAN.create(session.Bond.get_master(bond), 5, network()))
    assert refusal(session.Bond.create, network(), [upper], "", "balance-slb", {})[0] == "PIF_VLAN_EXISTS"


# Tunnels


def test_a_tunnel_is_two_interfaces(session: Any, network: Callable[..., str], nic: Callable[..., str]) -> None:
    transport, target = nic("eth0"), network()
    tunnel = session.tunnel.create(transport, target, "vxlan")
    record = session.tunnel.get_record(tunnel)
    access = session.PIF.get_record(record["access_PIF"])
    assert (record["transport_PIF"], record["protocol"], access["network"], access["device"]) == (transport, "vxlan", target, "tunnel0")
    assert access["tunnel_access_PIF_of"] == [tunnel]
    assert refusal(session.tunnel.create, record["access_PIF"], network(), "gre") == ["IS_TUNNEL_ACCESS_PIF", record["access_PIF"]]
    session.tunnel.destroy(tunnel)
    assert record["access_PIF"] not in session.PIF.get_all()


def test_a_nic_under_a_tunnel_is_not_forgotten(session: Any, network: Callable[..., str], nic: Callable[..., str]) -> None:
    assert refusal(session.tunnel.create, nic(), network(), "gre") == ["TRANSPORT_PIF_NOT_CONFIGURED", nic()]
    # The VLAN of the world is looked at first.
    assert refusal(session.PIF.forget, nic()) == ["PIF_VLAN_STILL_EXISTS", nic()]
    for vlan in session.PIF.get_VLAN_slave_of(nic()):
        session.VLAN.destroy(vlan)
    assert refusal(session.PIF.forget, nic()) == ["PIF_TUNNEL_STILL_EXISTS", nic()]


# Interfaces


def test_the_management_interface_stays(session: Any, nic: Callable[..., str]) -> None:
    assert refusal(session.PIF.unplug, nic("eth0")) == ["PIF_IS_MANAGEMENT_INTERFACE", nic("eth0")]
    assert refusal(session.PIF.forget, nic("eth0")) == ["PIF_IS_MANAGEMENT_INTERFACE", nic("eth0")]


def test_a_forgotten_nic_is_found_again(session: Any, nic: Callable[..., str]) -> None:
    base = nic()
    host, before = session.PIF.get_host(base), session.PIF.get_record(base)
    for vlan in before["VLAN_slave_of"]:
        session.VLAN.destroy(vlan)
    session.PIF.forget(base)
    assert len(session.host.get_PIFs(host)) == 1
    session.PIF.scan(host)
    again = session.PIF.get_record(nic())
    assert {name: again[name] for name in ("device", "MAC", "network")} == {name: before[name] for name in ("device", "MAC", "network")}
    assert refusal(session.PIF.introduce, host, before["MAC"], "eth1", True) == ["DUPLICATE_PIF_DEVICE_NAME", "eth1"]
    assert refusal(session.PIF.introduce, host, "", "eth9", True) == ["MAC_INVALID", ""]
    expected = ["COULD_NOT_FIND_NETWORK_INTERFACE_WITH_SPECIFIED_DEVICE_NAME_AND_MAC_ADDRESS", "eth9", "aa:bb:cc:dd:ee:ff"]
    assert refusal(session.PIF.introduce, host, "AA:BB:CC:DD:EE:FF", "eth9", True) == expected


def test_addresses(session: Any, nic: Callable[..., str]) -> None:
    pif = nic()
    session.PIF.reconfigure_ip(pif, "Static", "10.0.0.5", "255.255.255.0", "10.0.0.1", "10.0.0.2")
    record = session.PIF.get_record(pif)
    assert [record[name] for name in ("ip_configuration_mode", "IP", "netmask", "gateway", "DNS")] == [
        "Static",
        "10.0.0.5",
        "255.255.255.0",
        "10.0.0.1",
        "10.0.0.2",
    ]
    assert refusal(session.PIF.reconfigure_ip, pif, "Static", "10.0.0.500", "255.255.255.0", "", "") == ["INVALID_IP_ADDRESS_SPECIFIED", "IP"]
    assert refusal(session.PIF.reconfigure_ip, pif, "Static", "10.0.0.5", "", "", "") == ["INVALID_IP_ADDRESS_SPECIFIED", "netmask"]
    session.PIF.reconfigure_ip(pif, "None", "", "", "", "")
    assert session.PIF.get_ip_configuration_mode(pif) == "None"
    assert refusal(session.PIF.reconfigure_ip, nic("eth0"), "None", "", "", "", "") == ["PIF_IS_MANAGEMENT_INTERFACE", nic("eth0")]
