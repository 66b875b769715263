# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""dom0's side of a running VM, for tests: its xenstore, and requests to the agent inside."""

from __future__ import annotations

import json
import uuid
from typing import Any

from simulator import Simulator

# Longer than anything that a guest does by itself takes.
LONG = 600.0


class Domain:
    """The domain that a VM is now; a VM that booted again is another one."""

    def __init__(self, simulator: Simulator, vm: str) -> None:
        self.simulator = simulator
        self.behaviour: Any = simulator.engine.behaviours["VM"]
        row = simulator.records("VM")[vm]
        self.store = self.behaviour.xenstore(row["resident_on"])
        self.top = f"/local/domain/{row['domid']}"

    def wait(self, seconds: float = LONG) -> None:
        self.simulator.run(self.simulator.clock.sleep(seconds))

    def read(self, key: str) -> str | None:
        async def read() -> Any:
            return self.store.read(f"{self.top}/{key}")

        found: str | None = self.simulator.run(read())
        return found

    def write(self, **keys: str) -> None:
        """Underscores twice stand for the slashes of a path."""

        async def write() -> None:
            self.store.write_all(self.top, {key.replace("__", "/"): text for key, text in keys.items()})

        self.simulator.run(write())

    def remove(self, key: str) -> None:
        async def remove() -> None:
            self.store.remove(f"{self.top}/{key}")

        self.simulator.run(remove())

    def request(self, name: str, value: Any = "") -> str:
        """Ask the agent for something; under which key."""
        return self.request_text(json.dumps({"name": name, "value": value}))

    def request_text(self, text: str) -> str:
        key = str(uuid.uuid4())

        async def write() -> None:
            self.store.write(f"{self.top}/data/host/{key}", text)

        self.simulator.run(write())
        return key

    def answer(self, key: str) -> tuple[str, str] | None:
        text = self.read(f"data/guest/{key}")
        return None if text is None else (json.loads(text)["returncode"], json.loads(text)["message"])

    def ask(self, name: str, value: Any = "") -> tuple[str, str] | None:
        """Code and message of the answer; None when there is none after a long time."""
        key = self.request(name, value)
        self.wait()
        return self.answer(key)
