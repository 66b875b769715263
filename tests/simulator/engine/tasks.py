# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Task rows: made for calls that can run asynchronously, completed in xapi's order of writes (facts 1.8)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

from .context import CURRENT
from .failure import NULL, Failure
from .types import Type

if TYPE_CHECKING:
    from .core import Engine

FINISHED = ("success", "failure", "cancelled")
# Every so many seconds old tasks are looked for: those that finished long ago, and the oldest of too many (X/db_gc_util.ml).
COLLECT, KEPT, MOST = 30.0, 3900.0, 200
# Seconds after which a task that does not end is watched: it goes when it gets no further until the next look.
PENDING = 86400.0


class Tasks:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.db = engine.db
        self.running: dict[str, asyncio.Task[Any]] = {}
        self.cancelled: set[str] = set()
        self._idle: dict[str, asyncio.Future[None]] = {}  # task → done when it is cancelled while it idles
        self.doomed: set[str] = set()  # destroyed while pending: they go a while after they have ended
        self._collected = 0.0
        self._on_probation: dict[str, float] = {}  # pending for a day → how far they were

    def create(
        self,
        label: str,
        *,
        description: str = "",
        host: str = NULL,
        session: str = NULL,
        subtask_of: str = NULL,
        other_config: dict[str, str] | None = None,
    ) -> str:
        """A pending task."""
        self._collect()
        values = {
            "other_config": other_config or {},
            "name_label": label,
            "name_description": description,
            "created": self.engine.clock.now(),
            "status": "pending",
            "type": "<none/>",
            "resident_on": host,
            "subtask_of": subtask_of,
            "backtrace": "()",
            "session": session,
        }
        fields = self.engine.schema.classes["task"].fields
        return self.db.create("task", {name: value for name, value in values.items() if name in fields})

    def succeed(self, ref: str, result: str = "") -> None:
        """`result` is XML-RPC value text, whatever the protocol of the caller."""
        self._finish(ref, result=result, status="success")

    def fail(self, ref: str, failure: Failure) -> None:
        """A task that was cancelled keeps no error: its status says it all (exec_with_context in X/server_helpers.ml)."""
        if failure.code == "TASK_CANCELLED":
            self._finish(ref, status="cancelled")
        else:
            self._finish(ref, error_info=failure.description, status="failure")

    def _finish(self, ref: str, **outcome: Any) -> None:
        self.cancelled.discard(ref)
        self.running.pop(ref, None)
        # A client may have set the status of its own task, which then stays (X/taskHelper.ml).
        if not self.db.exists("task", ref) or self.db.get("task", ref, "status") != "pending":
            return
        self.db.update("task", ref, allowed_operations=[], finished=self.engine.clock.now(), progress=1.0, **outcome)
        if ref in self.doomed:
            self.engine.later(COLLECT, self._collect)

    def _collect(self) -> None:
        """Forget tasks that nobody will ask for."""
        now = self.engine.clock.time()
        if now - self._collected < COLLECT:
            return
        self._collected = now
        oldest = self.engine.clock.ago(KEPT)
        done = [(row["finished"], ref) for ref, row in self.db.items("task") if row["status"] in FINISHED]
        gone = {ref for finished, ref in done if ref in self.doomed or finished < oldest} | self._stuck()
        overflow = max(0, len(self.db.refs("task")) - len(gone) - MOST)
        gone.update(ref for _finished, ref in sorted(pair for pair in done if pair[1] not in gone)[:overflow])
        for ref in gone:
            self.doomed.discard(ref)
            self.db.delete("task", ref)

    def _stuck(self) -> set[str]:
        """Pending tasks that have not moved since the last look."""
        oldest = self.engine.clock.ago(PENDING)
        slow = {ref: row["progress"] for ref, row in self.db.items("task") if row["status"] not in FINISHED and row["created"] < oldest}
        stuck = {ref for ref, progress in slow.items() if progress <= self._on_probation.get(ref, -1.0)}
        self._on_probation = slow
        return stuck

    def cancellable(self) -> None:
        """From the first lock on the task of the current call may be cancelled, waiting or not (X/helpers.ml retry)."""
        task = CURRENT.get().task
        if self.db.exists("task", task) and not self.db.get("task", task, "allowed_operations"):
            self.db.set("task", task, "allowed_operations", ["cancel"])

    async def idle(self, seconds: float) -> None:
        """Let the current call take its time; a cancel ends that at once."""
        task = CURRENT.get().task
        cancelled = self._idle[task] = asyncio.get_running_loop().create_future()
        try:
            await self.engine.clock.wait(cancelled, seconds)
        finally:
            self._idle.pop(task, None)
        self.engine.check_cancelled()

    def cancel(self, ref: str) -> None:
        """Ask the work to stop; it does so at its next cancel point, or not at all."""
        if self.db.get("task", ref, "status") not in FINISHED:
            self.cancelled.add(ref)
            if ref in self._idle and not self._idle[ref].done():
                self._idle[ref].set_result(None)
            self.engine.operations.wake()

    def destroy(self, ref: str) -> None:
        if self.db.get("task", ref, "status") in FINISHED:
            self.db.delete("task", ref)
        else:
            if "task" in self.db.get("task", ref, "current_operations"):
                raise Failure("MAP_DUPLICATE_KEY", "task", "current_operations", ref, "task")
            self.doomed.add(ref)
            self.db.put("task", ref, "current_operations", "task", "destroy")

    def pending_of(self, session: str) -> bool:
        """Whether a task that the session started is still running."""
        return any(self.db.get("task", ref, "session") == session for ref in self.running if self.db.exists("task", ref))

    def progress(self, fraction: float) -> None:
        """Progress of the task of the current call, 0.0 to 1.0."""
        task = CURRENT.get().task
        if self.db.exists("task", task):
            self.db.set("task", task, "progress", fraction)


def value_text(kind: Type | None, value: Any) -> str:
    """A result as the XML-RPC value text that task.result holds."""
    return "<value></value>" if kind is None else f"<value>{_inner(value)}</value>"


def _inner(value: Any) -> str:
    if isinstance(value, bool):
        return f"<boolean>{int(value)}</boolean>"
    if isinstance(value, float):
        return f"<double>{value:.16g}</double>"
    if isinstance(value, dict):
        members = "".join(f"<member><name>{escape(k)}</name><value>{_inner(v)}</value></member>" for k, v in value.items())
        return f"<struct>{members}</struct>"
    if isinstance(value, list):
        return "<array><data>" + "".join(f"<value>{_inner(item)}</value>" for item in value) + "</data></array>"
    return escape(str(value))
