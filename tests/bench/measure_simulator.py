# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast the simulator is: its start, a pool of 10,000 VMs, 200 clients at once. Each in a process of its own, over TLS."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import statistics
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import aiohttp

from .served import Served

VMS = 10_000
WAITERS = 50
CLIENTS, MINUTE = 200, float(os.environ.get("BENCH_SECONDS", "60"))
# What a client of the crowd asks between two changes of its VM's power state.
READS = ("VM.get_power_state", "VM.get_record", "VM.get_allowed_operations", "VM.get_VBDs")
SMALL = 64 << 20

# What is measured, and what it may be at most (issue: Speed), or at least.
AT_MOST = {
    "start of one_host, s": 1.0,
    f"start with {VMS} VMs, s": 20.0,
    f"memory with {VMS} VMs, GiB": 2.5,
    "VM.get_all_records by JSON-RPC, s": 3.0,
    f"event.from while {WAITERS} wait, median ms": 100.0,
    f"event.from while {WAITERS} wait, worst ms": 100.0,
    f"errors to {CLIENTS} clients": 0.0,
}
AT_LEAST = {"calls of the slowest client, of the average": 0.5}


class Client:
    """JSON-RPC on a connection of its own."""

    def __init__(self, served: Served, http: aiohttp.ClientSession) -> None:
        self.url, self._http = f"{served.url}/jsonrpc", http
        self._session: list[str] = []
        self.calls = 0

    async def ask(self, method: str, *params: Any) -> Any:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": [*self._session, *params]}
        async with self._http.post(self.url, json=body) as answer:
            reply = await answer.json()
        self.calls += 1
        if reply.get("error"):
            raise RuntimeError(f"{method}: {reply['error']['message']} {reply['error'].get('data')}")
        return reply["result"]

    async def login(self, served: Served, name: str = "bench") -> None:
        self._session = [await self.ask("session.login_with_password", served.username, served.password, "1.0", name)]


@contextlib.asynccontextmanager
async def clients(served: Served, count: int) -> AsyncIterator[list[Client]]:
    connector = aiohttp.TCPConnector(ssl=served.context, limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None)) as http:
        found = [Client(served, http) for _unused in range(count)]
        for client in found:
            await client.login(served)
        yield found


# Parts


def start() -> dict[str, float]:
    """The second start: the first one compiles the modules."""
    with Served("--world", "one_host"):
        pass
    with Served("--world", "one_host") as served:
        return {"start of one_host, s": served.started_in}


async def large(served: Served) -> dict[str, float]:
    results = {}
    async with clients(served, WAITERS + 2) as (writer, watcher, *waiting):
        began = time.perf_counter()
        records = await writer.ask("VM.get_all_records")
        results["VM.get_all_records by JSON-RPC, s"] = time.perf_counter() - began
        assert len(records) > VMS
        vm = next(ref for ref, row in records.items() if not row["is_a_template"] and not row["is_control_domain"])
        delays = await event_delays(writer, watcher, waiting, vm)
        results[f"event.from while {WAITERS} wait, median ms"] = statistics.median(delays) * 1000
        results[f"event.from while {WAITERS} wait, worst ms"] = max(delays) * 1000
    results[f"memory with {VMS} VMs, GiB"] = served.memory / 2**30
    return results


async def event_delays(writer: Client, watcher: Client, waiting: list[Client], vm: str) -> list[float]:
    """Seconds from a change to the answer of a client that waits for it; the others wait for the same."""
    delays = []
    for number in range(20):
        injected = await writer.ask("event.inject", "VM", vm)
        token = (await writer.ask("event.from", ["*"], injected, 0.0))["token"]
        jobs = [asyncio.ensure_future(client.ask("event.from", ["*"], token, 30.0)) for client in (watcher, *waiting)]
        await asyncio.sleep(0.3)
        began = time.perf_counter()
        change = asyncio.ensure_future(writer.ask("VM.set_name_description", vm, f"change {number}"))
        batch = await jobs[0]
        delays.append(time.perf_counter() - began)
        assert [event["snapshot"]["name_description"] for event in batch["events"] if event["ref"] == vm] == [f"change {number}"]
        await asyncio.gather(change, *jobs)
    return delays


async def crowd(served: Served) -> dict[str, float]:
    """Everybody reads, starts and stops; each has a VM of its own, so that nothing they do may be refused."""
    errors: Counter[str] = Counter()
    async with clients(served, CLIENTS) as everybody:
        names = {row["name_label"]: ref for ref, row in (await everybody[0].ask("VM.get_all_records")).items()}
        vms = [names[f"vm-{number:05}"] for number in range(1, CLIENTS + 1)]
        for vm in vms:
            await everybody[0].ask("VM.set_memory_limits", vm, str(SMALL), str(SMALL), str(SMALL), str(SMALL))
        before = [client.calls for client in everybody]
        began = time.monotonic()
        await asyncio.gather(*(cycle(client, vm, began + MINUTE, errors) for client, vm in zip(everybody, vms, strict=True)))
        seconds = time.monotonic() - began
        calls = [client.calls - then for client, then in zip(everybody, before, strict=True)]
    print(f"  {CLIENTS} clients for {seconds:.0f} s: {sum(calls) / seconds:.0f} calls a second; a client made {min(calls)} to {max(calls)}")
    for text, count in errors.most_common(5):
        print(f"  {count} x {text}")
    average = statistics.mean(calls)
    return {f"errors to {CLIENTS} clients": float(errors.total()), "calls of the slowest client, of the average": min(calls) / average if average else 0.0}


async def cycle(client: Client, vm: str, end: float, errors: Counter[str]) -> None:
    changes: itertools.cycle[tuple[Any, ...]] = itertools.cycle((("VM.start", vm, False, False), ("VM.hard_shutdown", vm)))
    steps = itertools.cycle((*((read, vm) for read in READS), None))
    for step in steps:
        if time.monotonic() > end:
            break
        call = next(changes) if step is None else step
        try:
            await client.ask(*call)
        except (RuntimeError, aiohttp.ClientError) as error:
            errors[str(error)] += 1


# All


def main() -> bool:
    results = start()
    with Served("--world", "one_host", "--vms", str(VMS)) as served:
        results[f"start with {VMS} VMs, s"] = served.started_in
        results |= asyncio.run(large(served))
    with Served("--world", "one_host", "--vms", str(CLIENTS)) as served:
        results |= asyncio.run(crowd(served))
    good = True
    for name, bound in AT_MOST.items():
        good &= line(name, results[name], bound, results[name] <= bound, "≤")
    for name, bound in AT_LEAST.items():
        good &= line(name, results[name], bound, results[name] >= bound, "≥")
    return good


def line(name: str, value: float, bound: float, good: bool, sign: str) -> bool:
    print(f"  {name:<48} {value:>9.2f}  {sign} {bound:g}  {'ok' if good else 'MISSED'}")
    return good
