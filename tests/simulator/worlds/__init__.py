# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start states of simulated pools.

``load(source)`` turns any of these into a ``World`` of records with real references:

* a name (``"one_host"``): the blueprint of that name beside this file;
* a path to a JSON file, or the mapping such a file holds, in one of three forms:
  a *blueprint* (key ``hosts``: what the pool is made of, see ``blueprint.py``),
  a *recording* (key ``world``: records whose references and uuids are symbols such as ``@VM/3`` and ``%12``),
  a *dump* (key ``records``: records as they are).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from ..storage import contents
from . import keys, validation
from .blueprint import BESIDE_RECORDS, build
from .symbols import Namer

if TYPE_CHECKING:
    from ..engine.schema import Schema

Record: TypeAlias = dict[str, Any]
Records: TypeAlias = dict[str, dict[str, Record]]

HERE = Path(__file__).parent
# What a recording says of its server when no Xen was underneath: there is no xenstore then, and nothing is measured.
SIMULATED_HYPERVISOR = "hypervisor simulated"
# What a blueprint may say.
KEYS = {"name", "api", "pool", "hosts", "networks", "srs", "default_sr", "templates", "machines", "vms", *BESIDE_RECORDS}
FORMS = "'hosts' (a blueprint), 'world' (a recording) or 'records' (a dump)"


class WorldError(ValueError):
    """The source is no world; the message says which one and why."""


@dataclass
class World:
    """A start state: class → reference → record, all references and uuids real."""

    name: str
    records: Records
    # Recordings only: symbol → the reference or uuid that stands for it, so that a replay knows what @VM/3 is.
    bindings: dict[str, str] = field(default_factory=dict)
    # What records cannot say: "username", "password", "contents" (VDI reference → description of its bytes),
    # "hypervisor" ("simulated": no xenstore), "guest" (what runs inside VMs: linux, windows or none).
    extra: dict[str, Any] = field(default_factory=dict)
    # Dumps only: the API level that they were saved at, and that they come from elsewhere: nobody has looked at their records yet.
    api: str = ""
    unchecked: bool = False
    # Made of a blueprint, which says nothing of versions.
    built: bool = False

    def fit(self, schema: Schema) -> None:
        """Let the hosts of a blueprint be of this API level; `WorldError` when records from elsewhere are no pool of it."""
        if self.built:
            major, minor = schema.version
            for host in self.records["host"].values():
                host.update(API_version_major=major, API_version_minor=minor)
        found = list(validation.problems(schema, self.records)) if self.unchecked else []
        found = found or list(self._problems_of_contents())
        if found:
            raise WorldError(f"world {self.name}:{validation.report(found)}")

    def _problems_of_contents(self) -> Iterator[str]:
        for vdi, description in self.extra.get("contents", {}).items():
            record = self.records.get("VDI", {}).get(vdi)
            wrong = contents.problem(description, record["virtual_size"]) if record else "there is no such disk"
            if wrong:
                yield f"contents of {record['name_label'] if record else vdi}: {wrong}"


def names() -> list[str]:
    """The worlds that come with the simulator."""
    return sorted(path.stem for path in HERE.glob("*.json") if path.stem not in {"prototypes", "templates"})


def load(source: str | Path | Mapping[str, Any], *, key: str = "world", vms: int | None = None) -> World:
    """The world that `source` describes; `key` picks another start state of a recording, `vms` adds typical VMs to a blueprint."""
    name, data = read(source)
    if "hosts" in data:
        blueprint = dict(data) if vms is None else {**data, "vms": vms}
        return _built(name, blueprint)
    if vms:
        raise WorldError(f"world {name}: typical VMs can be added to a blueprint only")
    if key in data:
        namer = Namer(str(data.get("name", name)))
        extra = dict(data.get("extra", {}))
        if SIMULATED_HYPERVISOR in data.get("server", ""):
            extra.setdefault("hypervisor", "simulated")
        return World(name, namer.records(data[key]), namer.bindings, extra)
    if "records" in data:
        return World(name, data["records"], {}, dict(data.get("extra", {})), api=str(data.get("api", "")), unchecked=True)
    raise WorldError(f"world {name}: none of the keys {FORMS}")


def _built(name: str, blueprint: Mapping[str, Any]) -> World:
    unknown = sorted(set(blueprint) - KEYS)
    if unknown:
        raise WorldError(f"world {name}: a blueprint has no {unknown[0]!r}; it has {', '.join(sorted(KEYS))}")
    wrong = list(keys.problems(blueprint))
    if wrong:
        raise WorldError(f"world {name}:{validation.report(wrong)}")
    try:
        records, extra = build(name, blueprint)
    except KeyError as error:
        raise WorldError(f"world {name}: {error} is missing in the blueprint") from error
    except ValueError as error:
        raise WorldError(f"world {name}: {error}") from error
    return World(name, records, {}, extra, built=True)


def read(source: str | Path | Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """The name of a world, and its description as it stands in the file."""
    if isinstance(source, Mapping):
        return str(source.get("name", "unnamed")), source
    path = HERE / f"{source}.json" if source in names() else Path(source)
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise WorldError(f"world {source}: no such file; the worlds by name are {', '.join(names())}") from None
    except ValueError as error:
        raise WorldError(f"world {path}: not JSON: {error}") from None
    if not isinstance(data, dict):
        raise WorldError(f"world {path}: a JSON object is wanted, not a {type(data).__name__}")
    return str(data.get("name", path.stem)), data
