# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The summaries that recordings hold in place of whole answers of event.from."""

from __future__ import annotations

from typing import Any


def summarise(step: dict[str, Any], answer: dict[str, Any]) -> Any:
    """`answer` in the form that `step` recorded."""
    events = answer["events"]
    if "summary" in step:
        return {"summary": sorted({event["operation"] for event in events}), "count": len(events)}
    result = step["result"]
    if isinstance(result, list):
        return [[event["class"], event["operation"], event["ref"], sorted(event)] for event in events]
    if "operations" in result:
        return {
            "operations": sorted({event["operation"] for event in events}),
            "classes": sorted({event["class"] for event in events}),
            "keys": sorted({key for event in events for key in event}),
            "counts_lower_case": all(name == name.lower() for name in answer["valid_ref_counts"]),
            "timestamp": events[0]["timestamp"] if events else None,
        }
    return {key: value for key, value in answer.items() if key in result}
