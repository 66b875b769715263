# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""When to ask again: a guest reports some seconds after its boot, and recordings do not say how long the recorder waited.

Only what has no effect is repeated: reads, and calls that were refused because the guest had not reported yet.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

BOOTS = {"start", "start_on", "resume", "resume_on", "clean_reboot", "hard_reboot", "revert", "pool_migrate", "migrate_send"}
# Refusals that end when the guest reports.
GUEST_IS_SILENT = ("VM_LACKS_FEATURE", "VM_MISSING_PV_DRIVERS")
# The recorded hypervisor's guests reported after two seconds.
REPORT_TIME = 3.5
PAUSE = 0.1


class Patience:
    """Remembers when the last VM booted."""

    def __init__(self, steps: Sequence[Mapping[str, Any]] = ()) -> None:
        self._until = 0.0
        self._successes = {step["task"] for step in steps if step.get("record", {}).get("status") == "success"}

    def before(self, step: Mapping[str, Any]) -> None:
        """What an asynchronous call needs is there before it starts: its task cannot be asked again."""
        if step["call"].startswith("Async.VM.") and step.get("result") in self._successes:
            time.sleep(max(0.0, self._until - time.monotonic()))

    def saw(self, call: str) -> None:
        """A call that succeeded."""
        if call.rpartition(".")[2] in BOOTS:
            self._until = time.monotonic() + REPORT_TIME

    def again(self, call: str, answer: dict[str, Any]) -> bool:
        """Whether the same call may be answered otherwise in a moment; if so, the moment has passed."""
        refused = any(code in json.dumps(answer.get("error", "")) for code in GUEST_IS_SILENT)
        read = call.rpartition(".")[2].startswith("get_")
        if time.monotonic() > self._until or not (read or refused):
            return False
        time.sleep(PAUSE)
        return True
