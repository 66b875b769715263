# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest

from simulator import Rule, Simulator

from ..conftest import Run
from ..scenario import Do, Scenario
from .generated import CONTENT
from .machines import MACHINES, attach, new_disk, start, the
from .vms import run_examples

NULL = "OpaqueRef:NULL"
SCENARIO = Scenario(
    Do({"vm": "web1", "iso": "debian-12.iso"}),
    Do({"vm": "web1", "iso": "guest-tools.iso", "bootable": False}),
    Do({"vm": "web1", "state": "ejected"}),
    Do({"vm": "web1", "iso": "guest-tools.iso", "userdevice": "hdd"}),
    Do({"vm": "web1", "state": "absent"}),
    Do({"vm": "web1", "state": "ejected"}, changes=False),
    world=MACHINES,
)
pytestmark = pytest.mark.world(MACHINES)


def drives(simulator: Simulator, vm: str) -> list[dict[str, Any]]:
    ref = the(simulator, "VM", vm)["ref"]
    return [record for record in simulator.records("VBD").values() if record["VM"] == ref and record["type"] == "CD"]


def add_drive(simulator: Simulator, vm: str, device: str) -> str:
    return attach(simulator.session(), the(simulator, "VM", vm)["ref"], NULL, device, type="CD", mode="RO", empty=True)


def test_new_drive_is_created_empty_and_then_filled(run_module: Run, simulator: Simulator) -> None:
    """attach_cd of driver-operations §5.4."""
    outcome = run_module("xen_cd", vm="web1", iso="debian-12.iso")
    assert outcome.writes == ["VBD.create", "Async.VBD.insert"]
    (drive,) = drives(simulator, "web1")
    assert drive["VDI"] == the(simulator, "VDI", "debian-12.iso")["ref"]
    assert (drive["type"], drive["mode"], drive["userdevice"]) == ("CD", "RO", "3")
    assert (drive["bootable"], drive["unpluggable"], drive["empty"]) == (True, False, False)
    assert outcome["vbd"]["vdi_name"] == "debian-12.iso"
    assert run_module("xen_cd", vm="web1", iso="debian-12.iso").writes == []


def test_a_drive_that_is_there_is_used(run_module: Run, simulator: Simulator) -> None:
    add_drive(simulator, "web1", "5")
    outcome = run_module("xen_cd", vm="web1", iso="debian-12.iso")
    assert outcome.writes == ["Async.VBD.insert"]
    assert outcome["vbd"]["userdevice"] == 5


def test_medium_is_changed_by_eject_and_insert(run_module: Run, simulator: Simulator) -> None:
    run_module("xen_cd", vm="web1", iso="debian-12.iso")
    assert run_module("xen_cd", vm="web1", iso="guest-tools.iso").writes == ["Async.VBD.eject", "Async.VBD.insert"]
    (drive,) = drives(simulator, "web1")
    assert drive["VDI"] == the(simulator, "VDI", "guest-tools.iso")["ref"]


def test_old_medium_is_back_when_the_new_one_fails(run_module: Run, simulator: Simulator) -> None:
    run_module("xen_cd", vm="web1", iso="debian-12.iso")
    simulator.faults.add(Rule("VBD.insert", error=("VDI_MISSING", "sr", "vdi"), times=1))
    outcome = run_module("xen_cd", vm="web1", iso="guest-tools.iso")
    assert outcome.failed
    assert (outcome["undone"], outcome["changed"]) == (["eject 'debian-12.iso' of VM 'web1'"], False)
    (drive,) = drives(simulator, "web1")
    assert drive["VDI"] == the(simulator, "VDI", "debian-12.iso")["ref"]


def test_drive_is_not_left_behind_when_the_medium_fails(run_module: Run, simulator: Simulator) -> None:
    simulator.faults.add(Rule("VBD.insert", error=("VDI_MISSING", "sr", "vdi")))
    assert run_module("xen_cd", vm="web1", iso="guest-tools.iso").failed
    assert drives(simulator, "web1") == []


def test_drive_of_a_config_drive_is_none_for_media(run_module: Run, simulator: Simulator) -> None:
    """The guest would lose its metadata, and a repeated xen_configdrive would find its place taken."""
    session, vm = simulator.session(), the(simulator, "VM", "web1")["ref"]
    (sr,) = session.SR.get_by_name_label("NFS storage")
    metadata = new_disk(session, sr, "config-2", other_config={"xen_ansible:content": "configdrive scrypt:0"})
    attach(session, vm, metadata, "3", type="CD", mode="RO")
    outcome = run_module("xen_cd", vm="web1", iso="debian-12.iso")
    assert outcome.writes == ["VBD.create", "Async.VBD.insert"]
    assert sorted(record["VDI"] == metadata for record in drives(simulator, "web1")) == [False, True]
    assert not run_module("xen_cd", vm="web1", iso="debian-12.iso").changed


def test_usual_device_is_taken(run_module: Run, simulator: Simulator) -> None:
    session = simulator.session()
    disk = new_disk(session, the(simulator, "SR", "NFS storage")["ref"], "data")
    attach(session, the(simulator, "VM", "web1")["ref"], disk, "3")
    assert run_module("xen_cd", vm="web1", iso="debian-12.iso")["vbd"]["userdevice"] == 1


def test_a_disk_on_ordinary_storage_is_a_cd_too(run_module: Run, simulator: Simulator) -> None:
    """A config drive needs no ISO repository (recording images)."""
    session = simulator.session()
    ref = new_disk(session, the(simulator, "SR", "NFS storage")["ref"], "config-2")
    by_name = run_module("xen_cd", vm="web1", iso="config-2")
    assert by_name.failed
    assert "there is no ISO image 'config-2' in this pool" in by_name.msg
    assert "a disk of this name is on another repository, give its sr or uuid" in by_name.msg
    assert not run_module("xen_cd", vm="web1", iso="config-2", sr="NFS storage").failed
    assert not run_module("xen_cd", vm="web1", iso=session.VDI.get_uuid(ref)).changed


@pytest.mark.parametrize("kind", ["configdrive", "ipxe"])
def test_a_medium_that_was_made_for_the_vm_keeps_its_drive(run_module: Run, simulator: Simulator, kind: str) -> None:
    session = simulator.session()
    made = new_disk(session, the(simulator, "SR", "NFS storage")["ref"], "made", other_config={CONTENT: f"{kind} 0123"})
    attach(session, the(simulator, "VM", "web1")["ref"], made, "3", type="CD", mode="RO")
    assert not run_module("xen_cd", vm="web1", state="ejected").changed
    assert not run_module("xen_cd", vm="web1", state="absent").changed
    assert run_module("xen_cd", vm="web1", iso="debian-12.iso")["vbd"]["userdevice"] == 1
    assert run_module("xen_cd", vm="web1", iso="guest-tools.iso").writes == ["Async.VBD.eject", "Async.VBD.insert"]
    assert {drive["userdevice"]: drive["VDI"] for drive in drives(simulator, "web1")} == {"3": made, "1": the(simulator, "VDI", "guest-tools.iso")["ref"]}
    # Who names the drive means it.
    assert run_module("xen_cd", vm="web1", state="ejected", userdevice=3).writes == ["Async.VBD.eject"]


class TestRunning:
    def test_medium_changes_live(self, run_module: Run, simulator: Simulator) -> None:
        run_module("xen_cd", vm="web1", iso="debian-12.iso")
        start(simulator, "web1")
        assert run_module("xen_cd", vm="web1", state="ejected").writes == ["Async.VBD.eject"]
        outcome = run_module("xen_cd", vm="web1", iso="guest-tools.iso")
        assert outcome.writes == ["Async.VBD.insert"]
        assert (outcome["vbd"]["plugged"], outcome["vbd"]["device"]) == (True, "xvdd")

    def test_new_drive_comes_with_a_warning(self, run_module: Run, simulator: Simulator) -> None:
        start(simulator, "web1")
        outcome = run_module("xen_cd", vm="web1", iso="debian-12.iso")
        assert not outcome["vbd"]["plugged"]
        assert "VM 'web1' is not halted: it sees its new CD drive after its next start" in str(outcome["warnings"])

    def test_drive_stays(self, run_module: Run, simulator: Simulator) -> None:
        run_module("xen_cd", vm="web1", iso="debian-12.iso")
        start(simulator, "web1")
        for check in (True, False):
            outcome = run_module("xen_cd", vm="web1", state="absent", check=check)
            assert outcome.failed
            assert outcome.msg == "the CD drive of a VM is removed while it is halted, but VM 'web1' is not; eject the medium, or halt it first"
            assert outcome.writes == []

    def test_suspended_vm_keeps_its_medium(self, run_module: Run, simulator: Simulator) -> None:
        run_module("xen_cd", vm="web1", iso="debian-12.iso")
        start(simulator, "web1").VM.suspend(the(simulator, "VM", "web1")["ref"])
        outcome = run_module("xen_cd", vm="web1", state="ejected", check=True)
        assert outcome.msg == "the medium of a suspended VM cannot change; resume VM 'web1', or halt it"


class TestSeveralDrives:
    @pytest.fixture(autouse=True)
    def two(self, simulator: Simulator) -> None:
        for device in ("3", "4"):
            add_drive(simulator, "web1", device)

    def test_have_to_be_told_apart(self, run_module: Run) -> None:
        for state in ("inserted", "ejected", "absent"):
            outcome = run_module("xen_cd", vm="web1", iso="debian-12.iso", state=state)
            assert outcome.failed
            assert outcome.msg == "VM 'web1' has 2 CD drives (devices 3, 4); say which by userdevice"
        assert run_module("xen_cd", vm="web1", iso="debian-12.iso", userdevice="xvde")["vbd"]["userdevice"] == 4

    def test_the_one_that_holds_the_medium_is_meant(self, run_module: Run) -> None:
        run_module("xen_cd", vm="web1", iso="debian-12.iso", userdevice=4)
        assert not run_module("xen_cd", vm="web1", iso="debian-12.iso").changed


@pytest.mark.parametrize(
    ("params", "message"),
    [
        pytest.param({"vm": "web1"}, "state is inserted but all of the following are missing: iso", id="no iso"),
        pytest.param({"vm": "nobody", "iso": "debian-12.iso"}, "there is no VM 'nobody' in this pool", id="vm"),
        pytest.param({"vm": "web1", "iso": "arch.iso"}, "there is no ISO image 'arch.iso' in this pool; the names are those of the files", id="iso"),
        pytest.param({"vm": "web1", "iso": "debian-12.iso", "sr": "nowhere"}, "there is no storage repository 'nowhere' in this pool", id="sr"),
        pytest.param({"vm": "web1", "iso": "debian-12.iso", "sr": "NFS storage"}, "there is no disk 'debian-12.iso' in this pool", id="other sr"),
        pytest.param({"vm": "web1", "iso": "debian-12.iso", "userdevice": 0}, "device 0 of VM 'web1' is disk 'web1 root' and no CD drive", id="disk"),
        pytest.param({"vm": "web1", "iso": "debian-12.iso", "userdevice": "cd"}, "'cd' is no device of a VM", id="device"),
    ],
)
def test_refuses(run_module: Run, params: dict[str, Any], message: str) -> None:
    for check in (True, False):
        outcome = run_module("xen_cd", check=check, **params)
        assert outcome.failed
        assert message in outcome.msg
        assert outcome.writes == []


@pytest.mark.usefixtures("run_module")
def test_examples_run(simulator: Simulator) -> None:
    assert all(outcome.changed for outcome in run_examples(simulator, "xen_cd"))
    assert drives(simulator, "web1") == []
