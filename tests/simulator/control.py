# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The control endpoint: fault rules, the log of calls, and what happens to machines, by HTTP while the simulator runs.

It listens on a port of its own at 127.0.0.1, and serves who sends the token that stands in the ready file.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import secrets
from collections.abc import Callable
from dataclasses import asdict
from inspect import signature
from typing import TYPE_CHECKING, Any

from aiohttp import web

from . import call_file, fault_effects
from .engine import neighbours
from .engine.core import Engine
from .engine.faults import parsed

if TYPE_CHECKING:
    from . import Simulator

ADDRESS = "127.0.0.1"
# What POST /actions may ask for; the first parameter is the pool.
ACTIONS: dict[str, Callable[..., Any]] = {
    "boot": fault_effects.boot,
    "crash": fault_effects.crash,
    "cut": fault_effects.cut,
    "drop_sessions": fault_effects.drop_sessions,
    "fill": fault_effects.fill,
    "mend": fault_effects.mend,
    "restart": Engine.restart,
}


class Control:
    def __init__(self, simulators: list[Simulator]) -> None:
        self.simulators = simulators
        self.token = secrets.token_urlsafe(32)
        self.url = ""
        self._runner: web.AppRunner | None = None

    # Life; it runs on the thread of the first pool

    def open(self) -> None:
        self.simulators[0].run(self._open())

    async def _open(self) -> None:
        application = web.Application(middlewares=[self._guard])
        application.router.add_get("/pools", self._pools)
        application.router.add_get("/faults", self._rules)
        application.router.add_post("/faults", self._add_rule)
        application.router.add_delete("/faults", self._clear_rules)
        application.router.add_delete("/faults/{number}", self._remove_rule)
        application.router.add_get("/calls", self._calls)
        application.router.add_get("/problems", self._problems)
        application.router.add_post("/actions", self._act)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, ADDRESS, 0)
        await site.start()
        self.url = f"http://{ADDRESS}:{self._runner.addresses[0][1]}"

    def close(self) -> None:
        if self._runner is not None:
            self.simulators[0].run(self._runner.cleanup())
            self._runner = None

    def description(self) -> dict[str, str]:
        """What the ready file holds."""
        return {"url": self.url, "token": self.token}

    # Requests

    @web.middleware
    async def _guard(self, request: web.Request, handler: Callable[[web.Request], Any]) -> web.StreamResponse:
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(given.encode(), self.token.encode()):
            return web.json_response({"error": "send the token of the ready file: 'Authorization: Bearer TOKEN'"}, status=401)
        try:
            answer: web.StreamResponse = await handler(request)
        except ValueError as error:
            return web.json_response({"error": str(error)}, status=400)
        return answer

    async def _in_pool(self, request: web.Request, question: Callable[[Engine], Any]) -> Any:
        """Ask the pool that the query names by its number, the first by default, on its own thread."""
        number = request.query.get("pool", "0")
        if not number.isdigit() or int(number) >= len(self.simulators):
            raise ValueError(f"there is no pool {number!r}; there are 0 to {len(self.simulators) - 1}")
        engine = self.simulators[int(number)].engine
        return await neighbours.ask(engine, lambda: question(engine))

    async def _pools(self, request: web.Request) -> web.Response:
        pools = []
        for number, simulator in enumerate(self.simulators):
            pools.append({"pool": number, "world": simulator.world.name, "hosts": dict(simulator.engine.endpoints)})
        return web.json_response(pools)

    async def _rules(self, request: web.Request) -> web.Response:
        return web.json_response(await self._in_pool(request, lambda engine: [asdict(rule) for rule in engine.faults.rules]))

    async def _add_rule(self, request: web.Request) -> web.Response:
        rule = parsed(await _json(request))
        added = await self._in_pool(request, lambda engine: engine.faults.add(fault_effects.check(engine, rule)))
        return web.json_response(asdict(added), status=201)

    async def _clear_rules(self, request: web.Request) -> web.Response:
        await self._in_pool(request, lambda engine: engine.faults.clear())
        return web.Response(status=204)

    async def _remove_rule(self, request: web.Request) -> web.Response:
        text = request.match_info["number"]
        found = text.isdigit() and await self._in_pool(request, lambda engine: engine.faults.remove(int(text)))
        if not found:
            return web.json_response({"error": f"there is no rule {text}"}, status=404)
        return web.Response(status=204)

    async def _calls(self, request: web.Request) -> web.Response:
        query = {name: value for name, value in request.query.items() if name != "pool"}
        if not query.get("since", "0").isdigit():
            raise ValueError("'since' is the number of a call")

        def entries(engine: Engine) -> list[dict[str, Any]]:
            names = {ref: row["name_label"] for ref, row in engine.db.items("host")}
            return [call_file.described(call, names.get(call.host, "")) for call in engine.calls]

        return web.json_response(call_file.matching(await self._in_pool(request, entries), query), dumps=_dumps)

    async def _problems(self, request: web.Request) -> web.Response:
        return web.json_response(await self._in_pool(request, lambda engine: list(engine.problems)))

    async def _act(self, request: web.Request) -> web.Response:
        wanted = await _json(request)
        name = wanted.pop("do", None) if isinstance(wanted, dict) else None
        if not isinstance(name, str) or name not in ACTIONS:
            raise ValueError(f"'do' is one of {', '.join(ACTIONS)}")
        action = ACTIONS[name]
        try:
            signature(action).bind(None, **wanted)
            for word, value in wanted.items():
                if not isinstance(value, int if word == "leave" else str):
                    raise TypeError(f"{word!r} cannot be {value!r}")
        except TypeError as error:
            raise ValueError(f"{name}: {error}") from None
        await self._in_pool(request, lambda engine: action(engine, **wanted))
        await asyncio.sleep(0)
        return web.Response(status=204)


async def _json(request: web.Request) -> Any:
    try:
        return await request.json()
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the body is not JSON: {error}") from None


def _dumps(value: Any) -> str:
    return json.dumps(value, default=str)
