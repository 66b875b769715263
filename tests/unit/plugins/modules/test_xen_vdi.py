# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from simulator import Rule, Simulator

from ..conftest import Run
from ..scenario import Do, Scenario
from .machines import GIB, MACHINES, MIB, attach, named, new_disk, start, the

OWNER = "3f0e5a9c-7f1e-4f0c-9d35-a6b1f4a1f7e2"
OTHER_OWNER = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
SCENARIO = Scenario(
    Do({"name": "data", "size": "10GiB", "description": "Data of web1", "tags": ["web", "db"], "disk_type": "user", "owner": OWNER}),
    Do({"name": "data", "size": "20GiB", "description": "", "tags": [], "other_config": {"a": True}}),
    Do({"name": "data", "new_name": "renamed", "other_config": {"a": None}}),
    Do({"name": "renamed", "sm_config_absent": ["base_mirror"]}, changes=False),
    Do({"name": "cloned", "clone_of": "renamed", "description": "A clone"}),
    Do({"name": "copied", "copy_of": "renamed", "sr": "Local storage", "tags": ["x"]}),
    Do({"name": "odd", "size": 5_000_001}),
    Do({"name": "odd", "size": 9_000_000}),
    Do({"name": "cloned", "state": "absent"}),
    Do({"uuids": ["no-such"], "state": "absent"}, changes=False),
)
pytestmark = pytest.mark.world(MACHINES)


def test_new_disk_is_as_the_old_driver_made_it(run_module: Run, simulator: Simulator) -> None:
    outcome = run_module("xen_vdi", name="web1", size="1GiB", disk_type="root", owner=OWNER)
    assert outcome.writes == ["Async.VDI.create"]
    record = the(simulator, "VDI", "web1")
    assert record["name_description"] == "root"
    assert (record["virtual_size"], record["type"]) == (GIB, "user")
    assert (record["sharable"], record["read_only"]) == (False, False)
    assert record["other_config"] == {"nova_disk_type": "root", "nova_instance_uuid": OWNER}
    assert (record["xenstore_data"], record["sm_config"], record["tags"]) == ({}, {}, [])
    assert simulator.session().SR.get_name_label(record["SR"]) == "NFS storage", "the default repository"
    assert outcome["vdi"]["uuid"] == record["uuid"]
    assert "OpaqueRef" not in str(outcome.result)


def test_left_out_options_leave_their_fields_alone(run_module: Run, simulator: Simulator) -> None:
    run_module("xen_vdi", name="data", size="1GiB", description="Data", tags=["a"], other_config={"a": "1"})
    outcome = run_module("xen_vdi", name="data", other_config={"b": "2"})
    assert outcome.writes == ["VDI.set_other_config"]
    record = the(simulator, "VDI", "data")
    assert (record["name_description"], record["tags"], record["virtual_size"]) == ("Data", ["a"], GIB)
    assert record["other_config"] == {"a": "1", "b": "2"}


class TestSize:
    def test_grows_with_one_call(self, run_module: Run, simulator: Simulator) -> None:
        run_module("xen_vdi", name="data", size="1GiB")
        assert run_module("xen_vdi", name="data", size="2GiB").writes == ["Async.VDI.resize"]
        assert run_module("xen_vdi", name="data", size="2 GiB").writes == []
        assert the(simulator, "VDI", "data")["virtual_size"] == 2 * GIB

    def test_never_shrinks(self, run_module: Run) -> None:
        run_module("xen_vdi", name="data", size="2GiB")
        for check in (True, False):
            outcome = run_module("xen_vdi", name="data", size="1GiB", check=check)
            assert outcome.failed
            assert outcome.msg.startswith("disk 'data' has 2GiB and cannot shrink to 1GiB; ")
            assert outcome.writes == []

    def test_what_the_storage_rounded_up_is_no_difference(self, run_module: Run, simulator: Simulator) -> None:
        """VHDs have blocks of 2 MiB (facts §3.6)."""
        outcome = run_module("xen_vdi", name="odd", size=3 * MIB)
        assert outcome["vdi"]["size"] == 4 * MIB
        assert not run_module("xen_vdi", name="odd", size=3 * MIB).changed
        assert run_module("xen_vdi", name="odd", size=2 * MIB).failed

    def test_in_use_names_the_vm(self, run_module: Run, simulator: Simulator) -> None:
        start(simulator, "web1")
        outcome = run_module("xen_vdi", name="web1 root", size="8GiB")
        assert outcome.failed
        assert outcome.msg == "disk 'web1 root' is in use by VM 'web1' and cannot be resized; halt the VM, or detach the disk first"
        assert outcome.writes == []


class TestName:
    def test_snapshots_do_not_make_it_ambiguous(self, run_module: Run, simulator: Simulator) -> None:
        session = simulator.session()
        vdi = the(simulator, "VDI", "web1 root")
        session.VDI.snapshot(vdi["ref"], {})
        assert len(named(simulator, "VDI", "web1 root")) == 2
        assert run_module("xen_vdi", name="web1 root", description="Root")["vdi"]["uuid"] == vdi["uuid"]

    def test_repository_tells_disks_apart(self, run_module: Run, simulator: Simulator) -> None:
        first = run_module("xen_vdi", name="data", size="1GiB", sr="Local storage")
        second = run_module("xen_vdi", name="data", size="2GiB", sr="NFS storage")
        assert second.changed
        assert first["vdi"]["sr"] != second["vdi"]["sr"]
        assert not run_module("xen_vdi", name="data", size="1GiB", sr="Local storage").changed
        assert "2 disks are named 'data'; select one by uuid" in run_module("xen_vdi", name="data").msg

    def test_owner_tells_disks_apart(self, run_module: Run, simulator: Simulator) -> None:
        """Every config drive is called config-2 (driver-operations §2)."""
        first = run_module("xen_vdi", name="config-2", size="64MiB", owner=OWNER, disk_type="configdrive")
        second = run_module("xen_vdi", name="config-2", size="64MiB", owner=OTHER_OWNER, disk_type="configdrive")
        assert first["vdi"]["uuid"] != second["vdi"]["uuid"]
        assert not run_module("xen_vdi", name="config-2", owner=OWNER).changed
        run_module("xen_vdi", name="config-2", owner=OWNER, state="absent")
        assert [record["uuid"] for record in named(simulator, "VDI", "config-2")] == [second["vdi"]["uuid"]]

    def test_a_disk_without_owner_is_adopted(self, run_module: Run, simulator: Simulator) -> None:
        uuid = run_module("xen_vdi", name="data", size="1GiB")["vdi"]["uuid"]
        outcome = run_module("xen_vdi", name="data", size="1GiB", owner=OWNER)
        assert (outcome["vdi"]["uuid"], outcome["vdi"]["owner"]) == (uuid, OWNER)

    def test_a_run_adopts_none(self, run_module: Run) -> None:
        """The role spawn would hand a stranger's disk to its VM, and destroy would remove it."""
        uuid = run_module("xen_vdi", name="data", size="1GiB")["vdi"]["uuid"]
        first = run_module("xen_vdi", name="data", size="1GiB", owner=OWNER, run_id="run-1")
        assert first["vdi"]["uuid"] != uuid
        again = run_module("xen_vdi", name="data", size="1GiB", owner=OWNER, run_id="run-2")
        assert (again["vdi"]["uuid"], again.changed) == (first["vdi"]["uuid"], False)

    def test_renamed_once(self, run_module: Run, simulator: Simulator) -> None:
        uuid = run_module("xen_vdi", name="data", size="1GiB")["vdi"]["uuid"]
        assert run_module("xen_vdi", name="data", new_name="logs").writes == ["VDI.set_name_label"]
        assert not run_module("xen_vdi", name="data", new_name="logs").changed
        assert run_module("xen_vdi", uuid=uuid, new_name="data").changed
        run_module("xen_vdi", name="logs", size="1GiB")
        assert "there is another disk named 'logs' already" in run_module("xen_vdi", name="data", new_name="logs").msg


class TestRoom:
    def test_thick_storage_has_to_hold_the_whole_disk(self, run_module: Run, simulator: Simulator) -> None:
        for check in (True, False):
            outcome = run_module("xen_vdi", name="large", sr="Thick storage", size="17GiB", check=check)
            assert outcome.failed
            assert outcome.msg == ("storage repository 'Thick storage' has 16GiB free, but disk 'large' needs 17GiB; free space, or choose another sr")
            assert outcome.writes == []
        assert not run_module("xen_vdi", name="fits", sr="Thick storage", size="8GiB").failed
        assert run_module("xen_vdi", name="fits", size="17GiB").failed, "growing needs room too"

    def test_thin_storage_holds_more_than_it_has(self, run_module: Run) -> None:
        assert not run_module("xen_vdi", name="large", sr="Local storage", size="1TiB").failed

    def test_storage_that_is_full_after_all_is_explained(self, run_module: Run, simulator: Simulator) -> None:
        simulator.faults.add(Rule("VDI.create", error=("SR_BACKEND_FAILURE_44", "", "There is insufficient space", "")))
        outcome = run_module("xen_vdi", name="data", size="1GiB")
        assert outcome.failed
        assert "the storage repository is full" in outcome.msg
        assert outcome["xenapi_error"]["code"] == "SR_BACKEND_FAILURE_44"
        assert named(simulator, "VDI", "data") == []


class TestCopies:
    def test_clone_gets_its_name_last(self, run_module: Run, simulator: Simulator) -> None:
        outcome = run_module("xen_vdi", name="fresh", clone_of="golden", owner=OWNER, size="3GiB", tags=["x"])
        assert outcome.writes == ["Async.VDI.clone", "VDI.set_tags", "VDI.set_other_config", "Async.VDI.resize", "VDI.set_name_label"]
        record = the(simulator, "VDI", "fresh")
        assert (record["virtual_size"], record["tags"]) == (3 * GIB, ["x"])
        assert record["other_config"]["nova_instance_uuid"] == OWNER
        assert record["other_config"]["xen_ansible:source"] == the(simulator, "VDI", "golden")["uuid"]
        assert run_module("xen_vdi", name="fresh", clone_of="golden", owner=OWNER, size="3GiB", tags=["x"]).writes == []

    def test_owner_is_not_inherited(self, run_module: Run) -> None:
        run_module("xen_vdi", name="first", size="1GiB", owner=OWNER, other_config={"a": "1"})
        outcome = run_module("xen_vdi", name="second", clone_of="first")
        assert outcome["vdi"]["owner"] is None
        assert outcome["vdi"]["other_config"]["a"] == "1"

    def test_copy_lies_where_it_shall(self, run_module: Run, simulator: Simulator) -> None:
        outcome = run_module("xen_vdi", name="golden", copy_of="golden", sr="Local storage")
        assert outcome["vdi"]["sr"] == the(simulator, "SR", "Local storage")["uuid"]
        assert run_module("xen_vdi", name="golden", copy_of="golden", sr="Local storage").writes == []

    def test_interrupted_copy_is_not_taken_for_one(self, run_module: Run, simulator: Simulator) -> None:
        """A copy bears the name of its source from the start (recording vdis)."""
        session = simulator.session()
        session.VDI.copy(the(simulator, "VDI", "golden")["ref"], the(simulator, "SR", "Local storage")["ref"])
        outcome = run_module("xen_vdi", name="golden", copy_of="golden", sr="Local storage")
        assert outcome.failed
        assert outcome.msg == "disk 'golden' exists and is no complete copy of 'golden'; remove it, or choose another name"

    def test_failing_step_leaves_no_copy(self, run_module: Run, simulator: Simulator) -> None:
        before = simulator.records("VDI").keys()
        simulator.faults.add(Rule("VDI.set_name_label", error=("SR_BACKEND_FAILURE_47", "", "gone", "")))
        outcome = run_module("xen_vdi", name="copied", copy_of="golden", sr="Local storage")
        assert outcome.failed
        assert outcome["undone"] == ["copy disk 'golden' on 'Local storage'"]
        assert simulator.records("VDI").keys() == before

    def test_source_in_use_is_cloned_but_not_copied(self, run_module: Run, simulator: Simulator) -> None:
        start(simulator, "web1")
        refused = run_module("xen_vdi", name="copied", copy_of="web1 root", check=True)
        assert "disk 'web1 root' is in use by VM 'web1' and cannot be copied" in refused.msg
        assert not run_module("xen_vdi", name="cloned", clone_of="web1 root").failed


class TestAbsent:
    def test_in_use_names_the_vm(self, run_module: Run, simulator: Simulator) -> None:
        start(simulator, "web1")
        for check in (True, False):
            outcome = run_module("xen_vdi", name="web1 root", state="absent", check=check)
            assert outcome.failed
            assert outcome.msg == "disk 'web1 root' is in use by VM 'web1' and cannot be removed; detach it, or halt the VM first"
            assert outcome.writes == []

    def test_halted_vm_that_loses_its_disk_is_named(self, run_module: Run, simulator: Simulator) -> None:
        outcome = run_module("xen_vdi", name="web1 root", state="absent")
        assert outcome.writes == ["Async.VDI.destroy"]
        assert "disk 'web1 root' belonged to VM 'web1', which is without it now" in str(outcome["warnings"])
        assert named(simulator, "VDI", "web1 root") == []

    def test_several_in_one_run(self, run_module: Run, simulator: Simulator) -> None:
        uuids = [run_module("xen_vdi", name=f"disk {number}", size="64MiB")["vdi"]["uuid"] for number in range(3)]
        assert run_module("xen_vdi", uuids=uuids, state="absent").writes == ["Async.VDI.destroy"] * 3
        assert not run_module("xen_vdi", uuids=uuids, state="absent").changed

    def test_one_that_cannot_go_keeps_no_other(self, run_module: Run, simulator: Simulator) -> None:
        """The old driver's safe_destroy_vdis (driver-rows 52)."""
        uuids = [run_module("xen_vdi", name=f"disk {number}", size="64MiB")["vdi"]["uuid"] for number in range(3)]
        simulator.faults.add(Rule("VDI.destroy", error=("SR_BACKEND_FAILURE_46", "", "busy", "in use"), nth=2))
        outcome = run_module("xen_vdi", uuids=uuids, state="absent", ignore_errors=True)
        assert not outcome.failed
        assert "disk 'disk 1' could not be removed: the disk is in use by the storage" in str(outcome["warnings"])
        assert [len(named(simulator, "VDI", f"disk {number}")) for number in range(3)] == [0, 1, 0]


def test_base_mirror_is_stripped(run_module: Run, simulator: Simulator) -> None:
    session = simulator.session()
    vdi = the(simulator, "VDI", "web1 root")["ref"]
    session.VDI.add_to_sm_config(vdi, "base_mirror", "x")
    outcome = run_module("xen_vdi", name="web1 root", sm_config_absent=["base_mirror", "never-there"])
    assert outcome.writes == ["VDI.remove_from_sm_config"]
    assert "base_mirror" not in the(simulator, "VDI", "web1 root")["sm_config"]
    assert not run_module("xen_vdi", name="web1 root", sm_config_absent=["base_mirror"]).changed


@pytest.mark.parametrize(
    ("params", "message"),
    [
        pytest.param({}, "one of the following is required: name, uuid, uuids", id="nothing selected"),
        pytest.param({"name": "new"}, "disk 'new' does not exist; give size to create it", id="no size"),
        pytest.param({"name": "new", "size": "large"}, "size 'large' is no size; write a number of bytes or something like 8GiB", id="size"),
        pytest.param({"name": "new", "size": "8"}, "size '8' is 8 bytes, too few for a disk; write its unit, such as 8GiB", id="no unit"),
        pytest.param({"name": "new", "size": "0"}, "size '0' is none that a disk can have", id="size 0"),
        pytest.param({"name": "new", "size": "1GiB", "sr": "nowhere"}, "there is no storage repository 'nowhere' in this pool", id="sr"),
        pytest.param({"name": "new", "size": "1GiB", "sr": "twin"}, "2 storage repositories are named 'twin'; select one by uuid", id="ambiguous sr"),
        pytest.param({"name": "twins", "size": "1GiB"}, "2 disks are named 'twins'; select one by uuid", id="ambiguous"),
        pytest.param({"uuid": "no-such", "size": "1GiB"}, "there is no disk 'no-such' in this pool; a new one is created by name", id="unknown uuid"),
        pytest.param({"uuids": ["a"]}, "uuids selects disks to be removed", id="uuids"),
        pytest.param({"name": "new", "clone_of": "nothing"}, "there is no disk 'nothing' in this pool", id="no source"),
        pytest.param({"name": "golden", "clone_of": "golden"}, "the copy of disk 'golden' has the same name; give sr", id="same name"),
        pytest.param({"name": "new", "clone_of": "golden", "sr": "Local storage"}, "use copy_of for 'Local storage'", id="clone elsewhere"),
        pytest.param({"name": "new", "clone_of": "golden", "size": "1GiB"}, "disk 'golden' has 2GiB and cannot shrink to 1GiB", id="smaller clone"),
        pytest.param({"name": "new", "copy_of": "golden", "sr": "Thick storage", "size": "1TiB"}, "Thick storage", id="copy without room"),
        pytest.param({"name": "golden", "type": "system"}, "type of disk 'golden' is 'user' and cannot become 'system'", id="type"),
        pytest.param({"name": "golden", "sharable": True}, "sharable of disk 'golden' is False and cannot become True", id="sharable"),
        pytest.param({"name": "new", "size": "1GiB", "other_config": {"xen_ansible:content": "x"}}, "other_config may not hold", id="our key"),
        pytest.param({"name": "new", "content": "/no/such.raw"}, "content '/no/such.raw' does not exist on the machine", id="content missing"),
        pytest.param({"name": "new", "content": "/"}, "content '/' is no file", id="content folder"),
        pytest.param({"name": "nothing", "state": "exported", "dest": "x.raw"}, "there is no disk 'nothing' in this pool", id="nothing to export"),
        pytest.param({"name": "golden", "state": "exported"}, "state is exported but all of the following are missing: dest", id="no dest"),
        pytest.param({"name": "golden", "state": "exported", "dest": "/no/folder/x"}, "'/no/folder' is no folder that the module may write", id="folder"),
        pytest.param({"name": "golden", "state": "exported", "dest": "/tmp"}, "dest '/tmp' is no file", id="dest is a folder"),
    ],
)
def test_refuses(run_module: Run, simulator: Simulator, params: dict[str, Any], message: str) -> None:
    session = simulator.session()
    sr = the(simulator, "SR", "Local storage")["ref"]
    for name in ("twins", "twins"):
        new_disk(session, sr, name)
    for _unused in range(2):
        session.SR.introduce("", "twin", "", "nfs", "user", False, {})
    for check in (True, False):
        outcome = run_module("xen_vdi", check=check, **params)
        assert outcome.failed
        assert message in outcome.msg
        assert outcome.writes == []


def test_empty_and_too_large_contents_are_refused_before_anything_is_made(run_module: Run, tmp_path: Path) -> None:
    empty, large = tmp_path / "empty.raw", tmp_path / "large.raw"
    empty.touch()
    large.write_bytes(b"x" * (MIB + 1))
    for check in (True, False):
        outcome = run_module("xen_vdi", name="new", size="1GiB", content=str(empty), check=check)
        assert (outcome.failed, outcome.writes) == (True, [])
        assert outcome.msg == f"content {str(empty)!r} is empty; give the raw image of a disk"
        outcome = run_module("xen_vdi", name="new", size="1MiB", content=str(large), check=check)
        assert (outcome.failed, outcome.writes) == (True, [])
        assert outcome.msg.startswith(f"content {str(large)!r} has 1048577 bytes and does not fit on a disk of 1048576; ")


def test_several_users_are_all_named(run_module: Run, simulator: Simulator) -> None:
    session = simulator.session()
    shared = new_disk(session, the(simulator, "SR", "NFS storage")["ref"], "shared", sharable=True)
    for name in ("web1", "web2"):
        attach(session, the(simulator, "VM", name)["ref"], shared, "1")
        start(simulator, name)
    outcome = run_module("xen_vdi", name="shared", state="absent")
    assert "disk 'shared' is in use by VM 'web1' and VM 'web2'" in outcome.msg
