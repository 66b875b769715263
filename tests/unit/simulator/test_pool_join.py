# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host joins another pool of the process, and what stands against it (X/xapi_pool.ml)."""

from __future__ import annotations

import json
import ssl
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from simulator import NULL, Simulator

from ._asking import refusal, until

WORLDS = Path(__file__).parents[2] / "simulator" / "worlds"
LOGIN = ("root", "simulated")
MIB = 1024 * 1024


def world(source: str, **changes: Any) -> dict[str, Any]:
    data = json.loads((WORLDS / f"{source}.json").read_text(encoding="utf-8"))
    return {**data, **changes}


@pytest.fixture
def pool() -> Iterator[Simulator]:
    with Simulator("three_hosts") as simulator:
        yield simulator
        assert simulator.problems == []


@pytest.fixture
def joiner() -> Iterator[Simulator]:
    """A host that may join: no shared storage, no VLAN."""
    data = world("one_host", name="lonely", hosts=[{"name": "xs9", "address": "127.0.0.9", "memory": "64GiB", "cpus": 16, "nics": 2}])
    data["srs"] = [sr for sr in data["srs"] if sr["type"] == "ext" or sr.get("tools")]
    data["networks"] = [network for network in data["networks"] if "vlan" not in network]
    disk = {"sr": "Local storage", "size": "64MiB", "name": "kept"}
    data["machines"] = [{"name": "traveller", "memory": "1GiB", "vcpus": 1, "disks": [disk], "networks": ["Private"]}]
    data["default_sr"] = "Local storage"
    with Simulator(data) as simulator:
        yield simulator
        assert simulator.problems == []


def member(session: Any, name: str) -> str:
    """The live, enabled host of that name."""

    def ready() -> str | None:
        for ref in session.host.get_by_name_label(name):
            if session.host_metrics.get_live(session.host.get_metrics(ref)) and session.host.get_enabled(ref):
                return str(ref)
        return None

    return str(until(ready))


# What comes along


def test_the_host_its_storage_and_its_vms_are_there(pool: Simulator, joiner: Simulator) -> None:
    alone, session = joiner.session(), pool.session()
    before = {cls: {row["uuid"] for row in alone.call(f"{cls}.get_all_records").values()} for cls in ("host", "SR", "VDI", "VM", "PBD")}
    alone.pool.join("127.0.0.1", *LOGIN)
    host = member(session, "xs9")
    record = session.host.get_record(host)
    assert record["uuid"] in before["host"]
    assert (record["name_description"], record["address"]) == ("Default install", "127.0.0.9")
    local = [ref for ref in session.SR.get_by_name_label("Local storage") if session.SR.get_uuid(ref) in before["SR"]]
    assert len(local) == 1
    assert record["crash_dump_sr"] == record["suspend_image_sr"] == local[0]
    vm = session.VM.get_by_name_label("traveller")[0]
    assert session.VM.get_uuid(vm) in before["VM"]
    disks = [row for row in session.VBD.get_all_records().values() if row["VM"] == vm and row["type"] == "Disk"]
    assert [session.VDI.get_SR(row["VDI"]) for row in disks] == local
    assert session.VM.get_resident_on(record["control_domain"]) == host


def test_the_member_sees_the_storage_of_the_pool(pool: Simulator, joiner: Simulator) -> None:
    session = pool.session()
    joiner.session().pool.join("127.0.0.1", *LOGIN)
    host = member(session, "xs9")
    pbds = [session.PBD.get_record(ref) for ref in session.host.get_PBDs(host)]
    assert all(pbd["currently_attached"] for pbd in pbds)
    assert sorted(session.SR.get_name_label(pbd["SR"]) for pbd in pbds) == ["ISO library", "Local storage", "NFS storage", "XenServer Tools"]
    assert len(session.SR.get_by_name_label("XenServer Tools")) == 1
    assert len(session.SR.get_by_name_label("NFS storage")) == 1


def test_networks_of_one_bridge_are_one_and_vlans_are_those_of_the_pool(pool: Simulator, joiner: Simulator) -> None:
    session = pool.session()
    networks = session.network.get_all()
    joiner.session().pool.join("127.0.0.1", *LOGIN)
    host = member(session, "xs9")
    added = set(session.network.get_all()) - set(networks)
    assert [session.network.get_name_label(ref) for ref in added] == ["Private"]  # an internal one gets a bridge of its own
    assert session.network.get_bridge(added.pop()) not in {session.network.get_bridge(ref) for ref in networks}
    pifs = [session.PIF.get_record(ref) for ref in session.host.get_PIFs(host)]
    assert sorted((pif["device"], pif["VLAN"], session.network.get_bridge(pif["network"])) for pif in pifs) == [
        ("eth0", -1, "xenbr0"),
        ("eth1", -1, "xenbr1"),
        ("eth1", 100, "xapi0"),
    ]


def test_a_vm_that_came_along_starts_with_its_bytes(pool: Simulator, joiner: Simulator) -> None:
    alone, session = joiner.session(), pool.session()
    vdi = alone.VDI.get_by_name_label("kept")[0]
    volume = joiner.engine.behaviours["VDI"].volume(vdi)
    volume.write(MIB, b"kept bytes")
    uuid = alone.VDI.get_uuid(vdi)
    alone.pool.join("127.0.0.1", *LOGIN)
    host = member(session, "xs9")
    joiner.close()
    here = pool.engine.behaviours["VDI"].volume(session.VDI.get_by_uuid(uuid))
    assert here.read(MIB, 10) == b"kept bytes"
    vm = session.VM.get_by_name_label("traveller")[0]
    session.VM.start(vm, False, False)
    assert session.VM.get_resident_on(vm) == host


def test_the_old_pool_is_no_more(pool: Simulator, joiner: Simulator) -> None:
    alone = joiner.session()
    alone.pool.join("127.0.0.1", *LOGIN)
    member(pool.session(), "xs9")
    until(lambda: not joiner.records("session"))
    assert refusal(alone.VM.get_all) == ["SESSION_INVALID", alone.ref]
    assert refusal(joiner.connect().call, "session.login_with_password", list(LOGIN)) == ["HOST_IS_SLAVE", "127.0.0.1"]


def test_on_sockets_the_member_answers_where_it_was(pool: Simulator, joiner: Simulator) -> None:
    ours, theirs = pool.serve(tls=False), joiner.serve(tls=False)
    joiner.session().pool.join(ours.url.removeprefix("http://"), *LOGIN)
    member(pool.session(), "xs9")
    body = {"jsonrpc": "2.0", "method": "session.login_with_password", "params": list(LOGIN), "id": 1}
    request = urllib.request.Request(f"{theirs.url}/jsonrpc", json.dumps(body).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        failure = json.load(answer)["error"]
    assert [failure["message"], *failure["data"]] == ["HOST_IS_SLAVE", "127.0.0.1"]
    assert ours.urls["xs9"] == theirs.url


def test_over_tls_the_member_has_a_certificate_of_the_pools_authority(pool: Simulator, joiner: Simulator) -> None:
    ours, theirs = pool.serve(), joiner.serve()
    joiner.session().pool.join(ours.url.removeprefix("https://"), *LOGIN)
    member(pool.session(), "xs9")
    trusting = ssl.create_default_context(cafile=str(ours.ca_path))
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"{theirs.url}/nothing", context=trusting)


# What stands against it


def test_nobody_there(joiner: Simulator) -> None:
    assert refusal(joiner.session().pool.join, "127.0.0.77", *LOGIN) == ["JOINING_HOST_CONNECTION_FAILED"]


def test_the_others_password(pool: Simulator, joiner: Simulator) -> None:
    expected = ["SESSION_AUTHENTICATION_FAILED", "root", "Authentication failure"]
    assert refusal(joiner.session().pool.join, "127.0.0.1", "root", "wrong") == expected


def test_a_member_sends_to_its_coordinator(pool: Simulator, joiner: Simulator) -> None:
    assert refusal(joiner.session().pool.join, "127.0.0.2", *LOGIN) == ["HOST_IS_SLAVE", "127.0.0.1"]


def test_a_pool_of_several_hosts_joins_nobody(pool: Simulator, joiner: Simulator) -> None:
    assert refusal(pool.session().pool.join, "127.0.0.9", *LOGIN) == ["JOINING_HOST_CANNOT_BE_MASTER_OF_OTHER_HOSTS"]


def test_nobody_joins_himself(joiner: Simulator) -> None:
    assert refusal(joiner.session().pool.join, "127.0.0.9", *LOGIN) == ["OPERATION_NOT_ALLOWED", "Host cannot become slave of itself"]


def running_vm(session: Any) -> None:
    session.VM.start(session.VM.get_by_name_label("traveller")[0], False, False)


def shared_sr(session: Any) -> None:
    session.SR.introduce("11111111-2222-3333-4444-555555555555", "shared", "", "nfs", "user", True, {})


def vlan(session: Any) -> None:
    pif = next(ref for ref, row in session.PIF.get_all_records().items() if row["device"] == "eth1")
    session.VLAN.create(pif, 7, session.network.create({"name_label": "seven", "other_config": {}}))


def bond(session: Any) -> None:
    network = session.network.create({"name_label": "bonded", "other_config": {}})
    pif = next(ref for ref, row in session.PIF.get_all_records().items() if row["device"] == "eth1")
    session.Bond.create(network, [pif], "", "balance-slb", {})


def tunnel(session: Any) -> None:
    network = session.network.create({"name_label": "tunnelled", "other_config": {}})
    pif = next(ref for ref, row in session.PIF.get_all_records().items() if row["management"])
    session.tunnel.create(pif, network, "gre")


@pytest.mark.parametrize(
    ("obstacle", "code"),
    [
        (running_vm, "JOINING_HOST_CANNOT_HAVE_RUNNING_VMS"),
        (shared_sr, "JOINING_HOST_CANNOT_CONTAIN_SHARED_SRS"),
        (bond, "POOL_JOINING_HOST_HAS_BONDS"),
        (tunnel, "POOL_JOINING_HOST_HAS_TUNNELS"),
        (vlan, "POOL_JOINING_HOST_HAS_NON_MANAGEMENT_VLANS"),
    ],
)
def test_what_the_host_must_not_have(pool: Simulator, joiner: Simulator, obstacle: Callable[[Any], None], code: str) -> None:
    session = joiner.session()
    obstacle(session)
    assert refusal(session.pool.join, "127.0.0.1", *LOGIN) == [code]
    assert refusal(session.pool.join_force, "127.0.0.1", *LOGIN) == [code]
    assert len(pool.session().host.get_all()) == 3


def set_host(simulator: Simulator, **fields: Any) -> None:
    """Make the coordinator another machine."""

    async def change() -> None:
        simulator.engine.db.update("host", simulator.engine.coordinator, **fields)

    simulator.run(change())


@pytest.mark.parametrize(
    ("field", "key", "value", "expected"),
    [
        ("cpu_info", "vendor", "AuthenticAMD", ["HOSTS_NOT_HOMOGENEOUS", "CPUs differ"]),
        ("software_version", "xapi", "25.1", ["HOSTS_NOT_HOMOGENEOUS", "Software version differs"]),
        ("software_version", "platform_version", "3.2.0", ["HOSTS_NOT_COMPATIBLE"]),
        ("software_version", "network_backend", "bridge", ["OPERATION_NOT_ALLOWED", "Network backends differ"]),
        ("software_version", "db_schema", "5.603", ["POOL_JOINING_HOST_MUST_HAVE_SAME_DB_SCHEMA", "5.603", "5.779"]),
    ],
)
def test_hosts_that_differ(pool: Simulator, joiner: Simulator, field: str, key: str, value: str, expected: list[str]) -> None:
    session = joiner.session()
    record = session.host.get_record(session.host.get_all()[0])
    set_host(joiner, **{field: {**record[field], key: value}})
    assert refusal(session.pool.join, "127.0.0.1", *LOGIN) == expected


def test_force_overlooks_other_cpus(pool: Simulator, joiner: Simulator) -> None:
    session = joiner.session()
    record = session.host.get_record(session.host.get_all()[0])
    set_host(joiner, cpu_info={**record["cpu_info"], "vendor": "AuthenticAMD"})
    session.pool.join_force("127.0.0.1", *LOGIN)
    member(pool.session(), "xs9")


def test_a_free_pool_has_three_hosts_at_most(pool: Simulator, joiner: Simulator) -> None:
    async def restrict() -> None:
        engine = joiner.engine
        engine.db.put("pool", engine.pool, "restrictions", "restrict_pool_size", "true")

    joiner.run(restrict())
    assert refusal(joiner.session().pool.join, "127.0.0.1", *LOGIN) == ["LICENCE_RESTRICTION", "Pool_size"]


def test_a_directory_on_one_side_only(pool: Simulator, joiner: Simulator) -> None:
    set_host(joiner, external_auth_type="AD", external_auth_service_name="example.com")
    assert refusal(joiner.session().pool.join, "127.0.0.1", *LOGIN) == ["POOL_JOINING_EXTERNAL_AUTH_MISMATCH"]


def test_a_member_may_leave_again(pool: Simulator, joiner: Simulator) -> None:
    session = pool.session()
    joiner.session().pool.join("127.0.0.1", *LOGIN)
    host = member(session, "xs9")
    session.pool.eject(host)
    assert session.host.get_by_name_label("xs9") == []
    assert session.VM.get_record(session.VM.get_by_name_label("traveller")[0])["resident_on"] == NULL
