# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the records of a pool from a blueprint: hosts, networks, storage, templates and VMs in a page of JSON.

Every record starts as a real xapi's answer (``prototypes.json``, ``templates.json``), and the blueprint says what differs.
The same blueprint always gives the same references and uuids, so that a play written against a world stays valid.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import hardware, machines, storage
from .symbols import NAMESPACE, TIME

HERE = Path(__file__).parent
NULL = "OpaqueRef:NULL"

# What a blueprint says beside records: see `World.extra`.
BESIDE_RECORDS = ("username", "password", "directory", "guest", "agent", "hypervisor")
# (class, field) that points at one object → the set on the other end.
RELATIONS = {
    ("PBD", "host"): ("host", "PBDs"),
    ("PBD", "SR"): ("SR", "PBDs"),
    ("VDI", "SR"): ("SR", "VDIs"),
    ("VBD", "VDI"): ("VDI", "VBDs"),
    ("VBD", "VM"): ("VM", "VBDs"),
    ("VIF", "VM"): ("VM", "VIFs"),
    ("VIF", "network"): ("network", "VIFs"),
    ("PIF", "host"): ("host", "PIFs"),
    ("PIF", "network"): ("network", "PIFs"),
    ("VLAN", "tagged_PIF"): ("PIF", "VLAN_slave_of"),
    ("PCI", "host"): ("host", "PCIs"),
    ("host_cpu", "host"): ("host", "host_CPUs"),
    ("Certificate", "host"): ("host", "certificates"),
    ("console", "VM"): ("VM", "consoles"),
    ("VM", "resident_on"): ("host", "resident_VMs"),
}


class Builder:
    """Records under construction."""

    def __init__(self, name: str, blueprint: Mapping[str, Any]) -> None:
        self.name = name
        self.blueprint = blueprint
        self.prototypes: dict[str, Any] = json.loads((HERE / "prototypes.json").read_text(encoding="utf-8"))
        self.templates: dict[str, Any] = {row["name_label"]: row for row in json.loads((HERE / "templates.json").read_text(encoding="utf-8"))}
        self.records: dict[str, dict[str, dict[str, Any]]] = {key: {} for key in self.prototypes if key == "SM" or "uuid" in self.prototypes[key]}
        self.extra: dict[str, Any] = {"contents": {}, **{key: blueprint[key] for key in BESIDE_RECORDS if key in blueprint}}
        self.made = 0

    def identifier(self) -> str:
        """uuid5 of the name and a number, made by hand: uuid.uuid5 takes five times as long, and a large pool needs 300,000."""
        self.made += 1
        digest = bytearray(hashlib.sha1(NAMESPACE.bytes + f"{self.name} {self.made}".encode(), usedforsecurity=False).digest()[:16])
        digest[6], digest[8] = digest[6] & 0x0F | 0x50, digest[8] & 0x3F | 0x80
        text = digest.hex()
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

    def add(self, xen_class: str, *layers: Mapping[str, Any], **fields: Any) -> str:
        """A record of `xen_class`: its prototype, then each layer of differences, then `fields`; returns the new reference."""
        record: dict[str, Any] = {}
        # Of classes that no recording has, the data model's defaults are filled in later.
        prototype = self.prototypes.get(xen_class, {})
        for layer in (prototype if isinstance(prototype, dict) else {}, *layers, fields):
            record.update(layer)
        for field, value in record.items():
            if isinstance(value, (dict, list)):
                record[field] = _own(value)
        record["uuid"] = self.identifier()
        reference = f"OpaqueRef:{self.identifier()}"
        self.records.setdefault(xen_class, {})[reference] = record
        return reference

    def find(self, xen_class: str, name: str) -> str:
        """The first object of that name."""
        for reference, record in self.records[xen_class].items():
            if record["name_label"] == name:
                return reference
        known = ", ".join(sorted({record["name_label"] for record in self.records[xen_class].values()}))
        raise ValueError(f"no {xen_class} is named {name!r}; there are {known}")

    def relate(self) -> None:
        """Fill the sets on the far end of every reference."""
        for (xen_class, field), (far_class, far_field) in RELATIONS.items():
            for reference, record in self.records[xen_class].items():
                if record[field] != NULL:
                    self.records[far_class][record[field]][far_field].append(reference)


def _own(value: Any) -> Any:
    """A copy of a JSON value; copy.deepcopy takes five times as long, which tens of thousands of VMs feel."""
    if isinstance(value, dict):
        return {key: _own(item) for key, item in value.items()}
    return [_own(item) for item in value] if isinstance(value, list) else value


def build(name: str, blueprint: Mapping[str, Any]) -> tuple[dict[str, dict[str, dict[str, Any]]], dict[str, Any]]:
    """The records of the pool that `blueprint` describes, and what records cannot say."""
    if not blueprint["hosts"]:
        raise ValueError("a pool has at least one host")
    builder = Builder(name, blueprint)
    _pool(builder)
    hardware.hosts(builder)
    hardware.networks(builder)
    storage.repositories(builder)
    machines.templates(builder)
    machines.virtual_machines(builder)
    builder.relate()
    _point_at_default_sr(builder)
    return builder.records, builder.extra


def _pool(builder: Builder) -> None:
    options = builder.blueprint.get("pool", {})
    telemetry = builder.add("secret", value=builder.identifier())
    builder.add(
        "pool",
        name_label=options.get("name", ""),
        name_description=options.get("description", ""),
        telemetry_uuid=telemetry,
        telemetry_next_collection=TIME,
    )


def _point_at_default_sr(builder: Builder) -> None:
    name = builder.blueprint.get("default_sr")
    if name is None:
        return
    default = builder.find("SR", name)
    for pool in builder.records["pool"].values():
        pool.update(default_SR=default, suspend_image_SR=default, crash_dump_SR=default)
    for host in builder.records["host"].values():
        host.update(suspend_image_sr=default, crash_dump_sr=default)
