# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that restarts while a disk is written to it, its toolstack alone or the whole machine: the next run makes it good."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.xapi.xenserver.plugins.module_utils._disk_swap import REWRITES
from simulator import Rule, Simulator, fault_effects, worlds
from simulator.behaviour import _host_power
from simulator.transport.flow import Flow

from ..conftest import Run
from .images import DISK, content_of
from .machines import MACHINES, named, the
from .test_xen_image import KEY
from .transfers import CASES, IDS, data, disks, image, run, with_image

__all__ = ["data", "run"]
THREE = json.loads((Path(worlds.__file__).parent / "three_hosts.json").read_text(encoding="utf-8"))
WITH_A_VM: dict[str, Any] = {**THREE, "machines": [{"name": "web1", "disks": [{"sr": "NFS storage", "size": "4GiB", "name": "web1 root"}]}]}


@pytest.fixture(autouse=True)
def quick_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds that a starting toolstack takes for each storage repository."""
    monkeypatch.setattr(_host_power, "PLUG", 0.02)


def unfinished(simulator: Simulator) -> set[str]:
    """Disks that say so, and the clone that a rewrite has not finished."""
    records = {ref: record for ref, record in simulator.records("VDI").items() if record["managed"]}
    keys = {ref: record["other_config"] for ref, record in records.items()}
    marked = {ref for ref, config in keys.items() if config.get(KEY, "").startswith("unfinished")}
    return marked | {ref for ref, config in keys.items() if config.get(REWRITES, records[ref]["uuid"]) != records[ref]["uuid"]}


def visible(simulator: Simulator) -> set[str]:
    """Disks but for snapshots, whose content is whole."""
    return {ref for ref, record in simulator.records("VDI").items() if record["managed"] and not record["is_a_snapshot"]}


def ready_again(simulator: Simulator, name: str) -> None:
    """A toolstack that starts plugs its storage, and enables its host when that is there."""
    session, token = simulator.session(), ""
    host = session.host.get_by_name_label(name)[0]
    while not session.host.get_enabled(host):
        token = session.event.from_(["host"], token, 10.0)["token"]


@pytest.mark.world(MACHINES)
@pytest.mark.parametrize(("module", "_sr", "_asked", "params"), CASES, ids=IDS)
def test_toolstack(
    run: Run, simulator: Simulator, data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, _sr: str, _asked: str, params: Any
) -> None:
    """Sessions and tasks are gone, connections cut; nobody can say any more what came of the transfer."""
    given, before, whole = with_image(module, params, tmp_path), disks(simulator), visible(simulator)

    async def restart(self: Flow, rule: Rule) -> None:
        simulator.engine.restart()
        self._cut(rule)

    with monkeypatch.context() as patch:
        patch.setattr(Flow, "_strike", restart)
        rule = simulator.faults.add(Rule("PUT /import_raw_vdi", at=3000, nth=1, cut="before"))
        outcome = run(module, **given)
    assert (rule.struck, outcome.failed) == (1, True)
    # The session that could remove what was half made is gone as well.
    left = disks(simulator)
    assert {ref: left[ref] for ref in before} == before
    assert all(left[ref] == [] for ref in left.keys() - before.keys())
    assert unfinished(simulator) == visible(simulator) - whole
    simulator.faults.clear()
    ready_again(simulator, "xs1")
    again = run(module, **given)
    assert not again.failed, again.result
    assert again.changed
    assert len(visible(simulator) - whole) == (2 if params.get("cache") else 1)
    assert len(unfinished(simulator)) == (1 if params.get("phase") == "send" else 0)


@pytest.mark.world(WITH_A_VM)
@pytest.mark.parametrize("cache", [False, True])
@pytest.mark.parametrize("at", [5, 3000])
def test_machine(run: Run, simulator: Simulator, tmp_path: Path, at: int, cache: bool) -> None:
    """A member of the pool stops; what it has on its own storage cannot be removed before it is back, and is attached to nothing."""
    pool, hosts = next(iter(simulator.records("pool").values())), simulator.records("host")
    member = next(ref for ref in hosts if ref != pool["master"])
    attached = {record["SR"]: record["host"] for record in simulator.records("PBD").values()}
    sr = next(record["uuid"] for ref, record in simulator.records("SR").items() if record["name_label"] == "Local storage" and attached[ref] == member)
    given = {"image": image(tmp_path), "vm": "web1", "userdevice": "1", "sr": sr, "cache": cache}
    Path(given["image"]).write_bytes(DISK)
    before = disks(simulator)
    simulator.faults.add(Rule("PUT /import_raw_vdi", crash="here", at=at, nth=2))
    assert run("xen_image", **given).failed
    simulator.faults.clear()
    left = disks(simulator)
    assert {ref: left[ref] for ref in before} == before
    assert all(left[ref] == [] for ref in left.keys() - before.keys())
    assert unfinished(simulator) == left.keys() - before.keys()

    async def boot() -> None:
        fault_effects.boot(simulator.engine, member)

    simulator.run(boot())
    ready_again(simulator, hosts[member]["name_label"])
    outcome = run("xen_image", **given)
    assert not outcome.failed, outcome.result
    assert unfinished(simulator) == set()
    assert content_of(simulator, the(simulator, "VDI", "web1")["ref"]) == DISK
    assert len(named(simulator, "VDI", "web1")) == 1
    assert not run("xen_image", **given).changed
