# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is measured of a VM (facts 4.4; X/message_forwarding.ml for which of these need which power state)."""

from __future__ import annotations

from typing import Any

from ..engine.behaviour import Behaviour, operation
from ..engine.failure import Failure


class Measurements(Behaviour):
    """The part of VM that answers for its data sources."""

    @operation("data_source_op")
    def get_data_sources(self, ref: str) -> list[dict[str, Any]]:
        return list(self.engine.meter.describe("VM", ref))

    @operation("data_source_op")
    def record_data_source(self, ref: str, name: str) -> None:
        self.engine.meter.record("VM", ref, name)

    @operation("data_source_op")
    def forget_data_source_archives(self, ref: str, name: str) -> None:
        self.engine.meter.forget("VM", ref, name)

    def query_data_source(self, ref: str, name: str) -> float:
        state = self.row(ref)["power_state"]
        if state not in ("Running", "Paused"):
            raise Failure("VM_BAD_POWER_STATE", ref, "running;paused", state.lower())
        return float(self.engine.meter.query("VM", ref, name))
