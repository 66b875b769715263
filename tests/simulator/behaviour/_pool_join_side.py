# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is compared when a host joins a pool: the same of both (X/xapi_pool.ml pre_join_checks)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..engine.core import Engine
    from ..engine.registry import Row

NBD = ("nbd", "insecure_nbd")
SDN = ("protocol", "address", "port")


@dataclass
class Side:
    """What is compared: of the host that joins, and of the pool that it joins."""

    pool: Row
    hosts: list[Row]
    coordinator: str
    master: Row
    management: Row | None  # the coordinator's management interface
    controllers: list[tuple[Any, ...]]
    purpose: str
    certificates: list[tuple[str, Row]]
    updates: set[str]  # uuids of those that hosts must have alike
    drivers: list[tuple[str, Row]]
    schema: str
    is_new: bool  # API 26
    is_old: bool  # 8.2

    @classmethod
    def of(cls, engine: Engine) -> Side:
        db = engine.db
        management = [dict(row) for _unused, row in db.items("PIF") if row["management"] and row["host"] == engine.coordinator]
        purposes = [purpose for _unused, row in db.items("network") for purpose in row["purpose"] if purpose in NBD]
        master = dict(db.row("host", engine.coordinator))
        updates = [db.row("pool_update", ref) for ref in master["updates"] if db.exists("pool_update", ref)]
        return cls(
            pool=dict(db.row("pool", engine.pool)),
            hosts=[dict(row) for _unused, row in db.items("host")],
            coordinator=engine.coordinator,
            master=master,
            management=management[0] if management else None,
            controllers=[tuple(row[name] for name in SDN) for _unused, row in db.items("SDN_controller")],
            purpose=purposes[0] if purposes else "",
            certificates=[(ref, dict(row)) for ref, row in db.items("Certificate")],
            updates={row["uuid"] for row in updates if row["enforce_homogeneity"]},
            drivers=[(ref, dict(row)) for ref, row in db.items("SM")],
            schema=master["software_version"].get("db_schema", ""),
            is_new=engine.schema.level == "26",
            is_old=engine.schema.level == "8.2",
        )
