# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds in the database of a pool whatever was done to it (facts 1.9, 2), and a clock whose time passes only inside calls."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

from simulator import NULL, Simulator, VirtualClock

T = TypeVar("T")
Database = dict[tuple[str, str], dict[str, Any]]  # (class in lower case, reference) → record

# References to what is gone that xapi leaves where they are. Class, field → why.
DANGLING = {
    ("VM", "snapshot_of"): "the snapshots of a VM outlive it (facts 3.3)",
    ("VDI", "snapshot_of"): "so do those of a disk",
    ("task", "subtask_of"): "a task that ended is gone before those that it started",
    ("VM", "guest_metrics"): "a revert to a snapshot without any removes them, and the VM names them still (xapi_vm_snapshot.ml, update_guest_metrics)",
    ("VBD", "metrics"): "messages of that class are removed, no client can look (recordings: every VBD and VIF names one)",
    ("VIF", "metrics"): "as those of VBDs",
}
# A VDI that nobody gave a pool to has "" there in half of the recordings, NULL in the others.
UNSET = (NULL, "")
# For so long a drive may name a disk that is gone (facts 2: the collector runs every 30 s). What goes with a VM goes at once.
SWEPT_WITHIN = 60.0
SWEPT = {("VBD", "VDI")}


class StandingClock(VirtualClock):
    """Time stands still but in calls that wait for it, so that the same calls always give the same history."""

    async def _drive(self) -> None:
        """Never by itself."""

    async def during(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a call, and jump to the next appointment whenever it waits for one."""
        call = asyncio.ensure_future(coroutine)
        while not call.done():
            for _unused in range(self.IDLE_ROUNDS):
                await asyncio.sleep(0)
            if not call.done() and not self._jump(float("inf")):
                await asyncio.wait([call], timeout=0.01)
        return call.result()

    async def let_pass(self, seconds: float) -> None:
        """Everything that is to happen in that time happens."""
        end = self.time() + seconds
        while self._jump(end):
            for _unused in range(self.IDLE_ROUNDS):
                await asyncio.sleep(0)
        self._wake(end)

    def _jump(self, latest: float) -> bool:
        moments = [moment for moment, _unused, future in self._sleepers if not future.done() and moment <= latest]
        if moments:
            self._wake(min(moments))
        return bool(moments)


class StandingSimulator(Simulator):
    """A simulator on such a clock."""

    def __init__(self, world: str | dict[str, Any], **options: Any) -> None:
        self.standing = StandingClock()
        super().__init__(world, clock=self.standing, **options)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return super().run(self.standing.during(coroutine))

    def close(self) -> None:
        """The end cancels all that runs, which must not be what waits for it."""
        self.run = super().run  # type: ignore[method-assign]
        super().close()

    def let_pass(self, seconds: float) -> None:
        super().run(self.standing.let_pass(seconds))


def database(simulator: Simulator) -> Database:
    """Every record of every class that has events."""
    engine = simulator.engine

    async def read() -> Database:
        engine.operations.refresh()
        tables = [(name, table) for name, table in engine.db.tables.items() if table.spec.events and name not in ("session", "secret")]
        return {(name.lower(), ref): engine.db.record(name, ref) for name, table in tables for ref in table.rows}

    return simulator.run(read())


def replayed(known: Database, events: list[dict[str, Any]]) -> Database:
    """What a client that knew `known` knows after a batch of events."""
    result = dict(known)
    for event in events:
        key = event["class"], event["ref"]
        if event["operation"] == "del":
            assert "snapshot" not in event
            # It may never have been seen: made before the newest of what was seen, and gone after it (ocaml/database/db_cache_types.ml, fold_over_deleted).
            result.pop(key, None)
        else:
            assert event["operation"] == ("mod" if key in known else "add"), event
            result[key] = event["snapshot"]
    return result


def as_list(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]


def one_sided(simulator: Simulator, records: Database) -> list[str]:
    """Relations of which one end does not know of the other."""
    found = []
    tables: dict[str, dict[str, dict[str, Any]]] = {}
    for (name, ref), record in records.items():
        tables.setdefault(name, {})[ref] = record
    for cls, field, other, far in simulator.engine.schema.relations:
        for near, near_field, there, back in ((cls, field, other, far), (other, far, cls, field)):
            ends = tables.get(there.lower(), {})
            for ref, record in tables.get(near.lower(), {}).items():
                for target in as_list(record.get(near_field, [])):
                    end = ends.get(target)
                    if end is not None and back in end and ref not in as_list(end[back]):
                        found.append(f"{near} {ref} has {target} in {near_field}, whose {back} is {end[back]}")
    return found


def outdated(simulator: Simulator) -> list[str]:
    """Objects that something changed for, of which allowed_operations does not know; not those of classes where xapi leaves it so."""
    engine = simulator.engine
    classes = [cls for cls, one in engine.behaviours.items() if one.keeps_operations and one.follows_changes and one.cls in engine.db.tables]

    async def read() -> list[str]:
        engine.operations.refresh()
        found = []
        for cls in classes:
            for ref, row in engine.db.items(cls):
                allowed = set(engine.behaviours[cls].allowed(ref))
                if "allowed_operations" in row and allowed != set(row["allowed_operations"]):
                    found.append(f"{cls} {ref} allows {sorted(row['allowed_operations'])}, would now {sorted(allowed)}")
        return found

    return simulator.run(read())


def references(simulator: Simulator, records: Database) -> Iterator[tuple[str, str, str, str, str]]:
    """Class, reference, field, class and reference of what it names."""
    schema = simulator.engine.schema
    for (lower, ref), record in records.items():
        cls = schema.lower[lower]
        for name, value in record.items():
            kind = schema.classes[cls].fields[name].type
            inner = kind.value if kind.kind == "set" else kind
            if inner is not None and inner.kind == "ref":
                yield from ((cls, ref, name, inner.name, target) for target in as_list(value))


def dangling(simulator: Simulator, records: Database, *, swept: bool) -> list[str]:
    """References to nothing beyond those that xapi leaves. `swept`: its collector has run since anything was removed."""
    allowed = set(DANGLING) if swept else {*DANGLING, *SWEPT}
    tables = simulator.engine.db.tables
    return [
        f"{cls} {ref} names in {field} the {there} {target}, which is not there"
        for cls, ref, field, there, target in references(simulator, records)
        if target not in UNSET and (cls, field) not in allowed and there in tables and target not in tables[there].rows
    ]
