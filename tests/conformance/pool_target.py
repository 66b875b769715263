# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The server under test: a pool that exists, reached by its URL. It is changed by what is played on it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from . import start_state
from .bindings import Bindings
from .client import Client
from .trust import Trust

COORDINATOR, MEMBER, OTHER = "coordinator", "member", "other"
# Which start state of a recording a server's pool is compared to.
WORLDS = {COORDINATOR: "world", OTHER: "other_world"}
RESTART_DEADLINE, RESTART_PAUSE = 300.0, 1.0


class Unreachable(Exception):
    """The pool cannot be used; the message says why."""


@dataclass(frozen=True)
class Pool:
    """How to reach the servers that steps speak of, by their name in `at`."""

    urls: Mapping[str, str]
    username: str
    password: str = field(repr=False)
    trust: Trust = field(default_factory=Trust)

    def client(self, at: str) -> Client:
        if at not in self.urls:
            raise Unreachable(f"a step goes to the {at}, and no --{at} says where that is")
        return Client.of(self.urls[at], self.trust)

    def call(self, client: Client, method: str, *params: Any) -> Any:
        answer = client.call(method, list(params))
        if "error" in answer:
            raise Unreachable(f"{client.address}: {method}: {' '.join(map(str, answer['error']))}")
        return answer["result"]

    def records(self, at: str, classes: Iterable[str]) -> dict[str, dict[str, dict[str, Any]]]:
        """`get_all_records` of each class that there is."""
        client = self.client(at)
        session = self.call(client, "session.login_with_password", self.username, self.password, "1.0", "conformance")
        try:
            answers = {name: client.call(f"{name}.get_all_records", [session]) for name in classes}
        finally:
            client.call("session.logout", [session])
            client.close()
        # A class that this level lacks, or that this role may not read, has no records here.
        return {name: answer["result"] for name, answer in answers.items() if "result" in answer}


class PoolTarget:
    """A recording's view of a pool."""

    def __init__(self, pool: Pool, recording: Mapping[str, Any]) -> None:
        self._pool = pool
        self._bindings = Bindings()
        # Address in the recording → address of the pool, with a port if the URL has one.
        self._endpoints: list[tuple[str, str]] = []
        self.missing: list[str] = []
        for at, key in WORLDS.items():
            world = recording.get(key)
            if world and at in pool.urls:
                self._meet(at, world)

    def _meet(self, at: str, world: start_state.Records) -> None:
        live = self._pool.records(at, world)
        start_state.bind(world, live, self._bindings)
        self.missing += start_state.missing(world, self._bindings)
        port = urlsplit(self._pool.urls[at]).port
        for symbol, host in world.get("host", {}).items():
            found = live["host"].get(self._bindings.real(symbol) or "")
            if found and "address" in host:
                self._endpoints.append((host["address"], found["address"] + (f":{port}" if port else "")))

    def __enter__(self) -> PoolTarget:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        pass

    def bindings(self) -> Bindings:
        return self._bindings

    def client(self, at: str) -> Client:
        return self._pool.client(at)

    def url(self, at: str) -> str:
        return self._pool.urls[at]

    def credentials(self, at: str) -> tuple[str, str]:
        return self._pool.username, self._pool.password

    def restart_toolstack(self) -> None:
        """Restart the coordinator's, and wait until it takes a login again."""
        pool = self._pool
        client = pool.client(COORDINATOR)
        session = pool.call(client, "session.login_with_password", pool.username, pool.password)
        pool.call(client, "host.restart_agent", session, pool.call(client, "session.get_this_host", session, session))
        deadline = time.monotonic() + RESTART_DEADLINE
        while time.monotonic() < deadline:
            time.sleep(RESTART_PAUSE)
            try:
                # The session from before tells whether the restart is still to come.
                if "error" not in client.call("session.get_uuid", [session, session]):
                    continue
                pool.call(client, "session.login_with_password", pool.username, pool.password)
            except (OSError, Unreachable):
                continue
            client.close()
            return
        raise Unreachable(f"{client.address}: the toolstack did not come back within {RESTART_DEADLINE:.0f} s")

    def outward(self, text: str) -> str:
        for recorded, endpoint in self._endpoints:
            text = re.sub(rf"(https?)://{re.escape(recorded)}(?=/|$)", rf"\1://{endpoint}", text)
        return text

    def inward(self, text: str) -> str:
        return moved(text, self._endpoints)


def moved(text: str, endpoints: Iterable[tuple[str, str]]) -> str:
    """`text` with the first of each pair in the place of the second, be that with its port or without."""
    places = {}
    for place, endpoint in endpoints:
        places[endpoint] = places[endpoint.partition(":")[0]] = place
    if not places:
        return text
    # All at once: what one replacement wrote may look like another host.
    known = "|".join(re.escape(item) for item in sorted(places, key=len, reverse=True))
    return re.sub(rf"(?<![\d.])(?:{known})(?![\d.])", lambda found: places[found[0]], text)
