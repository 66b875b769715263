# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much of each recording has to agree, in percent of its steps; accepted differences (accepted.py) count as agreement.

Every recording of the project is a gate. A recording that is not named here, from elsewhere, is measured only.
"""

from __future__ import annotations

THRESHOLDS = {
    "cross_pool": 100.0,
    "dispatch": 100.0,
    "events": 100.0,
    "hosts": 100.0,
    "http": 100.0,
    "images": 100.0,
    "networks": 100.0,
    "plugins": 100.0,
    "pool_two_hosts": 100.0,
    "provision": 100.0,
    "restart": 100.0,
    "rrds": 100.0,
    "sessions": 100.0,
    "shared_sr": 100.0,
    "small_classes": 100.0,
    "snapshots": 100.0,
    "storage": 100.0,
    "tasks": 100.0,
    "vbds": 100.0,
    "vdis": 100.0,
    "vm_lifecycle": 100.0,
    "vm_records": 100.0,
    "vm_with_tools": 100.0,
    "walk_1": 100.0,
    "walk_2": 100.0,
    "wire": 100.0,
    "xva": 100.0,
}
