# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether records are a pool of an API level: what a world from elsewhere must be before anything is built on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..engine.failure import NULL, Failure
from ..engine.schema import Schema
from ..engine.specs import ClassSpec
from ..engine.types import decode

# Classes that exist once a toolstack runs, and not in a start state.
NOT_KEPT = {"session", "task", "event"}
# References that a pool cannot do without; others may dangle, as they may in xapi's own database.
NEEDED = (("pool", "master", "host"), ("host", "metrics", "host_metrics"))
SHOWN = 10

Records = Mapping[str, Mapping[str, Mapping[str, Any]]]


def problems(schema: Schema, records: Any) -> Iterator[str]:
    """What is wrong, each with its place."""
    if not isinstance(records, Mapping):
        yield f"'records' is an object of classes, not a {type(records).__name__}"
        return
    for cls, rows in records.items():
        if cls not in schema.classes or cls in NOT_KEPT or not (schema.classes[cls].stored or cls == "message"):
            yield f"{cls}: no class of records at API level {schema.level}"
        elif not isinstance(rows, Mapping):
            yield f"{cls}: an object of records by reference is wanted"
        else:
            yield from _of_class(schema, schema.classes[cls], rows)
    yield from _pool(records)


def _of_class(schema: Schema, spec: ClassSpec, rows: Mapping[str, Any]) -> Iterator[str]:
    seen: dict[str, str] = {}
    for ref, row in rows.items():
        if not isinstance(row, Mapping):
            yield f"{spec.name} {ref}: not a record"
            continue
        if ref == NULL or not ref:
            yield f"{spec.name} {ref!r}: no reference for an object"
        uuid = row.get("uuid")
        if uuid and uuid in seen:
            yield f"{spec.name} {ref}: has the uuid {uuid} of {seen[uuid]}"
        seen[str(uuid)] = ref
        yield from _of_record(schema, spec, ref, row)


def _of_record(schema: Schema, spec: ClassSpec, ref: str, row: Mapping[str, Any]) -> Iterator[str]:
    for name, value in row.items():
        field = spec.fields.get(name)
        if field is None:
            yield f"{spec.name} {ref}: no field {name} at API level {schema.level}"
            continue
        try:
            fits = _same(decode(field.type, value, schema.enums), value)
        except Failure:
            fits = False
        if not fits:
            yield f"{spec.name} {ref}: {name} is {field.type}, which {value!r:.60} is not"


def _same(decoded: Any, value: Any) -> bool:
    """Whether the value is stored as it stands: a client may write numbers as text, a world may not."""
    return isinstance(decoded, str) or bool(decoded == value)


def _pool(records: Records) -> Iterator[str]:
    """What every behaviour takes for granted."""
    count = len(records.get("pool", {}))
    if count != 1:
        yield f"pool: there are {count}, and a world has one"
    for cls, field, other in NEEDED:
        for ref, row in records.get(cls, {}).items():
            target = row.get(field) if isinstance(row, Mapping) else None
            if target not in records.get(other, {}):
                yield f"{cls} {ref}: {field} is {target}, and there is no such {other}"


def report(found: list[str]) -> str:
    """The first of them, in lines."""
    rest = [f"… and {len(found) - SHOWN} more"] if len(found) > SHOWN else []
    return "\n  ".join(["", *found[:SHOWN], *rest])
