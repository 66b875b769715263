# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""VDI: what is made, changed and refused (facts 3.6; recordings vdis, images)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from simulator import NULL, Simulator

from ._asking import fixtures, refusal

MIB = 1024 * 1024
Make = Callable[..., str]


simulator, session = fixtures(lambda: Simulator("one_host"), "module")


@pytest.fixture
def sr(session: Any) -> Callable[[str], str]:
    return lambda name: session.SR.get_by_name_label(name)[0]


@pytest.fixture
def make(session: Any, sr: Callable[[str], str]) -> Make:
    def create(where: str = "Local storage", size: int = 16 * MIB, **fields: Any) -> str:
        record = {"name_label": "disk", "SR": sr(where), "virtual_size": size, "type": "user", "sharable": False, "read_only": False}
        return session.VDI.create({**record, "other_config": {}, **fields})

    return create


# Creation


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        pytest.param(0, 2 * MIB, id="nothing becomes the smallest VHD"),
        pytest.param(16 * MIB, 16 * MIB, id="whole blocks stay"),
        pytest.param(16 * MIB + 1, 18 * MIB, id="up to the next block of 2 MiB"),
    ],
)
def test_sizes_are_rounded_up(session: Any, make: Make, asked: int, given: int) -> None:
    assert session.VDI.get_virtual_size(make(size=asked)) == given


@pytest.mark.parametrize("size", [-1, 2**50])
def test_sizes_that_no_vhd_has_are_refused(make: Make, size: int) -> None:
    sentence = "VDI Invalid size [opterr=VDI size must be between 1 MB and 2088960 MB]"
    assert refusal(lambda: make(size=size)) == ["SR_BACKEND_FAILURE_79", "", sentence, ""]


def test_cbt_metadata_cannot_be_created(make: Make) -> None:
    assert refusal(lambda: make(type="cbt_metadata")) == ["VDI_INCOMPATIBLE_TYPE", "", "CBT metadata"]


def test_an_iso_sr_makes_images_named_after_themselves(session: Any, make: Make) -> None:
    record = session.VDI.get_record(make("ISO library", size=MIB, read_only=True))
    assert record["location"] == f"{record['uuid']}.img"
    assert record["virtual_size"] == MIB
    assert record["physical_utilisation"] == 0
    assert record["read_only"] is False
    assert set(record["allowed_operations"]) == {"forget", "destroy", "copy"}


def test_the_tools_sr_takes_no_disks(make: Make, sr: Callable[[str], str]) -> None:
    assert refusal(lambda: make("XenServer Tools")) == ["SR_OPERATION_NOT_SUPPORTED", sr("XenServer Tools")]


def test_the_tools_iso_cannot_be_destroyed(session: Any, sr: Callable[[str], str]) -> None:
    iso = session.SR.get_VDIs(sr("XenServer Tools"))[0]
    assert refusal(session.VDI.destroy, iso) == ["SR_OPERATION_NOT_SUPPORTED", sr("XenServer Tools")]


# Snapshot, clone, copy


def test_a_snapshot_adds_itself_and_a_base_copy(session: Any, make: Make, sr: Callable[[str], str]) -> None:
    disk = make(xenstore_data={"a": "b"})
    before = set(session.SR.get_VDIs(sr("Local storage")))
    snapshot = session.VDI.snapshot(disk)
    (base,) = set(session.SR.get_VDIs(sr("Local storage"))) - before - {snapshot}
    records = {name: session.VDI.get_record(ref) for name, ref in {"disk": disk, "snapshot": snapshot, "base": base}.items()}
    assert records["snapshot"]["snapshot_of"] == disk
    assert records["disk"]["snapshots"] == [snapshot]
    assert records["snapshot"]["xenstore_data"] == {"a": "b"}
    base_record = records["base"]
    assert (base_record["name_label"], base_record["managed"], base_record["read_only"]) == ("base copy", False, True)
    assert records["disk"]["sm_config"] == records["snapshot"]["sm_config"] == {"vhd-parent": base_record["uuid"]}


def test_a_clone_is_no_snapshot_but_has_its_time(session: Any, make: Make) -> None:
    record = session.VDI.get_record(session.VDI.clone(make()))
    assert (record["is_a_snapshot"], record["snapshot_of"]) == (False, NULL)
    assert record["snapshot_time"] != "19700101T00:00:00Z"


def test_only_what_was_written_since_makes_another_base_copy(simulator: Simulator, session: Any, make: Make) -> None:
    disk = make()
    first = session.VDI.snapshot(disk)
    second = session.VDI.snapshot(disk)
    parents = [session.VDI.get_sm_config(ref)["vhd-parent"] for ref in (disk, first, second)]
    assert len(set(parents)) == 1

    async def write() -> None:
        simulator.engine.behaviours["VDI"].volume(disk).write(0, b"data")

    simulator.run(write())
    third = session.VDI.snapshot(disk)
    assert session.VDI.get_sm_config(third)["vhd-parent"] not in parents


def test_an_iso_sr_can_neither_snapshot_nor_resize(session: Any, make: Make, sr: Callable[[str], str]) -> None:
    iso = make("ISO library", size=MIB)
    for call in (lambda: session.VDI.snapshot(iso), lambda: session.VDI.clone(iso), lambda: session.VDI.resize(iso, 2 * MIB)):
        assert refusal(call) == ["SR_OPERATION_NOT_SUPPORTED", sr("ISO library")]


def test_sharable_disks_cannot_be_snapshot(session: Any, make: Make) -> None:
    disk = make(sharable=True)
    assert refusal(session.VDI.snapshot, disk) == ["VDI_IS_SHARABLE", disk]


def test_a_copy_has_the_bytes_and_nothing_of_the_tree(simulator: Simulator, session: Any, make: Make, sr: Callable[[str], str]) -> None:
    disk = make()

    async def write() -> None:
        simulator.engine.behaviours["VDI"].volume(disk).write(5 * MIB, b"payload")

    simulator.run(write())
    session.VDI.snapshot(disk)
    copy = session.VDI.copy(disk, sr("NFS storage"))
    record = session.VDI.get_record(copy)
    assert (record["SR"], record["sm_config"], record["VBDs"]) == (sr("NFS storage"), {}, [])
    assert set(record["other_config"]) == {"content_id"}

    async def read() -> bytes:
        return simulator.engine.behaviours["VDI"].volume(copy).read(5 * MIB, 7)

    assert simulator.run(read()) == b"payload"


def test_a_copy_into_a_smaller_disk_is_refused(session: Any, make: Make) -> None:
    disk, small = make(), make(size=2 * MIB)
    assert refusal(session.VDI.copy, disk, NULL, NULL, small) == ["VDI_TOO_SMALL", small, str(16 * MIB)]
    assert session.VDI.get_VBDs(disk) == []


def test_base_copies_are_not_for_clients(session: Any, make: Make) -> None:
    disk = make()
    session.VDI.snapshot(disk)
    base = session.VDI.get_by_uuid(session.VDI.get_sm_config(disk)["vhd-parent"])
    assert refusal(session.VDI.destroy, base) == ["VDI_NOT_MANAGED", base]
    assert refusal(session.VDI.snapshot, base) == ["VDI_NOT_MANAGED", base]


# Change


def test_growing_rounds_and_shrinking_is_refused(session: Any, make: Make) -> None:
    disk = make()
    session.VDI.resize(disk, 20 * MIB + 1)
    assert session.VDI.get_virtual_size(disk) == 22 * MIB
    refused = refusal(session.VDI.resize, disk, 16 * MIB)
    assert refused == ["SR_BACKEND_FAILURE_79", "", "VDI Invalid size [opterr=shrinking not allowed]", ""]
    assert session.VDI.get_virtual_size(disk) == 22 * MIB


def test_live_resize_exists_at_level_26_only(session: Any, make: Make) -> None:
    assert refusal(session.VDI.resize_online, make(), 32 * MIB) == ["MESSAGE_REMOVED"]


@pytest.mark.parametrize("field", ["sharable", "read_only"])
def test_clients_cannot_set_what_is_the_storage_managers(session: Any, make: Make, field: str) -> None:
    assert refusal(getattr(session.VDI, f"set_{field}"), make(), True) == ["PERMISSION_DENIED", ""]


def test_a_forgotten_disk_comes_back_with_the_next_scan_without_its_name(session: Any, make: Make, sr: Callable[[str], str]) -> None:
    disk = make()
    uuid = session.VDI.get_uuid(disk)
    session.VDI.forget(disk)
    assert refusal(session.VDI.get_record, disk) == ["HANDLE_INVALID", "VDI", disk]
    session.SR.scan(sr("Local storage"))
    again = session.VDI.get_record(session.VDI.get_by_uuid(uuid))
    assert (again["name_label"], again["virtual_size"], again["managed"]) == ("", 16 * MIB, True)


def test_sizes_of_the_sr_follow(session: Any, make: Make, sr: Callable[[str], str]) -> None:
    def virtual() -> int:
        return session.SR.get_virtual_allocation(sr("Local storage"))

    before = virtual()
    disk = make()
    session.VDI.resize(disk, 32 * MIB)
    session.VDI.snapshot(disk)
    # The disk and its snapshot; the base copy counts once the SR was scanned.
    assert virtual() - before == 64 * MIB
    session.VDI.destroy(disk)
    assert virtual() - before == 32 * MIB


# Changed blocks


def test_changed_blocks_between_a_snapshot_and_now(simulator: Simulator, session: Any, make: Make) -> None:
    disk = make(size=4 * MIB)
    session.VDI.enable_cbt(disk)
    snapshot = session.VDI.snapshot(disk)
    assert session.VDI.get_cbt_enabled(snapshot) is True
    assert session.VDI.list_changed_blocks(snapshot, disk) == "AAAAAAAAAAA="

    async def write() -> None:
        simulator.engine.behaviours["VDI"].volume(disk).write(64 * 1024, b"x")

    simulator.run(write())
    assert session.VDI.list_changed_blocks(snapshot, disk) == "QAAAAAAAAAA="


def test_data_destroy_leaves_the_log(session: Any, make: Make) -> None:
    disk = make(size=4 * MIB)
    assert refusal(session.VDI.data_destroy, disk) == ["OPERATION_NOT_ALLOWED", f"VDI is not a snapshot: {disk}"]
    untracked = session.VDI.snapshot(disk)
    assert refusal(session.VDI.data_destroy, untracked) == ["VDI_NO_CBT_METADATA", untracked]
    session.VDI.enable_cbt(disk)
    snapshot = session.VDI.snapshot(disk)
    session.VDI.data_destroy(snapshot)
    record = session.VDI.get_record(snapshot)
    assert record["type"] == "cbt_metadata"
    # `update` comes from the driver's VDI_UPDATE, which ext has and the recording's file SR has not.
    assert set(record["allowed_operations"]) == {"generate_config", "forget", "destroy", "update"}
    assert session.VDI.list_changed_blocks(snapshot, disk) == "AAAAAAAAAAA="
    assert refusal(session.VDI.clone, snapshot) == ["VDI_INCOMPATIBLE_TYPE", snapshot, "CBT metadata"]


def test_snapshots_have_no_tracking_of_their_own(session: Any, make: Make) -> None:
    snapshot = session.VDI.snapshot(make())
    assert refusal(session.VDI.enable_cbt, snapshot) == ["OPERATION_NOT_ALLOWED", f"VDI is a snapshot: {snapshot}"]
