# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest

from simulator import Simulator

from ..conftest import Run
from ..scenario import Do, Scenario
from .generated import START, address, at_device, blkid, disk_file, partition_file, run_tool, streaming, tool
from .machines import MACHINES, MIB

SENT = ("transfer",)
SCENARIO = Scenario(
    Do({"vm": "web1", "size": 0}, changes=False),
    Do(streaming(vm="web1", size="64MiB", userdevice=1, label="root"), told=SENT),
    Do(streaming(vm="web1", size="64MiB", userdevice=1, label="data", force=True, partition_type="0x8e"), told=SENT),
    Do({"vm": "web1", "userdevice": "xvdb", "state": "absent"}),
    world=MACHINES,
)
pytestmark = pytest.mark.world(MACHINES)


@pytest.fixture
def blank(run_module: Run, simulator: Simulator) -> Run:
    return lambda **params: run_module("xen_blank_disk", **{"hostname": address(simulator), "vm": "web1", **params})


def test_root_for_an_installer(blank: Run, simulator: Simulator, tmp_path: Path) -> None:
    """driver-rows 26: device 0, MBR with one partition at sector 2048, not bootable."""
    refused = blank(size="64MiB")
    assert "device 0 of VM 'web1' is in use by disk 'web1 root' of 4GiB, which this module did not make" in refused.msg
    assert blank(size="64MiB", force=True, filesystem="ext3").changed
    vbd, vdi = at_device(simulator, "web1", 0)
    assert (vbd["bootable"], vbd["mode"], vdi["name_label"], vdi["other_config"]["nova_disk_type"]) == (False, "RW", "web1", "user")
    disk = disk_file(simulator, vdi["ref"], tmp_path / "disk.raw")
    assert f"start=        2048, size=      {64 * MIB // 512 - 2048}, type=83" in run_tool(tool("sfdisk", "fdisk"), "--dump", disk)
    found = blkid(disk, "-O", str(START))
    assert (found["TYPE"], found.get("LABEL")) == ("ext3", None)
    run_tool(tool("e2fsck", "e2fsprogs"), "-fn", partition_file(disk))


def test_size_that_the_storage_rounds_up_has_the_filesystem_that_was_asked_for(blank: Run, simulator: Simulator, tmp_path: Path) -> None:
    blank(size=65 * MIB + 512, userdevice=1)
    vdi = at_device(simulator, "web1", 1)[1]
    assert vdi["virtual_size"] == 66 * MIB
    disk = disk_file(simulator, vdi["ref"], tmp_path / "disk.raw")
    run_tool(tool("sfdisk", "fdisk"), "--verify", disk)
    run_tool(tool("e2fsck", "e2fsprogs"), "-fn", partition_file(disk, 65 * MIB + 512))


def test_disk_too_small_for_its_filesystem_leaves_nothing(blank: Run, simulator: Simulator) -> None:
    before = simulator.records("VDI").keys()
    outcome = blank(size="4MiB", userdevice=1, filesystem="xfs")
    assert outcome.failed
    assert "mkfs.xfs could not make xfs of 3145728 bytes: " in outcome.msg
    assert simulator.records("VDI").keys() == before
