# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts of different versions: a pool in the middle of a rolling upgrade (module Checks in X/helpers.ml, X/db_gc.ml)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..engine.failure import Failure

if TYPE_CHECKING:
    from ..engine.core import Engine

# Of the pool's other_config; its value says nothing.
MARK = "rolling_upgrade_in_progress"
# Keys of software_version that tell versions apart: of a pool, and of the two ends of a migration. Before 25 it was one key for both.
OF_POOL, OF_MIGRATION = ("platform_version", "xapi"), ("platform_version", "xapi_build", "xen")
OLD = ("platform_version",)
Software = dict[str, str]


def is_upgrading(engine: Engine) -> bool:
    return MARK in engine.db.get("pool", engine.pool, "other_config")


def require_no_upgrade(engine: Engine) -> None:
    if is_upgrading(engine):
        raise Failure("NOT_SUPPORTED_DURING_UPGRADE")


def _numbers(text: str) -> list[int]:
    """What is a number of `4.17.4-3`."""
    return [int(part) for part in ".".join(text.split("-")[:2]).split(".") if part.isdigit()]


def _compared(one: Software, other: Software, key: str) -> int:
    mine, its = _numbers(one.get(key, "0.0.0")), _numbers(other.get(key, "0.0.0"))
    return (mine > its) - (mine < its)


def _is_as_new(one: Software, other: Software, keys: tuple[str, ...]) -> bool:
    return all(_compared(one, other, key) >= 0 for key in keys)


def _keys(engine: Engine, newest: tuple[str, ...]) -> tuple[str, ...]:
    return newest if engine.schema.level == "26" else OLD


def software(engine: Engine, host: str) -> Software:
    found: Software = engine.db.get("host", host, "software_version")
    return found


def is_newest(engine: Engine, host: str) -> bool:
    """Whether no host of the pool is newer."""
    keys = _keys(engine, OF_POOL)
    newest: Software = {}
    for _unused, row in engine.db.items("host"):
        if not newest or not _is_as_new(newest, row["software_version"], keys):
            newest = row["software_version"]
    return _is_as_new(software(engine, host), newest, keys)


def require_newest(engine: Engine, host: str) -> None:
    """While the pool is being upgraded VMs start on upgraded hosts only."""
    if is_upgrading(engine) and not is_newest(engine, host):
        raise Failure("NOT_SUPPORTED_DURING_UPGRADE")


def is_like_coordinator(engine: Engine, host: str) -> bool:
    mine, its = software(engine, host), software(engine, engine.coordinator)
    return all(_compared(mine, its, key) == 0 for key in _keys(engine, OF_POOL))


def may_migrate(engine: Engine, source: Software, target: Software) -> bool:
    """VMs go to hosts that are as new at least."""
    return _is_as_new(target, source, _keys(engine, OF_MIGRATION))


def notice(engine: Engine) -> None:
    """What xapi does every 30 seconds: the pool is marked while its hosts differ, and no longer."""
    differ = not all(is_like_coordinator(engine, host) for host in engine.db.refs("host"))
    if differ and not is_upgrading(engine):
        engine.db.put("pool", engine.pool, "other_config", MARK, "true")
    elif not differ and is_upgrading(engine):
        engine.db.drop("pool", engine.pool, "other_config", MARK)
