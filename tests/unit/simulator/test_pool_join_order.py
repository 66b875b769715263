# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything stands against a join at once: what xapi says first, second and last (pre_join_checks in xapi_pool.ml of v1.249.42, v24.19.2 and e2ee48d)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from simulator import NULL, Simulator

from ._machines import refusal

WORLDS = Path(__file__).parents[2] / "simulator" / "worlds"
LOGIN = ("127.0.0.1", "root", "simulated")
TASK = "OpaqueRef:some-task"
Obstacle = tuple[list[str], Callable[[], None], Callable[[], None]]


@pytest.fixture(params=["8.2", "8.3", "26"])
def level(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def pool(level: str) -> Iterator[Simulator]:
    with Simulator("three_hosts", api=level) as simulator:
        yield simulator
        assert simulator.problems == []


@pytest.fixture
def joiner(level: str) -> Iterator[Simulator]:
    data = json.loads((WORLDS / "one_host.json").read_text(encoding="utf-8"))
    data["name"] = "lonely"
    data["hosts"] = [{"name": "xs9", "address": "127.0.0.9", "memory": "64GiB", "cpus": 16, "nics": 2}]
    data["srs"] = [sr for sr in data["srs"] if sr["type"] == "ext" or sr.get("tools")]
    data["networks"] = [network for network in data["networks"] if "vlan" not in network]
    data["machines"], data["default_sr"] = [{"name": "guest", "memory": "1GiB", "vcpus": 1, "networks": ["Private"]}], "Local storage"
    with Simulator(data, api=level) as simulator:
        yield simulator
        assert simulator.problems == []


class Side:
    """Changes to one pool's database that can be taken back."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator, self.engine, self.db = simulator, simulator.engine, simulator.engine.db
        self.host = self.engine.coordinator
        self.name = self.db.get("host", self.host, "name_label")

    def run(self, action: Callable[[], Any]) -> Any:
        async def act() -> Any:
            return action()

        return self.simulator.run(act())

    def field(self, cls: str, ref: str, field: str, value: Any) -> tuple[Callable[[], None], Callable[[], None]]:
        old = self.db.get(cls, ref, field)
        return lambda: self.run(lambda: self.db.set(cls, ref, field, value)), lambda: self.run(lambda: self.db.set(cls, ref, field, old))

    def software(self, **changes: str) -> tuple[Callable[[], None], Callable[[], None]]:
        """One key of the version, whatever becomes of the others meanwhile."""
        key, value = changes.popitem()
        old = self.db.get("host", self.host, "software_version").get(key, "")

        def put(text: str) -> None:
            self.run(lambda: self.db.put("host", self.host, "software_version", key, text))

        return lambda: put(value), lambda: put(old)

    def row(self, cls: str, **values: Any) -> tuple[str, Callable[[], None], Callable[[], None]]:
        """An object more; it is there already, and its taking back is what counts."""
        ref = self.run(lambda: self.db.create(cls, values))
        return ref, lambda: None, lambda: self.run(lambda: self.db.delete(cls, ref))

    def pif(self, **fields: Any) -> str:
        return next(ref for ref, row in self.db.items("PIF") if all(row[name] == value for name, value in fields.items()))


def place(mine: Side, theirs: Side) -> Iterator[Obstacle]:
    free = {**mine.db.get("pool", mine.engine.pool, "restrictions"), "restrict_pool_size": "true"}
    yield ["LICENCE_RESTRICTION", "Pool_size"], *mine.field("pool", mine.engine.pool, "restrictions", free)
    yield ["HOST_STILL_BOOTING"], *mine.field("PIF", mine.pif(management=True), "management", False)
    yield ["HA_IS_ENABLED"], *mine.field("pool", mine.engine.pool, "ha_enabled", True)
    cluster, create, delete = mine.row("Cluster_host", enabled=True, host=mine.host)
    yield ["CLUSTERING_ENABLED", cluster], create, delete
    yield ["HA_IS_ENABLED"], *theirs.field("pool", theirs.engine.pool, "ha_enabled", True)
    uuid = theirs.db.get("host", theirs.host, "uuid")
    yield ["OPERATION_NOT_ALLOWED", "Host is already part of a pool"], *mine.field("host", mine.host, "uuid", uuid)
    second = mine.row("host", **{**mine.db.record("host", mine.host), "uuid": "", "metrics": NULL})
    yield ["JOINING_HOST_CANNOT_BE_MASTER_OF_OTHER_HOSTS"], *second[1:]


def vms(mine: Side, _theirs: Side) -> Iterator[Obstacle]:
    (guest,) = mine.db.where("VM", name_label="guest")
    yield ["JOINING_HOST_CANNOT_HAVE_RUNNING_VMS"], *mine.field("VM", guest, "power_state", "Running")
    control = mine.db.get("host", mine.host, "control_domain")
    yield ["JOINING_HOST_CANNOT_HAVE_VMS_WITH_CURRENT_OPERATIONS"], *mine.field("VM", control, "current_operations", {TASK: "call_plugin"})


def software(mine: Side, theirs: Side) -> Iterator[Obstacle]:
    if mine.engine.schema.level == "26":
        for side in (mine, theirs):
            yield ["HOST_PENDING_MANDATORY_GUIDANCE_NOT_EMPTY", side.host], *side.field("host", side.host, "pending_guidances", ["reboot_host"])
    yield ["HOSTS_NOT_COMPATIBLE"], *mine.software(platform_version="1.0.0")
    yield ["HOSTS_NOT_COMPATIBLE"], *mine.software(product_brand="Another")
    if mine.engine.schema.level != "8.2":
        yield ["HOSTS_NOT_HOMOGENEOUS", "Software version differs"], *mine.software(xapi="1.0")
    yield ["HOSTS_NOT_HOMOGENEOUS", "Software version differs"], *mine.software(git_id="another")
    info = mine.db.get("host", mine.host, "cpu_info")
    yield ["HOSTS_NOT_HOMOGENEOUS", "CPUs differ"], *mine.field("host", mine.host, "cpu_info", {**info, "vendor": "AuthenticAMD"})


def first(side: Side, cls: str, **values: str) -> str:
    """The first object of a side that has these values."""
    return str(next(ref for ref, row in side.db.items(cls) if values.items() <= row.items()))


def objects(mine: Side, _theirs: Side) -> Iterator[Obstacle]:
    sr = first(mine, "SR", name_label="Local storage")
    yield ["JOINING_HOST_CANNOT_CONTAIN_SHARED_SRS"], *mine.field("SR", sr, "shared", True)
    for cls, code in (("Bond", "BONDS"), ("tunnel", "TUNNELS"), ("network_sriov", "NETWORK_SRIOVS")):
        yield [f"POOL_JOINING_HOST_HAS_{code}"], *mine.row(cls)[1:]
    eth1 = mine.pif(device="eth1")
    yield ["POOL_JOINING_HOST_HAS_NON_MANAGEMENT_VLANS"], *mine.row("VLAN", tagged_PIF=eth1, untagged_PIF=eth1, tag=7)[1:]


def surroundings(mine: Side, theirs: Side) -> Iterator[Obstacle]:
    management = theirs.pif(management=True, host=theirs.host)
    yield ["POOL_JOINING_HOST_MANAGEMENT_VLAN_DOES_NOT_MATCH", "-1", "42"], *theirs.field("PIF", management, "VLAN", 42)
    yield ["POOL_JOINING_EXTERNAL_AUTH_MISMATCH"], *mine.field("host", mine.host, "external_auth_type", "AD")
    theirs.field("host", theirs.host, "external_auth_service_name", "EXAMPLE.com")[0]()
    name = mine.field("host", mine.host, "external_auth_service_name", "example.com")
    if mine.engine.schema.level == "26":
        name[0]()  # the same directory there
    else:
        yield ["POOL_JOINING_EXTERNAL_AUTH_MISMATCH"], name[0], mine.field("host", mine.host, "external_auth_service_name", "EXAMPLE.com")[0]
    edition = ['host edition = "other"', f'pool edition = "{theirs.db.get("host", theirs.host, "edition")}"']
    yield ["LICENSE_HOST_POOL_MISMATCH", *edition], *mine.field("host", mine.host, "edition", "other")
    yield ["OPERATION_NOT_ALLOWED", "Network backends differ"], *mine.software(network_backend="bridge")
    switch = mine.row("SDN_controller", protocol="ssl", address="192.0.2.1", port=6632)
    yield ["OPERATION_NOT_ALLOWED", "SDN controller differs"], *switch[1:]


def versions(mine: Side, theirs: Side) -> Iterator[Obstacle]:
    own = f"{theirs.db.get('host', theirs.host, 'API_version_major')}.{theirs.db.get('host', theirs.host, 'API_version_minor')}"
    yield ["POOL_JOINING_HOST_MUST_HAVE_SAME_API_VERSION", "1.20", own], *_both(mine)
    schema = theirs.db.get("host", theirs.host, "software_version")["db_schema"]
    yield ["POOL_JOINING_HOST_MUST_HAVE_SAME_DB_SCHEMA", "4.1", schema], *mine.software(db_schema="4.1")
    mine.row("pool_update", name_label="optional", enforce_homogeneity=False, hosts=[mine.host])
    _ref, create, delete = mine.row("pool_update", name_label="needed", enforce_homogeneity=True, hosts=[mine.host])
    mine.field("host", mine.host, "updates", [ref for ref, _row in mine.db.items("pool_update")])[0]()
    yield ["HOSTS_NOT_HOMOGENEOUS", f"Updates on local host {mine.name} and pool host {theirs.name} differ"], create, delete
    management = mine.pif(device="eth0")
    yield ["OPERATION_NOT_ALLOWED", "Primary address type differs"], *mine.field("PIF", management, "primary_address_type", "IPv6")
    networks = [side.db.refs("network")[0] for side in (mine, theirs)]
    theirs.field("network", networks[1], "purpose", ["nbd"])[0]()
    purpose = "Incompatible network purposes: nbd and insecure_nbd"
    yield ["OPERATION_NOT_ALLOWED", purpose], *mine.field("network", networks[0], "purpose", ["insecure_nbd"])


def _both(mine: Side) -> tuple[Callable[[], None], Callable[[], None]]:
    parts = [mine.field("host", mine.host, f"API_version_{part}", value) for part, value in (("major", 1), ("minor", 20))]

    def each(number: int) -> None:
        for part in parts:
            part[number]()

    return lambda: each(0), lambda: each(1)


def trust(mine: Side, theirs: Side) -> Iterator[Obstacle]:
    level = mine.engine.schema.level
    if level == "8.2":
        return
    tls = theirs.db.get("pool", theirs.engine.pool, "tls_verification_enabled")
    yield ["POOL_JOINING_HOST_TLS_VERIFICATION_MISMATCH"], *mine.field("pool", mine.engine.pool, "tls_verification_enabled", not tls)
    for name in ("one", "two"):
        theirs.row("Certificate", name=name, type="ca", fingerprint_sha256="AA")
    mine.row("Certificate", name="one", type="ca", fingerprint_sha256="AA")
    clash = mine.row("Certificate", name="two", type="ca", fingerprint_sha256="BB")
    yield ["POOL_JOINING_HOST_CA_CERTIFICATES_CONFLICT", "two"], *clash[1:]
    if level == "26":
        there = theirs.row("Certificate", name="", type="pinned", fingerprint_sha256="CC", purpose=["licensing"])[0]
        for digest, purpose in (("CC", []), ("DD", ["licensing"])):
            mine.row("Certificate", name="", type="pinned", fingerprint_sha256=digest, purpose=purpose)
        here = mine.row("Certificate", name="", type="pinned", fingerprint_sha256="CC", purpose=["licensing", "general"])
        yield ["POOL_JOINING_HOST_TRUSTED_CERTIFICATES_CONFLICT", there, here[0]], *here[1:]
    for side in (mine, theirs):
        yield ["NOT_SUPPORTED_DURING_UPGRADE"], *side.field("pool", side.engine.pool, "current_operations", {TASK: "apply_updates"})
    if level == "26":
        yield from drivers(mine, theirs)


def drivers(mine: Side, theirs: Side) -> Iterator[Obstacle]:
    here, there = (first(side, "SM", type="nfs") for side in (mine, theirs))
    features = mine.db.get("SM", here, "features")
    mine.field("SM", here, "features", {**features, "VDI_NEW": 1})[0]()  # more is no harm
    name, version = min(features.items())
    yield ["POOL_JOINING_SM_FEATURES_INCOMPATIBLE", there, here], *mine.field("SM", here, "features", {**features, name: version - 1})
    missing = first(mine, "SM", type="smb")
    remote = first(theirs, "SM", type="smb")
    yield ["POOL_JOINING_SM_FEATURES_INCOMPATIBLE", remote, ""], *mine.field("SM", missing, "type", "unknown")


def test_one_after_the_other(pool: Simulator, joiner: Simulator) -> None:
    mine, theirs = Side(joiner), Side(pool)
    session = joiner.session()
    obstacles = [one for part in (place, vms, software, objects, surroundings, versions, trust) for one in part(mine, theirs)]
    for _expected, put, _take in obstacles:
        put()
    for expected, _put, take in obstacles:
        assert refusal(session.pool.join, *LOGIN) == expected
        take()
    session.pool.join(*LOGIN)
