# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The database: tables of rows by reference, relations kept in both directions, and a generation for every change.

No behaviour and no class by name lives here. All access is on the engine's own thread.
"""

from __future__ import annotations

import uuid as uuids
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from .failure import NULL, Failure, handle_invalid
from .schema import Schema
from .table import Row, Table
from .types import DateTime

__all__ = ["Registry", "Row", "Table"]


class Registry:
    """All tables of one pool."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        # Alerts (class message) are files beside xapi's database; here they are a table like any other.
        self.tables = {name: Table(spec) for name, spec in schema.classes.items() if spec.stored or spec.events}
        self.generation = 1
        self.watchers: list[Callable[[str, str], None]] = []
        self._forward: dict[tuple[str, str], tuple[str, str]] = {}
        self._derived: set[tuple[str, str]] = set()
        for cls, name, other, derived in schema.relations:
            # Of a pair, the side that is a plain reference is the stored one; of two sets, the first.
            if schema.classes[cls].fields[name].type.kind == "set" and schema.classes[other].fields[derived].type.kind == "ref":
                cls, name, other, derived = other, derived, cls, name
            self._forward[cls, name] = (other, derived)
            self._derived.add((other, derived))

    # Reading

    def table(self, cls: str) -> Table:
        return self.tables[cls]

    def exists(self, cls: str, ref: str) -> bool:
        return ref in self.tables[cls].rows

    def row(self, cls: str, ref: str) -> Row:
        """The live row; HANDLE_INVALID when there is none. Change it through `set` only."""
        try:
            return self.tables[cls].rows[ref]
        except KeyError:
            raise handle_invalid(cls, ref) from None

    def get(self, cls: str, ref: str, field: str) -> Any:
        return self.row(cls, ref)[field]

    def refs(self, cls: str) -> list[str]:
        return list(self.tables[cls].rows)

    def items(self, cls: str) -> Iterator[tuple[str, Row]]:
        return iter(list(self.tables[cls].rows.items()))

    def where(self, cls: str, **wanted: Any) -> list[str]:
        """References of the rows whose fields equal `wanted`."""
        rows = self.tables[cls].rows.items()
        return [ref for ref, row in rows if all(row[name] == value for name, value in wanted.items())]

    def by_uuid(self, cls: str, uuid: str) -> str:
        try:
            return self.tables[cls].by_uuid[uuid]
        except KeyError:
            raise Failure("UUID_INVALID", cls, uuid) from None

    def by_uuid_or_ref(self, cls: str, text: str) -> str | None:
        """What HTTP handlers accept: a reference or a uuid."""
        table = self.tables[cls]
        return text if text in table.rows else table.by_uuid.get(text)

    def record(self, cls: str, ref: str) -> Row:
        """A copy of the public fields in model order, its lists and maps included."""
        public = self.public(cls, self.row(cls, ref))
        return {name: value.copy() if isinstance(value, (list, dict)) else value for name, value in public.items()}

    def public(self, cls: str, row: Row) -> Row:
        """The public fields of a row, to be read only: `Table.public`."""
        return self.tables[cls].public(row)

    # Writing

    def create(self, cls: str, values: Row, ref: str | None = None) -> str:
        """Add a row; fields that `values` leaves out get the model's default. Returns the reference."""
        table = self.tables[cls]
        chosen = ref is not None
        ref = ref or f"OpaqueRef:{uuids.uuid4()}"
        row = self._insert(table, ref, values)
        for name in row:
            if (cls, name) in self._derived:
                # Only a reference that the caller chose can have been referred to before it existed.
                row[name] = self._referring(cls, ref, name) if chosen else table.spec.fields[name].default()
        for name in row:
            if (cls, name) in self._forward:
                self._link(cls, ref, name, [], _as_list(row[name]))
        self._notify(cls, ref)
        return ref

    def load(self, records: dict[str, dict[str, Row]]) -> None:
        """Add many rows at once: the start state of a world. Derived fields are computed, not believed."""
        for cls, rows in records.items():
            derived = [name for other, name in self._derived if other == cls]
            for ref, values in rows.items():
                row = self._insert(self.tables[cls], ref, values)
                for name in derived:
                    row[name] = [] if isinstance(row[name], list) else NULL
        for (cls, name), (other, far) in self._forward.items():
            self._derive(cls, name, self.tables[other].rows, far)
        for cls, rows in records.items():
            for ref in rows:
                self._notify(cls, ref)

    def restore(self, records: Iterable[tuple[str, str, Row]], generation: int) -> None:
        """Add the rows of a registry that was saved at that generation, as they were and in their order."""
        self.generation = generation
        for cls, ref, row in records:
            self._insert(self.tables[cls], ref, row)

    def _derive(self, cls: str, field: str, targets: dict[str, Row], far: str) -> None:
        """Let every row of `cls` appear on the other side of its references."""
        for ref, row in self.tables[cls].rows.items():
            for target in _as_list(row[field]):
                if target not in targets:
                    continue
                if isinstance(targets[target][far], list):
                    targets[target][far].append(ref)
                else:
                    targets[target][far] = ref

    def _insert(self, table: Table, ref: str, values: Row) -> Row:
        self.generation += 1
        return table.insert(ref, values, self.generation)

    def set(self, cls: str, ref: str, field: str, value: Any) -> None:
        """Write one field; writing what is there already does nothing at all, as in xapi (facts 1.9).

        A list or map is replaced as a whole, never changed in place: answers and events that were given before hold the old one.
        """
        row = self.row(cls, ref)
        old = row[field]
        if old == value and isinstance(old, bool) == isinstance(value, bool):
            return
        table = self.tables[cls]
        row[field] = DateTime(value) if field in table.datetimes else value
        if field == "uuid":
            table.by_uuid.pop(old, None)
            table.by_uuid[value] = ref
        if (cls, field) in self._forward:
            self._link(cls, ref, field, _as_list(old), _as_list(value))
        self.touch(cls, ref)

    def update(self, cls: str, ref: str, **fields: Any) -> None:
        for name, value in fields.items():
            self.set(cls, ref, name, value)

    def put(self, cls: str, ref: str, field: str, key: str, value: Any) -> None:
        """Set one key of a map field; a new one comes first, as in xapi's database (seen in snapshot_metadata)."""
        old = self.get(cls, ref, field)
        self.set(cls, ref, field, {**old, key: value} if key in old else {key: value, **old})

    def drop(self, cls: str, ref: str, field: str, *keys: str) -> None:
        """Remove keys of a map field; absent ones are ignored."""
        self.set(cls, ref, field, {k: v for k, v in self.get(cls, ref, field).items() if k not in keys})

    def delete(self, cls: str, ref: str) -> None:
        """Remove a row. References to it dangle, as in xapi; nothing cascades (facts 2)."""
        row = self.row(cls, ref)
        table = self.tables[cls]
        for name in row:
            if (cls, name) in self._forward:
                self._link(cls, ref, name, _as_list(row[name]), [])
        self.generation += 1
        table.remove(ref, self.generation)
        self._notify(cls, ref)

    def touch(self, cls: str, ref: str) -> None:
        """Count a change of the row: what event.from reports."""
        self.generation += 1
        self.tables[cls].touch(ref, self.generation)
        self._notify(cls, ref)

    # Relations

    def _link(self, cls: str, ref: str, field: str, old: list[str], new: list[str]) -> None:
        other, derived = self._forward[cls, field]
        for target in old:
            if target not in new:
                self._relink(other, target, derived, ref, add=False)
        for target in new:
            if target not in old:
                self._relink(other, target, derived, ref, add=True)

    def _relink(self, cls: str, ref: str, field: str, member: str, *, add: bool) -> None:
        row = self.tables[cls].rows.get(ref)
        if row is None:  # NULL or dangling
            return
        if isinstance(row[field], list):
            # The newest comes first, as xapi answers.
            row[field] = ([member] if add else []) + [r for r in row[field] if r != member]
        else:
            row[field] = member if add else NULL
        self.touch(cls, ref)

    def _referring(self, cls: str, ref: str, derived: str) -> Any:
        """What a derived field of a row that is made after its referrers must hold."""
        for (source, field), target in self._forward.items():
            if target == (cls, derived):
                members = [r for r, row in self.tables[source].rows.items() if ref in _as_list(row[field])]
                if self.tables[cls].spec.fields[derived].type.kind == "set":
                    return members
                return members[0] if members else NULL
        raise AssertionError(f"{cls}.{derived} is not derived")

    def is_derived(self, cls: str, field: str) -> bool:
        return (cls, field) in self._derived

    def _notify(self, cls: str, ref: str) -> None:
        for watcher in self.watchers:
            watcher(cls, ref)


def _as_list(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]
