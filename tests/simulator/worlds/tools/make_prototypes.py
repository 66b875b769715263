# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Derive prototypes.json and templates.json from the recordings, so that blueprints are built of a real xapi's answers.

Run from the root of the repository: python3 tests/simulator/worlds/tools/make_prototypes.py
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

WORLDS = Path(__file__).parent.parent
RECORDINGS = WORLDS.parent.parent / "conformance" / "recordings"
NULL = "OpaqueRef:NULL"
EPOCH = "19700101T00:00:00Z"

# One record of each of these classes, as the start state of a fresh one-host pool shows it.
WORLD_CLASSES = (
    "pool", "host", "host_metrics", "host_cpu", "SR", "PBD", "VM_metrics", "network", "PIF", "PIF_metrics", "console", "PCI",
    "Certificate", "secret",
)  # fmt: skip
# What a fresh pool has none of: (class, recording, step that returned a record).
STEP_RECORDS = (("VDI", "vdis", 2), ("VM", "walk_1", 63), ("VBD", "walk_1", 23), ("VIF", "walk_1", 91), ("VLAN", "networks", 53))
TEMPLATES = (
    "Other install media", "Debian Bookworm 12", "Debian Bullseye 11", "Ubuntu Jammy Jellyfish 22.04", "Ubuntu Noble Numbat 24.04 (preview)",
    "Rocky Linux 9", "Red Hat Enterprise Linux 9", "CentOS 7", "SUSE Linux Enterprise 15 (64-bit)", "Windows 11",
    "Windows Server 2019 (64-bit)", "Windows Server 2022 (64-bit)",
)  # fmt: skip


def blank(value: Any) -> Any:
    """`value` without symbols: references become null, times the epoch, names made by the recorder disappear."""
    if isinstance(value, dict):
        return {key: blank(item) for key, item in value.items() if not _symbol(item, r"%\d+|@ref/\d+")}
    if isinstance(value, list):
        return [blank(item) for item in value if not _symbol(item, r"@.*")]
    if isinstance(value, str):
        return re.sub(r"@\w+/\d+", NULL, value.replace("<time>", EPOCH))
    return value


def _symbol(value: Any, pattern: str) -> bool:
    return isinstance(value, str) and re.fullmatch(pattern, value) is not None


def first(world: dict[str, Any], xen_class: str) -> dict[str, Any]:
    record: dict[str, Any] = next(iter(world[xen_class].values()))
    return record


def prototype(record: dict[str, Any]) -> dict[str, Any]:
    references = {key for key, value in record.items() if _symbol(value, r"@ref/\d+")}
    return {"uuid": "", **{key: NULL if key in references else value for key, value in blank(record).items()}, **dict.fromkeys(references, NULL)}


def differences(record: dict[str, Any], base: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in prototype(record).items() if key not in base or base[key] != value}


def main() -> None:
    world = json.loads((RECORDINGS / "dispatch.json").read_text())["world"]
    prototypes: dict[str, Any] = {xen_class: prototype(first(world, xen_class)) for xen_class in WORLD_CLASSES}
    for xen_class, recording, step in STEP_RECORDS:
        steps = json.loads((RECORDINGS / f"{recording}.json").read_text())["steps"]
        prototypes[xen_class] = prototype(steps[step - 1]["result"])
    prototypes["iso"] = differences(first(world, "VDI"), prototypes["VDI"])
    vms = {record["name_label"]: record for record in world["VM"].values()}
    dom0 = next(record for record in vms.values() if record["is_control_domain"])
    base = prototype(vms["Other install media"])
    prototypes["dom0"] = differences(dom0, prototypes["VM"])
    prototypes["template"] = differences(vms["Other install media"], prototypes["VM"])
    prototypes["SM"] = [prototype(record) for record in world["SM"].values()]
    # What a driver allows on its SRs, seen where the recording had an SR of that type; ext, nfs, lvm share the VHD code of file.
    templates = [{"name_label": name, **differences(vms[name], base)} for name in TEMPLATES]
    prototypes["SR_allowed_operations"] = {record["type"]: record["allowed_operations"] for record in world["SR"].values()}
    write("prototypes.json", {key: prototypes[key] for key in sorted(prototypes)})
    write("templates.json", templates)


def write(name: str, data: Any) -> None:
    """One record a line: readable, and a change shows as the line of its class."""
    rows = data.items() if isinstance(data, dict) else ((None, row) for row in data)
    lines = [f"{json.dumps(key) + ': ' if key else ''}{json.dumps(row)}" for key, row in rows]
    opening, closing = ("{", "}") if isinstance(data, dict) else ("[", "]")
    (WORLDS / name).write_text(f"{opening}\n" + ",\n".join(lines) + f"\n{closing}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
