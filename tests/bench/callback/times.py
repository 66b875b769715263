# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write a line of JSON for each task that ended: how long it took on its host, from its start in a fork to its result."""

from __future__ import annotations

import json
import os
import time

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: times
type: notification
short_description: A line of JSON for each task that ended
description: Writes host, task, seconds and whether it changed something to the file that the environment variable TIMES_FILE names.
"""


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "times"

    def __init__(self):
        super().__init__()
        self._began = {}

    def v2_runner_on_start(self, host, task):
        self._began[host.get_name(), task._uuid] = time.perf_counter()

    def v2_runner_on_ok(self, result):
        seconds = time.perf_counter() - self._began[result.host.get_name(), result.task._uuid]
        line = {"host": result.host.get_name(), "task": result.task.get_name(), "seconds": seconds, "changed": bool(result.result.get("changed"))}
        with open(os.environ["TIMES_FILE"], "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
