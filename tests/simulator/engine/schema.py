# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The data model of one API level: classes, fields, and every message that exists on the wire."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from .specs import REQUIRED, ClassSpec, FieldSpec, MessageSpec, ParameterSpec
from .types import Type, parse

DATA = Path(__file__).parent.parent / "datamodel"
LEVELS = ("8.2", "8.3", "26")
DEFAULT = "8.3"
ROLES = ("pool-admin", "pool-operator", "vm-power-admin", "vm-admin", "vm-operator", "client-cert", "read-only")


@dataclass
class Schema:
    level: str
    version: tuple[int, int]
    classes: dict[str, ClassSpec]
    enums: dict[str, list[str]]
    relations: list[tuple[str, str, str, str]]  # class, field, other class, its derived field
    errors: dict[str, list[str]]
    lower: dict[str, str]  # lower-case class name → its own spelling
    actions: list[tuple[str, str, str, Any]]  # HTTP handlers: name, verb, path, least powerful role

    def message(self, wire_name: str) -> MessageSpec | None:
        """The message of `Class.message` or of its alias `Class_message`."""
        cls, dot, name = wire_name.partition(".")
        if dot:
            spec = self.classes.get(cls)
            return spec.messages.get(name) if spec else None
        return self._aliases.get(wire_name)

    @property
    def listed(self) -> list[str]:
        """What system.listMethods answers."""
        return [message.wire for cls in self.classes.values() for message in cls.messages.values()]

    def __post_init__(self) -> None:
        self._aliases = {f"{m.cls}_{m.name}": m for c in self.classes.values() for m in c.messages.values()}


def _at(rows: list[list[Any]], level: str, width: int) -> list[list[Any]]:
    return [row[:width] for row in rows if len(row) == width or level in row[width]]


def _field(row: list[Any]) -> FieldSpec:
    name, kind, qualifier, initial, getter, setter, options = row
    return FieldSpec(
        name=name,
        type=parse(kind),
        qualifier=qualifier,
        initial=initial,
        getter_role=getter,
        setter_role=setter,
        internal=options.get("internal", False),
        persist=not options.get("volatile", False),
        create=options.get("create", ""),
        removed=options.get("removed", False),
        key_roles=options.get("keys", {}),
    )


# Maps whose edits some API levels declare one by one, for the sake of roles or checks, and which do what a field's own edits do.
DECLARED_EDITS = {("VM", "blocked_operations"), ("VM", "other_config"), ("VM", "platform"), ("task", "other_config")}
EDITS = {"set": "set", "add_to": "map_add", "remove_from": "map_remove"}


def _edit(cls: str, name: str) -> tuple[str, str]:
    """Kind and field of a declared message."""
    for prefix, kind in EDITS.items():
        if name.startswith(f"{prefix}_") and (cls, name.removeprefix(f"{prefix}_")) in DECLARED_EDITS:
            return kind, name.removeprefix(f"{prefix}_")
    return "custom", ""


def _custom(cls: str, row: list[Any]) -> MessageSpec:
    name, params, result, role, options = row
    kind, field = _edit(cls, name)
    return MessageSpec(
        cls=cls,
        name=name,
        kind=kind,
        field=field,
        params=tuple(ParameterSpec(p[0], parse(p[1]), p[2] if len(p) > 2 else REQUIRED) for p in params),
        result=parse(result) if result else None,
        role=role,
        is_async=options.get("async", False),
        needs_session=not options.get("no_session", False),
        removed=options.get("removed", False),
        pool_internal=options.get("pool_internal", False),
        hidden=options.get("hide", False),
        key_roles=options.get("keys", {}),
    )


def _of_field(cls: str, spec: FieldSpec) -> list[MessageSpec]:
    """The getter of a field, and for a read-write one its setters."""
    own = ParameterSpec("self", parse(f"{cls} ref"))
    getter = MessageSpec(cls, f"get_{spec.name}", "get", (own,), spec.type, spec.getter_role, field=spec.name, removed=spec.removed)
    messages = [getter]
    if spec.qualifier != "RW":
        return messages

    def setter(name: str, kind: str, *params: ParameterSpec) -> MessageSpec:
        return MessageSpec(cls, name, kind, (own, *params), None, spec.setter_role, field=spec.name, removed=spec.removed, key_roles=spec.key_roles)

    messages.append(setter(f"set_{spec.name}", "set", ParameterSpec("value", spec.type)))
    if spec.type.kind == "map":
        assert spec.type.key is not None
        assert spec.type.value is not None
        key = ParameterSpec("key", spec.type.key)
        messages.append(setter(f"add_to_{spec.name}", "map_add", key, ParameterSpec("value", spec.type.value)))
        messages.append(setter(f"remove_from_{spec.name}", "map_remove", key))
    if spec.type.kind == "set":
        assert spec.type.value is not None
        member = ParameterSpec("value", spec.type.value)
        messages.append(setter(f"add_{spec.name}", "set_add", member))
        messages.append(setter(f"remove_{spec.name}", "set_remove", member))
    return messages


def _implicit(cls: str, kind: str, role: Any, options: dict[str, Any]) -> MessageSpec:
    own = parse(f"{cls} ref")
    record = parse(f"{cls} record")
    refs = Type("set", value=own)
    records = Type("map", key=own, value=record)
    text = parse("string")
    signatures: dict[str, tuple[tuple[ParameterSpec, ...], Type | None]] = {
        "get_record": ((ParameterSpec("self", own),), record),
        "get_by_uuid": ((ParameterSpec("uuid", text),), own),
        "get_by_name_label": ((ParameterSpec("label", text),), refs),
        "get_all": ((), refs),
        "get_all_records": ((), records),
        "get_all_records_where": ((ParameterSpec("expr", text),), records),
        "get_all_where": ((ParameterSpec("expr", text),), refs),
        "create": ((ParameterSpec("args", record),), own),
        "destroy": ((ParameterSpec("self", own),), None),
    }
    params, result = signatures[kind]
    return MessageSpec(cls, kind, kind, params, result, role, is_async=kind in ("create", "destroy"), removed=options.get("removed", False))


def _class(data: dict[str, Any], level: str) -> ClassSpec:
    name = data["class"]
    fields = {row[0]: _field(row) for row in _at(data["fields"], level, 7)}
    stored = "stored" in data["flags"]
    messages: dict[str, MessageSpec] = {}
    if stored or name == "message":
        for spec in fields.values():
            # A class outside the database (event, sr_stat, …) has fields only as the shape of an answer.
            if not spec.internal and stored:
                messages.update({m.name: m for m in _of_field(name, spec)})
    messages.update({row[0]: _implicit(name, *row) for row in _at(data["implicit"], level, 3)})
    messages.update({row[0]: _custom(name, row) for row in _at(data["messages"], level, 5)})
    return ClassSpec(name, stored, "events" in data["flags"], fields, messages)


@cache
def load(level: str = "8.3") -> Schema:
    """The data model of an API level: 8.2 (XCP-ng 8.2), 8.3 (XCP-ng 8.3, XenServer 8) or 26 (XenServer 9)."""
    if level not in LEVELS:
        raise ValueError(f"there is no API level {level!r}; choose one of {', '.join(LEVELS)}")
    levels = json.loads((DATA / "levels.json").read_text(encoding="utf-8"))
    classes, enums = {}, {}
    for name in levels["classes"]:
        data = json.loads((DATA / "classes" / f"{name}.json").read_text(encoding="utf-8"))
        if level in data["levels"]:
            classes[name] = _class(data, level)
            enums.update({row[0]: row[1] for row in _at(data["enums"], level, 2)})
    relations = json.loads((DATA / "relations.json").read_text(encoding="utf-8"))["relations"]
    pairs = [(*row[0].split("."), *row[1].split(".")) for row in _at(relations, level, 2)]
    errors = json.loads((DATA / "errors.json").read_text(encoding="utf-8"))["errors"]
    actions = json.loads((DATA / "http.json").read_text(encoding="utf-8"))["actions"]
    return Schema(
        level=level,
        version=tuple(levels["api_versions"][level]),
        classes=classes,
        enums=enums,
        relations=[(a, b, c, d) for a, b, c, d in pairs if (a, b) != (c, d)],
        errors={row[0]: row[1] for row in _at(errors, level, 2)},
        lower={name.lower(): name for name in classes},
        actions=[(row[0], row[1], row[2], row[3]) for row in _at(actions, level, 4)],
    )
