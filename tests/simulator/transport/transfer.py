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
from aiohttp.http import HttpVersion, HttpVersion11

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
from .recorded import Uncaught, printed, recorded, strike
from .wire import Refusal, Streamed, legible

__all__ = ["Request", "Uncaught", "authorised", "is_pending", "late_page", "missing", "printed", "redirect", "sr_of", "under_task"]
REFERENCE = Type("ref")
BASIC = "Basic "
# Parameters that a cookie gives before the query does (X/xapi_http.ml lookup_param_of_req, X/importexport.ml sr_of_req).
COOKIE_FIRST = ("session_id", "task_id", "subtask_of", "sr_id", "sr_uuid")


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
        """A parameter of the query, or a cookie; which comes first differs in xapi from one to another."""
        places = (self.http.cookies, self.http.query) if name in COOKIE_FIRST else (self.http.query, self.http.cookies)
        return next((legible(place[name]) for place in places if name in place), None)

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

    def stream(self, headers: Mapping[str, str], version: HttpVersion = HttpVersion11) -> Streamed:
        """200 and then whatever is written, until the connection is closed."""
        response = Streamed(headers, self.flow)
        response.version = version
        return response

    def answer(self, status: int, reason: str, *, version: HttpVersion = HttpVersion11, tail: bytes = b"", **headers: str) -> Refusal:
        """A status line and headers; who is still sending finds the connection cut. `tail` is what xapi writes after it has answered."""
        response = Refusal(status, reason, headers, tail)
        response.version = version
        return response


@asynccontextmanager
async def authorised(listener: Listener, http: web.Request, action: str, realm: str = "") -> AsyncIterator[Request]:
    """The request with a session that may use the handler; 401 or 403 otherwise. A session of HTTP Basic is gone afterwards."""
    engine = listener.engine
    given = http.cookies.get("session_id", http.query.get("session_id"))
    session = await _basic_session(engine, http.headers.get("authorization")) if given is None else given
    if session is None or not engine.db.exists("session", session):
        raise Refused(page(401, realm=realm or action))
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


async def _basic_session(engine: Engine, header: str | None) -> str | None:
    """A session for HTTP Basic credentials; a page 500 for a header of another kind (H/http.ml authorization_of_string)."""
    if header is None:
        return None
    name, password = _credentials(header)
    try:
        return str(await engine.call("session.login_with_password", [name, password, "1.0", "HTTP using Basic auth"]))
    except Failure:
        return None


def _credentials(header: str) -> tuple[str, str]:
    try:
        name, colon, password = base64.b64decode(header.removeprefix(BASIC), validate=True).partition(b":")
        if header.startswith(BASIC) and colon:
            return name.decode(), password.decode()
    except ValueError:
        # No base64, or not of UTF-8.
        pass
    raise Refused(page(500, f'Failure("Unknown authorization header: {legible(header)}")'))


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


def sr_of(request: Request) -> str | None:
    """The SR that a request names: `sr_id` is a reference, to something or not, `sr_uuid` a uuid (X/importexport.ml sr_of_req)."""
    ref, uuid = request.parameter("sr_id"), request.parameter("sr_uuid")
    if ref is not None or uuid is None:
        return ref
    try:
        return request.engine.db.by_uuid("SR", uuid)
    except Failure as failure:
        raise missing(failure) from None


def missing(failure: Failure) -> Uncaught:
    """UUID_INVALID, as the page of a handler and its task have it."""
    cls, uuid = failure.params
    return Uncaught(f'Db_exn.Read_missing_uuid("{cls}", "", "{uuid}")', failure.code, cls, uuid)


def redirect(request: Request, host: str) -> Refusal:
    """302 to another host of the pool, same path and query."""
    engine = request.engine
    address = engine.endpoints.get(host) or engine.db.get("host", host, "address")
    return request.answer(302, "Found", location=f"{engine.scheme}://{address}{request.http.raw_path}")


def late_page(failure: Failure) -> bytes:
    """The page 500 of a handler that fails after it has begun to answer: it lands in the body."""
    late = printed(failure)
    assert isinstance(late.body, bytes)
    head = "".join(f"{name}: {value}\r\n" for name, value in late.headers.items())
    return f"HTTP/1.1 500 {late.reason}\r\n{head}\r\n".encode() + late.body
