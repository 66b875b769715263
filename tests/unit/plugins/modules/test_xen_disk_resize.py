# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from simulator import Rule, Simulator
from simulator.transport.memory import MemorySession

from ..conftest import Run
from ..scenario import Do, Scenario
from .filesystems import DATA, attached, file_in, filesystem_disk, filesystem_size, first_partition, load, looked_at
from .generated import address, at_device, bytes_at, disk_file, dying, same, streaming
from .machines import MACHINES, MIB, named, new_disk, start, the

SIZE, LARGER, SMALLER = 64 * MIB, 128 * MIB, 32 * MIB


def one_disk(session: MemorySession) -> None:
    with tempfile.TemporaryDirectory() as folder:
        attached(session, "web1", load(session, filesystem_disk(Path(folder), SIZE), "web1 data", other_config={"nova_disk_type": "user"}))
    new_disk(session, the(session.client.simulator, "SR", "NFS storage")["ref"], "blank", SIZE)


TOLD = ("transfer", "filesystem")
SCENARIO = Scenario(
    Do({"name": "blank", "size": "128MiB"}),
    Do({"name": "blank", "size": "128MiB"}, changes=False),
    Do(streaming(vm="web1", userdevice="4", size="32MiB", mode="shrink_copy", copy_name="small"), told=TOLD),
    Do(streaming(vm="web1", userdevice="4", size="128MiB", mode="auto_configure"), told=TOLD),
    Do(streaming(vm="web1", userdevice="4", size="160MiB")),
    Do(streaming(vm="web1", userdevice="4", size="160MiB", mode="auto_configure"), told=TOLD),
    world=MACHINES,
    prepare=one_disk,
)
pytestmark = pytest.mark.world(MACHINES)


@pytest.fixture
def resize(run_module: Run, simulator: Simulator) -> Run:
    return lambda **params: run_module("xen_disk_resize", **{"hostname": address(simulator), **params})


def told(simulator: Simulator, ref: str) -> dict[str, Any]:
    """A disk without what the storage notes when it is read, or cloned."""
    record = simulator.records("VDI")[ref]
    return {**record, "other_config": {key: value for key, value in record["other_config"].items() if key != "content_id"}, "sm_config": {}}


def uuids(simulator: Simulator, name: str) -> list[str]:
    return [record["uuid"] for record in named(simulator, "VDI", name)]


@pytest.mark.parametrize(("kind", "table"), [("ext4", "dos"), ("ext3", "dos"), ("ext2", "dos"), ("ext4", "gpt")])
def test_partition_and_filesystem_grow(resize: Run, simulator: Simulator, tmp_path: Path, kind: str, table: str) -> None:
    original = filesystem_disk(tmp_path / "made", SIZE, kind, table=table)
    attached(simulator.session(), "web1", load(simulator.session(), original, "web1 data", other_config={"nova_disk_type": "user", "keep": "me"}))
    before = at_device(simulator, "web1", 4)
    outcome = resize(vm="web1", userdevice="xvde", size="128MiB", mode="auto_configure")
    assert not outcome.failed, outcome.result
    assert outcome["filesystem"] == kind
    vbd, vdi = at_device(simulator, "web1", 4)
    assert (vdi["virtual_size"], vdi["name_label"], vdi["other_config"]["keep"]) == (LARGER, "web1 data", "me")
    assert {key: vbd[key] for key in ("mode", "type", "bootable", "unpluggable")} == {
        key: before[0][key] for key in ("mode", "type", "bootable", "unpluggable")
    }
    assert uuids(simulator, "web1 data") == [vdi["uuid"]]
    disk, part = looked_at(simulator, vdi["ref"], tmp_path / "seen")
    end = LARGER // 512 - (33 if table == "gpt" else 0)
    assert first_partition(disk) == (2048, end - 2048)
    assert filesystem_size(part) > (end - 2048) * 512 - MIB
    assert file_in(part, "/data") == DATA
    assert bytes_at(disk, 0, 440) == bytes_at(original, 0, 440)
    assert outcome["transfer"]["bytes_sent"] < 16 * MIB
    assert not resize(vm="web1", userdevice="4", size="128MiB", mode="auto_configure").changed


def test_again_is_known_without_reading(resize: Run, run_module: Run, simulator: Simulator, tmp_path: Path) -> None:
    load(simulator.session(), filesystem_disk(tmp_path / "made", SIZE), "data")
    resize(name="data", size="128MiB", mode="auto_configure")
    # Nothing listens there: reading the disk would fail.
    again = run_module("xen_disk_resize", hostname="127.0.0.1:9", name="data", size="128MiB", mode="auto_configure")
    assert not again.failed, again.result
    assert not again.changed


def test_full_disk_is_left(resize: Run, simulator: Simulator, tmp_path: Path) -> None:
    """Found out by reading, as another made it."""
    load(simulator.session(), filesystem_disk(tmp_path / "made", SIZE), "data")
    outcome = resize(name="data", size="64MiB", mode="auto_configure")
    assert not outcome.changed
    assert outcome.writes == []


@pytest.mark.parametrize(
    ("made", "why"),
    [
        pytest.param({"partitions": 2}, "the disk has 2 partitions and not one", id="two"),
        pytest.param({"kind": "xfs"}, "holds xfs, which grows only while it is mounted", id="xfs"),
        pytest.param(None, "the disk has no partition table", id="blank"),
    ],
)
def test_other_disks_only_grow(resize: Run, simulator: Simulator, tmp_path: Path, made: dict[str, object] | None, why: str) -> None:
    session = simulator.session()
    size = SIZE if made != {"kind": "xfs"} else 512 * MIB
    if made is None:
        ref = new_disk(session, the(simulator, "SR", "NFS storage")["ref"], "data", size)
    else:
        ref = load(session, filesystem_disk(tmp_path, size, **made), "data")  # type: ignore[arg-type]
    before = disk_file(simulator, ref, tmp_path / "before")
    outcome = resize(name="data", size=str(size * 2), mode="auto_configure")
    assert outcome.writes == ["Async.VDI.resize"]
    assert why in str(outcome["warnings"])
    assert same(disk_file(simulator, ref, tmp_path / "after"), before, size * 2)
    assert "cannot" not in str(outcome["warnings"])
    shrunk = resize(name="data", size=str(size), mode="shrink_copy", copy_name="small")
    assert shrunk.failed
    assert why in shrunk.msg
    assert shrunk.writes == []


@pytest.mark.parametrize("table", ["dos", "gpt"])
def test_smaller_copy(resize: Run, simulator: Simulator, tmp_path: Path, table: str) -> None:
    original = filesystem_disk(tmp_path / "made", SIZE, table=table)
    source = load(simulator.session(), original, "data", other_config={"nova_disk_type": "root", "xen_ansible:content": "image x"})
    attached(simulator.session(), "web1", source)
    record = told(simulator, source)
    outcome = resize(vm="web1", userdevice="4", size="32MiB", mode="shrink_copy", copy_name="small")
    assert not outcome.failed, outcome.result
    copy = the(simulator, "VDI", "small")
    assert copy["virtual_size"] == SMALLER
    assert copy["other_config"]["nova_disk_type"] == "root"
    assert copy["other_config"]["xen_ansible:content"].startswith("shrunk sha256:")
    disk, part = looked_at(simulator, copy["ref"], tmp_path / "seen")
    end = SMALLER // 512 - (33 if table == "gpt" else 0)
    assert first_partition(disk) == (2048, end - 2048)
    assert file_in(part, "/data") == DATA
    # Both stages of a boot loader are there, and the partition is still the active one.
    assert bytes_at(disk, 0, 444) == bytes_at(original, 0, 444)
    assert bytes_at(disk, 40 * 512, 512) == bytes_at(original, 40 * 512, 512)
    assert same(disk_file(simulator, source, tmp_path / "source"), original)
    assert told(simulator, source) == record
    again = resize(vm="web1", userdevice="4", size="32MiB", mode="shrink_copy", copy_name="small")
    assert not again.changed
    assert resize(vm="web1", userdevice="4", size="34MiB", mode="shrink_copy", copy_name="small").failed


def test_what_does_not_fit_is_refused_before_anything_is_made(resize: Run, simulator: Simulator, tmp_path: Path) -> None:
    load(simulator.session(), filesystem_disk(tmp_path / "made", SIZE), "data")
    outcome = resize(name="data", size="3MiB", mode="shrink_copy", copy_name="small")
    assert outcome.failed
    assert re.search(r"what is in it needs \d+ bytes at least", outcome.msg), outcome.msg
    assert outcome.writes == []


# What goes wrong on the way


@pytest.mark.parametrize(
    ("method", "nth"),
    [("VDI.clone", 1), ("VDI.resize", 1), ("VDI.add_to_other_config", 2), ("VDI.add_to_other_config", 3), ("VBD.create", 1), ("VDI.destroy", 1)],
)
def test_failure_leaves_the_disk_as_it_was(resize: Run, simulator: Simulator, tmp_path: Path, method: str, nth: int) -> None:
    session = simulator.session()
    attached(session, "web1", load(session, filesystem_disk(tmp_path / "made", SIZE), "data"))
    before = at_device(simulator, "web1", 4)[1]["ref"]
    record, content = told(simulator, before), disk_file(simulator, before, tmp_path / "before")
    simulator.faults.add(Rule(method, error=("INTERNAL_ERROR", "no"), nth=nth))
    outcome = resize(vm="web1", userdevice="4", size="128MiB", mode="auto_configure")
    simulator.faults.clear()
    assert outcome.failed
    assert {**told(simulator, before), "VBDs": []} == {**record, "VBDs": []}
    assert at_device(simulator, "web1", 4)[1]["ref"] == before
    assert same(disk_file(simulator, before, tmp_path / "after"), content)
    assert uuids(simulator, "data") == [record["uuid"]]
    assert resize(vm="web1", userdevice="4", size="128MiB", mode="auto_configure").changed


def test_diff_shows_only_what_changes(resize: Run, simulator: Simulator, tmp_path: Path) -> None:
    attached(simulator.session(), "web1", load(simulator.session(), filesystem_disk(tmp_path / "made", SIZE), "data"))
    diff = resize(vm="web1", userdevice="4", size="128MiB", mode="auto_configure")["diff"]
    assert diff["before"]["vdi"] == {**diff["after"]["vdi"], "size": SIZE}


def test_what_a_killed_run_left_goes(resize: Run, simulator: Simulator, tmp_path: Path) -> None:
    session = simulator.session()
    source = load(session, filesystem_disk(tmp_path / "made", SIZE), "data")
    session.VDI.add_to_other_config(source, "xen_ansible:rewrites", simulator.records("VDI")[source]["uuid"])
    clone = session.VDI.clone(source, {})
    outcome = resize(name="data", size="128MiB", mode="auto_configure")
    assert not outcome.failed, outcome.result
    assert clone not in simulator.records("VDI")
    assert uuids(simulator, "data") == [outcome["vdi"]["uuid"]]
    assert "xen_ansible:rewrites" not in outcome["vdi"]["other_config"]


def test_what_was_replaced_goes_in_the_next_run(resize: Run, simulator: Simulator, tmp_path: Path) -> None:
    """Killed, or refused, when all was done but the removal of the former disk."""
    session = simulator.session()
    attached(session, "web1", load(session, filesystem_disk(tmp_path / "made", SIZE), "data"))
    simulator.faults.add(Rule("VDI.destroy", cut="", error=("SR_BACKEND_FAILURE_46", "", "busy", ""), nth=1))
    failed = resize(vm="web1", userdevice="4", size="128MiB", mode="auto_configure")
    simulator.faults.clear()
    assert failed.failed
    again = resize(vm="web1", userdevice="4", size="128MiB", mode="auto_configure")
    assert not again.failed, again.result
    vdi = at_device(simulator, "web1", 4)[1]
    assert uuids(simulator, "data") == [vdi["uuid"]]


def test_unfinished_copy_is_made_anew(resize: Run, simulator: Simulator, tmp_path: Path) -> None:
    load(simulator.session(), filesystem_disk(tmp_path / "made", SIZE), "data")
    simulator.faults.add(Rule("VDI.set_other_config", error=("INTERNAL_ERROR", "no"), nth=1))
    simulator.faults.add(Rule("VDI.destroy", error=("INTERNAL_ERROR", "no"), nth=1))
    assert resize(name="data", size="32MiB", mode="shrink_copy", copy_name="small").failed
    simulator.faults.clear()
    (left,) = uuids(simulator, "small")
    outcome = resize(name="data", size="32MiB", mode="shrink_copy", copy_name="small")
    assert not outcome.failed, outcome.result
    assert uuids(simulator, "small") == [outcome["vdi"]["uuid"]] != [left]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        pytest.param({"name": "none", "size": "1GiB"}, "there is no disk 'none'", id="unknown"),
        pytest.param({"vm": "web1", "userdevice": "7", "size": "1GiB"}, "there is no disk at device 7 of VM 'web1'", id="device"),
        pytest.param({"vm": "web1", "size": "1GiB"}, "cannot shrink", id="smaller"),
        pytest.param({"vm": "web1", "size": "1GiB", "mode": "auto_configure"}, "cannot shrink", id="smaller filesystem"),
        pytest.param({"vm": "web1", "size": "big"}, "is no size", id="size"),
        pytest.param({"vm": "web1", "size": "8"}, "size '8' is 8 bytes, too few for a disk; write its unit, such as 8GiB", id="no unit"),
        pytest.param({"vm": "web1", "size": "0"}, "is none that a disk can have", id="zero"),
        pytest.param({"vm": "web1", "size": "1GiB", "mode": "shrink_copy"}, "copy_name", id="no name"),
        pytest.param({"vm": "web1", "size": "8GiB", "mode": "shrink_copy", "copy_name": "x"}, "give a smaller size", id="no smaller copy"),
        pytest.param({"vm": "web1", "size": "9TiB"}, "VDI size must be between", id="too large"),
    ],
)
def test_refuses(resize: Run, params: dict[str, str], message: str) -> None:
    outcome = resize(**params)
    assert outcome.failed
    assert message in outcome.msg
    # How large a disk can be, only the storage knows.
    assert outcome.writes == (["Async.VDI.resize"] if "VDI size" in message else [])


@pytest.mark.parametrize("mode", ["grow", "auto_configure", "shrink_copy"])
def test_disk_in_use_is_refused(resize: Run, simulator: Simulator, mode: str) -> None:
    start(simulator, "web1")
    outcome = resize(vm="web1", size="2GiB" if mode == "shrink_copy" else "8GiB", mode=mode, copy_name="small")
    assert "is in use by VM 'web1'" in outcome.msg
    assert outcome.writes == []


def test_suspended_vm_keeps_its_disks(resize: Run, simulator: Simulator) -> None:
    session = start(simulator, "web1")
    session.VM.suspend(the(simulator, "VM", "web1")["ref"])
    outcome = resize(vm="web1", size="8GiB")
    assert outcome.failed
    assert "VM 'web1'" in outcome.msg
    assert outcome.writes == []


def test_missing_tool_is_named_first(resize: Run, simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load(simulator.session(), filesystem_disk(tmp_path / "made", SIZE), "data")
    monkeypatch.setattr("ansible_collections.xapi.xenserver.plugins.module_utils._tool.SBIN", ())
    monkeypatch.setenv("PATH", str(tmp_path))
    outcome = resize(name="data", size="128MiB", mode="auto_configure")
    assert "e2fsck is missing on the controller; install the package e2fsprogs (Debian, Ubuntu) or e2fsprogs (RPM)" in outcome.msg
    assert outcome.writes == []


# A process that is killed between any two calls


Kill = Callable[..., None]


@pytest.fixture
def killed_before(resize: Run, monkeypatch: pytest.MonkeyPatch) -> Kill:
    """A run that ends before the nth call of a method."""

    def kill(method: str, nth: int = 1) -> None:
        with dying(monkeypatch, method, nth):
            assert resize(**AUTO).failed

    return kill


AUTO = {"vm": "web1", "userdevice": "4", "size": "128MiB", "mode": "auto_configure"}


@pytest.mark.parametrize(
    ("method", "nth"),
    [
        ("VDI.add_to_other_config", 1),
        ("Async.VDI.clone", 1),
        ("Async.VDI.resize", 1),
        ("VDI.add_to_other_config", 4),
        ("VDI.remove_from_other_config", 5),
        ("VBD.destroy", 1),
        ("VBD.create", 1),
        ("Async.VDI.destroy", 1),
        ("VDI.remove_from_other_config", 6),
    ],
)
@pytest.mark.parametrize("by", ["device", "name"])
def test_killed_anywhere_the_next_run_ends_with_one_disk_in_its_place(
    resize: Run, killed_before: Kill, simulator: Simulator, tmp_path: Path, method: str, nth: int, by: str
) -> None:
    session = simulator.session()
    attached(session, "web1", load(session, filesystem_disk(tmp_path / "made", SIZE), "data"))
    place = attachment(simulator)
    killed_before(method, nth)
    again = {"device": AUTO, "name": {"name": "data", "size": "128MiB", "mode": "auto_configure"}}[by]
    outcome = resize(**again)
    assert not outcome.failed, outcome.result
    assert attachment(simulator) == place
    vdi = at_device(simulator, "web1", 4)[1]
    assert uuids(simulator, "data") == [vdi["uuid"]] == [outcome["vdi"]["uuid"]]
    assert not {key for key in vdi["other_config"] if key.startswith("xen_ansible:")} - {"xen_ansible:replaces", "xen_ansible:configured"}
    part = looked_at(simulator, vdi["ref"], tmp_path / "after")[1]
    assert file_in(part, "/data") == DATA
    assert filesystem_size(part) == LARGER - MIB
    assert not resize(**AUTO).changed


def attachment(simulator: Simulator) -> dict[str, Any]:
    """The fields of an attachment that its maker chose."""
    vbd = at_device(simulator, "web1", 4)[0]
    return {key: vbd[key] for key in ("VM", "userdevice", "bootable", "mode", "type", "unpluggable", "other_config", "qos_algorithm_type")}


class TestDiskTaken:
    """Killed when the VM had lost its old disk and did not have the new one yet."""

    @pytest.fixture
    def source(self, killed_before: Kill, simulator: Simulator, tmp_path: Path) -> str:
        session = simulator.session()
        ref = load(session, filesystem_disk(tmp_path / "made", SIZE), "data")
        attached(session, "web1", ref)
        killed_before("VBD.create", 1)
        return ref

    def test_check_mode_foretells_the_return(self, resize: Run, source: str) -> None:
        outcome = resize(**AUTO, check=True)
        assert (outcome.changed, outcome.writes) == (True, [])
        real = resize(**AUTO)
        assert {key: real["vdi"][key] for key in outcome["vdi"]} == outcome["vdi"]
        assert real.writes == ["VBD.create", "VDI.remove_from_other_config", "VDI.remove_from_other_config", "Async.VDI.destroy"]

    def test_larger_size_than_before_is_done_as_well(self, resize: Run, source: str, simulator: Simulator) -> None:
        outcome = resize(**{**AUTO, "size": "160MiB"})
        assert not outcome.failed, outcome.result
        assert at_device(simulator, "web1", 4)[1]["virtual_size"] == 160 * MIB
        assert len(uuids(simulator, "data")) == 1

    def test_vm_that_runs_without_it_is_refused(self, resize: Run, source: str, simulator: Simulator) -> None:
        start(simulator, "web1")
        outcome = resize(**AUTO)
        assert outcome.failed
        assert "an interrupted run took disk 'data' from device 4 of VM 'web1', which gets it back while the VM is halted; halt it first" in outcome.msg
        assert outcome.writes == []

    def test_source_that_somebody_attached_again_counts(self, resize: Run, source: str, simulator: Simulator) -> None:
        """It may have been written to since: the new disk is of no use."""
        attached(simulator.session(), "web1", source)
        uuid = simulator.records("VDI")[source]["uuid"]
        outcome = resize(vm="web1", userdevice="4", size="64MiB")
        assert not outcome.failed, outcome.result
        assert uuids(simulator, "data") == [uuid]

    def test_device_that_has_another_disk_by_now_is_left(self, resize: Run, source: str, simulator: Simulator) -> None:
        other = new_disk(simulator.session(), the(simulator, "SR", "NFS storage")["ref"], "other", SIZE)
        attached(simulator.session(), "web1", other)
        outcome = resize(name="data", size="128MiB", mode="auto_configure")
        assert not outcome.failed, outcome.result
        assert at_device(simulator, "web1", 4)[1]["ref"] == other
        assert len(uuids(simulator, "data")) == 1


def test_source_comes_back_when_not_even_the_undo_went_well(resize: Run, simulator: Simulator, tmp_path: Path) -> None:
    session = simulator.session()
    source = load(session, filesystem_disk(tmp_path / "made", SIZE), "data")
    attached(session, "web1", source)
    simulator.faults.add(Rule("VBD.create", error=("INTERNAL_ERROR", "no"), times=2))
    assert resize(**AUTO).failed
    simulator.faults.clear()
    assert simulator.records("VDI")[source]["VBDs"] == []
    assert not resize(**AUTO).failed
    assert attachment(simulator)["userdevice"] == "4"
    assert len(uuids(simulator, "data")) == 1
