# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write a line of JSON for each task that ended: how long it took on its host, from its start in a fork to its result."""

from __future__ import annotations

import json
import os
import time
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: times
type: notification
short_description: A line of JSON for each task that ended
description: Writes host, task, action, outcome and seconds to the file that the environment variable TIMES_FILE names.
"""


class CallbackModule(CallbackBase):  # type: ignore[misc]
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "times"

    def __init__(self) -> None:
        super().__init__()
        self._began: dict[tuple[str, str], float] = {}

    def _write(self, result: Any, outcome: str) -> None:
        host, task = result.host.get_name(), result.task
        seconds = time.perf_counter() - self._began[host, task._uuid]
        line = {"host": host, "task": task.get_name(), "action": task.action, "outcome": outcome, "seconds": seconds}
        with open(os.environ["TIMES_FILE"], "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        self._began[host.get_name(), task._uuid] = time.perf_counter()

    def v2_runner_on_ok(self, result: Any) -> None:
        self._write(result, "changed" if result.result.get("changed") else "ok")

    def v2_runner_on_skipped(self, result: Any) -> None:
        self._write(result, "skipped")
