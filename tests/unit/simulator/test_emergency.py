# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts without their coordinator, HA or management interface (X/xapi_pool.ml, X/xapi_ha.ml emergency_ha_disable, X/xapi_host.ml management_disable)."""

from __future__ import annotations

from typing import Any

import pytest

from simulator import Simulator
from simulator.transport.memory import MemoryClient

from ._asking import fixtures_at_levels
from ._consistency import StandingSimulator
from ._machines import host_named, refusal

level, simulator, session = fixtures_at_levels(lambda level: StandingSimulator("three_hosts", api=level))


class Console:
    """A session of one host alone, as somebody at its console has."""

    def __init__(self, simulator: Simulator, host: str) -> None:
        self._client = MemoryClient(simulator, host)
        self._session = self._client.call("session.slave_local_login_with_password", ["root", "simulated"])

    def call(self, message: str, *arguments: Any) -> Any:
        return self._client.call(message, [self._session, *arguments])


@pytest.fixture
def members(simulator: Simulator, session: Any) -> tuple[Console, Console]:
    return Console(simulator, host_named(session, "xs2")), Console(simulator, host_named(session, "xs3"))


def enable_ha(session: Any) -> None:
    session.pool.enable_ha([session.SR.get_by_name_label("NFS storage")[0]], {})


def leader(simulator: Simulator) -> str:
    (pool,) = simulator.records("pool").values()
    return str(simulator.records("host")[pool["master"]]["name_label"])


def test_members_follow_the_one_that_became_coordinator(simulator: StandingSimulator, session: Any, members: tuple[Console, Console]) -> None:
    second, third = members
    address = session.host.get_address(host_named(session, "xs2"))
    second.call("pool.emergency_transition_to_master")
    assert leader(simulator) == "xs1"
    # Told before the first has restarted, as a script for all hosts does.
    third.call("pool.emergency_reset_master", address)
    simulator.let_pass(1)
    assert leader(simulator) == "xs2"
    third = Console(simulator, next(ref for ref, row in simulator.records("host").items() if row["name_label"] == "xs3"))
    third.call("pool.emergency_reset_master", address)
    third.call("pool.emergency_reset_master", "xs2")
    assert leader(simulator) == "xs2"


def test_nobody_has_that_name(members: tuple[Console, Console]) -> None:
    """Helpers.gethostbyname."""
    name = "no.such.example.com"
    assert refusal(members[0].call, "pool.emergency_reset_master", name) == ["INTERNAL_ERROR", f'Failure("Couldn\'t resolve hostname: {name}")']


def test_a_coordinator_that_came_otherwise(simulator: Simulator, session: Any, members: tuple[Console, Console]) -> None:
    third = host_named(session, "xs3")
    members[0].call("pool.emergency_transition_to_master")

    async def change() -> None:
        simulator.engine.db.set("pool", simulator.engine.pool, "master", third)

    simulator.run(change())
    simulator.restart_toolstack()
    Console(simulator, host_named(simulator.session(), "xs2")).call("pool.emergency_reset_master", "xs3")


@pytest.mark.parametrize(("asked", "where"), [("xs2", "xs3"), ("xs2", "192.0.2.200"), ("xs1", "xs1")])
def test_leaving_the_pool_that_way_is_not_simulated(simulator: Simulator, session: Any, asked: str, where: str) -> None:
    console = Console(simulator, host_named(session, asked))
    assert refusal(console.call, "pool.emergency_reset_master", where)[0] == "SIMULATOR_HAS_NO_BEHAVIOUR"
    assert len(simulator.problems) == 1
    simulator.problems.clear()


def test_with_ha_nobody_changes_sides(session: Any, members: tuple[Console, Console]) -> None:
    enable_ha(session)
    assert refusal(members[0].call, "pool.emergency_transition_to_master") == ["HA_IS_ENABLED"]
    assert refusal(members[0].call, "pool.emergency_reset_master", "xs1") == ["HA_IS_ENABLED"]
    members[1].call("host.emergency_ha_disable", True)
    assert refusal(members[1].call, "pool.emergency_transition_to_master") == ["HA_IS_ENABLED"]  # that one was soft: ha_armed stays


def test_ha_goes_off_on_one_host(simulator: StandingSimulator, session: Any, members: tuple[Console, Console]) -> None:
    """ha_armed is the host's own; a coordinator that starts without it turns HA off for all (X/xapi.ml)."""
    second, _third = members
    assert refusal(second.call, "host.emergency_ha_disable") == ["HA_NOT_ENABLED"]
    second.call("host.emergency_ha_disable", True)
    enable_ha(session)
    second.call("host.emergency_ha_disable")
    pool = session.pool.get_all()[0]
    assert session.pool.get_ha_enabled(pool)
    assert refusal(second.call, "host.emergency_ha_disable") == ["HA_NOT_ENABLED"]
    simulator.restart_toolstack()  # of xs1, which still minds it
    assert simulator.session().pool.get_ha_enabled(pool)
    second = Console(simulator, host_named(simulator.session(), "xs2"))
    second.call("pool.emergency_transition_to_master")
    simulator.let_pass(1)
    assert leader(simulator) == "xs2"
    assert not simulator.session().pool.get_ha_enabled(pool)


def test_enabled_again_ha_is_minded_by_all(session: Any, members: tuple[Console, Console]) -> None:
    enable_ha(session)
    members[0].call("host.emergency_ha_disable")
    session.pool.disable_ha()
    enable_ha(session)
    assert refusal(members[0].call, "pool.emergency_transition_to_master") == ["HA_IS_ENABLED"]


def test_a_coordinator_without_management_interface(simulator: StandingSimulator, session: Any, members: tuple[Console, Console]) -> None:
    host = host_named(session, "xs1")
    (pif,) = [pif for pif in session.host.get_PIFs(host) if session.PIF.get_management(pif)]
    assert refusal(members[0].call, "host.management_disable") == ["SLAVE_REQUIRES_MANAGEMENT_INTERFACE"]
    session.host.management_disable()
    assert not session.PIF.get_management(pif)
    assert host not in simulator.engine.down  # who asked gets the answer
    simulator.let_pass(1)
    assert host in simulator.engine.down
    session.host.management_reconfigure(pif)
    assert session.PIF.get_management(pif)
    assert host not in simulator.engine.down


def test_a_management_interface_that_comes_back_at_once(simulator: StandingSimulator, session: Any) -> None:
    host = host_named(session, "xs1")
    (pif,) = [pif for pif in session.host.get_PIFs(host) if session.PIF.get_management(pif)]
    session.host.management_disable()
    session.host.management_reconfigure(pif)
    simulator.let_pass(1)
    assert host not in simulator.engine.down


def test_ha_needs_the_management_interface(session: Any, members: tuple[Console, Console]) -> None:
    """It is looked at before who is asked."""
    enable_ha(session)
    assert refusal(session.host.management_disable) == ["HA_IS_ENABLED"]
    assert refusal(members[0].call, "host.management_disable") == ["HA_IS_ENABLED"]


def test_who_answers_is_healthy(members: tuple[Console, Console]) -> None:
    assert members[0].call("host.ha_xapi_healthcheck") is True
