# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A client without a socket: what unit tests use. Values are as JSON-RPC gives them."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from ..engine.failure import NULL

if TYPE_CHECKING:
    from .. import Simulator


class MemoryClient:
    """`call(method, params)` with the session as first parameter; raises `Failure`."""

    def __init__(self, simulator: Simulator, host: str = NULL) -> None:
        self.simulator = simulator
        self.host = host

    def call(self, method: str, params: list[Any]) -> Any:
        engine = self.simulator.engine
        result = self.simulator.run(engine.call(method, copy.deepcopy(params), at=self.host))
        return copy.deepcopy(result)

    def close(self) -> None:
        """Nothing to close."""


class MemorySession:
    """A logged-in session: `session.call("VM.get_all")`, or `session.VM.get_all()`."""

    def __init__(self, simulator: Simulator, username: str, password: str) -> None:
        self.client = MemoryClient(simulator)
        self.ref = self.client.call("session.login_with_password", [username, password, "1.0", "simulator-tests"])

    def call(self, method: str, *params: Any) -> Any:
        return self.client.call(method, [self.ref, *params])

    def __getattr__(self, cls: str) -> _Class:
        return _Class(self, cls)


class _Class:
    def __init__(self, session: MemorySession, cls: str) -> None:
        self._session, self._cls = session, cls

    def __getattr__(self, name: str) -> Any:
        return lambda *params: self._session.call(f"{self._cls}.{name.removesuffix('_')}", *params)
