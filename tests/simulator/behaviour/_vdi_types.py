# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Types of VDIs as refusals spell them, which is not how the API does (vdi_type_to_string in xapi's record_util.ml)."""

from __future__ import annotations

SPELLINGS = {
    "ha_statefile": "HA statefile",
    "redo_log": "Redo log",
    "rrd": "rrd",
    "pvs_cache": "PVS cache",
    "cbt_metadata": "CBT metadata",
}


def spelt(kind: str) -> str:
    return SPELLINGS.get(kind, kind.capitalize())
