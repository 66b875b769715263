# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from simulator import Rule, Simulator

from ..conftest import Run
from ..scenario import Do, Scenario
from .generated import START, address, at_device, blkid, disk_file, partition_file, run_tool, streaming, tool
from .machines import GIB, MACHINES, attach, named, new_disk, start, the

SENT = ("transfer",)
SCENARIO = Scenario(
    Do({"vm": "web1", "size": 0}, changes=False),
    Do(streaming(vm="web1", size="64MiB", filesystem="ext3"), told=SENT),
    Do(streaming(vm="web1", size="64MiB", filesystem="none", force=True), told=SENT),
    Do(streaming(vm="web1", size="65MiB", userdevice="xvdg", label="more"), told=SENT),
    Do({"vm": "web1", "userdevice": 6, "state": "absent"}),
    Do({"vm": "web1", "state": "absent"}),
    world=MACHINES,
)
pytestmark = pytest.mark.world(MACHINES)
CHECKERS = {
    "ext2": ("e2fsck", "e2fsprogs", "-fn"),
    "ext3": ("e2fsck", "e2fsprogs", "-fn"),
    "ext4": ("e2fsck", "e2fsprogs", "-fn"),
    "xfs": ("xfs_repair", "xfsprogs", "-n"),
    "vfat": ("fsck.vfat", "dosfstools", "-n"),
    "ntfs": ("ntfsfix", "ntfs-3g", "-n"),
}


@pytest.fixture
def ephemeral(run_module: Run, simulator: Simulator) -> Run:
    return lambda **params: run_module("xen_ephemeral", **{"hostname": address(simulator), "vm": "web1", **params})


@pytest.mark.parametrize("filesystem", CHECKERS)
def test_filesystem_is_sound_to_its_own_checker(ephemeral: Run, simulator: Simulator, tmp_path: Path, filesystem: str) -> None:
    outcome = ephemeral(size="1GiB", filesystem=filesystem)
    assert not outcome.failed, outcome.result
    vdi = at_device(simulator, "web1", 4)[1]
    disk = disk_file(simulator, vdi["ref"], tmp_path / "disk.raw")
    run_tool(tool("sfdisk", "fdisk"), "--verify", disk)
    found = blkid(disk, "-O", str(START))
    assert (found["TYPE"], found["LABEL"]) == (filesystem, "ephemeral")
    checker, package, *options = CHECKERS[filesystem]
    run_tool(tool(checker, package), *options, partition_file(disk))


def test_large_total_is_split(ephemeral: Run, simulator: Simulator) -> None:
    """driver-rows 25; without filesystems, which take their time at this size."""
    outcome = ephemeral(size="4030GiB", filesystem="none")
    sizes = [at_device(simulator, "web1", number)[1]["virtual_size"] // GIB for number in (4, 5, 6)]
    assert sizes == [2000, 2000, 30]
    assert [disk["vdi"]["name"] for disk in outcome["disks"]] == ["web1 ephemeral", "web1 ephemeral (1)", "web1 ephemeral (2)"]
    assert [disk["vbd"]["userdevice"] for disk in outcome["disks"]] == [4, 5, 6]
    assert outcome["transfer"]["bytes_total"] == 4030 * GIB
    assert not ephemeral(size="4030GiB", filesystem="none").changed


def test_flavours_count_in_gib(ephemeral: Run, simulator: Simulator) -> None:
    """driver-rows 25 and 27."""
    ephemeral(total_gb=3, filesystem="none")
    assert not ephemeral(size="3GiB", filesystem="none").changed
    ephemeral(size_gb=1, userdevice="6", filesystem="none")
    assert [at_device(simulator, "web1", number)[1]["virtual_size"] // GIB for number in (4, 6)] == [3, 1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "any of the following are missing: size, total_gb, size_gb"),
        ({"size": "1GiB", "total_gb": 1}, "mutually exclusive: size|total_gb|size_gb"),
        ({"total_gb": 1, "userdevice": 5}, "mutually exclusive: total_gb|userdevice"),
        ({"size_gb": 1}, "missing parameter(s) required by 'size_gb': userdevice"),
        ({"total_gb": -1}, "'-1GiB' is no size"),
    ],
)
def test_sizes_that_say_nothing_or_too_much_are_refused(ephemeral: Run, options: dict[str, Any], message: str) -> None:
    outcome = ephemeral(**options)
    assert outcome.failed
    assert message in outcome.msg


def test_multiples_of_1024_have_another_piece(ephemeral: Run, simulator: Simulator) -> None:
    ephemeral(size="2TiB", filesystem="none")
    assert [at_device(simulator, "web1", number)[1]["virtual_size"] // GIB for number in (4, 5)] == [1024, 1024]


def test_failure_on_the_third_leaves_none(ephemeral: Run, simulator: Simulator) -> None:
    disks, vbds = simulator.records("VDI").keys(), simulator.records("VBD").keys()
    simulator.faults.add(Rule("VDI.create", error=("SR_BACKEND_FAILURE_44", "", "There is insufficient space", ""), nth=3))
    outcome = ephemeral(size="4030GiB", filesystem="none")
    assert outcome.failed
    assert "could not create disk 'web1 ephemeral (2)'" in outcome.msg
    assert (simulator.records("VDI").keys(), simulator.records("VBD").keys()) == (disks, vbds)
    assert outcome["changed"] is False


def test_storage_that_gets_full_meanwhile(ephemeral: Run, simulator: Simulator) -> None:
    disks = simulator.records("VDI").keys()
    simulator.fill(the(simulator, "SR", "NFS storage")["ref"], 512 * 1024)
    outcome = ephemeral(size="8GiB")
    assert outcome.failed
    assert "storage repository 'NFS storage' is full" in outcome.msg
    assert (simulator.records("VDI").keys(), outcome["changed"]) == (disks, False)


def test_one_disk_at_a_device_is_called_as_among_all(ephemeral: Run, simulator: Simulator, tmp_path: Path) -> None:
    """driver-rows 27."""
    ephemeral(size="64MiB", userdevice=5, filesystem="ext3")
    vbd, vdi = at_device(simulator, "web1", 5)
    assert (vdi["name_label"], vdi["name_description"], vdi["other_config"]["nova_disk_type"]) == ("web1 ephemeral (1)", "ephemeral", "ephemeral")
    assert (vbd["mode"], vbd["bootable"]) == ("RW", False)
    found = blkid(disk_file(simulator, vdi["ref"], tmp_path / "disk.raw"), "-O", str(START))
    assert (found["TYPE"], found["LABEL"]) == ("ext3", "ephemeral1")


def test_200_gib_stay_small(ephemeral: Run) -> None:
    outcome = ephemeral(size="200GiB")
    assert outcome["transfer"]["bytes_sent"] <= 32 * 1024 * 1024


class TestKept:
    def test_what_a_vm_keeps_there_is_not_lost_by_another_size(self, ephemeral: Run) -> None:
        ephemeral(size="64MiB")
        for other in ({"size": "128MiB"}, {"size": "64MiB", "filesystem": "xfs"}, {"size": "64MiB", "label": "scratch"}):
            outcome = ephemeral(**other)
            assert (outcome.failed, outcome.writes) == (True, [])
            assert outcome.msg == (
                "device 4 of VM 'web1' holds disk 'web1 ephemeral' of 64MiB, made with other options than these; "
                "set force to replace it and lose what is on it, or choose another userdevice"
            )
        assert ephemeral(size="128MiB", force=True).changed

    def test_more_disks_than_asked_for(self, ephemeral: Run) -> None:
        ephemeral(size="4000GiB", filesystem="none")
        outcome = ephemeral(size="2000GiB", filesystem="none", force=True)
        assert (outcome.failed, outcome.writes) == (True, [])
        assert outcome.msg == "VM 'web1' has more ephemeral disks than its size asks for, at device 5; remove them with state absent first"
        ephemeral(userdevice=5, state="absent")
        assert not ephemeral(size="2000GiB", filesystem="none").changed

    def test_disks_of_others_stay(self, ephemeral: Run, simulator: Simulator) -> None:
        session = simulator.session()
        data = new_disk(session, the(simulator, "SR", "NFS storage")["ref"], "data")
        attach(session, the(simulator, "VM", "web1")["ref"], data, "5")
        outcome = ephemeral(size="4000GiB", filesystem="none")
        assert (outcome.failed, outcome.writes) == (True, [])
        assert "device 5 of VM 'web1' is in use by disk 'data' of 1GiB, which this module did not make" in outcome.msg
        ephemeral(size="64MiB", filesystem="none")
        assert ephemeral(state="absent").changed
        assert data in simulator.records("VDI")
        assert named(simulator, "VDI", "web1 ephemeral") == []


def test_running_vm_gets_it_at_once(ephemeral: Run, simulator: Simulator) -> None:
    start(simulator, "web1")
    assert ephemeral(size="64MiB")["disks"][0]["vbd"]["plugged"] is True


@pytest.mark.parametrize(
    ("params", "message"),
    [
        pytest.param({}, "any of the following are missing: size, total_gb, size_gb", id="no size"),
        pytest.param({"size": "-1"}, "size '-1' is no size", id="negative"),
        pytest.param({"size": 5000 * GIB + 1}, "are more than one ephemeral disk can have, and no whole GiB", id="odd total"),
        pytest.param({"size": "3TiB", "userdevice": 4}, "size '3TiB' is none that such a disk can have; give 2MiB to 2040GiB", id="one too large"),
        pytest.param({"size": "1GiB", "label": "much too long for ext4"}, "ext4 takes a label of 16 bytes at most", id="label"),
        pytest.param({"size": "1MiB"}, "a disk of 1048576 bytes has no room for a partition at sector 2048", id="too small"),
    ],
)
def test_refuses(ephemeral: Run, params: dict[str, Any], message: str) -> None:
    for check in (True, False):
        outcome = ephemeral(check=check, **params)
        assert outcome.failed
        assert message in outcome.msg
        assert outcome.writes == []
