# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A session on a XenServer or XCP-ng pool. The only file that imports XenAPI or knows the wire.

::

    with open_session(params) as session:
        record = session.call("VM.get_record", ref)

Results are plain Python and the same over JSON-RPC and XML-RPC: integers are ``int``, datetimes are text like
``2026-11-20T12:00:00Z``, void is ``""`` (as xapi sends it), references are text, an unset one ``OpaqueRef:NULL``.
Pass integers as ``int`` and floats as ``float``. A refusal raises an ``ApiError`` that is a ``XenAPI.Failure`` too.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any, Protocol

from ansible.module_utils.basic import missing_required_lib

from ._errors import ApiError, XenError
from ._http import HttpOptions
from ._jsonrpc import Dropped, JsonRpc, NotXenApi
from ._run import mark_call
from ._sigterm import sigterm_unwinds
from ._wire_types import decode

XENAPI_IMPORT_ERROR: str | None
try:
    import XenAPI

    XENAPI_IMPORT_ERROR = None
    _Failure: Any = XenAPI.Failure
except ImportError:
    XENAPI_IMPORT_ERROR = traceback.format_exc()
    _Failure = Exception

# xapi keeps 500 sessions per originator: an own one keeps other clients from evicting ours (facts §1.6).
ORIGINATOR = "ansible-xapi.xenserver"
# A call of these may be sent again after the connection broke, for it changes nothing. Any other is sent once.
READ_PREFIXES = ("get_", "assert_")
READ_METHODS = {"event.from", "message.get"}
READ_ATTEMPTS = 3
# How often a session of ours that the pool has ended is replaced by a new one (driver-operations §1).
LOGINS_AGAIN = 3


class Transport(Protocol):
    """What a session needs of the wire. ``params`` are all parameters, the session's reference included."""

    def call(self, method: str, params: list[Any]) -> Any: ...

    def close(self) -> None: ...


class Refusal(ApiError, _Failure):  # type: ignore[misc]
    """The ``ApiError`` of a session: catch it as ``ApiError`` or as ``XenAPI.Failure``."""

    def __init__(self, details: Sequence[Any]) -> None:
        ApiError.__init__(self, details)


def connect(options: HttpOptions) -> Transport:
    """The one place that chooses a transport. Tests replace it to reach the simulator without a socket."""
    if options.protocol == "xmlrpc":
        from ._xmlrpc import XmlRpc  # compiled in each task that imports it, and few need it

        return XmlRpc(options, Refusal, XenAPI.Session)
    return JsonRpc(options, Refusal)


class Session:
    """A logged-in session. Made by ``open_session``; planners and helpers receive it.

    ``ref`` is the session's reference, ``http`` how to reach the coordinator (``http.to(host)`` for its members).
    """

    def __init__(self, options: HttpOptions) -> None:
        self.http = options
        self.ref = ""
        self._transport = connect(options)
        self._answered = False
        self._ours = False
        self._credentials: list[str] = []
        self._logins_left = LOGINS_AGAIN

    @property
    def url(self) -> str:
        """Base URL of the coordinator actually talked to."""
        return self.http.endpoint.url

    def call(self, method: str, *arguments: Any) -> Any:
        """Call a message of XenAPI; the session parameter is added here.

        Sessions end when the toolstack restarts. One that we opened is opened anew: the call was refused before anything of it was carried
        out (facts §1.4), so a write may be sent again too, and what the module has begun can be ended or taken back.
        """
        marked = mark_call(method, arguments, self.run_id)
        while True:
            try:
                return self._send(method, [self.ref, *marked])
            except ApiError as error:
                if not self._is_over(error):
                    raise
                self._logins_left -= 1
                self.ref = self._log_in_here(self._credentials)
                if method == "event.from":  # No token tells what went while nobody listened: how everything is, and without waiting.
                    marked[1:] = ["", 0.0]

    def _is_over(self, error: ApiError) -> bool:
        """Whether it was our own session that the pool does not know, and another one may be opened."""
        return self._ours and self._logins_left > 0 and (error.code, list(error.arguments)) == ("SESSION_INVALID", [self.ref])

    @property
    def run_id(self) -> str | None:
        """The run that the module is part of; what is created is marked with it (see ``_run``)."""
        return self.http.run_id

    def failure(self, details: Sequence[Any]) -> ApiError:
        """The exception for a failure that did not arrive as an answer, as that of a task."""
        return Refusal(details)

    def login(self, username: str | None, password: str | None) -> None:
        """Log in; on a member, once more on its coordinator."""
        if not password:
            raise XenError(
                f"the password for {self.http.endpoint.netloc} is missing; "
                "give the option password, set the variable XENSERVER_PASSWORD, or reuse a session with session_id"
            )
        credentials = [username or "root", password, "1.0", ORIGINATOR]
        try:
            self.ref = self._log_in_here(credentials)
        except ApiError as error:
            if error.code != "HOST_IS_SLAVE":
                raise
            self._move(self.http.to(error.arguments[0]))
            self.ref = self._log_in_here(credentials)
        self._ours, self._credentials = True, credentials

    def reuse(self, ref: str) -> None:
        """Use a session that somebody else opened and will close."""
        self.ref = ref

    def keep(self) -> None:
        """Leave the session open at the end; whoever is given ``ref`` closes it."""
        self._ours, self._credentials = False, []

    def logout(self) -> None:
        """End the session now. One that has ended already is no error."""
        ref, self.ref, self._ours = self.ref, "", False
        try:
            self._log_out(ref)
        except XenError:
            # Once more: a session that stays behind counts against the pool's limit for a day (facts §1.6).
            self._log_out(ref)

    def _log_out(self, ref: str) -> None:
        try:
            self._send("session.logout", [ref])
        except ApiError as error:
            if error.code != "SESSION_INVALID":
                raise

    def close(self) -> None:
        """Log out unless the session is kept, and disconnect. Never raises: it runs while errors pass by."""
        if self._ours:
            with suppress(XenError):
                self.logout()
        self._transport.close()

    def _log_in_here(self, credentials: list[str]) -> str:
        try:
            return str(self._send("session.login_with_password", credentials))
        except ApiError as error:
            if error.code.startswith("SESSION_AUTH"):
                error.args = (f"{self.http.endpoint.netloc}: {error}",)
            raise

    def _move(self, options: HttpOptions) -> None:
        self._transport.close()
        self.http = options
        self._transport = connect(options)

    def _send(self, method: str, params: list[Any]) -> Any:
        """The one place that tries again."""
        attempts = READ_ATTEMPTS if is_read(method) else 1
        for attempt in range(1, attempts + 1):
            try:
                return self._send_once(method, params)
            except Dropped as error:
                if attempt == attempts:
                    raise Dropped(f"{error}; {_after_a_drop(method)}") from error
        raise AssertionError("unreachable")

    def _send_once(self, method: str, params: list[Any]) -> Any:
        try:
            value = self._transport.call(method, params)
        except NotXenApi:
            # A server without /jsonrpc hands the request to its XML-RPC handler, which cannot parse it: nothing
            # was carried out (facts §1.1), so even a write may be sent again as XML.
            if self._answered or self.http.protocol == "xmlrpc":
                raise
            self._move(replace(self.http, protocol="xmlrpc"))
            value = self._transport.call(method, params)
        self._answered = True
        return decode(method, value)


def is_read(method: str) -> bool:
    """Whether a call may be sent twice. ``Async.`` calls make a task, so none of them is a read."""
    _class, dot, message = method.partition(".")
    return method in READ_METHODS or (bool(dot) and message.startswith(READ_PREFIXES))


def _after_a_drop(method: str) -> str:
    if is_read(method):
        return f"tried {READ_ATTEMPTS} times; check the network and the toolstack of the host, and run the task again"
    return "it may or may not have been carried out; look at the pool and run the task again"


@contextmanager
def open_session(params: Mapping[str, Any]) -> Iterator[Session]:
    """A session by the connection options of a module, ended in every case: success, failure and SIGTERM.

    With ``session_id`` the given session is used and left open.
    """
    if XENAPI_IMPORT_ERROR is not None:
        raise XenError(missing_required_lib("XenAPI"))
    options = HttpOptions.from_params(params)
    with sigterm_unwinds():
        session = Session(options)
        try:
            if params.get("session_id"):
                session.reuse(params["session_id"])
            else:
                session.login(params.get("username"), params.get("password"))
            yield session
        finally:
            session.close()
