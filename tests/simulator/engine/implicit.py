# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The messages that every class has by its data model alone: getters, setters, map and set edits, bulk reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .failure import Failure, internal_error
from .query import compiled
from .specs import MessageSpec

if TYPE_CHECKING:
    from .core import Engine


def get(engine: Engine, spec: MessageSpec, ref: str) -> Any:
    return engine.db.get(spec.cls, ref, spec.field)


def set_(engine: Engine, spec: MessageSpec, ref: str, value: Any) -> None:
    engine.db.set(spec.cls, ref, spec.field, value)


def map_add(engine: Engine, spec: MessageSpec, ref: str, key: str, value: Any) -> None:
    current = engine.db.get(spec.cls, ref, spec.field)
    if not key:
        raise internal_error("Db_exn.Empty_key_in_map")
    if key in current:
        column = engine.schema.classes[spec.cls].fields[spec.field].column
        raise Failure("MAP_DUPLICATE_KEY", spec.cls, column, ref, key)
    engine.db.put(spec.cls, ref, spec.field, key, value)


def map_remove(engine: Engine, spec: MessageSpec, ref: str, key: str) -> None:
    engine.db.drop(spec.cls, ref, spec.field, key)


def set_add(engine: Engine, spec: MessageSpec, ref: str, value: Any) -> None:
    current = engine.db.get(spec.cls, ref, spec.field)
    if value not in current:
        engine.db.set(spec.cls, ref, spec.field, [value, *current])


def set_remove(engine: Engine, spec: MessageSpec, ref: str, value: Any) -> None:
    current = engine.db.get(spec.cls, ref, spec.field)
    engine.db.set(spec.cls, ref, spec.field, [member for member in current if member != value])


def get_record(engine: Engine, spec: MessageSpec, ref: str) -> Any:
    return engine.db.record(spec.cls, ref)


def get_by_uuid(engine: Engine, spec: MessageSpec, uuid: str) -> str:
    return engine.db.by_uuid(spec.cls, uuid)


def get_by_name_label(engine: Engine, spec: MessageSpec, label: str) -> list[str]:
    return engine.db.where(spec.cls, name_label=label)


def get_all(engine: Engine, spec: MessageSpec) -> list[str]:
    return engine.db.refs(spec.cls)


def get_all_records(engine: Engine, spec: MessageSpec) -> dict[str, Any]:
    return {ref: engine.db.public(spec.cls, row) for ref, row in engine.db.table(spec.cls).rows.items()}


def get_all_records_where(engine: Engine, spec: MessageSpec, expr: str) -> dict[str, Any]:
    table = engine.db.table(spec.cls)
    test = compiled(expr, table.spec)
    return {ref: engine.db.public(spec.cls, row) for ref, row in table.rows.items() if test(row)}


def get_all_where(engine: Engine, spec: MessageSpec, expr: str) -> list[str]:
    return list(get_all_records_where(engine, spec, expr))


def create(engine: Engine, spec: MessageSpec, args: dict[str, Any]) -> str:
    return engine.db.create(spec.cls, args)


def destroy(engine: Engine, spec: MessageSpec, ref: str) -> None:
    engine.db.delete(spec.cls, ref)


HANDLERS: dict[str, Callable[..., Any]] = {
    "get": get,
    "set": set_,
    "map_add": map_add,
    "map_remove": map_remove,
    "set_add": set_add,
    "set_remove": set_remove,
    "get_record": get_record,
    "get_by_uuid": get_by_uuid,
    "get_by_name_label": get_by_name_label,
    "get_all": get_all,
    "get_all_records": get_all_records,
    "get_all_records_where": get_all_records_where,
    "get_all_where": get_all_where,
    "create": create,
    "destroy": destroy,
}
WRITING = {"set", "map_add", "map_remove", "set_add", "set_remove", "create", "destroy"}
