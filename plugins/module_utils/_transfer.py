# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One transfer over HTTP under a task: on the host that has the disk, with the task's reason when it fails (facts §4)."""

from __future__ import annotations

import http.client
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NamedTuple, NoReturn, Protocol
from urllib.parse import urlencode

from ._errors import ApiError, TimedOut, XenError
from ._http import HttpOptions, open_connection
from ._task import wait_for_task

# One chunk: offset, length, then that many bytes. The end is a chunk at 0 of length 0.
CHUNK_HEADER = struct.Struct("<QI")
CHUNK = 4 * 1024 * 1024

READ = 1024 * 1024
MOST_REDIRECTS = 3
# How long a task may take to name the reason after its connection broke.
REASON_GRACE = 5.0


class Session(Protocol):
    """What is needed of a session here."""

    http: HttpOptions
    ref: str

    def call(self, method: str, *arguments: Any) -> Any: ...

    def failure(self, details: Any) -> ApiError: ...


class Deadline:
    """The time that a whole transfer may take."""

    def __init__(self, seconds: float, what: str) -> None:
        self.seconds, self.what = seconds, what
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        return max(self._end - time.monotonic(), 0.0)

    def check(self) -> None:
        if not self.left:
            raise TimedOut(self.what, self.seconds, "raise the time-out if the transfer only needs longer")


class Request:
    """One transfer with a task. When the connection breaks, the task is asked for the reason."""

    def __init__(self, session: Session, method: str, path: str, query: dict[str, str], task: str, length: int | None = None) -> None:
        self._session, self._task = session, task
        self._method, self._length = method, length
        self._asked = False
        self._target = f"{path}?{urlencode({'session_id': session.ref, 'task_id': task, **query})}"

    def __enter__(self) -> Request:
        """Open, and read the answer's head, which comes before anything is sent; follow to the host that has the disk."""
        where = self._session.http
        for _attempt in range(MOST_REDIRECTS + 1):
            self._connection = open_connection(where)
            try:
                self._answer = self._ask(where)
            except (OSError, http.client.HTTPException) as error:
                self._broke(error)
            except BaseException:  # SIGTERM, while the pool may have begun already.
                self._hang_up()
                self._let_go()
                raise
            if self._answer.status not in (301, 302, 307):
                break
            self._connection.close()
            where = where.to(self._answer.headers.get("Location", ""))
        if self._answer.status != 200:
            self.fail(f"{where.endpoint.netloc} answered {self._answer.status} {self._answer.reason}")
        return self

    def __exit__(self, kind: object, *_error: object) -> None:
        self._answer.close()
        self._connection.close()
        if kind is not None and not self._asked:
            self._let_go()

    def _hang_up(self) -> None:
        """The answer whose head is being read keeps a closed socket open, and the pool at work."""
        with suppress(OSError):
            self._connection.sock.shutdown(socket.SHUT_RDWR)
        self._connection.close()

    def _let_go(self) -> None:
        """The pool holds the disk until its task notices; whoever cleans up must not come too early."""
        with suppress(XenError):
            wait_for_task(self._session, self._task, timeout=REASON_GRACE, what="the task to end")

    def _ask(self, where: HttpOptions) -> http.client.HTTPResponse:
        self._connection.putrequest(self._method, self._target, skip_accept_encoding=True)
        if self._length is not None:
            self._connection.putheader("Content-Length", str(self._length))
        self._connection.putheader("Connection", "close")
        self._connection.endheaders()
        # Not getresponse(): that closes the sending side of a connection that is to be closed.
        answer = http.client.HTTPResponse(self._connection.sock, method=self._method)
        answer.begin()
        return answer

    def send(self, data: bytes) -> None:
        try:
            self._connection.sock.sendall(data)
        except OSError as error:
            self._broke(error)

    def receive(self, deadline: Deadline | None = None) -> Iterator[bytes]:
        """What comes, in pieces of ``READ`` bytes until the last; the time is looked at with every packet."""
        pieces: list[bytes] = []
        gathered = 0
        while data := self._some(READ - gathered):
            pieces.append(data)
            gathered += len(data)
            if deadline:
                deadline.check()
            if gathered == READ:
                yield b"".join(pieces)
                pieces, gathered = [], 0
        if pieces:
            yield b"".join(pieces)

    def _some(self, most: int) -> bytes:
        try:
            return self._answer.read1(most)
        except (OSError, http.client.HTTPException) as error:
            self._broke(error)

    def _broke(self, error: Exception) -> NoReturn:
        self._hang_up()
        seconds = self._session.http.request_timeout
        what = f"nothing moved for {seconds:g} seconds" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
        self.fail(f"the connection broke: {what}")

    def fail(self, what: str) -> NoReturn:
        """Raise: the task's own reason when it has one, else what was seen here."""
        self._asked = True
        try:
            wait_for_task(self._session, self._task, timeout=REASON_GRACE, what="the task to end")
        except TimedOut:
            pass
        except ApiError as error:
            if error.code != "TASK_CANCELLED":  # That is our own doing, after REASON_GRACE.
                raise
        raise XenError(f"the transfer of the disk failed: {what}; look at the host, and run the task again")


class Transfer(NamedTuple):
    """What went over the network, of how much, in what time."""

    bytes_sent: int
    bytes_total: int
    seconds: float
