# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates, SR-IOV, switch controllers, caches, the agent, and what API 26 added to hosts (X/certificates.ml, X/xapi_*.ml)."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from simulator import Simulator, VirtualClock
from simulator.transport.tls import Authority, Identity

from ._asking import fixtures, refusal, until

simulator, session = fixtures(lambda: Simulator("three_hosts"))


@pytest.fixture
def host(session: Any) -> str:
    return str(session.host.get_by_name_label("xs2")[0])


# Certificates


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def pem_of(key: Any) -> str:
    kind, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return str(key.private_bytes(kind, form, serialization.NoEncryption()).decode())


def certificate(key: Any, *, begins: int = -1, ends: int = 30, digest: Any = None) -> str:
    """Valid from so many days from now to so many days from now."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.2")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now + timedelta(days=begins), now + timedelta(days=ends))
    return builder.sign(key, digest or hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def test_a_host_shows_what_the_database_says(simulator: Simulator, session: Any, host: str) -> None:
    server = simulator.serve()
    address, _colon, port = server.urls["xs2"].removeprefix("https://").partition(":")
    shown = ssl.get_server_certificate((address, int(port)))
    assert session.host.get_server_certificate(host).strip() == shown.strip()
    fingerprint = Identity(shown, "").fingerprint()
    records = session.Certificate.get_all_records().values()
    assert [row["fingerprint_sha256"] for row in records if row["host"] == host and row["type"] == "host"] == [fingerprint]


def test_another_certificate(simulator: Simulator, session: Any, host: str, key: rsa.RSAPrivateKey) -> None:
    server = simulator.serve()
    address, _colon, port = server.urls["xs2"].removeprefix("https://").partition(":")
    mine = certificate(key)
    session.host.install_server_certificate(host, mine, pem_of(key))
    assert session.host.get_server_certificate(host) == mine
    until(lambda: shown(address, int(port)) == mine.strip())
    session.host.reset_server_certificate(host)
    assert session.host.get_server_certificate(host) != mine


def shown(address: str, port: int) -> str:
    try:
        return ssl.get_server_certificate((address, port)).strip()
    except OSError:
        return ""


def test_keys_and_certificates_that_are_refused(session: Any, host: str, key: rsa.RSAPrivateKey) -> None:
    def install(cert: str, private: str) -> list[str]:
        return refusal(session.host.install_server_certificate, host, cert, private)

    good, short, curve = certificate(key), rsa.generate_private_key(65537, 1024), ec.generate_private_key(ec.SECP256R1())
    assert install(good, "no key") == ["SERVER_CERTIFICATE_KEY_INVALID"]
    assert install(good, pem_of(short)) == ["SERVER_CERTIFICATE_KEY_RSA_LENGTH_NOT_SUPPORTED", "1024"]
    assert install(good, pem_of(curve))[0] == "SERVER_CERTIFICATE_KEY_ALGORITHM_NOT_SUPPORTED"
    assert install("no certificate", pem_of(key)) == ["SERVER_CERTIFICATE_INVALID"]
    assert install(certificate(rsa.generate_private_key(65537, 2048)), pem_of(key)) == ["SERVER_CERTIFICATE_KEY_MISMATCH"]
    assert install(certificate(key, begins=-2, ends=-1), pem_of(key))[0] == "SERVER_CERTIFICATE_EXPIRED"
    assert install(certificate(key, begins=2), pem_of(key))[0] == "SERVER_CERTIFICATE_NOT_VALID_YET"
    assert install(certificate(key, digest=hashes.SHA512()), pem_of(key)) == ["SERVER_CERTIFICATE_SIGNATURE_NOT_SUPPORTED"]


def test_whom_the_pool_trusts(session: Any) -> None:
    authority = Authority().identity("trusted.example.com").certificate
    session.pool.install_ca_certificate("mine.pem", authority)
    assert session.pool.certificate_list() == ["mine.pem"]
    (row,) = [row for row in session.Certificate.get_all_records().values() if row["type"] == "ca"]
    assert (row["name"], row["fingerprint_sha256"]) == ("mine.pem", Identity(authority, "").fingerprint())
    assert refusal(session.pool.install_ca_certificate, "mine.pem", authority) == ["CERTIFICATE_ALREADY_EXISTS", "mine.pem"]
    assert refusal(session.pool.install_ca_certificate, "other.pem", "nonsense") == ["CA_CERTIFICATE_INVALID"]
    session.pool.uninstall_ca_certificate("mine.pem")
    assert refusal(session.pool.uninstall_ca_certificate, "mine.pem") == ["CERTIFICATE_DOES_NOT_EXIST", "mine.pem"]


@pytest.mark.parametrize("name", ["mine", ".pem", "../mine.pem", "a b.pem", "mine.crt"])
def test_names_of_files(session: Any, name: str) -> None:
    authority = Authority().identity("x").certificate
    assert refusal(session.pool.install_ca_certificate, name, authority) == ["CERTIFICATE_NAME_INVALID", name]
    assert refusal(session.pool.crl_install, name, "list") == ["CRL_NAME_INVALID", name]


def test_revoked_ones(session: Any) -> None:
    session.pool.crl_install("list.pem", "anything")
    assert refusal(session.pool.crl_install, "list.pem", "anything") == ["CRL_ALREADY_EXISTS", "list.pem"]
    assert session.pool.crl_list() == ["list.pem"]
    session.pool.crl_uninstall("list.pem")
    assert refusal(session.pool.crl_uninstall, "list.pem") == ["CRL_DOES_NOT_EXIST", "list.pem"]


# SR-IOV


def test_a_card_that_guests_share(simulator: Simulator, session: Any, host: str) -> None:
    network = session.network.create({"name_label": "fast", "other_config": {}})
    pif = next(pif for pif in session.host.get_PIFs(host) if (session.PIF.get_device(pif), session.PIF.get_VLAN(pif)) == ("eth1", -1))
    assert refusal(session.network_sriov.create, pif, network) == ["PIF_IS_NOT_SRIOV_CAPABLE", pif]

    async def equip() -> None:
        simulator.engine.db.set("PIF", pif, "capabilities", ["sriov"])

    simulator.run(equip())
    sriov = session.network_sriov.create(pif, network)
    record = session.network_sriov.get_record(sriov)
    assert (record["physical_PIF"], record["requires_reboot"]) == (pif, False)
    logical = session.PIF.get_record(record["logical_PIF"])
    assert (logical["network"], logical["physical"], logical["currently_attached"]) == (network, False, True)
    assert session.network_sriov.get_remaining_capacity(sriov) > 0
    assert refusal(session.network_sriov.create, pif, network) == ["NETWORK_SRIOV_ALREADY_ENABLED", pif]
    assert refusal(session.network_sriov.create, record["logical_PIF"], network) == ["PIF_IS_NOT_PHYSICAL", record["logical_PIF"]]
    session.network_sriov.destroy(sriov)
    assert record["logical_PIF"] not in session.PIF.get_all()


# Switches


def test_one_controller_of_switches(session: Any) -> None:
    assert refusal(session.SDN_controller.introduce, "ssl", "", 0) == ["INVALID_VALUE", "address", ""]
    assert refusal(session.SDN_controller.introduce, "ssl", "name", 0) == ["INVALID_IP_ADDRESS_SPECIFIED", "address"]
    assert refusal(session.SDN_controller.introduce, "pssl", "10.0.0.1", 0) == ["INVALID_VALUE", "address", "10.0.0.1"]
    assert refusal(session.SDN_controller.introduce, "ssl", "10.0.0.1", 70000) == ["VALUE_NOT_SUPPORTED", "port", "70000", "Port out of range"]
    controller = session.SDN_controller.introduce("ssl", "10.0.0.1", 0)
    assert session.SDN_controller.get_port(controller) == 6632
    assert refusal(session.SDN_controller.introduce, "ssl", "10.0.0.2", 0)[0] == "OPERATION_NOT_ALLOWED"
    session.SDN_controller.forget(controller)
    session.pool.set_vswitch_controller("10.0.0.3")
    assert [row["address"] for row in session.SDN_controller.get_all_records().values()] == ["10.0.0.3"]


# Storage of the whole pool


def test_caches_on_hosts_that_are_in_use(session: Any) -> None:
    pool = session.pool.get_all()[0]
    hosts = session.host.get_all()
    assert refusal(session.pool.enable_local_storage_caching, pool) == ["HOSTS_FAILED_TO_ENABLE_CACHING", *hosts]
    for host in hosts:
        session.host.disable(host)
    session.pool.enable_local_storage_caching(pool)
    assert all(session.SR.get_local_cache_enabled(session.host.get_local_cache_sr(host)) for host in hosts)
    session.pool.disable_local_storage_caching(pool)
    assert {session.host.get_local_cache_sr(host) for host in hosts} == {"OpaqueRef:NULL"}


def test_the_redo_log_is_a_disk(session: Any) -> None:
    pool, sr = session.pool.get_all()[0], session.SR.get_by_name_label("NFS storage")[0]
    session.pool.enable_redo_log(sr)
    vdi = session.pool.get_redo_log_vdi(pool)
    assert session.VDI.get_type(vdi) == "redo_log"
    session.pool.disable_redo_log()
    assert not session.pool.get_redo_log_enabled(pool)
    session.pool.enable_redo_log(sr)
    assert session.pool.get_redo_log_vdi(pool) == vdi  # the one there is
    local = session.SR.get_by_name_label("Local storage")[0]
    session.PBD.unplug(session.SR.get_PBDs(local)[0])
    assert refusal(session.pool.enable_redo_log, local)[0] == "CANNOT_ENABLE_REDO_LOG"


# Secrets among hosts


def test_who_knows_the_secret_is_a_host(simulator: Simulator, session: Any, host: str) -> None:
    client = simulator.connect()
    secret = session.pool.initial_auth()
    inside = client.call("session.slave_login", [host, secret])
    assert session.session.get_pool(inside)
    assert client.call("VM.get_all", [inside])
    assert refusal(client.call, "session.slave_login", [host, "wrong"]) == ["SESSION_AUTHENTICATION_FAILED", host, "Pool credentials invalid"]
    session.pool.rotate_secret()
    assert refusal(client.call, "session.slave_login", [host, secret])[0] == "SESSION_AUTHENTICATION_FAILED"


# The agent


def test_the_coordinators_agent_restarts(simulator: Simulator, session: Any) -> None:
    session.host.restart_agent(session.host.get_by_name_label("xs1")[0])
    until(lambda: not simulator.records("session"))
    assert simulator.session().VM.get_all()


# API 26


@pytest.fixture
def newest() -> Iterator[Any]:
    with Simulator("three_hosts", api="26", clock=VirtualClock()) as simulator:
        yield simulator.session()
        assert simulator.problems == []


def test_ssh_closes_by_itself(newest: Any) -> None:
    pool, host = newest.pool.get_all()[0], newest.host.get_all()[0]
    assert refusal(newest.host.set_ssh_enabled_timeout, host, 172801) == ["INVALID_VALUE", "ssh_enabled_timeout", "172801"]
    newest.pool.disable_ssh(pool)
    assert not newest.host.get_ssh_enabled(host)
    newest.host.set_ssh_enabled_timeout(host, 60)
    newest.host.enable_ssh(host)
    assert newest.host.get_ssh_expiry(host) > "19700101T00:00:00Z"
    until(lambda: not newest.host.get_ssh_enabled(host))


def test_time_servers(newest: Any) -> None:
    host = newest.host.get_all()[0]
    assert refusal(newest.host.set_ntp_mode, host, "Custom") == ["INVALID_NTP_CONFIG", "Can't set ntp_mode to Custom when ntp_custom_servers is empty"]
    newest.host.set_ntp_custom_servers(host, ["time.example.com"])
    newest.host.set_ntp_mode(host, "Custom")
    assert newest.host.get_ntp_servers_status(host) == {"time.example.com": "synced"}
    assert refusal(newest.host.set_ntp_custom_servers, host, []) == ["INVALID_NTP_CONFIG", "Can't set ntp_custom_servers empty when ntp_mode is Custom"]


def test_time_zones_and_sleep(newest: Any) -> None:
    host = newest.host.get_all()[0]
    assert "Europe/Berlin" in newest.host.list_timezones(host)
    newest.host.set_timezone(host, "Europe/Berlin")
    assert refusal(newest.host.set_timezone, host, "Mars/Base") == ["INVALID_VALUE", "timezone", "Mars/Base"]
    newest.host.set_max_cstate(host, "1")
    assert refusal(newest.host.set_max_cstate, host, "deep") == ["INVALID_VALUE", "max_cstate", "deep"]
    assert refusal(newest.host.set_max_cstate, host, "6")[0] == "VALUE_NOT_SUPPORTED"
