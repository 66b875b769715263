# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pools of one process: each on a thread of its own, found by the address of a host, asked on their own thread.

Where xapi would connect to another pool, this takes the place of the wire.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable, Iterator
from inspect import isawaitable
from typing import TYPE_CHECKING, Any

from .context import CURRENT, Context

if TYPE_CHECKING:
    from .core import Engine

# Every pool that runs, with the loop that its engine runs on.
POOLS: weakref.WeakKeyDictionary[Engine, asyncio.AbstractEventLoop] = weakref.WeakKeyDictionary()


def register(engine: Engine) -> None:
    """From now on others find this pool; called on the engine's own loop."""
    POOLS[engine] = asyncio.get_running_loop()


def forget(engine: Engine) -> None:
    POOLS.pop(engine, None)


def listening(port: int) -> frozenset[str]:
    """The addresses at which hosts of this process listen on a port."""
    endpoints = [endpoint.rpartition(":") for engine in list(POOLS) for endpoint in engine.endpoints.values()]
    return frozenset(address for address, _unused, used in endpoints if used == str(port))


def at(address: str, asker: Engine) -> tuple[Engine, str] | None:
    """The pool and the host that answer at an address (with or without a port); the asker's own only when nobody else does."""
    found = list(_answering(address))
    return next((one for one in found if one[0] is not asker), found[0] if found else None)


def _answering(address: str) -> Iterator[tuple[Engine, str]]:
    """Best matches first: where a server listens, then what the database says."""
    pools = [engine for engine in list(POOLS) if not engine.retired_to]
    for engine in pools:
        yield from ((engine, host) for host, endpoint in engine.endpoints.items() if endpoint == address and host not in engine.down)
    for engine in pools:
        yield from ((engine, host) for host, endpoint in engine.endpoints.items() if endpoint.rpartition(":")[0] == address and host not in engine.down)
    for engine in pools:
        yield from ((engine, host) for host, row in engine.db.items("host") if address in (row["address"], row["hostname"]) and host not in engine.down)


async def ask(engine: Engine, question: Callable[[], Any], context: Context | None = None) -> Any:
    """Run `question` where another pool's database lives; it may answer an awaitable. What it changed is settled before the answer."""

    async def run() -> Any:
        CURRENT.set(context or Context())
        result = question()
        result = await result if isawaitable(result) else result
        engine.operations.refresh()
        return result

    loop = POOLS[engine]
    if loop is asyncio.get_running_loop():
        return await asyncio.ensure_future(run())
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(run(), loop))
