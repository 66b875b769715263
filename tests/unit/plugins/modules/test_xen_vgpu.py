# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest

from simulator import Simulator
from simulator.transport.memory import MemorySession

from ..conftest import Run
from ..scenario import Do, Scenario
from .machines import MACHINES, start, started, the
from .vms import run_examples

KIND, OTHER = "GRID T4-2Q", "GRID T4-8Q"


def add_gpus(session: MemorySession) -> None:
    """A group of one GPU with room for two of a type, and one whose GPU is taken, as hosts with an NVIDIA T4 have them."""
    simulator = session.client.simulator
    host = next(iter(simulator.records("host")))

    async def fill() -> None:
        db = simulator.engine.db
        kinds = [db.create("VGPU_type", {"vendor_name": "NVIDIA", "model_name": name, "implementation": "nvidia"}) for name in (KIND, OTHER)]
        for name, room in (("Full", 1), ("Group of NVIDIA T4 GPUs", 2)):
            group = db.create("GPU_group", {"name_label": name, "enabled_VGPU_types": kinds[:1], "supported_VGPU_types": kinds})
            gpu = {"host": host, "GPU_group": group, "enabled_VGPU_types": kinds[:1], "supported_VGPU_types": kinds}
            pgpu = db.create("PGPU", {**gpu, "supported_VGPU_max_capacities": {kinds[0]: room}})
            if name == "Full":
                db.create("VGPU", {"GPU_group": group, "type": kinds[0], "scheduled_to_be_resident_on": pgpu})

    simulator.run(fill())


SCENARIO = Scenario(
    Do({"vm": "web1", "type": KIND}),
    Do({"vm": "web1", "type": KIND, "group": "Group of NVIDIA T4 GPUs", "owner": "somebody"}, changes=False),
    Do({"vm": "web1", "state": "absent", "type": OTHER}, changes=False),
    Do({"vm": "web1", "state": "absent"}),
    world=MACHINES,
    prepare=add_gpus,
)
pytestmark = pytest.mark.world(MACHINES)


@pytest.fixture(autouse=True)
def gpus(simulator: Simulator) -> None:
    add_gpus(simulator.session())


def vgpus(simulator: Simulator) -> list[dict[str, Any]]:
    vm = the(simulator, "VM", "web1")["ref"]
    return [record for record in simulator.records("VGPU").values() if record["VM"] == vm]


def test_first_group_with_room_is_taken(run_module: Run, simulator: Simulator) -> None:
    """driver-operations §23.1."""
    outcome = run_module("xen_vgpu", vm="web1", type=KIND)
    vm = the(simulator, "VM", "web1")
    (record,) = vgpus(simulator)
    assert (record["VM"], record["device"], record["other_config"]) == (vm["ref"], "0", {"nova-instance-uuid": vm["uuid"]})
    assert (outcome["vgpu"]["type_name"], outcome["vgpu"]["group_name"]) == (KIND, "Group of NVIDIA T4 GPUs")
    assert outcome.writes == ["VGPU.create"]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"type": "no such GPU"}, "no such GPU"),
        ({"type": OTHER}, "offers it"),
        ({"type": KIND, "group": "Full"}, "room for another one"),
        ({"type": KIND, "group": "nowhere"}, "nowhere"),
        ({}, "give type"),
    ],
)
def test_what_cannot_be_is_refused(run_module: Run, params: dict[str, Any], message: str) -> None:
    outcome = run_module("xen_vgpu", vm="web1", **params)
    assert outcome.failed
    assert message in outcome.msg
    assert outcome.writes == []


def test_a_running_vm_keeps_what_it_has(run_module: Run, simulator: Simulator) -> None:
    run_module("xen_vgpu", vm="web1", type=KIND)
    start(simulator, "web2")
    assert "while it is halted" in run_module("xen_vgpu", vm="web2", type=KIND).msg
    started(simulator.session(), "web1")
    outcome = run_module("xen_vgpu", vm="web1", state="absent")
    assert outcome.failed
    assert "while it is halted" in outcome.msg
    assert len(vgpus(simulator)) == 1


def test_examples_run(run_module: Run, simulator: Simulator) -> None:
    outcomes = run_examples(simulator, "xen_vgpu")
    assert [outcome.changed for outcome in outcomes] == [True, True]
    assert vgpus(simulator) == []
