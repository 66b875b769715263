# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rows of one class."""

from __future__ import annotations

import uuid as uuids
from collections import OrderedDict, deque
from typing import Any

from .specs import ClassSpec
from .types import DateTime

Row = dict[str, Any]
# A table forgets deletions beyond this many (ocaml/database/db_cache_types.ml, facts 1.9).
TOMBSTONES_MOST, TOMBSTONES_KEPT = 512, 256


class Table:
    """Rows of one class, with the generations in which they were made and last changed."""

    def __init__(self, spec: ClassSpec) -> None:
        self.spec = spec
        self.rows: dict[str, Row] = {}
        self.created: dict[str, int] = {}
        self.modified: OrderedDict[str, int] = OrderedDict()  # oldest change first
        self.deleted: deque[tuple[str, int, int]] = deque()  # reference, created, deleted
        self.by_uuid: dict[str, str] = {}
        self.datetimes = frozenset(name for name, f in spec.fields.items() if f.type.kind == "datetime")
        self._internal = [name for name, f in spec.fields.items() if f.internal]
        self._optional = [name for name, f in spec.fields.items() if f.type.kind == "option" and not f.internal]

    def public(self, row: Row) -> Row:
        """The public fields of a row in model order, without those that may be absent and are (`option`).

        Its lists and maps are the row's own: nobody changes them in place (`Registry.set`), and to copy them takes longer than all else.
        """
        result = row.copy()
        for name in self._internal:
            del result[name]
        for name in self._optional:
            if result[name] is None:
                del result[name]
        return result

    def insert(self, ref: str, values: Row, generation: int) -> Row:
        """Add a row; fields that `values` leaves out get the model's default."""
        row = {name: values[name] if name in values else spec.default() for name, spec in self.spec.fields.items()}
        if "uuid" in row and not row["uuid"]:
            row["uuid"] = str(uuids.uuid4())
        for name in self.datetimes:
            row[name] = DateTime(row[name])
        self.rows[ref] = row
        if "uuid" in row:
            self.by_uuid[row["uuid"]] = ref
        self.created[ref] = generation
        self.modified[ref] = generation
        return row

    def remove(self, ref: str, generation: int) -> None:
        """Remove a row, and remember for a while that it was there."""
        row = self.rows.pop(ref)
        self.by_uuid.pop(row.get("uuid", ""), None)
        del self.modified[ref]
        self.deleted.append((ref, self.created.pop(ref), generation))
        if len(self.deleted) > TOMBSTONES_MOST:
            while len(self.deleted) > TOMBSTONES_KEPT:
                self.deleted.popleft()

    def touch(self, ref: str, generation: int) -> None:
        self.modified[ref] = generation
        self.modified.move_to_end(ref)
