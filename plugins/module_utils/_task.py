# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tasks of the pool: started, waited for by events with a deadline, cancelled at the deadline, always destroyed.

::

    run_task(session, "VM.start", vm, False, False, timeout=120, what="VM 'web1' to start")

    with client_task(session, "import of web1.raw") as task:   # for the task_id of an HTTP transfer
        stream(...)
        wait_for_task(session, task, timeout=60, what="the disk to be written")
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Protocol

from ._errors import ApiError, TimedOut, XenError
from ._wire_types import decode

if TYPE_CHECKING:
    from xml.etree import ElementTree

# One event.from waits this long at most: it must stay below the request time-out of the connection.
LONGEST_WAIT = 30.0
# What a cancelled operation may take to really end, before the next one is refused as "in progress".
CANCEL_GRACE = 5.0
FINISHED = {"success", "failure", "cancelled"}


class Session(Protocol):
    """What is needed of a session here."""

    http: Any
    ref: str

    def call(self, method: str, *arguments: Any) -> Any: ...

    def failure(self, details: Any) -> ApiError: ...


def run_task(session: Session, method: str, *arguments: Any, timeout: float, what: str) -> Any:
    """Run ``Async.<method>`` and return its result as ``session.call(method, …)`` would.

    ``what`` completes "gave up waiting for …". Works for messages that have an Async form: getters, setters,
    ``event``, ``session`` and ``task`` have none (facts §0).
    """
    task = session.call(f"Async.{method}", *arguments)
    with _destroyed_at_the_end(session, task):
        return decode(method, wait_for_task(session, task, timeout=timeout, what=what))


@contextmanager
def client_task(session: Session, label: str, description: str = "") -> Iterator[str]:
    """A task of our own, as ``task_id`` for HTTP transfers: cancelled when the block fails, destroyed in any case."""
    task = session.call("task.create", label, description)
    with _destroyed_at_the_end(session, task):
        yield task


def wait_for_task(session: Session, task: str, *, timeout: float, what: str) -> Any:
    """Wait until the task ends and return its result, or raise its error. Cancels it at the deadline.

    A task that ends while it is being cancelled counts as what it became: success is success.
    """
    watch = _Watch(session, task)
    record = watch.until_finished(timeout)
    if record is None:
        with suppress(ApiError):
            session.call("task.cancel", task)
        record = watch.until_finished(CANCEL_GRACE)
        if record is None or record["status"] == "cancelled":
            raise TimedOut(what, timeout, "the task was cancelled; raise the time-out if it only needs longer")
    if record["status"] != "success":
        raise session.failure(record["error_info"] or ["TASK_CANCELLED", task])
    return task_result(record["result"])


def task_result(text: str) -> Any:
    """The result of a task: the text of an XML-RPC value, also over JSON-RPC (facts §1.8)."""
    if not text.startswith("<value"):
        return text
    from xml.etree import ElementTree  # few tasks have such a result

    return _xml_value(ElementTree.fromstring(text))  # noqa: S314  # from the pool that we administer


class _Watch:
    """Follows one task by events. Subscribing to the task alone is answered at once, without xapi's batching."""

    def __init__(self, session: Session, task: str) -> None:
        self._session = session
        self._task = task
        self._token = ""

    def until_finished(self, seconds: float) -> dict[str, Any] | None:
        """The record of the finished task, or None when the time is over."""
        deadline = time.monotonic() + seconds
        longest = min(LONGEST_WAIT, self._session.http.request_timeout / 2)
        while True:
            left = deadline - time.monotonic()
            record = self._next(min(max(left, 0.0), longest))
            if record is not None and record["status"] in FINISHED:
                return record
            if left <= 0:
                return None

    def _next(self, seconds: float) -> dict[str, Any] | None:
        before = self._session.ref
        first = not self._token
        answer = self._session.call("event.from", [f"task/{self._task}"], self._token, float(seconds))
        self._token = answer["token"]
        for event in answer["events"]:
            if event["operation"] == "del":
                raise XenError("somebody removed the task that was waited for; look at the pool and run the task again")
            record: dict[str, Any] = event["snapshot"]
            return record
        if first or self._session.ref != before:  # An existing task is reported at once, so this one is gone: the call says so.
            gone: dict[str, Any] = self._session.call("task.get_record", self._task)
            return gone
        return None


@contextmanager
def _destroyed_at_the_end(session: Session, task: str) -> Iterator[None]:
    try:
        yield
    except BaseException:
        with suppress(XenError):
            session.call("task.cancel", task)
        raise
    finally:
        _destroy(session, task)


def _destroy(session: Session, task: str) -> None:
    """A pending task is only marked, and disappears when its operation ends (facts §1.8)."""
    try:
        session.call("task.destroy", task)
    except XenError:
        # Once more: xapi keeps a task that has ended for a day, and everybody sees it.
        with suppress(XenError):
            session.call("task.destroy", task)


def _xml_value(element: ElementTree.Element) -> Any:
    if len(element) == 0:
        return element.text or ""
    typed = element[0]
    if typed.tag == "array":
        return [_xml_value(item) for item in typed.findall("data/value")]
    if typed.tag == "struct":
        members = typed.findall("member")
        return {member.findtext("name", ""): _xml_value(member.find("value")) for member in members}  # type: ignore[arg-type]
    convert = XML_SCALARS.get(typed.tag, str)
    return convert(typed.text or "")


XML_SCALARS: dict[str, Any] = {
    "boolean": lambda text: text.strip() == "1",
    "int": int,
    "i4": int,
    "i8": int,
    "double": float,
}
