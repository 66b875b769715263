# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Transfers in the log of calls, under the name `PUT /import_raw_vdi`, and the fault rules for them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..engine.context import Context
from ..engine.failure import Failure
from ..engine.faults import Disconnect
from .pages import Refused, page
from .wire import Page

if TYPE_CHECKING:
    from .transfer import Request


class Uncaught(Failure):
    """An exception of the toolstack's language: a page prints its text, a task holds the code and parameters that xapi makes of it."""

    def __init__(self, text: str, code: str, *params: str) -> None:
        super().__init__(code, *params)
        self.text = text


def printed(failure: Failure) -> Page:
    """The page 500 of a handler that fails."""
    if isinstance(failure, Uncaught):
        return page(500, failure.text)
    return page(500, f"{failure.code}: [ {'; '.join(failure.params)} ]", verbatim=True)


@contextmanager
def recorded(request: Request, name: str) -> Iterator[None]:
    """Keep what was asked, how many bytes went, and how it ended."""
    engine, http = request.engine, request.http
    query = {key: value for key, value in http.query.items() if key != "session_id"}
    entry = engine.log.open(name, [request.session, query], request.listener.host, engine.clock.time(), "http")
    entry.session, entry.writes = request.session, http.method == "PUT"
    try:
        yield
    except Refused as refused:
        entry.error = [f"HTTP {refused.page.status}"]
        raise
    except Disconnect:
        entry.error = ["DISCONNECTED"]
        raise
    finally:
        entry.result = request.flow.done
        if request.failure is not None:
            entry.error = request.failure.description
        if request.flow.was_cut:
            entry.error = ["DISCONNECTED"]
        engine.log.close(entry, engine.clock.time())


async def strike(request: Request, context: Context) -> None:
    """The fault rules that strike before anything is done."""
    engine = request.engine
    try:
        await engine.faults.before(context.method, context, engine.clock)
    except Failure as failure:
        request.fail_given_task(failure)
        raise Refused(printed(failure)) from failure
