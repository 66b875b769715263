# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A simulator of XenAPI pools: what a real xapi accepts, answers and refuses.

In a test:

    with Simulator("one_host") as simulator:
        session = simulator.session()
        vm = session.VM.create({...})
        assert [call.method for call in simulator.calls if call.writes] == ["VM.create"]

On sockets: `server = simulator.serve()` and then `server.url`, `server.ca_path`, `server.fingerprint`.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar

from . import fault_effects, worlds
from .behaviour import ALL
from .engine import schema
from .engine.clock import Clock, VirtualClock
from .engine.context import CURRENT, Call, Context
from .engine.core import Engine
from .engine.failure import NULL, Failure
from .engine.faults import Faults, Rule
from .engine.schema import DEFAULT
from .server import Server
from .state import State, StateError
from .storage import Store
from .transport.memory import MemoryClient, MemorySession
from .transport.tls import Authority, Identities

T = TypeVar("T")
__all__ = ["NULL", "Call", "Clock", "Failure", "Rule", "Simulator", "StateError", "VirtualClock"]


class Simulator:
    """One pool. `world` is a name, a path, or a mapping (see `worlds.load`); `api` the API level, that of the world by default.

    `latency`: message → seconds. `rates`: message, or method and path of a transfer → bytes a second.
    `state`: a directory that keeps the pool; one that keeps a pool already is taken up where it was, whatever `world` says.
    """

    def __init__(
        self,
        world: str | Path | Mapping[str, Any] = "one_host",
        *,
        api: str | None = None,
        clock: Clock | None = None,
        latency: Mapping[str, float] | None = None,
        rates: Mapping[str, float] | None = None,
        vms: int = 0,
        key: str = "world",
        plugin_dir: Path | None = None,
        state: Path | None = None,
    ) -> None:
        name, data = worlds.read(world)
        self._state = State(state, api) if state else None
        kept, level = (self._state.world, self._state.level) if self._state else (None, None)
        level = str(level or api or data.get("api") or DEFAULT)
        self.world = kept or worlds.load({**data, "name": name}, key=key, vms=vms or None)
        self.world.fit(schema.load(level))
        self.username = str(self.world.extra.get("username", "root"))
        self.store = self._state.store if self._state else Store()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="simulator", daemon=True)
        self._thread.start()
        self.clock = clock or Clock()
        self._servers: list[Server] = []
        self.engine = self.run(self._engine(level, dict(latency or {})))
        self.password = self.engine.users[self.username][0]
        self.engine.rates = dict(rates or {})
        self.engine.plugin_dir = plugin_dir

    async def _engine(self, level: str, latency: dict[str, float]) -> Engine:
        CURRENT.set(Context())
        engine = Engine(schema.load(level), ALL, self.clock)
        engine.store = self.store
        engine.identities = Identities()
        engine.users = {self.username: (str(self.world.extra.get("password", "simulated")), "pool-admin")}
        engine.latency = latency
        engine.faults.effect = partial(fault_effects.strike, engine)
        if self._state:
            self._state.begin(engine, self.world)
        else:
            engine.db.load(self.world.records)
            engine.start(self.world.extra)
        return engine

    # Clients

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the engine's thread and wait for it."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def connect(self, host: str = NULL) -> MemoryClient:
        """A client in memory, not logged in; `host` is the reference of the host it talks to."""
        return MemoryClient(self, host)

    def session(self, username: str | None = None, password: str | None = None) -> MemorySession:
        """A logged-in session in memory."""
        return MemorySession(self, username or self.username, password or self.password)

    def serve(self, *, port: int = 0, tls: bool = True, http: bool = False, directory: Path | None = None, authority: Authority | None = None) -> Server:
        """Listen on loopback sockets, a host an address; pools of one process may share the authority of their certificates."""
        server = Server(self, directory, authority)
        self.run(server.open(port=port, tls=tls, http=http))
        self._servers.append(server)
        return server

    # What tests look at

    @property
    def calls(self) -> list[Call]:
        """Every call so far: method, params (secrets masked), outcome, writes."""
        return self.engine.calls

    @property
    def faults(self) -> Faults:
        return self.engine.faults

    def fill(self, sr: str, leave: int = 0) -> None:
        """Leave only that many bytes free in the SR with this reference."""

        async def fill() -> None:
            self.engine.behaviours["SR"].fill(sr, leave)

        self.run(fill())

    @property
    def problems(self) -> list[str]:
        """Calls that met a declared message without behaviour, or broke a behaviour; a test that has any must fail."""
        return self.engine.problems

    def records(self, cls: str) -> dict[str, Any]:
        """The live public records of a class, without a call in the log."""

        async def read() -> dict[str, Any]:
            self.engine.operations.refresh()
            return {ref: self.engine.db.record(cls, ref) for ref in self.engine.db.refs(cls)}

        return self.run(read())

    def restart_toolstack(self) -> None:
        """What restarting xapi does to clients: sessions and tasks are gone, connections cut."""

        async def restart() -> None:
            self.engine.restart()

        self.run(restart())

    def close(self) -> None:
        for server in self._servers:
            self.run(server.close())
        self._servers.clear()
        if self._thread.is_alive():
            self.run(self._end())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(5)
            self._loop.close()
        if self._state:
            self._state.close()
        self.store.close()

    async def _end(self) -> None:
        """Nothing runs on: a loop that stops with work pending complains of each piece."""
        self.engine.close()
        running = asyncio.all_tasks() - {asyncio.current_task()}
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_unused: object) -> None:
        self.close()
