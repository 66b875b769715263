# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Facts that survive the process: values by kind and key in an SQLite file, changed in whole transactions.

Killing the process loses what was not committed and nothing else; so does a power cut, but for the last transactions.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SETTINGS = ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = NORMAL")
TABLE = "CREATE TABLE IF NOT EXISTS entries (number INTEGER PRIMARY KEY, kind TEXT, key TEXT, value TEXT, UNIQUE (kind, key))"
PUT = "INSERT INTO entries (kind, key, value) VALUES (?, ?, ?) ON CONFLICT (kind, key) DO UPDATE SET value = excluded.value"


class Ledger:
    def __init__(self, path: Path) -> None:
        # Opened by one thread, used by the engine's; never by both at once.
        self._database = sqlite3.connect(path, check_same_thread=False)
        for statement in (*SETTINGS, TABLE):
            self._database.execute(statement)
        self._database.commit()

    def entries(self, kind: str) -> Iterator[tuple[str, Any]]:
        """Key and value of all entries of a kind, the first made first."""
        for key, value in self._database.execute("SELECT key, value FROM entries WHERE kind = ? ORDER BY number", (kind,)):
            yield key, json.loads(value)

    def get(self, kind: str, key: str, default: Any = None) -> Any:
        row = self._database.execute("SELECT value FROM entries WHERE kind = ? AND key = ?", (kind, key)).fetchone()
        return default if row is None else json.loads(row[0])

    def put(self, kind: str, key: str, value: Any) -> None:
        self._database.execute(PUT, (kind, key, json.dumps(value, separators=(",", ":"))))

    def drop(self, kind: str, key: str) -> None:
        self._database.execute("DELETE FROM entries WHERE kind = ? AND key = ?", (kind, key))

    def commit(self) -> None:
        self._database.commit()

    def close(self) -> None:
        self._database.close()
