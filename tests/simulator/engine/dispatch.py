# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one pipeline through which every call goes (facts 1.4).

Order: text valid → message known → count → types → session → task → role → object alive → operation allowed → fault rule → body.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import keyword
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from . import access, faults, implicit, parameters
from .behaviour import Behaviour
from .context import CURRENT, Call, Context
from .failure import NULL, Failure, NotSimulated, handle_invalid, internal_error
from .log import writes
from .specs import REQUIRED, MessageSpec
from .tasks import value_text

if TYPE_CHECKING:
    from .core import Engine

ASYNC_PREFIXES = ("Async.", "InternalAsync.")
# Classes whose calls never make a task (datamodel: no_task_id_for).
NO_TASK = {"session", "task", "event"}
REFRESH = 600.0


class Dispatcher:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.schema = engine.schema
        self.db = engine.db

    async def call(self, name: str, params: list[Any], at: str, protocol: str, headers: dict[str, str]) -> Any:
        """Serve one call as host `at`; raises `Failure` for a refusal, and logs how it ended."""
        clock = self.engine.clock
        entry = self.engine.log.open(name, params, at, clock.time(), protocol)
        try:
            result = await self._serve(name, params, at, headers, entry)
        except Failure as failure:
            entry.error = failure.description
            raise
        except NotSimulated as missing:
            raise self._missing(missing, entry) from missing
        except faults.Disconnect:
            entry.error = ["DISCONNECTED"]
            raise
        except Exception as error:
            raise self._broken(name, error, entry) from error
        finally:
            self.engine.log.close(entry, clock.time())
        return result

    def _missing(self, missing: NotSimulated, entry: Call | None = None) -> Failure:
        """A message without behaviour: its own error, and a problem that no test may pass over."""
        self.engine.problems.append(str(missing))
        failure = Failure("SIMULATOR_HAS_NO_BEHAVIOUR", missing.method)
        if entry is not None:
            entry.error = failure.description
        return failure

    def _broken(self, name: str, error: Exception, entry: Call | None = None) -> Failure:
        """A behaviour that raised what is no refusal: a bug of the simulator."""
        self.engine.problems.append(f"{name}: {error!r}")
        failure = internal_error(repr(error))
        if entry is not None:
            entry.error = failure.description
        return failure

    async def _serve(self, name: str, params: list[Any], at: str, headers: dict[str, str], entry: Call) -> Any:
        for param in params:
            parameters.check_text(param)
        prefix = next((p for p in ASYNC_PREFIXES if name.startswith(p)), "")
        plain = name.removeprefix(prefix)
        spec = self.schema.message(plain)
        if spec is None:
            raise self._unknown(plain, params, at)
        session, arguments = self._split(spec, plain, params)
        if spec.removed:
            self.check_session(session, at)
            raise Failure("MESSAGE_REMOVED")
        arguments = parameters.decoded(self.schema, spec, arguments)
        if spec.needs_session:
            self.check_session(session, at, spec)
        entry.session, entry.writes = session, writes(spec)
        if prefix and not spec.is_async:
            raise Failure("Fault", f"No async mode for this operation (rpc: {plain})")
        context = Context(spec.wire, session, at, NULL, self.engine.roles.get(session, "pool-admin"), headers)
        if prefix:
            with faults.answering(context):
                await self.engine.faults.before(name, context, self.engine.clock)
                context.task = self._task_for(spec, context, prefix)
                self._start(self._as_task(spec, arguments, replace(context, is_work=True, unheard=False)), context.task)
                return context.task
        context.task = self._task_for(spec, context, prefix)
        CURRENT.set(context)
        try:
            with faults.answering(context):
                return await self._run(spec, arguments, context)
        finally:
            if self.db.exists("task", context.task) and "task_id" not in headers:
                self.db.delete("task", context.task)
            self.engine.operations.refresh()

    # Parameters

    def _split(self, spec: MessageSpec, name: str, params: list[Any]) -> tuple[Any, list[Any]]:
        """The session and the arguments of a call; MESSAGE_PARAMETER_COUNT_MISMATCH when they are not as many as declared."""
        own = 1 if spec.needs_session else 0
        received, required = len(params) - own, spec.required
        has_defaults = required < len(spec.params)
        if received < required or (received > required and not has_defaults):
            raise Failure("MESSAGE_PARAMETER_COUNT_MISMATCH", name, str(required), str(received))
        session = parameters.session(params[0]) if own else NULL
        return session, params[own : own + len(spec.params)]

    # Sessions

    def check_session(self, session: str, at: str, spec: MessageSpec | None = None) -> None:
        """SESSION_INVALID, or HOST_IS_SLAVE for a client's session at a member (X/session_check.ml)."""
        engine = self.engine
        if session in engine.local_sessions:
            return
        if not self.db.exists("session", session):
            raise Failure("SESSION_INVALID", session)
        row = self.db.row("session", session)
        if spec is not None and spec.pool_internal and not row["pool"]:
            raise internal_error(f'Internal API "{spec.wire}" call attempted with non-pool (external) session')
        if engine.is_member(at) and not row["pool"]:
            raise Failure("HOST_IS_SLAVE", engine.coordinator_address)
        # Since 25 not more often than every ten minutes: each is a write (xapi_globs.ml threshold_last_active).
        if self.schema.level != "26" or row["last_active"] < engine.clock.ago(REFRESH):
            self.db.set("session", session, "last_active", engine.clock.now())

    def _unknown(self, name: str, params: list[Any], at: str) -> Failure:
        if params:
            self.check_session(parameters.session(params[0]), at)
        return Failure("MESSAGE_METHOD_UNKNOWN", name)

    # Tasks

    def _task_for(self, spec: MessageSpec, context: Context, prefix: str) -> str:
        if "task_id" in context.headers:
            return context.headers["task_id"]
        if not spec.is_async or spec.cls in NO_TASK:
            return NULL
        subtask_of = context.headers.get("subtask_of", NULL)
        label = f"{prefix}{spec.wire}"
        keys = {name: value for name, value in context.headers.items() if name.startswith("http:")}
        return self.engine.tasks.create(label, host=context.host, session=context.session, subtask_of=subtask_of, other_config=keys)

    def _start(self, coroutine: Any, task: str) -> None:
        self.engine.tasks.running[task] = self.engine.spawn(coroutine)

    async def _as_task(self, spec: MessageSpec, arguments: list[Any], context: Context) -> None:
        """The body of an asynchronous call: its outcome goes into the task."""
        CURRENT.set(context)
        tasks = self.engine.tasks
        try:
            result = await self._run(spec, arguments, context)
            self.engine.operations.refresh()
            tasks.succeed(context.task, value_text(spec.result, result))
        except Failure as failure:
            tasks.fail(context.task, failure)
        except NotSimulated as missing:
            tasks.fail(context.task, self._missing(missing))
        except asyncio.CancelledError:
            raise
        except faults.Disconnect:
            # Its host stopped: nobody ends the task.
            tasks.running.pop(context.task, None)
        except Exception as error:
            tasks.fail(context.task, self._broken(spec.wire, error))
        finally:
            self.engine.operations.refresh()

    # The body

    async def _run(self, spec: MessageSpec, arguments: list[Any], context: Context) -> Any:
        access.check(context.role, spec, arguments)
        body = self._body_for(spec, arguments)
        self.engine.operations.refresh()
        operation = getattr(body, "operation", None)
        if getattr(body, "before", ""):
            getattr(self.engine.behaviours[spec.cls], body.before)(*arguments)
        guard = self.engine.operations.hold(spec.cls, arguments[0], operation) if operation else contextlib.nullcontext()
        async with guard:
            self.engine.forward(spec.wire, arguments)
            await self.engine.faults.before(spec.wire, context, self.engine.clock)
            # A body that locks by itself also passes the time by itself: under its locks.
            if not getattr(body, "own_locks", False):
                await self.engine.pass_time(spec.wire)
            result = body(*arguments)
            if inspect.isawaitable(result):
                result = await result
        if spec.result is None:
            return ""
        return result

    def _body_for(self, spec: MessageSpec, arguments: list[Any]) -> Any:
        try:
            body = self.body(spec)
        except NotSimulated:
            self._check_alive(spec, arguments)
            raise
        if not getattr(body, "unchecked", False):
            self._check_alive(spec, arguments)
        return body

    def _check_alive(self, spec: MessageSpec, arguments: list[Any]) -> None:
        """HANDLE_INVALID when the object that the message is for does not exist."""
        own = spec.params[0] if spec.params else None
        if own is None or own.type.kind != "ref" or own.type.name != spec.cls or own.default is not REQUIRED:
            return
        if spec.cls in self.db.tables and not self.db.exists(spec.cls, arguments[0]):
            raise handle_invalid(spec.cls, arguments[0])

    def body(self, spec: MessageSpec) -> Any:
        """What answers the message: a behaviour's method, else the implicit form; NotSimulated when there is neither."""
        behaviour = self.engine.behaviours.get(spec.cls)
        name = spec.name + "_" if keyword.iskeyword(spec.name) else spec.name
        own = getattr(type(behaviour), name, None)
        # What every behaviour has may be called like a message, and is none.
        if behaviour is not None and own is not None and own is not getattr(Behaviour, name, None):
            return getattr(behaviour, name)
        if spec.kind in implicit.HANDLERS:
            handler = implicit.HANDLERS[spec.kind]
            return lambda *arguments: handler(self.engine, spec, *arguments)
        raise NotSimulated(spec.wire)

    def kind_of(self, spec: MessageSpec) -> str:
        """How a message is answered: `behaviour`, `implicit`, `removed`, `internal` (refused to clients), or `declared only`."""
        if spec.removed:
            return "removed"
        if spec.pool_internal:
            return "internal"
        try:
            body = self.body(spec)
        except NotSimulated:
            return "declared only"
        return "behaviour" if inspect.ismethod(body) else "implicit"
