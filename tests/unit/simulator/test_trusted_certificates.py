# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whom a pool trusts for what, what its hosts show each other, and how long it remembers logins (X/xapi_pool.ml, X/certificates.ml, X/cert_refresh.ml)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import trustme

from simulator import Simulator, VirtualClock
from simulator.transport.tls import Authority, Identity

from ._asking import fixtures
from ._machines import host_named, refusal

simulator, session = fixtures(lambda: Simulator("three_hosts", api="26", clock=VirtualClock()))


@pytest.fixture
def pool(session: Any) -> str:
    return str(session.pool.get_all()[0])


@pytest.fixture(scope="module")
def certificate() -> str:
    return Authority().identity("trusted.example.com").certificate


def trusted(session: Any) -> list[tuple[str, str, list[str]]]:
    rows = session.Certificate.get_all_records().values()
    return [(row["type"], row["name"], row["purpose"]) for row in rows if row["type"] in ("ca", "pinned")]


def test_trusted_for_a_purpose(session: Any, pool: str, certificate: str) -> None:
    session.pool.install_trusted_certificate(pool, True, certificate, [])
    session.pool.install_trusted_certificate(pool, True, certificate, ["ldaps"])
    session.pool.install_trusted_certificate(pool, False, certificate, ["ldaps"])
    assert trusted(session) == [("ca", "", []), ("ca", "", ["ldaps"]), ("pinned", "", ["ldaps"])]


@pytest.mark.parametrize(("first", "second"), [([], []), (["ldaps"], ["ldaps"]), (["ldaps"], ["licensing", "ldaps"])], ids=["general", "same", "one of them"])
def test_twice_for_one_purpose(session: Any, pool: str, certificate: str, first: list[str], second: list[str]) -> None:
    session.pool.install_trusted_certificate(pool, True, certificate, first)
    code = refusal(session.pool.install_trusted_certificate, pool, True, certificate, second)
    assert code == ["TRUSTED_CERTIFICATE_ALREADY_EXISTS", Identity(certificate, "").fingerprint()]


def test_what_cannot_be_trusted(session: Any, pool: str, certificate: str) -> None:
    def install(cert: str, *, ca: bool = True) -> list[str]:
        return refusal(session.pool.install_trusted_certificate, pool, ca, cert, [])

    old = trustme.CA().issue_cert("old.example.com", not_after=datetime.now(UTC) - timedelta(days=1)).cert_chain_pems[0].bytes().decode()
    assert install("nonsense", ca=False) == ["TRUSTED_CERTIFICATE_INVALID"]
    assert install(old, ca=False)[0] == "TRUSTED_CERTIFICATE_EXPIRED"
    assert install(certificate, ca=False) == ["CERTIFICATE_LACKS_PURPOSE"]


def test_trusted_no_more(session: Any, pool: str, certificate: str) -> None:
    shown = next(ref for ref, row in session.Certificate.get_all_records().items() if row["type"] == "host")
    assert refusal(session.pool.uninstall_trusted_certificate, pool, shown) == ["NOT_TRUSTED_CERTIFICATE", shown]
    session.pool.install_trusted_certificate(pool, False, certificate, ["ldaps"])
    (ref,) = [ref for ref, row in session.Certificate.get_all_records().items() if row["type"] == "pinned"]
    session.pool.uninstall_trusted_certificate(pool, ref)
    assert trusted(session) == []
    assert refusal(session.pool.uninstall_trusted_certificate, pool, ref) == ["HANDLE_INVALID", "Certificate", ref]


def test_one_that_has_a_name_goes_the_same_way(session: Any, pool: str, certificate: str) -> None:
    """Its file is another one (Certificates.host_uninstall, by force): the name stays taken on the hosts."""
    session.pool.install_ca_certificate("mine.pem", certificate)
    (ref,) = [ref for ref, row in session.Certificate.get_all_records().items() if row["type"] == "ca"]
    session.pool.uninstall_trusted_certificate(pool, ref)
    assert trusted(session) == []
    assert session.pool.certificate_list() == ["mine.pem"]


# Among hosts


def shown_to_hosts(session: Any) -> dict[str, str]:
    rows = session.Certificate.get_all_records().values()
    return {row["host"]: row["uuid"] for row in rows if row["type"] == "host_internal"}


def test_what_a_host_shows_the_others_is_renewed(session: Any) -> None:
    before, host, client_side = shown_to_hosts(session), host_named(session, "xs2"), session.host.get_server_certificate(host_named(session, "xs2"))
    session.host.refresh_server_certificate(host)
    after = shown_to_hosts(session)
    assert {ref for ref in after if after[ref] != before[ref]} == {host}
    assert len(session.Certificate.get_all()) == 6
    assert session.host.get_server_certificate(host) == client_side


def test_all_hosts_must_be_there(simulator: Simulator, session: Any) -> None:
    gone = host_named(session, "xs3")

    async def silence() -> None:
        simulator.engine.db.set("host_metrics", simulator.engine.db.get("host", gone, "metrics"), "live", False)

    simulator.run(silence())
    before = shown_to_hosts(session)
    assert refusal(session.host.refresh_server_certificate, host_named(session, "xs2")) == ["CANNOT_CONTACT_HOST", gone]
    assert refusal(session.host.refresh_server_certificate, gone) == ["HOST_OFFLINE", gone]
    assert refusal(session.host.refresh_server_certificate, "OpaqueRef:none") == ["HOST_OFFLINE", "OpaqueRef:none"]
    assert shown_to_hosts(session) == before


# Logins of a directory


def test_how_long_logins_are_remembered(session: Any, pool: str) -> None:
    assert refusal(session.pool.set_ext_auth_cache_size, pool, -1) == ["INVALID_VALUE", "size", "-1"]
    assert refusal(session.pool.set_ext_auth_cache_expiry, pool, 0) == ["INVALID_VALUE", "expiry", "0"]
    session.pool.set_ext_auth_cache_size(pool, 0)
    session.pool.set_ext_auth_cache_expiry(pool, 1)
    session.pool.set_ext_auth_cache_enabled(pool, True)
    row = session.pool.get_record(pool)
    assert [row[f"ext_auth_cache_{name}"] for name in ("size", "expiry", "enabled")] == [0, 1, True]


# What waits for somebody's leave


def test_guidance_is_cleared_at_the_host(simulator: Simulator, session: Any) -> None:
    host = host_named(session, "xs1")

    async def advise() -> None:
        simulator.engine.db.set("host", host, "pending_guidances", ["reboot_host"])

    simulator.run(advise())
    session.host.disable(host)
    assert refusal(session.host.enable, host) == ["HOST_PENDING_MANDATORY_GUIDANCE_NOT_EMPTY", host]
    session.host.emergency_clear_mandatory_guidance()
    session.host.enable(host)
    assert session.host.get_pending_guidances(host) == []
