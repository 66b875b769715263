# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""LVHD: one message, which a host's extension answers where somebody installed it (datamodel.ml, HostExtension)."""

from __future__ import annotations

from ..engine.behaviour import Behaviour
from ..engine.failure import Failure


class LVHD(Behaviour):
    cls = "LVHD"

    def enable_thin_provisioning(self, host: str, sr: str, initial_allocation: int, allocation_quantum: int) -> str:
        raise Failure("MESSAGE_METHOD_UNKNOWN", "LVHD.enable_thin_provisioning")
