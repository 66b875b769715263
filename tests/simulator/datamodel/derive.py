# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the compact data model of the simulator from full dumps of xapi's own data model.

Usage: python3 derive.py MODEL-8.2.json MODEL-8.3.json MODEL-26.json

Writes `classes/<class>.json` (one row a line: a field or a message), `relations.json`, `errors.json` and `http.json`.
A row that is not the same in all three API levels ends in a list of the levels it holds for.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

LEVELS = ("8.2", "8.3", "26")
# From most to least powerful: a role may do all that the roles after it may.
ROLES = ("pool-admin", "pool-operator", "vm-power-admin", "vm-admin", "vm-operator", "client-cert", "read-only")
QUALIFIERS = {"RW": "RW", "StaticRO": "SRO", "DynamicRO": "DRO"}
IMPLICIT = (
    "get_record",
    "get_by_uuid",
    "get_by_name_label",
    "get_all",
    "get_all_records",
    "get_all_records_where",
    "get_all_where",
    "create",
    "destroy",
)
HERE = Path(__file__).parent


def lowest_role(roles: list[str] | None) -> str | list[str]:
    """The least powerful role of a chain; the list itself where it is no chain."""
    if not roles:
        return "none"
    ranks = sorted(ROLES.index(role) for role in roles)
    chain = [role for role in ROLES[: ranks[-1] + 1] if role != "client-cert" or "client-cert" in roles]
    return ROLES[ranks[-1]] if set(chain) == set(roles) else roles


def lowest_roles_of_keys(keys: dict[str, Any]) -> dict[str, Any]:
    return {key: lowest_role(roles) for key, roles in keys.items()}


def field_row(field: dict[str, Any], required: bool, in_constructor: bool, removed: bool) -> list[Any]:
    options: dict[str, Any] = {}
    if removed:
        options["removed"] = True
    if field["internal_only"]:
        options["internal"] = True
    if not field["persist"]:
        options["volatile"] = True
    if field["map_keys_roles"]:
        options["keys"] = lowest_roles_of_keys(field["map_keys_roles"])
    if in_constructor:
        options["create"] = "required" if required else "optional"
    return [
        field["name"],
        field["type"],
        QUALIFIERS[field["qualifier"]],
        field["default"],
        lowest_role(field["getter_roles"]),
        lowest_role(field["setter_roles"]),
        options,
    ]


def message_row(message: dict[str, Any]) -> list[Any]:
    parameters = [[p["name"], p["type"], p["default"]] if "default" in p else [p["name"], p["type"]] for p in message["params"] if p["name"] != "session_id"]
    options: dict[str, Any] = {}
    for key in ("async", "secret", "pool_internal", "hide_from_docs"):
        if message[key]:
            options[key.removesuffix("_from_docs")] = True
    if not message["session"]:
        options["no_session"] = True
    if message["map_keys_roles"]:
        options["keys"] = lowest_roles_of_keys(message["map_keys_roles"])
    if message["state"] == "Removed_s":
        options["removed"] = True
    return [message["name"], parameters, message["result"], lowest_role(message["roles"]), options]


def class_levels(models: dict[str, Any], name: str) -> dict[str, dict[str, Any]]:
    found = {}
    for level, model in models.items():
        for cls in model["classes"]:
            if cls["name"] == name:
                found[level] = cls
    return found


def ordered_names(per_level: dict[str, list[str]]) -> list[str]:
    """All names in the order of the newest level, older ones put after their predecessor there."""
    names = list(per_level[max(per_level, key=LEVELS.index)])
    for level in reversed(LEVELS):
        previous = ""
        for name in per_level.get(level, []):
            if name not in names:
                names.insert(names.index(previous) + 1 if previous in names else 0, name)
            previous = name
    return names


def merged_rows(rows: dict[str, dict[str, list[Any]]], present: list[str]) -> list[list[Any]]:
    """Rows by level and name to one list; equal rows are joined, others say their levels in a last element."""
    result = []
    for name in ordered_names({level: list(by_name) for level, by_name in rows.items()}):
        variants: list[tuple[list[Any], list[str]]] = []
        for level in present:
            row = rows[level].get(name)
            if row is None:
                continue
            for known, levels in variants:
                if known == row:
                    levels.append(level)
                    break
            else:
                variants.append((row, [level]))
        for row, levels in variants:
            result.append(row if levels == present else [*row, levels])
    return result


def compact(models: dict[str, Any], name: str) -> dict[str, Any]:
    levels = class_levels(models, name)
    present = [level for level in LEVELS if level in levels]
    fields, messages, implicit, enums = {}, {}, {}, {}
    for level, cls in levels.items():
        gone = {m["tag"] for m in cls["messages"] if m["state"] == "Removed_s"}
        constructor = {entry["name"]: entry["required"] for entry in cls["constructor_fields"] or []}
        fields[level] = {
            f["name"]: field_row(f, constructor.get(f["name"], False), f["name"] in constructor, f"field_get:{f['name']}" in gone) for f in cls["fields"]
        }
        wire = [m for m in cls["messages"] if m["client_side"] and not m["db_only"]]
        hidden = [m for m in cls["messages"] if m["tag"] == "custom" and not m["client_side"] and not m["db_only"]]
        messages[level] = {m["name"]: message_row(m) for m in [*wire, *hidden] if m["tag"] == "custom"}
        tagged = {m["tag"]: [m["tag"], lowest_role(m["roles"]), {"removed": True} if m["tag"] in gone else {}] for m in wire}
        implicit[level] = {tag: tagged[tag] for tag in IMPLICIT if tag in tagged}
        enums[level] = {key: [key, values] for key, values in (cls["enums"] or {}).items()}
    newest = levels[present[-1]]
    flags = [flag for flag, key in (("stored", "in_database"), ("events", "gen_events"), ("persist", "persist")) if newest[key]]
    return {
        "class": name,
        "levels": present,
        "flags": flags,
        "fields": merged_rows(fields, present),
        "implicit": merged_rows(implicit, present),
        "messages": merged_rows(messages, present),
        "enums": merged_rows(enums, present),
    }


def write(path: Path, data: dict[str, Any]) -> None:
    """JSON with one row a line, so that a person can read it and a diff shows what changed."""
    parts = []
    for key, value in data.items():
        if isinstance(value, list) and value and isinstance(value[0], list):
            rows = ",\n".join("  " + json.dumps(row) for row in value)
            parts.append(f" {json.dumps(key)}: [\n{rows}\n ]")
        else:
            parts.append(f" {json.dumps(key)}: {json.dumps(value)}")
    path.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")


def main() -> None:
    models = {level: json.loads(Path(path).read_text(encoding="utf-8")) for level, path in zip(LEVELS, sys.argv[1:], strict=True)}
    names = ordered_names({level: [c["name"] for c in model["classes"]] for level, model in models.items()})
    for name in names:
        write(HERE / "classes" / f"{name}.json", compact(models, name))
    relations = {level: {"=".join(pair): pair for pair in model["relations"]} for level, model in models.items()}
    write(HERE / "relations.json", {"relations": merged_rows(relations, list(LEVELS))})
    errors = {level: {e["name"]: [e["name"], e["params"]] for e in model["errors"]} for level, model in models.items()}
    write(HERE / "errors.json", {"errors": merged_rows(errors, list(LEVELS))})
    http = {level: {a["name"]: [a["name"], a["method"], a["uri"], lowest_role(a["roles"])] for a in model["http_actions"]} for level, model in models.items()}
    write(HERE / "http.json", {"actions": merged_rows(http, list(LEVELS))})
    versions = {level: model["api_version"] for level, model in models.items()}
    write(HERE / "levels.json", {"classes": names, "api_versions": versions})


if __name__ == "__main__":
    main()
