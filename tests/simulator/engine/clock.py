# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Time of the simulated pool: the real one, or a virtual one that jumps to the next appointment when nothing else can run."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from datetime import UTC, datetime
from typing import Any


def wire_time(seconds: float) -> str:
    """Unix seconds as xapi writes a datetime."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y%m%dT%H:%M:%SZ")


class Clock:
    """The real clock."""

    def time(self) -> float:
        return time.time()

    def now(self) -> str:
        return wire_time(self.time())

    def ago(self, seconds: float) -> str:
        """The moment that many seconds before now."""
        return wire_time(self.time() - seconds)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def wait(self, future: asyncio.Future[Any], seconds: float) -> bool:
        """Whether `future` was done within `seconds`."""
        done, _unused = await asyncio.wait([future], timeout=seconds)
        return bool(done)


class VirtualClock(Clock):
    """Time stands still while anything can run; then it jumps to the earliest sleeper. An hour of waiting takes no time."""

    # The loop is taken to be idle after this many empty rounds; a round is one pass over all that is ready.
    IDLE_ROUNDS = 20

    def __init__(self, start: float | None = None) -> None:
        self._now = time.time() if start is None else start
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()
        self._driver: asyncio.Task[None] | None = None

    def time(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        """Let time pass by hand."""
        self._wake(self._now + seconds)

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + seconds, next(self._order), future))
        if self._driver is None or self._driver.done():
            self._driver = asyncio.ensure_future(self._drive())
        await future

    async def wait(self, future: asyncio.Future[Any], seconds: float) -> bool:
        sleeper = asyncio.ensure_future(self.sleep(seconds))
        await asyncio.wait([future, sleeper], return_when=asyncio.FIRST_COMPLETED)
        sleeper.cancel()
        return future.done()

    async def _drive(self) -> None:
        while self._sleepers:
            for _unused in range(self.IDLE_ROUNDS):
                await asyncio.sleep(0)
            self._sleepers = [s for s in self._sleepers if not s[2].done()]
            heapq.heapify(self._sleepers)
            if self._sleepers:
                self._wake(self._sleepers[0][0])

    def _wake(self, moment: float) -> None:
        self._now = max(self._now, moment)
        while self._sleepers and self._sleepers[0][0] <= self._now:
            _unused, _unused, future = heapq.heappop(self._sleepers)
            if not future.done():
                future.set_result(None)
