# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What bridges and networks are called, and which networks do not go with SR-IOV (xapi_network.ml, xapi_pif.ml, xapi_network_helpers.ml), at every level."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from simulator import Simulator, VirtualClock

from ._asking import fixtures_at_levels
from ._machines import host_named, refusal

level, simulator, session = fixtures_at_levels(lambda level: Simulator("three_hosts", api=level, clock=VirtualClock()))


@pytest.fixture
def network(session: Any) -> Callable[..., str]:
    return lambda **fields: str(session.network.create({"name_label": "net", "other_config": {}, **fields}))


@pytest.fixture
def plugged_in(simulator: Simulator, session: Any) -> Callable[[str], tuple[str, str, str]]:
    """A host that has got a card; (host, device, MAC)."""

    def insert(device: str) -> tuple[str, str, str]:
        host, mac = host_named(session, "xs2"), "00:16:3e:00:00:77"

        async def run() -> None:
            simulator.engine.behaviours["PIF"]._hardware[host][device] = {"MAC": mac, "network": "", "capabilities": []}

        simulator.run(run())
        return host, device, mac

    return insert


# Bridges of networks that somebody makes


def test_the_smallest_number_that_is_free_and_was_not_used(simulator: Simulator, session: Any, network: Any) -> None:
    """choose_bridge_name counts on as long as the toolstack lives."""
    taken = {row["bridge"] for row in session.network.get_all_records().values()}
    names = []
    for _unused in range(3):
        ref = network()
        names.append(session.network.get_bridge(ref))
        session.network.destroy(ref)
    free = [f"xapi{number}" for number in range(10) if f"xapi{number}" not in taken]
    assert names == free[:3]

    async def restart() -> None:
        simulator.engine.restart()

    simulator.run(restart())
    session = simulator.session()
    again = session.network.create({"name_label": "net", "other_config": {}})
    assert session.network.get_bridge(again) == free[0]


def test_a_name_that_somebody_took_is_passed_over(simulator: Simulator, session: Any, network: Any) -> None:
    first = session.network.get_bridge(network())
    following = f"xapi{int(first.removeprefix('xapi')) + 1}"

    async def take() -> None:
        simulator.engine.db.create("network", {"bridge": following})

    simulator.run(take())
    assert session.network.get_bridge(network()) == f"xapi{int(first.removeprefix('xapi')) + 2}"


# Bridges of cards


@pytest.mark.parametrize("managed", [True, False])
@pytest.mark.parametrize("device", ["eth7", "eno1", "ethernet"])
def test_a_new_card(session: Any, plugged_in: Any, level: str, device: str, managed: bool) -> None:
    host, _device, mac = plugged_in(device)
    pif = session.PIF.introduce(host, mac.upper(), device, managed)
    record, network = session.PIF.get_record(pif), session.network.get_record(session.PIF.get_network(pif))
    # bridge_naming_convention: by the name up to 24.19, whoever manages the card; by its position in the machine in 26.
    named = {"eth7": "xenbr7", "eno1": "breno1", "ethernet": "xenbrernet" if level != "26" else "brethernet"}[device]
    assert network["bridge"] == (named if managed or level != "26" else "")
    assert network["managed"] == (managed or level != "26")
    # choose_network_name_for_pif
    expected = "Pool-wide network 7" if level == "26" and device == "eth7" else f"Pool-wide network associated with {device}"
    assert network["name_label"] == expected
    assert (record["managed"], record["MAC"], record["device"], record["physical"]) == (managed, mac, device, True)
    assert (record["currently_attached"], record["properties"], record["VLAN"]) == (False, {"gro": "on"}, -1)


def test_cards_of_one_name_are_on_one_network(session: Any, plugged_in: Any) -> None:
    host, device, mac = plugged_in("eth7")
    mine = session.network.create({"name_label": "seven", "other_config": {}})
    pif = session.PIF.introduce(host, mac, device, True)
    bridge = session.network.get_bridge(session.PIF.get_network(pif))
    assert session.PIF.get_network(pif) != mine
    assert session.network.get_all_records_where('field "bridge"="xenbr7"').keys() == {session.PIF.get_network(pif)}
    assert bridge == "xenbr7"
    session.PIF.forget(pif)
    session.PIF.scan(host)
    assert len(session.network.get_all_records_where('field "bridge"="xenbr7"')) == 1


# SR-IOV


@pytest.fixture
def sriov(simulator: Simulator, session: Any, network: Any) -> tuple[str, str]:
    """A card with many faces; (its logical interface, that one's network)."""
    pif = nic(session, "xs1")

    async def enable() -> None:
        simulator.engine.db.set("PIF", pif, "capabilities", ["sriov"])

    simulator.run(enable())
    on = network()
    return session.network_sriov.get_logical_PIF(session.network_sriov.create(pif, on)), on


def nic(session: Any, host: str) -> str:
    wanted = host_named(session, host)
    return next(ref for ref, row in session.PIF.get_all_records().items() if (row["device"], row["VLAN"], row["host"]) == ("eth1", -1, wanted))


def test_what_does_not_go_onto_a_network_of_sriov(session: Any, network: Any, sriov: tuple[str, str]) -> None:
    logical, on = sriov
    other, management = nic(session, "xs2"), session.host.get_management_interface(host_named(session, "xs2"))
    assert refusal(session.Bond.create, on, [other], "", "active-backup", {}) == ["NETWORK_INCOMPATIBLE_WITH_BOND", on]
    assert refusal(session.tunnel.create, management, on) == ["NETWORK_INCOMPATIBLE_WITH_TUNNEL", on]
    assert refusal(session.VLAN.create, other, 9, on) == ["NETWORK_INCOMPATIBLE_WITH_VLAN_ON_BRIDGE", on]
    plain = network()
    session.VLAN.create(other, 9, plain)
    assert refusal(session.VLAN.create, logical, 9, plain) == ["NETWORK_INCOMPATIBLE_WITH_VLAN_ON_SRIOV", plain]
    tagged = network()
    vlan = session.VLAN.create(logical, 9, tagged)
    assert refusal(session.VLAN.create, other, 10, tagged) == ["NETWORK_INCOMPATIBLE_WITH_VLAN_ON_BRIDGE", tagged]
    untagged = session.VLAN.get_untagged_PIF(vlan)
    assert refusal(session.tunnel.create, untagged, network()) == ["CANNOT_ADD_TUNNEL_TO_VLAN_ON_SRIOV_LOGICAL", untagged]


def test_a_card_with_many_faces_is_not_forgotten(session: Any, sriov: tuple[str, str]) -> None:
    physical = session.network_sriov.get_physical_PIF(session.PIF.get_sriov_logical_PIF_of(sriov[0])[0])
    for vlan in session.PIF.get_VLAN_slave_of(physical):
        session.VLAN.destroy(vlan)
    assert refusal(session.PIF.forget, physical) == ["PIF_SRIOV_STILL_EXISTS", physical]
    assert refusal(session.PIF.forget, sriov[0]) == ["CANNOT_FORGET_SRIOV_LOGICAL", sriov[0]]
