# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A simulator on sockets, and what a client must know to reach it."""

from __future__ import annotations

import asyncio
import os
import ssl
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .engine import neighbours
from .transport.handlers import HANDLERS
from .transport.sites import Sites
from .transport.tls import Authority, Identity

if TYPE_CHECKING:
    from . import Simulator


class Server:
    """Listeners of one pool. Attributes are None until `open`."""

    def __init__(self, simulator: Simulator, directory: Path | None = None, authority: Authority | None = None) -> None:
        self.simulator = simulator
        if authority is not None:
            simulator.engine.identities.authority = authority
        self.username = simulator.username
        self.password = simulator.password
        self._directory = directory
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._sites: list[Sites] = []
        self._jobs: set[asyncio.Task[None]] = set()
        self.port = self.http_port = 0
        self.url = self.http_url = self.fingerprint = ""
        self.ca_path: Path | None = None
        self.addresses: dict[str, str] = {}
        self.urls: dict[str, str] = {}

    async def open(self, *, port: int, tls: bool, http: bool) -> None:
        engine = self.simulator.engine
        coordinator = engine.coordinator
        known = {host: engine.db.get("host", host, "address") for host in engine.db.refs("host")}
        self.addresses = addresses(known, coordinator, neighbours.listening(port))
        if tls:
            await self._open_tls(port, coordinator)
        if http or not tls:
            sites = Sites(engine, HANDLERS)
            self.http_port = await sites.open(self.addresses, 0 if tls else port, None)
            self._sites.append(sites)
            self.http_url = f"http://{self.addresses[coordinator]}:{self.http_port}"
        scheme, chosen = ("https", self.port) if tls else ("http", self.http_port)
        self.url = f"{scheme}://{self.addresses[coordinator]}:{chosen}"
        self.urls = {engine.db.get("host", h, "name_label"): f"{scheme}://{a}:{chosen}" for h, a in self.addresses.items()}
        for host, address in self.addresses.items():
            engine.endpoints[host] = f"{address}:{chosen}"
            engine.scheme = scheme
        engine.on_down.append(self._host_changed)
        engine.on_arrival.append(self._host_came)
        engine.on_retired.append(self.close)
        engine.on_identity.append(self._host_shows_another)

    def _host_came(self, host: str, endpoint: str) -> None:
        """A host that joined goes on listening where it did, with a certificate of this pool's authority."""
        address, _unused, port = endpoint.rpartition(":")
        engine = self.simulator.engine
        if not port or len(self._sites) != 1:
            return
        self.addresses[host] = address
        (sites,) = self._sites
        sites.add(host, address, int(port), self._certified(host, address) if sites.contexts is not None else None)
        engine.endpoints[host] = endpoint
        self.urls[engine.db.get("host", host, "name_label")] = f"{engine.scheme}://{endpoint}"

    def _host_changed(self, host: str, down: bool) -> None:
        for sites in self._sites:
            # Not the engine's work: what that has under way ends with the toolstack, whose start is when the host has to answer again.
            job = asyncio.ensure_future(sites.silence(host) if down else sites.listen(host))
            self._jobs.add(job)
            job.add_done_callback(self._jobs.discard)

    async def _open_tls(self, port: int, coordinator: str) -> None:
        directory = self._directory
        if directory is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="simulator-")
            directory = Path(self._temporary.name)
        self.ca_path = directory / "ca.pem"
        self.simulator.engine.identities.authority.write(self.ca_path)
        sites = Sites(self.simulator.engine, HANDLERS)
        self.port = await sites.open(self.addresses, port, {host: self._certified(host, address) for host, address in self.addresses.items()})
        self._sites.append(sites)
        self.fingerprint = self.simulator.engine.identities.of(coordinator, self.addresses[coordinator]).fingerprint()

    def _certified(self, host: str, address: str) -> ssl.SSLContext:
        """The host shows its certificate, and the database says which one it is."""
        engine = self.simulator.engine
        identity: Identity = engine.identities.of(host, address)
        engine.behaviours["host"].record_certificate(host, identity)
        return identity.context()

    async def _host_shows_another(self, host: str) -> None:
        """A certificate was exchanged: connections are cut, and the next ones see it."""
        for sites in self._sites:
            if sites.contexts is not None and host in self.addresses:
                sites.contexts[host] = self._certified(host, self.addresses[host])
                await sites.silence(host)
                await sites.listen(host)

    def description(self) -> dict[str, Any]:
        """What the ready file holds."""
        return {
            "url": self.url,
            "http_url": self.http_url or None,
            "username": self.username,
            "password": self.password,
            "ca_path": str(self.ca_path) if self.ca_path else None,
            "fingerprint": self.fingerprint or None,
            "pid": os.getpid(),
            "hosts": self.urls,
        }

    async def close(self) -> None:
        for sites in self._sites:
            await sites.close()
        self._sites.clear()
        if self._temporary is not None:
            self._temporary.cleanup()


def addresses(known: dict[str, str], coordinator: str, taken: frozenset[str] = frozenset()) -> dict[str, str]:
    """Where each host listens: at its own address when that is a free loopback one, else at the next free of 127.0.0.1, 127.0.0.2, …"""
    own = {host: address for host, address in known.items() if address.startswith("127.") and address not in taken}
    if len(set(own.values())) < len(own):
        own = {}
    used = {*own.values(), *taken}
    free = (address for number in range(1, 1 << 16) if number % 256 not in (0, 255) and (address := f"127.0.{number >> 8}.{number & 255}") not in used)
    hosts = [coordinator, *(host for host in known if host != coordinator)]
    return {host: own.get(host) or next(free) for host in hosts}
