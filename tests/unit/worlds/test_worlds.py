# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from simulator import worlds

RECORDINGS = Path(__file__).parents[2] / "conformance" / "recordings"
NULL = "OpaqueRef:NULL"
HOST = {"name": "xs1", "address": "127.0.0.1", "memory": "8GiB", "cpus": 2}


def named(world: worlds.World, xen_class: str) -> list[str]:
    return sorted(record["name_label"] for record in world.records[xen_class].values())


def references(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value] if value.startswith("OpaqueRef:") and value != NULL else []
    if isinstance(value, dict):
        return [found for item in value.values() for found in references(item)]
    return [found for item in value for found in references(item)] if isinstance(value, list) else []


@pytest.mark.parametrize("name", ["one_host", "three_hosts"])
def test_the_same_name_is_always_the_same_world(name: str) -> None:
    assert worlds.load(name) == worlds.load(name)


@pytest.mark.parametrize("name", ["one_host", "three_hosts"])
def test_every_reference_leads_somewhere(name: str) -> None:
    world = worlds.load(name)
    known = {reference for rows in world.records.values() for reference in rows}
    for xen_class, rows in world.records.items():
        for record in rows.values():
            for field, value in record.items():
                # xapi keeps VBD_metrics and VIF_metrics rows that no message can see.
                if not (xen_class in ("VBD", "VIF") and field == "metrics"):
                    assert set(references(value)) <= known, (xen_class, field)


@pytest.mark.parametrize("name", ["one_host", "three_hosts"])
def test_both_ends_of_a_relation_agree(name: str) -> None:
    records = worlds.load(name).records
    for xen_class, field, far_class, far_field in [
        ("PBD", "SR", "SR", "PBDs"),
        ("PBD", "host", "host", "PBDs"),
        ("VDI", "SR", "SR", "VDIs"),
        ("PIF", "network", "network", "PIFs"),
        ("VBD", "VM", "VM", "VBDs"),
        ("VIF", "VM", "VM", "VIFs"),
    ]:
        forward = {(record[field], reference) for reference, record in records[xen_class].items()}
        backward = {(reference, member) for reference, record in records[far_class].items() for member in record[far_field]}
        assert forward == backward, (xen_class, field)


def test_three_hosts_have_what_a_pool_has() -> None:
    world = worlds.load("three_hosts")
    assert sorted(host["address"] for host in world.records["host"].values()) == ["127.0.0.1", "127.0.0.2", "127.0.0.3"]
    assert named(world, "SR") == ["ISO library", "Local storage", "Local storage", "Local storage", "NFS storage", "XenServer Tools"]
    by_name = {sr["name_label"]: sr for sr in world.records["SR"].values()}
    assert (by_name["NFS storage"]["shared"], len(by_name["NFS storage"]["PBDs"])) == (True, 3)
    assert (by_name["Local storage"]["shared"], len(by_name["Local storage"]["PBDs"])) == (False, 1)
    [pool] = world.records["pool"].values()
    assert world.records["SR"][pool["default_SR"]]["name_label"] == "NFS storage"
    assert world.records["host"][pool["master"]]["name_label"] == "xs1"


def test_a_custom_template_can_be_cloned_disk_and_all() -> None:
    world = worlds.load("one_host")
    [template] = [vm for vm in world.records["VM"].values() if vm["is_a_template"] and not vm["is_default_template"]]
    assert (template["name_label"], len(template["VBDs"]), len(template["VIFs"])) == ("Debian 12 (cloud image)", 1, 1)


def test_typical_vms_are_added_to_a_blueprint() -> None:
    world = worlds.load("one_host", vms=3)
    vms = [vm for vm in world.records["VM"].values() if vm["name_label"].startswith("vm-")]
    assert [(len(vm["VBDs"]), len(vm["VIFs"])) for vm in vms] == [(4, 2)] * 3
    assert set(worlds.load("one_host").records["VM"]) <= set(world.records["VM"])


def test_a_recording_loads_with_real_references() -> None:
    path = RECORDINGS / "cross_pool.json"
    world, other = worlds.load(path), worlds.load(path, key="other_world")
    [pool] = world.records["pool"].values()
    assert pool["master"] == world.bindings["@host/1"]
    assert world.records["host"][pool["master"]]["uuid"] == world.bindings["%48"]
    text = json.dumps([world.records, other.records])
    assert not any(f'"{symbol}"' in text for symbol in [*world.bindings, *other.bindings, "<time>"])
    assert not set(world.bindings) & set(other.bindings)


def test_a_dump_keeps_its_references() -> None:
    records = {"VM": {"OpaqueRef:x": {"uuid": "u"}}}
    assert worlds.load({"name": "d", "records": records}).records == records


@pytest.mark.parametrize(
    ("part", "value", "message"),
    [
        ("hosts", [{**HOST, "cpu": 4}], r"hosts\[0\] has no 'cpu'; it has address, cpus, "),
        ("hosts", [HOST, {**HOST, "gpus": [{"name": "T4", "type": {}}]}], r"hosts\[1\]\.gpus\[0\] has no 'type'; it has ids, name, types, vendor"),
        ("machines", [{"name": "web", "disks": ["8GiB"]}], r"machines\[0\]\.disks\[0\] is an object of keys and values, not '8GiB'"),
        ("pool", {"label": "lab"}, "pool has no 'label'; it has description, name"),
    ],
)
def test_a_key_that_is_none_is_told_with_its_place(part: str, value: Any, message: str) -> None:
    with pytest.raises(worlds.WorldError, match=message):
        worlds.load({"name": "lab", "hosts": [HOST], "networks": [], "srs": [], part: value})


@pytest.mark.parametrize(("path", "key"), [(path, key) for path, names in worlds.keys.PARTS.items() for key in names.split()])
def test_every_key_is_in_the_readme(path: str, key: str) -> None:
    lines = (worlds.HERE / "README.md").read_text(encoding="utf-8").splitlines()
    top, *below = [name.removesuffix("[]") for name in path.split(".")]
    head = {"pool": "| `name`, `pool` |"}.get(top, f"| `{below[0]}` of a host |" if below and top == "hosts" else f"| `{top}` |")
    (row,) = [line for line in lines if line.startswith(head)]
    assert f"`{key}`" in row


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("no_such_world", "no such file; the worlds by name are one_host, three_hosts"),
        ({"name": "x"}, "world x: none of the keys"),
        ({"name": "x", "hosts": []}, "world x: a pool has at least one host"),
        ({"name": "x", "hosts": [{}]}, "world x: 'name' is missing in the blueprint"),
        ({"hosts": [HOST], "networks": [], "srs": [], "default_sr": "y"}, "no SR is named 'y'"),
        ({"hosts": [{**HOST, "memory": "lots"}], "networks": [], "srs": []}, "'lots' is no size"),
        ({"hosts": [HOST], "networks": [], "srs": [], "templates": ["BeOS"]}, "no template is named 'BeOS'"),
    ],
)
def test_a_source_that_is_no_world_says_why(source: Any, message: str) -> None:
    with pytest.raises(worlds.WorldError, match=message):
        worlds.load(source)
