# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions that outlive a module."""

from __future__ import annotations

from typing import Any, Protocol

from ._errors import ApiError
from ._plan import Plan


class Session(Protocol):
    """What is needed of a session here."""

    ref: str

    @property
    def url(self) -> str: ...

    def call(self, method: str, *arguments: Any) -> Any: ...

    def login(self, username: str | None, password: str | None) -> None: ...

    def logout(self) -> None: ...

    def keep(self) -> None: ...


def plan_session(session: Session, params: dict[str, Any]) -> Plan:
    """A plan without steps: a session is no state of the pool, and tasks in check mode need it as well."""
    if params["state"] == "absent":
        session.logout()
        return Plan()
    opened = not (params["session_id"] and _works(session))
    if opened and params["session_id"]:
        session.login(params["username"], params["password"])
    session.keep()
    return Plan(result={"session_id": session.ref, "url": session.url, "opened": opened})


def _works(session: Session) -> bool:
    try:
        session.call("session.get_this_host", session.ref)
    except ApiError as error:
        if error.code not in ("SESSION_INVALID", "HANDLE_INVALID"):
            raise
        return False
    return True
