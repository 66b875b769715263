# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The servers of a pool's hosts: each on an address of its own, opened and shut as the machine comes and goes."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING

from aiohttp import web

from .door import Door
from .http import Handler, Listener

if TYPE_CHECKING:
    from ..engine.core import Engine


class Sites:
    """All listeners of one pool: a host each, every one on its own loopback address and all on one port."""

    def __init__(self, engine: Engine, handlers: dict[str, dict[str, Handler]]) -> None:
        self.engine = engine
        self.handlers = handlers
        self.addresses: dict[str, str] = {}
        self.contexts: dict[str, ssl.SSLContext] | None = None
        self.port = 0
        self.ports: dict[str, int] = {}  # of hosts that listen on another port: they came from elsewhere
        self._open: dict[str, tuple[Door, web.ServerRunner]] = {}
        self._turn = asyncio.Lock()  # a host that is to listen again has closed its door before

    async def open(self, addresses: dict[str, str], port: int, contexts: dict[str, ssl.SSLContext] | None) -> int:
        """Listen for every host (reference → address); returns the port, chosen when 0."""
        self.addresses, self.contexts, self.port = dict(addresses), contexts, port
        for host in addresses:
            await self.listen(host)
        return self.port

    def add(self, host: str, address: str, port: int, context: ssl.SSLContext | None) -> None:
        """A further host, which begins to listen when it is up."""
        self.addresses[host], self.ports[host] = address, port
        if self.contexts is not None and context is not None:
            self.contexts[host] = context

    async def listen(self, host: str) -> None:
        """Let a host answer."""
        async with self._turn:
            if host in self._open or host not in self.addresses:
                return
            runner = Listener(self.engine, host, self.handlers).runner()
            await runner.setup()
            assert runner.server is not None
            context = self.contexts[host] if self.contexts else None
            door = Door(self.addresses[host], self.ports.get(host, self.port), runner.server, context)
            self._open[host] = door, runner
            self.port = self.port or door.port

    async def silence(self, host: str) -> None:
        """Let a host refuse connections, and cut those it has."""
        async with self._turn:
            if host in self._open:
                door, runner = self._open.pop(host)
                await door.close()
                await runner.cleanup()

    async def close(self) -> None:
        for host in list(self._open):
            await self.silence(host)
