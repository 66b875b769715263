# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Editions and licences (X/xapi_host.ml apply_edition, license_add; X/xapi_pool_license.ml; lib/v6.ml of xcp-featured)."""

from __future__ import annotations

from typing import Any

import pytest

from simulator import Simulator

from ._asking import fixtures_at_levels
from ._consistency import StandingSimulator
from ._machines import host_named, refusal

level, simulator, session = fixtures_at_levels(lambda level: StandingSimulator("three_hosts", api=level))


@pytest.fixture
def pool(session: Any) -> str:
    return str(session.pool.get_all()[0])


def editions(session: Any) -> list[str]:
    return [session.host.get_edition(host_named(session, name)) for name in ("xs1", "xs2", "xs3")]


def set_fields(simulator: Simulator, host: str, **values: Any) -> None:
    async def change() -> None:
        simulator.engine.db.update("host", host, **values)

    simulator.run(change())


def test_an_edition_is_a_name(session: Any, pool: str) -> None:
    host = host_named(session, "xs2")
    before = session.host.get_license_params(host)
    session.host.apply_edition(host, "anything", True)
    assert editions(session) == ["xcp-ng", "anything", "xcp-ng"]
    assert session.host.get_license_params(host) == before
    session.pool.apply_edition(pool, "premium")
    assert editions(session) == ["premium"] * 3
    assert refusal(session.host.apply_edition, "OpaqueRef:none", "xcp-ng") == ["HOST_OFFLINE", "OpaqueRef:none"]


def test_the_pool_has_the_least_edition_that_is_known(simulator: Simulator, session: Any, pool: str) -> None:
    first, second, third = (host_named(session, name) for name in ("xs1", "xs2", "xs3"))
    assert session.pool.get_license_state(pool) == {"edition": "xcp-ng", "expiry": "never"}
    for host, edition, expiry in ((first, "large", "20270101T00:00:00Z"), (second, "small", "20290101T00:00:00Z"), (third, "small", "20280101T00:00:00Z")):
        set_fields(simulator, host, editions=["small", "large"], edition=edition, license_params={"expiry": expiry})
    assert session.pool.get_license_state(pool) == {"edition": "small", "expiry": "20280101T00:00:00Z"}
    session.pool.apply_edition(pool, "unknown")
    assert refusal(session.pool.get_license_state, pool) == ["INTERNAL_ERROR", 'Failure("hd")']


def test_an_edition_that_one_host_refuses_is_taken_back(simulator: Simulator, session: Any, pool: str) -> None:
    """apply_edition_with_rollback: the hosts before it get back what they had."""
    order = session.host.get_all()
    session.host.apply_edition(order[0], "old")
    set_fields(simulator, order[-1], software_version={**session.host.get_software_version(order[-1]), "product_brand": "XenServer"})
    assert refusal(session.pool.apply_edition, pool, "new") == ["INVALID_EDITION", "new"]
    assert [session.host.get_edition(host) for host in order] == ["old", "xcp-ng", "xcp-ng"]


def test_what_xenservers_daemon_does_is_not_simulated(simulator: Simulator, session: Any) -> None:
    host = host_named(session, "xs3")
    set_fields(simulator, host, software_version={"product_brand": "XenServer"}, editions=["free", "enterprise"], edition="free")
    assert refusal(session.host.apply_edition, host, "xcp-ng") == ["INVALID_EDITION", "xcp-ng"]
    assert refusal(session.host.apply_edition, host, "enterprise")[0] == "SIMULATOR_HAS_NO_BEHAVIOUR"
    assert session.host.get_edition(host) == "free"
    simulator.problems.clear()


def test_a_licence_is_base64(session: Any) -> None:
    host = host_named(session, "xs2")
    for contents in ("not base64!", "abc", "YWJj\n"):
        assert refusal(session.host.license_add, host, contents) == ["LICENSE_PROCESSING_ERROR"]
    assert session.host.get_edition(host) == "xcp-ng"
    session.host.license_add(host, "YWJj")
    assert session.host.get_edition(host) == ""  # apply_edition_internal ~edition:"", and the daemon takes any name
    session.host.apply_edition(host, "xcp-ng")
    session.host.license_remove(host)
    assert session.host.get_edition(host) == ""


def test_packs_are_looked_at_again(session: Any) -> None:
    host = host_named(session, "xs2")
    before = session.host.get_software_version(host)
    session.host.refresh_pack_info(host)
    assert session.host.get_software_version(host) == before
    assert refusal(session.host.refresh_pack_info, "OpaqueRef:none") == ["HOST_OFFLINE", "OpaqueRef:none"]
