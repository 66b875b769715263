# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules that tell the sweep when they strike."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from simulator import Rule


@dataclass
class Gate(Rule):
    """A rule that sets `reached` at the moment it strikes."""

    reached: threading.Event = field(default_factory=threading.Event)

    def strikes(self, method: str) -> bool:
        struck = super().strikes(method)
        if struck:
            self.reached.set()
        return struck
