# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much of each recording has to agree, in percent of its steps; a recording that is not named here is measured only."""

from __future__ import annotations

THRESHOLDS = {
    "dispatch": 90.0,
    "networks": 90.0,
    "tasks": 90.0,
    "vbds": 90.0,
    "vdis": 90.0,
    "vm_lifecycle": 90.0,
    "vm_records": 90.0,
    "wire": 90.0,
}
