# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The server under test: the simulator, started here from a recording's world, one pool or two."""

from __future__ import annotations

import re
from pathlib import Path
from types import TracebackType
from typing import Any

from simulator import Simulator

from .bindings import Bindings
from .client import Client

# The scripts that the recordings call in dom0, made again from what they answered.
PLUGINS = Path(__file__).parent / "plugins"
COORDINATOR, MEMBER, OTHER = "coordinator", "member", "other"


class SimulatedTarget:
    """A simulator per pool of a recording; knows which server a step's ``at`` means."""

    def __init__(self, path: Path, recording: dict[str, Any]) -> None:
        self._pools = {COORDINATOR: Pool(path, "world")}
        if "other_world" in recording:
            self._pools[OTHER] = Pool(path, "other_world")

    def __enter__(self) -> SimulatedTarget:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for pool in self._pools.values():
            pool.simulator.close()

    def bindings(self) -> Bindings:
        """The start state's symbols."""
        real: dict[str, str] = {}
        for pool in self._pools.values():
            real.update(pool.simulator.world.bindings)
        return Bindings(real)

    def client(self, at: str) -> Client:
        pool = self._pools[OTHER if at == OTHER else COORDINATOR]
        return Client.of(pool.member_url() if at == MEMBER else pool.server.http_url)

    def credentials(self, at: str) -> tuple[str, str]:
        simulator = self._pools[OTHER if at == OTHER else COORDINATOR].simulator
        return simulator.username, simulator.password

    def restart_toolstack(self) -> None:
        self._pools[COORDINATOR].simulator.restart_toolstack()

    def outward(self, text: str) -> str:
        """Addresses as recorded, on port 80, → where the simulator listens."""
        for recorded, endpoint in self._endpoints():
            text = re.sub(rf"http://{re.escape(recorded)}(?=/|$)", f"http://{endpoint}", text)
        return text

    def inward(self, text: str) -> str:
        """The simulator's addresses → as recorded."""
        for recorded, endpoint in self._endpoints():
            text = text.replace(endpoint, recorded)
        return text

    def _endpoints(self) -> list[tuple[str, str]]:
        return [pair for pool in self._pools.values() for pair in pool.endpoints]


class Pool:
    """One simulator and its listeners."""

    def __init__(self, path: Path, key: str) -> None:
        self.simulator = Simulator(path, key=key, plugin_dir=PLUGINS)
        self.server = self.simulator.serve(tls=False, http=True)
        hosts = self.simulator.world.records["host"].values()
        # (address in the recording, address and port here)
        self.endpoints = [(host["address"], self.server.urls[host["name_label"]].removeprefix("http://")) for host in hosts]

    def member_url(self) -> str:
        return next(url for url in self.server.urls.values() if url != self.server.http_url)
