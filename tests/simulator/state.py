# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A pool that outlives its simulator: database and disks in a directory, right whenever the process is killed.

What a call changed is committed before its answer goes out, in one transaction with what it changed on the disks. Taking a pool up again is
to its clients a restart of the toolstack: sessions and tasks are gone, VMs have gone on running.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .storage import Ledger, Store
from .worlds import World

if TYPE_CHECKING:
    from .engine.core import Engine
    from .engine.registry import Row

# Classes that a restart of the toolstack empties.
TRANSIENT = {"session", "task"}
ROW, FACT = "row", "fact"
VERSION = 1


class StateError(ValueError):
    """The directory cannot be used; the message says which one and why."""


class State:
    """One directory. `world` is what the pool in it began as and `level` its API level, None when the directory is new."""

    def __init__(self, directory: Path, api: str | None = None) -> None:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = (directory / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise StateError(f"state {directory}: another simulator uses it") from None
        self._ledger = Ledger(directory / "state.sqlite")
        self.level = self._checked(directory, api)
        self.store = Store(directory / "disks", self._ledger)
        self.store.on_change, self.store.settle = self._changed, self.commit
        self._unsaved: dict[tuple[str, str], None] = {}
        self._facts: dict[str, Any] = {}
        self._scheduled = False
        self._engine: Engine | None = None

    def _checked(self, directory: Path, api: str | None) -> str | None:
        known = self._ledger.get(FACT, "format")
        if known is None:
            return None
        if known["version"] != VERSION:
            raise StateError(f"state {directory}: written by another version of the simulator; begin a new one")
        level = str(known["api"])
        if api not in (None, level):
            raise StateError(f"state {directory}: a pool of API level {level}, which cannot be served as {api}")
        return level

    @property
    def world(self) -> World | None:
        start: dict[str, Any] | None = self._ledger.get(FACT, "world")
        return None if start is None else World(start["name"], {}, {}, start["extra"])

    def records(self) -> Iterator[tuple[str, str, Row]]:
        """Class, reference and row of everything."""
        for key, row in self._ledger.entries(ROW):
            cls, _unused, ref = key.partition("/")
            yield cls, ref, row

    # From the engine

    def begin(self, engine: Engine, world: World) -> None:
        """Load the engine with the world, or with the pool that was made of it before; follow it from then on."""
        again = self.world is not None
        if again:
            engine.db.restore(self.records(), self._ledger.get(FACT, "generation"))
            engine.users |= {name: (password, role) for name, (password, role) in self._ledger.get(FACT, "users").items()}
        engine.db.watchers.append(self._row_changed)
        self._engine = engine
        if again:
            engine.start(world.extra)
            engine.restart()
        else:
            engine.db.load(world.records)
            engine.start(world.extra)
            extra = {key: value for key, value in world.extra.items() if key != "contents"}  # they are on the disks now
            self._put(format={"version": VERSION, "api": engine.schema.level}, world={"name": world.name, "extra": extra})
        engine.log.on_end.append(lambda _call: self.commit())
        self.commit()

    def _row_changed(self, cls: str, ref: str) -> None:
        if cls not in TRANSIENT:
            self._unsaved[cls, ref] = None
            self._changed()

    def _changed(self) -> None:
        """Commit when the running piece of work has come to a pause, if no answer asks for it before."""
        if not self._scheduled and self._engine is not None:
            self._scheduled = True
            with contextlib.suppress(RuntimeError):  # outside the loop: the store is being opened or closed
                asyncio.get_running_loop().call_soon(self.commit)

    # To the disk

    def commit(self) -> None:
        if self._engine is None:
            return
        users = {name: list(user) for name, user in self._engine.users.items()}
        if not (self._scheduled or self._unsaved or users != self._facts.get("users")):
            return
        self._scheduled = False
        for cls, ref in self._unsaved:
            row = self._engine.db.tables[cls].rows.get(ref)
            if row is None:
                self._ledger.drop(ROW, f"{cls}/{ref}")
            else:
                self._ledger.put(ROW, f"{cls}/{ref}", row)
        self._unsaved.clear()
        self._put(generation=self._engine.db.generation, users=users)
        self.store.save(self._ledger)
        self._ledger.commit()
        self.store.clean()

    def _put(self, **facts: Any) -> None:
        for name, value in facts.items():
            if self._facts.get(name) != value:
                self._facts[name] = value
                self._ledger.put(FACT, name, value)

    def close(self) -> None:
        self.commit()
        self._engine = None
        self._ledger.close()
        self._lock.close()
