# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls as data for others: what an entry of the log says, and the log as a file of one JSON object a line (`--log F`)."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from .engine.context import Call

# What a query may ask for, and how an entry answers.
FILTERS: dict[str, Callable[[dict[str, Any], str], bool]] = {
    "method": lambda entry, wanted: fnmatchcase(entry["method"], wanted),
    "session": lambda entry, wanted: entry["session"] == wanted,
    "outcome": lambda entry, wanted: entry["outcome"] == wanted,
    "writes": lambda entry, wanted: entry["writes"] == (wanted == "true"),
    "since": lambda entry, wanted: entry["number"] > int(wanted),
}


def described(call: Call, host: str = "") -> dict[str, Any]:
    """An entry of the log; its parameters were masked when the call came in, and answers are not in it."""
    entry: dict[str, Any] = {
        "number": call.number,
        "time": datetime.fromtimestamp(call.started, UTC).isoformat(timespec="milliseconds"),
        "method": call.method,
        "params": call.params,
        "session": call.session,
        "host": host or call.host,
        "protocol": call.protocol,
        "writes": call.writes,
        "outcome": call.outcome,
        "seconds": None if call.ended is None else round(call.ended - call.started, 6),
    }
    return entry if call.error is None else {**entry, "error": call.error}


def matching(entries: list[dict[str, Any]], query: dict[str, str]) -> list[dict[str, Any]]:
    """The entries that a query wants; ValueError for one that nobody understands."""
    unknown = [name for name in query if name not in FILTERS]
    if unknown:
        raise ValueError(f"calls cannot be chosen by {unknown[0]!r}; they can by {', '.join(FILTERS)}")
    return [entry for entry in entries if all(FILTERS[name](entry, wanted) for name, wanted in query.items())]


class CallFile:
    """Calls in the order in which they ended; pools of one process share it."""

    def __init__(self, path: Path) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._stream = os.fdopen(descriptor, "w", encoding="utf-8", buffering=1)
        self._lock = threading.Lock()

    def write(self, pool: str, call: Call) -> None:
        line = json.dumps({"pool": pool, **described(call)}, default=str)
        with self._lock:
            if not self._stream.closed:
                self._stream.write(line + "\n")

    def close(self) -> None:
        with self._lock:
            self._stream.close()
