# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A simulated pool for one point, and what has become of it."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

from simulator import Simulator, worlds
from simulator.behaviour.drivers.collector import Collector
from simulator.engine.context import CURRENT, Context
from simulator.transport.tls import Authority


def _world() -> dict[str, Any]:
    """One host, with a GPU."""
    name, blueprint = worlds.read("one_host")
    (host,) = blueprint["hosts"]
    return {**blueprint, "name": name, "hosts": [{**host, "gpus": [{"name": "TU104GL [Tesla T4]", "types": {"GRID T4-2Q": 8}}]}]}


WORLD = _world()
Records = dict[str, dict[str, Any]]

# Classes that are not compared, with the reason.
APART = {
    "session": "counted by itself: references of sessions are no state of the pool",
    "message": "what happened stays told",
    "Certificate": "made anew for each simulator",
}
# Counters and measurements, which go on by themselves.
VOLATILE = {
    "pool": {"last_update_sync"},
    "host": {"allowed_operations", "current_operations"},
    "host_metrics": {"last_updated", "memory_free"},
    "SR": {"allowed_operations", "current_operations"},
    "VM": {"allowed_operations", "current_operations"},
    "VM_metrics": {"last_updated"},
    # The tools in the guest report when they like.
    "VM_guest_metrics": {"last_updated"},
    "VDI": {"allowed_operations", "current_operations"},
    "VBD": {"allowed_operations", "current_operations"},
    "VIF": {"allowed_operations", "current_operations"},
    "network": {"allowed_operations", "current_operations"},
}
# What is chosen by the pool or by chance, so that two pools that are alike differ in it.
CHOSEN = [
    (re.compile(r"OpaqueRef:(?!NULL)[\w-]+"), "a reference"),
    (re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "a uuid"),
    (re.compile(r"\b[0-9a-f]{12}\.\w+\.\d+\.\d+\.[0-9a-f]{12}\b"), "a run"),
    (re.compile(r"\b(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\b"), "a MAC"),
    (re.compile(r"\b\d{8}T\d\d:\d\d:\d\dZ"), "a time"),
    (re.compile(r'(?<="cached-time": ")\d+'), "a time"),
    (re.compile(r"\b(?:seen|scrypt):[0-9a-f]{64}\b"), "a digest"),
]
REPORTED = {"PV_drivers_detected", "PV_drivers_up_to_date", "PV_drivers_version", "can_use_hotplug_vbd", "can_use_hotplug_vif", "networks", "os_version"}
FLOWING = {
    "VM": {"domid", "snapshot_time", "last_boot_CPU_flags", "generation_id"},
    "VDI": {"physical_utilisation", "location"},
    "host": {"other_config"},  # when its toolstack was started
    "VM_guest_metrics": REPORTED | {"other", "memory", "disks", "netbios_name", "PV_drivers_version", "services"},
}


class Pool:
    """On a socket from the beginning; `close` it in the end."""

    def __init__(self, state: Path | None = None, authority: Authority | None = None) -> None:
        self.simulator = Simulator(WORLD, vms=1, state=state)
        if state is not None:
            self._plug()
        self.server = self.simulator.serve(authority=authority)
        self.before = self.records()
        self.sessions = len(self.simulator.records("session"))

    @property
    def variables(self) -> dict[str, Any]:
        """What the play needs to reach it."""
        server = self.server
        return {"pool_url": server.url, "pool_username": server.username, "pool_password": server.password, "pool_ca_path": str(server.ca_path)}

    def records(self) -> dict[str, Records]:
        """Everything that is compared: class, reference, record."""
        classes = [cls for cls in self.simulator.engine.db.tables if cls not in APART]
        return {cls: {ref: _steady(cls, record) for ref, record in self.simulator.records(cls).items()} for cls in classes}

    def _plug(self) -> None:
        """Of a pool that is taken up again: its storage, and its hosts enabled. By itself it does so one after another, as a toolstack that starts."""

        async def plug() -> None:
            CURRENT.set(Context())
            database = self.simulator.engine.db
            for pbd in database.refs("PBD"):
                database.set("PBD", pbd, "currently_attached", True)
            for host in database.refs("host"):
                database.set("host", host, "enabled", True)

        self.simulator.run(plug())

    def settle(self) -> None:
        """Let storage collect its garbage now; by itself it does so after a minute."""

        async def collect() -> None:
            CURRENT.set(Context())
            engine = self.simulator.engine
            for sr in list(engine.db.refs("SR")):
                driver = engine.behaviours["SR"].driver(sr)
                if isinstance(driver, Collector):
                    driver.collect(sr)

        self.simulator.run(collect())

    def difference(self) -> list[str]:
        """What is not as in the beginning, in words."""
        self.settle()
        told = []
        for cls, now in self.records().items():
            before = self.before.get(cls, {})
            told += [f"more: {cls} {_named(now[ref])}" for ref in now.keys() - before.keys()]
            told += [f"less: {cls} {_named(before[ref])}" for ref in before.keys() - now.keys()]
            told += [f"{cls} {_named(now[ref])}: {_changes(before[ref], now[ref])}" for ref in now.keys() & before.keys() if now[ref] != before[ref]]
        return sorted(told)

    def sessions_left(self) -> int:
        return len(self.simulator.records("session")) - self.sessions

    def shape(self) -> Counter[str]:
        """All there is, without what chance chose: equal for two pools in which the same was built."""
        self.settle()
        return Counter(_shapeless(cls, record) for cls, now in self.records().items() for record in now.values())

    def problems(self) -> list[str]:
        return [f"the simulator was asked what it does not do: {problem}" for problem in self.simulator.problems]

    def close(self) -> None:
        self.simulator.close()


def _steady(cls: str, record: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in record.items() if name not in VOLATILE.get(cls, ())}
    # What lists of the API hold has no order.
    return {name: sorted(value, key=str) if isinstance(value, list) else value for name, value in kept.items()}


def _shapeless(cls: str, record: dict[str, Any]) -> str:
    kept = {name: value for name, value in record.items() if name not in FLOWING.get(cls, ())}
    text = f"{cls} {json.dumps(kept, sort_keys=True, default=str)}"
    for pattern, word in CHOSEN:
        text = pattern.sub(word, text)
    return text


def _named(record: dict[str, Any]) -> str:
    return str(record.get("name_label") or record.get("uuid") or "")


def _changes(before: dict[str, Any], now: dict[str, Any]) -> str:
    return ", ".join(f"{name} was {before.get(name)!r} and is {now.get(name)!r}" for name in now if before.get(name) != now.get(name))
