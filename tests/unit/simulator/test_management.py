# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The management interface, and calls that name a host (xapi_host.ml, xapi_pool.ml management_reconfigure; do_op_on in message_forwarding.ml)."""

from __future__ import annotations

from typing import Any

import pytest

from simulator import Simulator, VirtualClock

from ._asking import fixtures
from ._machines import host_named, machine, refusal, sr_named

NOBODY = "OpaqueRef:nobody"


simulator, session = fixtures(lambda: Simulator("three_hosts", clock=VirtualClock()))


@pytest.fixture
def nics(session: Any) -> dict[str, str]:
    """Host → its second card."""
    rows = session.PIF.get_all_records().items()
    found = {row["host"]: ref for ref, row in rows if row["device"] == "eth1" and row["VLAN"] == -1}
    return {name: found[host_named(session, name)] for name in ("xs1", "xs2", "xs3")}


def give_address(session: Any, pif: str, last: int) -> None:
    session.PIF.reconfigure_ip(pif, "Static", f"192.0.2.{last}", "255.255.255.0", "", "")


@pytest.mark.parametrize("message", ["PIF.scan", "PIF.introduce", "PIF.create_VLAN", "network.attach", "network.attach_for_vm", "SR.create", "SR.probe"])
def test_a_call_that_names_a_host_nobody_knows(session: Any, message: str) -> None:
    """It is handed on before anything looks at it: what has no record is not live."""
    network = session.network.get_all()[0]
    arguments: dict[str, tuple[Any, ...]] = {
        "PIF.scan": (NOBODY,),
        "PIF.introduce": (NOBODY, "", "eth1", True),
        "PIF.create_VLAN": ("eth1", network, NOBODY, 7),
        "network.attach": (network, NOBODY),
        "network.attach_for_vm": (NOBODY, machine(session)),
        "SR.create": (NOBODY, {}, 0, "new", "", "dummy", "user", False, {}),
        "SR.probe": (NOBODY, {}, "dummy", {}),
    }
    assert refusal(session.call, message, *arguments[message]) == ["HOST_OFFLINE", NOBODY]


def test_a_host_that_is_silent(simulator: Simulator, session: Any) -> None:
    host = host_named(session, "xs2")
    simulator.engine.down.add(host)
    assert refusal(session.PIF.scan, host) == ["CANNOT_CONTACT_HOST", host]


def test_the_interface_is_brought_up(session: Any, nics: dict[str, str]) -> None:
    pif, host = nics["xs1"], host_named(session, "xs1")
    session.PIF.unplug(pif)
    assert refusal(session.host.management_reconfigure, pif) == ["PIF_HAS_NO_NETWORK_CONFIGURATION", pif]
    give_address(session, pif, 1)
    session.host.management_reconfigure(pif)
    record = session.PIF.get_record(pif)
    assert (record["management"], record["currently_attached"]) == (True, True)
    assert session.host.get_management_interface(host) == pif
    assert session.host.get_address(host) == "192.0.2.1"


def test_what_others_manage_is_not_looked_at(simulator: Simulator, session: Any, nics: dict[str, str]) -> None:
    pif = nics["xs1"]

    async def leave() -> None:
        simulator.engine.db.set("PIF", pif, "managed", False)

    simulator.run(leave())
    session.host.management_reconfigure(pif)
    assert session.PIF.get_management(pif)


def test_a_network_for_the_management_of_all_hosts(session: Any, nics: dict[str, str]) -> None:
    """Nothing is changed before all of them can be used."""
    network = session.PIF.get_network(nics["xs1"])
    give_address(session, nics["xs1"], 1)
    give_address(session, nics["xs3"], 3)
    assert refusal(session.pool.management_reconfigure, network) == ["PIF_HAS_NO_NETWORK_CONFIGURATION", nics["xs2"]]
    assert not any(session.PIF.get_management(pif) for pif in nics.values())
    give_address(session, nics["xs2"], 2)
    session.PIF.set_primary_address_type(nics["xs2"], "IPv6")
    assert refusal(session.pool.management_reconfigure, network) == ["PIF_INCOMPATIBLE_PRIMARY_ADDRESS_TYPE", nics["xs2"]]
    session.PIF.set_primary_address_type(nics["xs2"], "IPv4")
    session.pool.management_reconfigure(network)
    assert all(session.PIF.get_management(pif) for pif in nics.values())


def test_not_while_ha_is_on(session: Any, nics: dict[str, str]) -> None:
    session.pool.enable_ha([sr_named(session, "NFS storage")], {})
    assert refusal(session.host.management_reconfigure, nics["xs1"]) == ["HA_IS_ENABLED"]
    assert refusal(session.pool.management_reconfigure, session.PIF.get_network(nics["xs1"])) == ["HA_IS_ENABLED"]


def test_the_coordinator_is_the_last(simulator: Simulator, session: Any, nics: dict[str, str]) -> None:
    for number, pif in enumerate(nics.values(), start=1):
        give_address(session, pif, number)
    order: list[str] = []
    pifs = simulator.engine.db.tables["PIF"].rows

    def look(cls: str, ref: str) -> None:
        if cls == "PIF" and ref in pifs and pifs[ref]["management"] and ref in nics.values() and ref not in order:
            order.append(ref)

    simulator.engine.db.watchers.append(look)
    session.pool.management_reconfigure(session.PIF.get_network(nics["xs1"]))
    assert len(order) == 3
    assert order[-1] == nics["xs1"]
