# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands against a host's joining a pool, in the order in which xapi looks (X/xapi_pool.ml pre_join_checks)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..engine.failure import Failure
from . import _pool_features
from ._pool_join_side import Side

if TYPE_CHECKING:
    from ..engine.core import Engine
    from ..engine.registry import Row

RESTRICTED_POOL_SIZE = 3


def objections(engine: Engine, theirs: Side, *, force: bool) -> Iterator[Failure]:
    """Every refusal that holds, the one that xapi gives first."""
    mine = Side.of(engine)
    if len(theirs.hosts) >= RESTRICTED_POOL_SIZE and not _pool_features.enabled(engine, "Pool_size"):
        yield Failure("LICENCE_RESTRICTION", "Pool_size")
    yield from _about_place(engine, mine, theirs)
    yield from _about_vms(engine)
    yield from _about_guidances(mine, theirs)
    yield from _about_software(mine, theirs, force=force)
    yield from _about_objects(engine)
    yield from _about_networks(mine, theirs)
    yield from _about_versions(mine, theirs)
    yield from _about_trust(mine, theirs)
    if any("apply_updates" in side.pool["current_operations"].values() for side in (mine, theirs)):
        yield Failure("NOT_SUPPORTED_DURING_UPGRADE")
    if mine.is_new:
        yield from _about_drivers(mine, theirs)


def _about_place(engine: Engine, mine: Side, theirs: Side) -> Iterator[Failure]:
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


def _about_vms(engine: Engine) -> Iterator[Failure]:
    domain0 = engine.db.get("host", engine.coordinator, "control_domain")
    vms = list(engine.db.items("VM"))
    if any(row["power_state"] == "Running" for ref, row in vms if ref != domain0):
        yield Failure("JOINING_HOST_CANNOT_HAVE_RUNNING_VMS")
    if any(row["current_operations"] for _ref, row in vms):
        yield Failure("JOINING_HOST_CANNOT_HAVE_VMS_WITH_CURRENT_OPERATIONS")


def _about_guidances(mine: Side, theirs: Side) -> Iterator[Failure]:
    """Since 25 an update has to be finished first, on either side."""
    for side in (mine, theirs):
        if mine.is_new and side.master["pending_guidances"]:
            yield Failure("HOST_PENDING_MANDATORY_GUIDANCE_NOT_EMPTY", side.coordinator)


def _product(software: dict[str, str]) -> str | None:
    return software.get("product_brand", software.get("platform_name"))


def _about_software(me: Side, theirs: Side, *, force: bool) -> Iterator[Failure]:
    """xapi's own version counts since 8.3; before, it was the platform's once more. Of the processors the vendor alone: features are levelled."""
    mine, their = me.master["software_version"], theirs.master["software_version"]
    if (mine.get("platform_version"), _product(mine)) != (their.get("platform_version"), _product(their)):
        yield Failure("HOSTS_NOT_COMPATIBLE")
    if force:
        return
    compared = ("git_id",) if me.is_old else ("xapi", "git_id")
    if [mine.get(name, "") for name in compared] != [their.get(name, "") for name in compared] or ("xs:linux" in mine) != ("xs:linux" in their):
        yield Failure("HOSTS_NOT_HOMOGENEOUS", "Software version differs")
    if me.master["cpu_info"].get("vendor") != theirs.pool["cpu_info"].get("vendor"):
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


def _directory(side: Side) -> tuple[str, str]:
    """Since 25 its name counts in whatever case."""
    name = side.master["external_auth_service_name"]
    return side.master["external_auth_type"], name.lower() if side.is_new else name


def _about_networks(mine: Side, theirs: Side) -> Iterator[Failure]:
    tags = [str(side.management["VLAN"]) if side.management else "-1" for side in (mine, theirs)]
    if tags[0] != tags[1]:
        yield Failure("POOL_JOINING_HOST_MANAGEMENT_VLAN_DOES_NOT_MATCH", *tags)
    if _directory(mine) != _directory(theirs):
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
    if mine.updates != theirs.updates:
        names = [side.master["name_label"] for side in (mine, theirs)]
        yield Failure("HOSTS_NOT_HOMOGENEOUS", f"Updates on local host {names[0]} and pool host {names[1]} differ")
    if mine.management and theirs.management and mine.management["primary_address_type"] != theirs.management["primary_address_type"]:
        yield Failure("OPERATION_NOT_ALLOWED", "Primary address type differs")
    if mine.purpose and theirs.purpose and mine.purpose != theirs.purpose:
        yield Failure("OPERATION_NOT_ALLOWED", "Incompatible network purposes: nbd and insecure_nbd")
    if mine.pool.get("tls_verification_enabled") != theirs.pool.get("tls_verification_enabled"):
        yield Failure("POOL_JOINING_HOST_TLS_VERIFICATION_MISMATCH")


def _about_trust(mine: Side, theirs: Side) -> Iterator[Failure]:
    """Names and what they stand for must not contradict each other; 8.2 does not look."""
    ours, its = (_authorities(side) for side in (mine, theirs))
    clashing = sorted((name for name, digest in ours.items() if its.get(name, digest) != digest), reverse=True)
    if clashing:
        yield Failure("POOL_JOINING_HOST_CA_CERTIFICATES_CONFLICT", *clashing)
    if not mine.is_new:
        return
    here, there = (_nameless(side) for side in (mine, theirs))
    for digest in sorted(here.keys() & there.keys()):
        purposes = [set(row["purpose"]) for _unused, row in (here[digest], there[digest])]
        if purposes[0] != purposes[1] and purposes[0] & purposes[1]:
            yield Failure("POOL_JOINING_HOST_TRUSTED_CERTIFICATES_CONFLICT", there[digest][0], here[digest][0])


def _authorities(side: Side) -> dict[str, str]:
    """Name → fingerprint."""
    rows = [row for _unused, row in side.certificates if row.get("type") == "ca"]
    return {row["name"]: row["fingerprint_sha256"] for row in rows if row["name"] or not side.is_new}


def _nameless(side: Side) -> dict[str, tuple[str, Row]]:
    """Those that are trusted for a purpose, by fingerprint."""
    found = [(ref, row) for ref, row in side.certificates if row["type"] in ("ca", "pinned") and not row["name"]]
    return {row["fingerprint_sha256"]: (ref, row) for ref, row in found}


def _about_drivers(mine: Side, theirs: Side) -> Iterator[Failure]:
    """What the pool's storage drivers can do, the host's must be able to do, too."""
    for ref, driver in theirs.drivers:
        own = [(candidate, row) for candidate, row in mine.drivers if row["type"] == driver["type"]]
        if len(own) != 1:
            yield Failure("POOL_JOINING_SM_FEATURES_INCOMPATIBLE", ref, "")
            continue
        offered = own[0][1]["features"]
        if any(offered.get(name, -1) < version for name, version in driver["features"].items()):
            yield Failure("POOL_JOINING_SM_FEATURES_INCOMPATIBLE", ref, own[0][0])
