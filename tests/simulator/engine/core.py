# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine of one pool: its state, its clock, and what runs beside the calls. The calls themselves: dispatch.py."""

from __future__ import annotations

import asyncio
import inspect
import math
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

from . import faults, neighbours, parameters
from .behaviour import Behaviour
from .clock import Clock
from .context import CURRENT, Call, Context
from .dispatch import Dispatcher
from .dom0 import Dom0
from .events import Events
from .failure import NULL, Failure
from .log import Log
from .operations import Operations
from .registry import Registry
from .schema import Schema
from .specs import MessageSpec
from .tasks import Tasks

# How often a copy that takes time tells how far it is.
STEPS_MOST, STEPS_A_SECOND = 100, 10


class Engine:
    """State of one pool."""

    def __init__(self, schema: Schema, behaviours: list[type[Behaviour]], clock: Clock) -> None:
        self.schema = schema
        self.clock = clock
        self.db = Registry(schema)
        self.log = Log(schema)
        self.tasks = Tasks(self)
        self.events = Events(self)
        self.operations = Operations(self)
        self.faults = faults.Faults()
        self.dispatcher = Dispatcher(self)
        self.latency: dict[str, float] = {}  # message → seconds
        self.rates: dict[str, float] = {}  # message, or method and path of a transfer → bytes a second
        self.problems: list[str] = []  # what no test may pass over: missing behaviour, broken behaviour
        self.roles: dict[str, str] = {}  # session → role
        self.users: dict[str, tuple[str, str]] = {}  # name → password, role
        self.store: Any = None  # the bytes of the disks
        self.meter: Any = None  # measurements
        self.endpoints: dict[str, str] = {}  # host → address:port that its server listens on
        self.scheme = "https"
        self.identities: Any = None  # the certificates that hosts show
        self.on_identity: list[Callable[[str], Coroutine[Any, Any, None]]] = []  # awaited when a host shows another one
        self.local_sessions: set[str] = set()
        self.down: set[str] = set()  # hosts that do not answer, whatever the database says
        self.on_down: list[Callable[[str, bool], None]] = []  # told when a host stops or starts to answer
        self.on_arrival: list[Callable[[str, str], None]] = []  # told when a host joined, and the address:port that it listened on
        self.on_retired: list[Callable[[], Coroutine[Any, Any, None]]] = []  # awaited when this pool has become part of another
        self.retired_to: tuple[Engine, str] | None = None  # that pool, and the host there that this pool's only host became
        self.plugin_dir: Path | None = None  # dom0's plugin scripts
        self._dom0: dict[str, Dom0] = {}
        self.forwarders: list[Callable[[Engine, str, list[Any]], None]] = []  # told of a call before its body: does its host answer?
        # By class; typed loosely, as each has the messages of its class.
        self.behaviours: dict[str, Any] = {b.cls: b(self) for b in behaviours if b.cls in schema.classes}
        self._background: set[asyncio.Task[Any]] = set()

    @property
    def calls(self) -> list[Call]:
        return self.log.calls

    async def call(self, name: str, params: list[Any], *, at: str = NULL, protocol: str = "memory", headers: Mapping[str, str] | None = None) -> Any:
        """Serve one call as host `at` (default: the coordinator). Returns the result; raises `Failure` for a refusal."""
        return await self.dispatcher.call(name, params, at if at != NULL else self.coordinator, protocol, dict(headers or {}))

    def check_session(self, session: str, at: str) -> None:
        """SESSION_INVALID, or HOST_IS_SLAVE for a client's session at a member."""
        self.dispatcher.check_session(session, at)

    def decode_record(self, cls: str, value: Any) -> dict[str, Any]:
        return parameters.record(self.schema, cls, value)

    def kind_of(self, spec: MessageSpec) -> str:
        """How a message is answered: `behaviour`, `implicit`, `internal`, `removed` or `declared only`."""
        return self.dispatcher.kind_of(spec)

    # Time, and work beside the calls

    def check_cancelled(self) -> None:
        """A cancel point of the running call: TASK_CANCELLED when somebody cancelled its task."""
        task = CURRENT.get().task
        if task in self.tasks.cancelled:
            raise Failure("TASK_CANCELLED", task)

    async def pass_time(self, wire: str) -> None:
        """Let the message take as long as `latency` says."""
        seconds = self.latency.get(wire, 0.0)
        if seconds > 0:
            await self.tasks.idle(seconds)

    async def carry(self, size: int) -> bool:
        """Let the running message take as long as moving `size` bytes does at its rate, and tell its progress; False: it has none."""
        rate = self.rates.get(CURRENT.get().method, 0.0)
        seconds = size / rate if rate > 0 else 0.0
        steps = min(STEPS_MOST, math.ceil(seconds * STEPS_A_SECOND))
        for step in range(1, steps + 1):
            await self.clock.sleep(seconds / steps)
            self.check_cancelled()
            self.tasks.progress(step / steps)
        return steps > 0

    def spawn(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run something beside the calls; it ends with the engine at the latest."""
        job = asyncio.ensure_future(coroutine)
        self._background.add(job)
        job.add_done_callback(self._background.discard)
        return job

    def later(self, seconds: float, action: Any) -> asyncio.Task[Any]:
        """Run `action` after `seconds`, outside any call; a coroutine function is awaited."""

        async def run() -> None:
            CURRENT.set(Context())
            await self.clock.sleep(seconds)
            try:
                result = action()
                if inspect.isawaitable(result):
                    await result
            except Exception as error:
                self.problems.append(f"{action!r}, run later: {error!r}")
            self.operations.refresh()

        return self.spawn(run())

    # Machines

    def forward(self, message: str, arguments: list[Any]) -> None:
        """Refuse a call that a host would have to serve which does not answer."""
        for forwarder in self.forwarders:
            forwarder(self, message, arguments)

    def set_down(self, host: str, down: bool) -> None:
        """The host stops or starts to answer."""
        if down:
            self.down.add(host)
        else:
            self.down.discard(host)
        for listener in self.on_down:
            listener(host, down)

    def identity_of(self, host: str) -> Any:
        """The certificate that a host shows."""
        address = self.endpoints.get(host, "").rpartition(":")[0] or str(self.db.get("host", host, "address"))
        return self.identities.of(host, address)

    def dom0(self, host: str) -> Dom0:
        """The private folder of a host's control domain."""
        if host not in self._dom0:
            self._dom0[host] = Dom0()
        return self._dom0[host]

    # Life

    def start(self, extra: Mapping[str, Any]) -> None:
        """Let every behaviour prepare what a world's records cannot say, then settle allowed_operations."""
        neighbours.register(self)
        for behaviour in self.behaviours.values():
            behaviour.loaded(extra)
        self.operations.refresh()

    def restart(self) -> None:
        """The toolstack is restarted: running work, sessions and tasks are gone (facts 1.6, 1.8)."""
        self.stop()
        for cls in ("session", "task"):
            for ref in self.db.refs(cls):
                self.db.delete(cls, ref)
        self.roles.clear()
        self.local_sessions.clear()
        for cls, table in self.db.tables.items():
            if "current_operations" in table.spec.fields:
                for ref in self.db.refs(cls):
                    self.db.set(cls, ref, "current_operations", {})
        for behaviour in self.behaviours.values():
            behaviour.restarted()
        self.events.restarted()
        self.operations.refresh()

    def stop(self) -> None:
        for job in list(self._background):
            job.cancel()

    def close(self) -> None:
        """The end of the simulation."""
        neighbours.forget(self)
        self.stop()
        for dom0 in self._dom0.values():
            dom0.close()

    # Help

    @property
    def pool(self) -> str:
        return next(iter(self.db.table("pool").rows))

    @property
    def coordinator(self) -> str:
        """The pool's master."""
        return str(self.db.get("pool", self.pool, "master"))

    def is_member(self, host: str) -> bool:
        """Whether the host follows a coordinator, here or in the pool that this one became part of."""
        return host != self.coordinator or self.retired_to is not None

    @property
    def coordinator_address(self) -> str:
        """Where clients that asked a member are sent: the address its server listens on, else the one in the database."""
        if self.retired_to:
            return self.retired_to[0].coordinator_address
        host = self.coordinator
        if host in self.endpoints:
            return self.endpoints[host].rpartition(":")[0]
        return str(self.db.get("host", host, "address"))
