# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What xapi's HTTP handlers share: who asks, under which task, and which host they are sent to (facts 4)."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from aiohttp import web

from ..engine import access
from ..engine.context import CURRENT, Context
from ..engine.core import Engine
from ..engine.failure import NULL, Failure, internal_error
from ..engine.faults import Disconnect, answering
from ..engine.schema import DATA
from ..engine.tasks import FINISHED, value_text
from ..engine.types import Type
from .disk_streams import Body
from .flow import Flow
from .http import Listener
from .pages import Refused, page
from .recorded import recorded, spelled, strike
from .wire import NO_CACHE, Refusal, Streamed, legible

__all__ = ["Request", "authorised", "is_pending", "late_page", "redirect", "spelled", "under_task"]
REFERENCE = Type("ref")


@cache
def lowest_role(action: str, level: str) -> Any:
    """The least powerful role that may use a handler."""
    for name, _method, _path, role, *levels in json.loads((DATA / "http.json").read_text(encoding="utf-8"))["actions"]:
        if name == action and (not levels or level in levels[0]):
            return role
    raise LookupError(f"the data model has no handler {action} at level {level}")


@dataclass
class Request:
    """One request to a handler, its session known."""

    listener: Listener
    http: web.Request
    session: str
    flow: Flow
    task: str = NULL
    failure: Failure | None = None

    @property
    def engine(self) -> Engine:
        return self.listener.engine

    def parameter(self, name: str) -> str | None:
        """A parameter of the query, or a cookie."""
        value = self.http.query.get(name)
        if value is None:
            value = self.http.cookies.get(name)
        return None if value is None else legible(value)

    def object(self, cls: str, *names: str) -> str | None:
        """The object that a parameter names by reference or uuid; a page 500 when there is none, in the words of xapi's database."""
        for name in names:
            text = self.parameter(name)
            if text is not None:
                ref = self.engine.db.by_uuid_or_ref(cls, text)
                if ref is None:
                    raise Refused(page(500, f'Db_exn.Read_missing_uuid("{cls}", "", "{text}")'))
                return ref
        return None

    def fail_given_task(self, failure: Failure) -> None:
        """Fail the task that the caller gave, if it did."""
        self.failure = failure
        task = self.parameter("task_id")
        if task is not None and is_pending(self.engine, task):
            self.engine.tasks.fail(task, failure)

    def fail(self, failure: Failure) -> None:
        """Fail the task that the request runs under."""
        self.failure = failure
        if is_pending(self.engine, self.task):
            self.engine.tasks.fail(self.task, failure)

    def succeed(self, ref: str) -> None:
        """End that task with a reference as its result."""
        if is_pending(self.engine, self.task):
            self.engine.tasks.succeed(self.task, value_text(REFERENCE, ref))

    def body(self) -> Body:
        """What the client sends."""
        return Body(self.http.content, self.flow)

    def stream(self, headers: Mapping[str, str]) -> Streamed:
        """200 and then whatever is written, until the connection is closed."""
        return Streamed(headers, self.flow)

    def answer(self, status: int, reason: str, **headers: str) -> Refusal:
        """A status line and headers, nothing more; who is still sending finds the connection cut."""
        response = Refusal(status=status, reason=reason, headers={"connection": "close", "cache-control": NO_CACHE, **headers})
        response.force_close()
        return response


@asynccontextmanager
async def authorised(listener: Listener, http: web.Request, action: str) -> AsyncIterator[Request]:
    """The request with a session that may use the handler; 401 or 403 otherwise. A session of HTTP Basic is gone afterwards."""
    engine = listener.engine
    given = http.cookies.get("session_id") or http.query.get("session_id")
    session = given or await _basic_session(engine, http.headers.get("authorization", ""))
    if session is None or not engine.db.exists("session", session):
        raise Refused(page(401, realm=action))
    name = f"{http.method} {http.path}"
    context = Context(name, session, listener.host)
    flow = Flow(engine.clock, engine.faults.underway(name), engine.rates.get(name, 0.0), partial(_abort, http))
    flow.effect = partial(engine.faults.apply, context=context)
    request = Request(listener, http, session, flow)
    try:
        _check_role(request, action)
        with recorded(request, name):
            await strike(request, context)
            with answering(context):
                yield request
    finally:
        if given is None:
            with contextlib.suppress(Failure):
                await engine.call("session.logout", [session])


def _abort(http: web.Request) -> None:
    if http.transport is not None:
        http.transport.abort()


async def _basic_session(engine: Engine, header: str) -> str | None:
    """A session for HTTP Basic credentials."""
    kind, _unused, value = header.partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        name, _unused, password = base64.b64decode(value).decode().partition(":")
        return str(await engine.call("session.login_with_password", [name, password, "1.0", "HTTP using Basic auth"]))
    except (Failure, ValueError):
        # Refused, or no base64 of UTF-8.
        return None


def _check_role(request: Request, action: str) -> None:
    engine = request.engine
    role, lowest = engine.roles.get(request.session, "pool-admin"), lowest_role(action, engine.schema.level)
    if role != "pool-admin" and not access.may(role, lowest):
        sentence = f"No permission in user session. (Roles with this permission: {', '.join(sorted(access.holders(lowest)))})"
        request.fail_given_task(Failure("RBAC_PERMISSION_DENIED", f"http/{action}", sentence))
        raise Refused(page(403))


def is_pending(engine: Engine, task: str) -> bool:
    return engine.db.exists("task", task) and engine.db.get("task", task, "status") not in FINISHED


@asynccontextmanager
async def under_task(request: Request, label: str) -> AsyncIterator[None]:
    """Run a handler under the task that the caller gave, or under one of its own that goes with it.

    What escapes fails the task; when nothing does, and nobody has given a result, it succeeds without one.
    """
    engine = request.engine
    given = request.parameter("task_id")
    request.task = engine.tasks.create(label, host=request.listener.host, session=request.session) if given is None else given
    role = engine.roles.get(request.session, "pool-admin")
    CURRENT.set(Context(label, request.session, request.listener.host, request.task, role))
    try:
        yield
        if is_pending(engine, request.task):
            engine.tasks.succeed(request.task)
    except (asyncio.CancelledError, Refused, Disconnect):
        raise
    except Failure as failure:
        request.fail(failure)
        raise
    except Exception as error:
        request.fail(internal_error(repr(error)))
        raise
    finally:
        if given is None and engine.db.exists("task", request.task):
            engine.db.delete("task", request.task)
        engine.operations.refresh()


def redirect(request: Request, host: str) -> Refusal:
    """302 to another host of the pool, same path and query."""
    engine = request.engine
    address = engine.endpoints.get(host) or engine.db.get("host", host, "address")
    return request.answer(302, "Found", location=f"{engine.scheme}://{address}{request.http.raw_path}")


def late_page(text: str) -> bytes:
    """The page 500 of a handler that fails after its 200: it lands in the body."""
    late = page(500, text)
    assert isinstance(late.body, bytes)
    head = "".join(f"{name}: {value}\r\n" for name, value in late.headers.items())
    return f"HTTP/1.1 500 {late.reason}\r\n{head}\r\n".encode() + late.body
