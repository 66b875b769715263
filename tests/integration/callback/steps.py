# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write a line of JSON for each task that ended, so that a test can tell which target failed and where."""

from __future__ import annotations

import json
import os

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: steps
type: notification
short_description: A line of JSON for each task that ended
description: Writes target, task, outcome and message to the file that the environment variable STEPS_FILE names.
"""


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "steps"

    def _write(self, result, outcome):
        shown = {key: value for key, value in result.result.items() if key != "invocation"} if outcome == "failed" else {}
        line = {"target": result.host.get_name(), "task": result.task.get_name(), "outcome": outcome, "shown": shown}
        with open(os.environ["STEPS_FILE"], "a", encoding="utf-8") as file:
            file.write(json.dumps(line, default=str) + "\n")

    def v2_runner_on_ok(self, result):
        self._write(result, "changed" if result.result.get("changed") else "ok")

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self._write(result, "ignored" if ignore_errors else "failed")

    def v2_runner_on_unreachable(self, result):
        self._write(result, "failed")
