# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from simulator import Rule, Simulator

from ..conftest import Outcome, Run
from ..scenario import Do, Scenario
from .generated import CONTENT, START, address, at_device, blkid, disk_file, dying, run_tool, streaming, tool
from .machines import GIB, MACHINES, MIB, attach, named, new_disk, start, the

SENT = ("transfer",)
SCENARIO = Scenario(
    Do({"vm": "web1", "size": 0}, changes=False),
    Do(streaming(vm="web1", size="64MiB"), told=SENT),
    Do(streaming(vm="web1", size="64MiB", partition_type="0x83", owner="3f0e5a9c-7f1e-4f0c-9d35-a6b1f4a1f7e2"), told=SENT),
    Do(streaming(vm="web1", size="65MiB", filesystem="vfat", sr="NFS storage"), told=SENT),
    Do(streaming(vm="web2", size="64MiB", userdevice="xvdf", name="web2 swap"), told=SENT),
    Do({"vm": "web2", "userdevice": 5, "state": "absent"}),
    Do({"vm": "web1", "state": "absent"}),
    world=MACHINES,
)
pytestmark = pytest.mark.world(MACHINES)
FULL = ("VDI.create", "PUT /import_raw_vdi", "VDI.set_other_config", "VBD.create")


@pytest.fixture
def swap(run_module: Run, simulator: Simulator) -> Run:
    return lambda **params: run_module("xen_swap", **{"hostname": address(simulator), "vm": "web1", **params})


def test_disk_is_swap_to_others(swap: Run, simulator: Simulator, tmp_path: Path) -> None:
    outcome = swap(size="10GiB")
    assert tuple(outcome.writes) == FULL
    vbd, vdi = at_device(simulator, "web1", 2)
    assert (vbd["mode"], vbd["type"], vbd["bootable"], vbd["unpluggable"]) == ("RW", "Disk", False, True)
    assert (vdi["name_label"], vdi["name_description"], vdi["virtual_size"], vdi["type"]) == ("web1", "swap", 10 * GIB, "user")
    assert vdi["other_config"]["nova_disk_type"] == "swap"
    assert vdi["other_config"]["nova_instance_uuid"] == the(simulator, "VM", "web1")["uuid"]
    disk = disk_file(simulator, vdi["ref"], tmp_path / "swap.raw")
    run_tool(tool("sfdisk", "fdisk"), "--verify", disk)
    assert f"start=        2048, size=    {10 * GIB // 512 - 2048}, type=82" in run_tool(tool("sfdisk", "fdisk"), "--dump", disk)
    assert blkid(disk, "-O", str(START))["TYPE"] == "swap"
    assert outcome["transfer"]["bytes_sent"] <= 64 * 1024
    assert outcome["transfer"]["bytes_total"] == 10 * GIB


def test_mark_is_written_last(swap: Run, simulator: Simulator) -> None:
    outcome = swap(size="64MiB")
    vdi = at_device(simulator, "web1", 2)[1]
    assert vdi["other_config"][CONTENT] == outcome["vdi"]["content"]
    assert outcome["vdi"]["content"].startswith("swap sha256:")
    create = next(call for call in outcome.calls if call.method == "VDI.create")
    assert create.params[0]["other_config"][CONTENT] == f"unfinished {outcome['vdi']['content']}"


def test_repeat_neither_writes_nor_reads_the_disk(swap: Run) -> None:
    swap(size="64MiB")
    again = swap(size="64MiB")
    assert (again.changed, again.writes) == (False, [])
    assert "transfer" not in again.result
    assert len(again.methods) <= 4, again.methods


def test_vfat_for_windows(swap: Run, simulator: Simulator, tmp_path: Path) -> None:
    swap(size="64MiB", filesystem="vfat")
    disk = disk_file(simulator, at_device(simulator, "web1", 2)[1]["ref"], tmp_path / "swap.raw")
    assert "type=c" in run_tool(tool("sfdisk", "fdisk"), "--dump", disk)
    assert blkid(disk, "-O", str(START))["TYPE"] == "vfat"


def test_size_that_the_storage_rounds_up(swap: Run, simulator: Simulator, tmp_path: Path) -> None:
    swap(size=65 * MIB + 512)
    vdi = at_device(simulator, "web1", 2)[1]
    assert vdi["virtual_size"] == 66 * MIB
    disk = disk_file(simulator, vdi["ref"], tmp_path / "swap.raw")
    run_tool(tool("sfdisk", "fdisk"), "--verify", disk)
    assert not swap(size=65 * MIB + 512).changed


class TestReplacing:
    def test_other_options_make_it_anew(self, swap: Run, simulator: Simulator) -> None:
        swap(size="64MiB")
        old = at_device(simulator, "web1", 2)[1]["uuid"]
        outcome = swap(size="128MiB")
        assert tuple(outcome.writes) == (*FULL[:3], "VBD.destroy", "VBD.create", "Async.VDI.destroy", "VDI.remove_from_other_config")
        vdi = at_device(simulator, "web1", 2)[1]
        assert (vdi["virtual_size"], vdi["uuid"] != old) == (128 * MIB, True)
        assert len(named(simulator, "VDI", "web1")) == 1

    def test_disk_of_others_is_never_touched(self, swap: Run, simulator: Simulator) -> None:
        data = occupied(simulator)
        for check in (True, False):
            outcome = swap(size="64MiB", check=check)
            assert (outcome.failed, outcome.writes) == (True, [])
            assert outcome.msg == (
                "device 2 of VM 'web1' is in use by disk 'data' of 1GiB, which this module did not make; "
                "set force to replace it and lose what is on it, or choose another userdevice"
            )
        assert data in simulator.records("VDI")

    def test_force_replaces_it(self, swap: Run, simulator: Simulator) -> None:
        data = occupied(simulator)
        assert swap(size="64MiB", force=True).changed
        assert data not in simulator.records("VDI")
        assert not swap(size="64MiB", force=True).changed

    @pytest.mark.parametrize("how", ["volume", "other vm", "drive", "plugged"])
    def test_force_has_its_limits(self, swap: Run, simulator: Simulator, how: str) -> None:
        session = simulator.session()
        if how == "drive":
            attach(session, the(simulator, "VM", "web1")["ref"], "OpaqueRef:NULL", "2", type="CD", mode="RO", empty=True)
        else:
            data = occupied(simulator, **({"other_config": {"osvol": "True"}} if how == "volume" else {}))
        if how == "other vm":
            attach(session, the(simulator, "VM", "web2")["ref"], data, "1")
        if how == "plugged":
            start(simulator, "web1")
        outcome = swap(size="64MiB", force=True)
        assert (outcome.failed, outcome.writes) == (True, [])
        assert {
            "volume": "device 2 of VM 'web1' is a network volume, which is never replaced or removed; ",
            "other vm": "device 2 of VM 'web1' is disk 'data', which VM 'web2' has too; ",
            "drive": "device 2 of VM 'web1' is a CD drive, which is no place for 'web1'; choose another userdevice",
            "plugged": "disk 'data' is in use by VM 'web1' and cannot be replaced; halt the VM, or unplug the disk first",
        }[how] in outcome.msg

    def test_old_disk_is_back_when_the_new_one_cannot_be_attached(self, swap: Run, simulator: Simulator) -> None:
        swap(size="64MiB")
        before = at_device(simulator, "web1", 2)[1]
        simulator.faults.add(Rule("VBD.create", error=("INTERNAL_ERROR", "no"), nth=1))
        outcome = swap(size="128MiB")
        assert outcome.failed
        assert at_device(simulator, "web1", 2)[1]["uuid"] == before["uuid"]
        assert [record["uuid"] for record in named(simulator, "VDI", "web1")] == [before["uuid"]]


KILLED = ["VDI.set_other_config", "VBD.destroy", "VBD.create", "Async.VDI.destroy", "VDI.remove_from_other_config"]


class TestKilledWhileReplacing:
    """The old disk is gone in the end, whoever was to remove it, and the VM has the new one."""

    @pytest.mark.parametrize("size", ["128MiB", "192MiB"], ids=["same", "other"])
    @pytest.mark.parametrize("method", KILLED)
    def test_next_run_leaves_one_disk(self, swap: Run, simulator: Simulator, monkeypatch: pytest.MonkeyPatch, method: str, size: str) -> None:
        self.killed(swap, monkeypatch, method)
        predicted = swap(size=size, check=True)
        outcome = swap(size=size)
        assert not outcome.failed, outcome.result
        assert {key: outcome["vdi"][key] for key in predicted["vdi"]} == predicted["vdi"]
        assert [record["uuid"] for record in named(simulator, "VDI", "web1")] == [at_device(simulator, "web1", 2)[1]["uuid"]]
        assert not swap(size=size).changed

    @pytest.mark.parametrize("method", KILLED)
    def test_absent_leaves_none(self, swap: Run, simulator: Simulator, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
        self.killed(swap, monkeypatch, method)
        outcome = swap(state="absent")
        assert not outcome.failed, outcome.result
        swap(state="absent")  # Of a disk at its place and an unfinished one beside it, the second run takes the second.
        assert named(simulator, "VDI", "web1") == []

    def test_former_disk_that_somebody_attached_stays(self, swap: Run, simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
        self.killed(swap, monkeypatch, "Async.VDI.destroy")
        (former,) = [ref for ref, record in simulator.records("VDI").items() if record["name_label"] == "web1" and not record["VBDs"]]
        attach(simulator.session(), the(simulator, "VM", "web2")["ref"], former, "3")
        assert swap(size="128MiB").writes == ["VDI.remove_from_other_config"]
        assert former in simulator.records("VDI")

    def killed(self, swap: Run, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
        assert swap(size="64MiB").changed
        with dying(monkeypatch, method):
            assert swap(size="128MiB").failed


class TestInterrupted:
    def test_failing_upload_leaves_nothing(self, swap: Run, simulator: Simulator) -> None:
        before = simulator.records("VDI").keys()
        simulator.faults.add(Rule("VDI.set_other_config", error=("SR_BACKEND_FAILURE_47", "", "gone", "")))
        outcome = swap(size="64MiB")
        assert outcome.failed
        assert outcome.msg.startswith("could not mark the content of disk 'web1' as complete: ")
        assert simulator.records("VDI").keys() == before
        assert not outcome["changed"]

    @pytest.mark.parametrize("at", [*range(14), 2048, *range(4107, 4122), *range(8215, 8228)])
    def test_connection_cut_at_a_byte_leaves_nothing(self, swap: Run, simulator: Simulator, at: int) -> None:
        """Two chunks of 4096 bytes, each behind 12 bytes of header, and 12 bytes for the end."""
        before = simulator.records("VDI").keys()
        simulator.faults.add(Rule("PUT /import_raw_vdi", cut="before", at=at, times=1))
        outcome = swap(size="64MiB")
        assert outcome.failed
        assert outcome.msg.startswith("could not write the content of disk 'web1': ")
        assert (simulator.records("VDI").keys(), outcome["changed"]) == (before, False)
        assert swap(size="64MiB").changed
        assert not swap(size="64MiB").changed

    @pytest.mark.parametrize("at", [12, 4108, 8220])
    def test_controller_killed_at_a_byte_is_made_good(self, swap: Run, simulator: Simulator, at: int) -> None:
        simulator.faults.add(Rule("PUT /import_raw_vdi", cut="before", at=at))
        killed_before(swap, simulator, "nothing else")
        assert swap(size="64MiB").writes == ["Async.VDI.destroy", *FULL]

    def test_what_a_killed_run_left_goes(self, swap: Run, simulator: Simulator) -> None:
        """A controller that is killed undoes nothing: the disk is there, unfinished, attached to nothing."""
        mark = killed_before(swap, simulator, "VDI.set_other_config")
        outcome = swap(size="64MiB")
        assert outcome.writes == ["Async.VDI.destroy", *FULL]
        assert [record["other_config"][CONTENT] for record in named(simulator, "VDI", "web1")] == [mark.removeprefix("unfinished ")]

    def test_what_a_killed_run_finished_is_attached(self, swap: Run, simulator: Simulator) -> None:
        killed_before(swap, simulator, "VBD.create")
        outcome = swap(size="64MiB")
        assert outcome.writes == ["VBD.create"]
        assert len(named(simulator, "VDI", "web1")) == 1
        assert not swap(size="64MiB").changed

    def test_unfinished_disks_of_other_owners_stay(self, swap: Run, simulator: Simulator) -> None:
        sr = the(simulator, "SR", "NFS storage")["ref"]
        keys = {CONTENT: "unfinished swap sha256:0", "nova_instance_uuid": "another"}
        other = new_disk(simulator.session(), sr, "web1", other_config=keys)
        swap(size="64MiB")
        assert other in simulator.records("VDI")

    def test_absent_removes_leftovers(self, swap: Run, simulator: Simulator) -> None:
        killed_before(swap, simulator, "VDI.set_other_config")
        assert swap(state="absent").writes == ["Async.VDI.destroy"]
        assert not swap(state="absent").changed
        assert named(simulator, "VDI", "web1") == []


class TestRunning:
    def test_running_vm_gets_it_at_once_and_gives_it_up(self, swap: Run, simulator: Simulator) -> None:
        start(simulator, "web1")
        outcome = swap(size="64MiB")
        assert tuple(outcome.writes) == (*FULL, "Async.VBD.plug")
        assert outcome["vbd"]["plugged"] is True
        refused = swap(size="128MiB")
        assert "disk 'web1' is in use by VM 'web1' and cannot be replaced" in refused.msg
        assert swap(state="absent").writes == ["Async.VBD.unplug", "VBD.destroy", "Async.VDI.destroy"]


def test_full_storage_is_told_before_anything_is_made(swap: Run) -> None:
    outcome = swap(size="17GiB", sr="Thick storage")
    assert (outcome.failed, outcome.writes) == (True, [])
    assert outcome.msg.startswith("storage repository 'Thick storage' has 16GiB free, but disk 'web1' needs 17GiB; ")


def test_missing_tool_is_told_before_anything_is_made(swap: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from ansible_collections.xapi.xenserver.plugins.module_utils import _tool

    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(_tool, "SBIN", ())
    outcome = swap(size="64MiB", filesystem="vfat")
    assert (outcome.failed, outcome.writes) == (True, [])
    assert outcome.msg == "mkfs.vfat is missing on the controller; install the package dosfstools (Debian, Ubuntu) or dosfstools (RPM)"


@pytest.mark.parametrize(
    ("params", "message"),
    [
        pytest.param({}, "state is present but all of the following are missing: size", id="no size"),
        pytest.param({"size": "much"}, "size 'much' is no size; write a number of bytes or something like 8GiB", id="size"),
        pytest.param({"size": "1MiB"}, "size '1MiB' is none that such a disk can have; give 2MiB to 2040GiB, or 0 for none", id="too small"),
        pytest.param({"size": "3TiB"}, "size '3TiB' is none that such a disk can have", id="too large"),
        pytest.param({"size": "1GiB", "userdevice": "xvdz"}, "'xvdz' is no device of a VM", id="device"),
        pytest.param({"size": "1GiB", "userdevice": "255"}, "'255' is no device of a VM", id="device 255"),
        pytest.param({"size": "1GiB", "partition_type": "swap"}, "partition_type 'swap' is none; write a number such as 0x82", id="type"),
        pytest.param({"size": "1GiB", "partition_type": "0x100"}, "partition_type '0x100' is none", id="type too large"),
        pytest.param({"size": "1GiB", "filesystem": "ext4"}, "value of filesystem must be one of: swap, vfat", id="filesystem"),
        pytest.param({"size": "1GiB", "sr": "nowhere"}, "there is no storage repository 'nowhere' in this pool", id="sr"),
        pytest.param({"size": "1GiB", "vm": "nobody"}, "there is no VM 'nobody' in this pool", id="vm"),
    ],
)
def test_refuses(swap: Run, params: dict[str, Any], message: str) -> None:
    for check in (True, False):
        outcome = swap(check=check, **params)
        assert outcome.failed
        assert message in outcome.msg
        assert outcome.writes == []


def occupied(simulator: Simulator, **fields: Any) -> str:
    """A disk that somebody else made is device 2 of web1."""
    session = simulator.session()
    data = new_disk(session, the(simulator, "SR", "NFS storage")["ref"], "data")
    attach(session, the(simulator, "VM", "web1")["ref"], data, "2", **fields)
    return data


def killed_before(swap: Run, simulator: Simulator, method: str) -> str:
    """A run that stops before a call and can undo nothing; returns the mark of the disk that it leaves."""
    rules = [Rule(name, error=("SESSION_INVALID", "x")) for name in (method, "VDI.destroy", "Async.VDI.destroy")]
    for rule in rules:
        simulator.faults.add(rule)
    outcome: Outcome = swap(size="64MiB")
    assert outcome.failed
    simulator.faults.clear()
    (left,) = named(simulator, "VDI", "web1")
    assert left["VBDs"] == []
    return str(left["other_config"][CONTENT])
