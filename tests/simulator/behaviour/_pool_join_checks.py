# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands against a host's joining a pool, in the order in which xapi looks (X/xapi_pool.ml pre_join_checks)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..engine.failure import Failure
from . import _pool_features

if TYPE_CHECKING:
    from ..engine.core import Engine
    from ..engine.registry import Row

RESTRICTED_POOL_SIZE = 3
NBD = ("nbd", "insecure_nbd")
SDN = ("protocol", "address", "port")


@dataclass
class Side:
    """What is compared: of the host that joins, and of the pool that it joins."""

    pool: Row
    hosts: list[Row]
    master: Row
    management: Row | None  # the coordinator's management interface
    controllers: list[tuple[Any, ...]]
    purpose: str
    authorities: dict[str, str]  # certificate name → fingerprint
    schema: str

    @classmethod
    def of(cls, engine: Engine) -> Side:
        db = engine.db
        management = [dict(row) for _unused, row in db.items("PIF") if row["management"] and row["host"] == engine.coordinator]
        purposes = [purpose for _unused, row in db.items("network") for purpose in row["purpose"] if purpose in NBD]
        trusted = [row for _unused, row in db.items("Certificate") if row.get("type") == "ca"] if "Certificate" in db.tables else []
        master = dict(db.row("host", engine.coordinator))
        return cls(
            pool=dict(db.row("pool", engine.pool)),
            hosts=[dict(row) for _unused, row in db.items("host")],
            master=master,
            management=management[0] if management else None,
            controllers=[tuple(row[name] for name in SDN) for _unused, row in db.items("SDN_controller")],
            purpose=purposes[0] if purposes else "",
            authorities={row["name"]: row.get("fingerprint_sha256") or row["fingerprint"] for row in trusted},
            schema=master["software_version"].get("db_schema", ""),
        )


def objections(engine: Engine, theirs: Side, *, force: bool) -> Iterator[Failure]:
    """Every refusal that holds, the one that xapi gives first."""
    mine = Side.of(engine)
    if len(theirs.hosts) >= RESTRICTED_POOL_SIZE and not _pool_features.enabled(engine, "Pool_size"):
        yield Failure("LICENCE_RESTRICTION", "Pool_size")
    if mine.management is None:
        yield Failure("HOST_STILL_BOOTING")
    if mine.pool["ha_enabled"]:
        yield Failure("HA_IS_ENABLED")
    for ref, row in engine.db.items("Cluster_host"):
        if row["enabled"]:
            yield Failure("CLUSTERING_ENABLED", ref)
    if theirs.pool["ha_enabled"]:
        yield Failure("HA_IS_ENABLED")
    if mine.master["uuid"] == theirs.master["uuid"]:
        yield Failure("OPERATION_NOT_ALLOWED", "Host is already part of a pool" if len(mine.hosts) > 1 else "Host cannot become slave of itself")
    if len(mine.hosts) > 1:
        yield Failure("JOINING_HOST_CANNOT_BE_MASTER_OF_OTHER_HOSTS")
    yield from _about_vms(engine)
    yield from _about_software(mine.master, theirs, force=force)
    yield from _about_objects(engine)
    yield from _about_networks(mine, theirs)
    yield from _about_versions(mine, theirs)


def _about_vms(engine: Engine) -> Iterator[Failure]:
    guests = [row for _unused, row in engine.db.items("VM") if not row["is_control_domain"]]
    if any(row["power_state"] == "Running" for row in guests):
        yield Failure("JOINING_HOST_CANNOT_HAVE_RUNNING_VMS")
    if any(row["current_operations"] for row in guests):
        yield Failure("JOINING_HOST_CANNOT_HAVE_VMS_WITH_CURRENT_OPERATIONS")


def _product(software: dict[str, str]) -> str | None:
    return software.get("product_brand", software.get("platform_name"))


def _about_software(me: Row, theirs: Side, *, force: bool) -> Iterator[Failure]:
    mine, their = me["software_version"], theirs.master["software_version"]
    if (mine.get("platform_version"), _product(mine)) != (their.get("platform_version"), _product(their)):
        yield Failure("HOSTS_NOT_COMPATIBLE")
    if force:
        return
    compared = ("xapi", "git_id")
    if [mine.get(name, "") for name in compared] != [their.get(name, "") for name in compared] or ("xs:linux" in mine) != ("xs:linux" in their):
        yield Failure("HOSTS_NOT_HOMOGENEOUS", "Software version differs")
    if me["cpu_info"].get("vendor") != theirs.pool["cpu_info"].get("vendor"):
        yield Failure("HOSTS_NOT_HOMOGENEOUS", "CPUs differ")


def _about_objects(engine: Engine) -> Iterator[Failure]:
    db = engine.db
    if any(row["shared"] and not row["is_tools_sr"] for _unused, row in db.items("SR")):
        yield Failure("JOINING_HOST_CANNOT_CONTAIN_SHARED_SRS")
    for cls, word in (("Bond", "BONDS"), ("tunnel", "TUNNELS"), ("network_sriov", "NETWORK_SRIOVS")):
        if db.refs(cls):
            yield Failure(f"POOL_JOINING_HOST_HAS_{word}")
    for _unused, row in db.items("VLAN"):
        if not db.get("PIF", row["untagged_PIF"], "management"):
            yield Failure("POOL_JOINING_HOST_HAS_NON_MANAGEMENT_VLANS")


def _about_networks(mine: Side, theirs: Side) -> Iterator[Failure]:
    tags = [str(side.management["VLAN"]) if side.management else "-1" for side in (mine, theirs)]
    if tags[0] != tags[1]:
        yield Failure("POOL_JOINING_HOST_MANAGEMENT_VLAN_DOES_NOT_MATCH", *tags)
    for name in ("external_auth_type", "external_auth_service_name"):
        if mine.master[name] != theirs.master[name]:
            yield Failure("POOL_JOINING_EXTERNAL_AUTH_MISMATCH")
    editions = [host["edition"] for host in theirs.hosts]
    if any(edition != mine.master["edition"] for edition in editions):
        yield Failure("LICENSE_HOST_POOL_MISMATCH", f'host edition = "{mine.master["edition"]}"', f'pool edition = "{min(editions)}"')
    backends = [side.master["software_version"].get("network_backend", "bridge") for side in (mine, theirs)]
    if backends[0] != backends[1]:
        yield Failure("OPERATION_NOT_ALLOWED", "Network backends differ")
    if backends[0] == "openvswitch" and mine.controllers and mine.controllers[:1] != theirs.controllers[:1]:
        yield Failure("OPERATION_NOT_ALLOWED", "SDN controller differs")


def _about_versions(mine: Side, theirs: Side) -> Iterator[Failure]:
    versions = [f"{side.master['API_version_major']}.{side.master['API_version_minor']}" for side in (mine, theirs)]
    if versions[0] != versions[1]:
        yield Failure("POOL_JOINING_HOST_MUST_HAVE_SAME_API_VERSION", *versions)
    if not mine.schema or mine.schema != theirs.schema:
        yield Failure("POOL_JOINING_HOST_MUST_HAVE_SAME_DB_SCHEMA", mine.schema, theirs.schema)
    if mine.management and theirs.management and mine.management["primary_address_type"] != theirs.management["primary_address_type"]:
        yield Failure("OPERATION_NOT_ALLOWED", "Primary address type differs")
    if mine.purpose and theirs.purpose and mine.purpose != theirs.purpose:
        yield Failure("OPERATION_NOT_ALLOWED", "Incompatible network purposes: nbd and insecure_nbd")
    if mine.pool.get("tls_verification_enabled") != theirs.pool.get("tls_verification_enabled"):
        yield Failure("POOL_JOINING_HOST_TLS_VERIFICATION_MISMATCH")
    clashing = [name for name, digest in mine.authorities.items() if theirs.authorities.get(name, digest) != digest]
    if clashing:
        yield Failure("POOL_JOINING_HOST_CA_CERTIFICATES_CONFLICT", *clashing)
    if any("apply_updates" in side.pool["current_operations"].values() for side in (mine, theirs)):
        yield Failure("NOT_SUPPORTED_DURING_UPGRADE")
