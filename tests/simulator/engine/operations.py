# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Locks on objects: current_operations, allowed_operations, and waiting for an operation that is in the way (facts 3.1)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from .context import CURRENT
from .failure import Failure

if TYPE_CHECKING:
    from .core import Engine

# xapi retries a blocked operation for this long before the refusal surfaces (X/helpers.ml).
PATIENCE = 7200.0
IN_THE_WAY = "OTHER_OPERATION_IN_PROGRESS"
Check = Callable[[], None]


class Operations:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.db = engine.db
        self._stale: dict[tuple[str, str], None] = {}  # changed since the last refresh
        self._asked: dict[tuple[str, str], None] = {}  # to be recomputed at the next refresh, changed or not
        self._left: set[tuple[str, str]] = set()
        self._refreshing = False
        self._released: asyncio.Future[None] | None = None
        self._with_operations = {name for name, t in self.db.tables.items() if "allowed_operations" in t.spec.fields}
        self.db.watchers.append(self._changed)

    @asynccontextmanager
    async def hold(self, cls: str, ref: str, op: str, patience: float = PATIENCE, first: Check | None = None) -> AsyncIterator[None]:
        """Lock `ref` for `op`; refused when not allowed, waits while another operation is in the way."""
        async with self.hold_all([(cls, ref, op)], patience, first):
            yield

    @asynccontextmanager
    async def hold_all(self, marks: Sequence[tuple[str, str, str]], patience: float = PATIENCE, first: Check | None = None) -> AsyncIterator[None]:
        """Lock several objects (class, reference, operation), all or none: one that has to wait keeps nothing locked meanwhile.

        `first` is a check besides those of the objects, which counts like theirs: what it finds in the way is waited for.
        """
        await self._acquire(marks, patience, first)
        try:
            yield
        finally:
            self._unmark(marks)
            self._release()

    async def _acquire(self, marks: Sequence[tuple[str, str, str]], patience: float, first: Check | None) -> None:
        deadline = self.engine.clock.time() + patience
        self.engine.tasks.cancellable()
        while True:
            try:
                if first is not None:
                    first()
                self._mark(marks)
                return
            except Failure as failure:
                left = deadline - self.engine.clock.time()
                if failure.code != IN_THE_WAY or left <= 0:
                    raise
            await self._wait_for_release(left)

    def _mark(self, marks: Sequence[tuple[str, str, str]]) -> None:
        """One after the other, so that a mark counts for the checks of those after it: two drives of one VM may want the same disk."""
        task = CURRENT.get().task
        for number, (cls, ref, op) in enumerate(marks):
            try:
                self.engine.behaviours[cls].check(ref, op)
            except Failure:
                self._unmark(marks[:number])
                raise
            if self.engine.behaviours[cls].shows(ref, op):
                self.db.put(cls, ref, "current_operations", task, op)
            self.again(cls, ref)

    def _unmark(self, marks: Sequence[tuple[str, str, str]]) -> None:
        task = CURRENT.get().task
        for cls, ref, _unused in marks:
            if self.db.exists(cls, ref):
                self.db.drop(cls, ref, "current_operations", task)
                self.again(cls, ref)

    async def _wait_for_release(self, seconds: float) -> None:
        if self._released is None or self._released.done():
            self._released = asyncio.get_running_loop().create_future()
        await self.engine.clock.wait(self._released, seconds)
        self.engine.check_cancelled()

    def _release(self) -> None:
        if self._released is not None and not self._released.done():
            self._released.set_result(None)

    def wake(self) -> None:
        """Let every waiting operation look again: a task was cancelled, an object went."""
        self._release()

    # allowed_operations

    def _changed(self, cls: str, ref: str) -> None:
        if not self._refreshing:
            self._stale[cls, ref] = None

    def again(self, cls: str, ref: str) -> None:
        """Recompute allowed_operations of an object at the next refresh, although nothing of itself changed."""
        self._asked[cls, ref] = None

    def leave(self, cls: str, ref: str) -> None:
        """Leave allowed_operations of an object as they are at the next refresh, whatever changed."""
        self._left.add((cls, ref))

    def refresh(self) -> None:
        """Recompute allowed_operations of all that changed since the last time, and of what depends on it."""
        left, self._left = self._left, set()
        while self._stale or self._asked:
            asked, self._asked = self._asked, {}
            stale, self._stale = {**self._stale, **asked}, {}
            todo: dict[tuple[str, str], None] = {}
            for cls, ref in stale:
                behaviour = self.engine.behaviours.get(cls)
                if behaviour is not None and not behaviour.follows_changes and (cls, ref) not in asked:
                    continue
                if cls in self._with_operations:
                    todo[cls, ref] = None
                if behaviour is not None and self.db.exists(cls, ref):
                    todo.update(dict.fromkeys(behaviour.affected(ref)))
            self._refreshing = True
            try:
                for cls, ref in todo:
                    if (cls, ref) not in left:
                        self._refresh_one(cls, ref)
            finally:
                self._refreshing = False

    def _refresh_one(self, cls: str, ref: str) -> None:
        behaviour = self.engine.behaviours.get(cls)
        if behaviour is None or cls not in self._with_operations or not self.db.exists(cls, ref):
            return
        if not behaviour.keeps_operations:
            return
        allowed = behaviour.allowed(ref)
        if set(allowed) != set(self.db.get(cls, ref, "allowed_operations")):
            self.db.set(cls, ref, "allowed_operations", allowed)
