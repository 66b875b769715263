# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest

from simulator import Simulator
from simulator.transport.memory import MemorySession

from ..conftest import Outcome, Run
from ..scenario import reads
from .machines import MACHINES, attach, new_disk, the
from .vms import run_examples

NULL = "OpaqueRef:NULL"


def prepare(session: MemorySession) -> None:
    """web1 with disks 0, 2, 4 and 5 as in driver-rows 29: 2 is a volume, 3 an empty drive, 5 on local storage and shared; and a CD at 6."""
    simulator = session.client.simulator
    vm, other = (the(simulator, "VM", name)["ref"] for name in ("web1", "web2"))
    nfs, local = (the(simulator, "SR", name)["ref"] for name in ("NFS storage", "Local storage"))
    attach(session, vm, new_disk(session, nfs, "volume"), "2", other_config={"osvol": "True"})
    attach(session, vm, NULL, "3", type="CD", mode="RO", empty=True)
    attach(session, vm, new_disk(session, nfs, "ephemeral"), "4")
    shared = new_disk(session, local, "shared", sharable=True)
    for machine in (vm, other):
        attach(session, machine, shared, "5")
    attach(session, vm, the(simulator, "VDI", "debian-12.iso")["ref"], "6", type="CD", mode="RO")


SCENARIO = reads(
    {},
    {"sr": "ISO library"},
    {"name": "web1 root", "chain": True},
    {"name": "nothing is called so"},
    {"is_snapshot": True},
    {"vm": "web1", "owned": True, "chain": True},
    {"vm": "web1", "userdevice": "xvda"},
    world=MACHINES,
    prepare=prepare,
)
pytestmark = pytest.mark.world(MACHINES)


@pytest.fixture(autouse=True)
def prepared(simulator: Simulator) -> MemorySession:
    session = simulator.session()
    prepare(session)
    return session


def names(outcome: Outcome) -> list[str]:
    return [disk["name"] for disk in outcome["vdis"]]


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        pytest.param({"vm": "web1"}, ["debian-12.iso", "ephemeral", "shared", "volume", "web1 root"], id="all of a VM, no empty drive"),
        pytest.param({"vm": "web1", "min_userdevice": 4}, ["debian-12.iso", "ephemeral", "shared"], id="from a device up (row 29)"),
        pytest.param({"vm": "web1", "userdevice": "0"}, ["web1 root"], id="root disk (row 36)"),
        pytest.param({"vm": "web1", "userdevice": "/dev/xvdc"}, ["volume"], id="device by name"),
        pytest.param({"vm": "web1", "owned": True}, ["ephemeral", "web1 root"], id="its own (row 47)"),
        pytest.param({"vm": "web1", "owned": False}, ["debian-12.iso", "shared", "volume"], id="not its own"),
        pytest.param({"vm": "web1", "sr": "Local storage"}, ["shared"], id="on a repository (row 32)"),
        pytest.param({"vm": "web1", "name": "volume"}, ["volume"], id="by name"),
        pytest.param({"sr": "Local storage"}, ["shared"], id="all of a repository"),
        pytest.param({"name": "ephemeral"}, ["ephemeral"], id="name alone"),
        pytest.param({"name": "nothing"}, [], id="none"),
        pytest.param({"uuid": "nothing"}, [], id="no uuid"),
        pytest.param({"is_snapshot": True}, [], id="no snapshot"),
    ],
)
def test_lists(run_module: Run, params: dict[str, Any], expected: list[str]) -> None:
    outcome = run_module("xen_vdi_info", **params)
    assert not outcome.changed
    assert names(outcome) == expected


def test_attachments_are_told(run_module: Run, simulator: Simulator) -> None:
    (shared,) = run_module("xen_vdi_info", name="shared")["vdis"]
    assert [(item["vm_name"], item["userdevice"], item["mode"], item["plugged"]) for item in shared["attachments"]] == [
        ("web1", 5, "rw", False),
        ("web2", 5, "rw", False),
    ]
    (volume,) = run_module("xen_vdi_info", name="volume")["vdis"]
    assert [item["volume"] for item in volume["attachments"]] == [True]
    assert volume["attachments"][0]["vm"] == the(simulator, "VM", "web1")["uuid"]


class TestChain:
    @pytest.fixture
    def snapshot(self, simulator: Simulator, prepared: MemorySession) -> str:
        """A snapshot of the root disk, which adds a base copy below both (facts §3.6) once something is written."""
        ref = the(simulator, "VDI", "web1 root")["ref"]

        async def write() -> None:
            disks: Any = simulator.engine.behaviours["VDI"]
            disks.volume(ref).write(0, b"x" * 4096)

        simulator.run(write())
        return str(prepared.VDI.snapshot(ref, {}))

    def test_goes_from_the_disk_to_its_oldest_parent(self, run_module: Run, simulator: Simulator, prepared: MemorySession, snapshot: str) -> None:
        prepared.VDI.snapshot(prepared.VDI.get_snapshot_of(snapshot), {})
        (root,) = run_module("xen_vdi_info", vm="web1", userdevice=0, chain=True)["vdis"]
        by_uuid = {record["uuid"]: record for record in simulator.records("VDI").values()}
        expected = [root["uuid"]]
        while parent := by_uuid[expected[-1]]["sm_config"].get("vhd-parent"):
            expected.append(parent)
        assert root["chain"] == expected
        assert len(expected) >= 2
        assert [by_uuid[uuid]["managed"] for uuid in expected] == [True] + [False] * (len(expected) - 1)

    def test_parts_of_chains_are_no_disks(self, run_module: Run, snapshot: str) -> None:
        everything = run_module("xen_vdi_info")
        assert "base copy" not in names(everything)
        (root,) = run_module("xen_vdi_info", vm="web1", userdevice=0, chain=True)["vdis"]
        assert names(run_module("xen_vdi_info", uuid=root["chain"][-1])) == ["base copy"], "but may be asked for"

    def test_snapshots_are_told_from_disks(self, run_module: Run, snapshot: str, prepared: MemorySession) -> None:
        (found,) = run_module("xen_vdi_info", name="web1 root", is_snapshot=True)["vdis"]
        (root,) = run_module("xen_vdi_info", name="web1 root", is_snapshot=False)["vdis"]
        assert (found["is_snapshot"], found["snapshot_of"]) == (True, root["uuid"])
        assert found["uuid"] == prepared.VDI.get_uuid(snapshot)
        assert (root["is_snapshot"], root["snapshot_of"]) == (False, None)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        pytest.param({"vm": "nobody"}, "there is no VM 'nobody' in this pool", id="vm"),
        pytest.param({"vm": "web1", "userdevice": "1"}, "there is no disk 'at device 1' in this pool; see xen_vm_info for what VM 'web1' has", id="device"),
        pytest.param({"vm": "web1", "userdevice": "3"}, "there is no disk 'at device 3' in this pool", id="empty drive"),
        pytest.param({"sr": "nowhere"}, "there is no storage repository 'nowhere' in this pool", id="sr"),
        pytest.param({"owned": True}, "give vm or vm_uuid too", id="whose"),
        pytest.param({"name": "a", "uuid": "b"}, "parameters are mutually exclusive: name|uuid", id="name and uuid"),
    ],
)
def test_refuses(run_module: Run, params: dict[str, Any], message: str) -> None:
    outcome = run_module("xen_vdi_info", **params)
    assert outcome.failed
    assert message in outcome.msg


@pytest.mark.parametrize(("params", "most"), [({}, 4), ({"vm": "web1"}, 8), ({"vm": "web1", "userdevice": 0}, 5), ({"name": "ephemeral"}, 4)])
def test_few_calls(run_module: Run, params: dict[str, Any], most: int) -> None:
    assert len(run_module("xen_vdi_info", **params).methods) <= most


@pytest.mark.world({**MACHINES, "vms": 200})
def test_as_few_calls_for_many_disks(run_module: Run) -> None:
    outcome = run_module("xen_vdi_info", chain=True)
    assert len(outcome["vdis"]) > 800
    assert len(outcome.methods) <= 8


@pytest.mark.usefixtures("run_module")
def test_examples_run(simulator: Simulator) -> None:
    images, data, root, ephemeral, own = run_examples(simulator, "xen_vdi_info")
    assert names(images) == ["debian-12.iso"]
    assert names(data) == []
    assert [len(disk["chain"]) for disk in root["vdis"]] == [1]
    assert "ephemeral" in names(ephemeral)
    assert names(own) == ["ephemeral", "web1 root"]
