# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bytes of disks: copy-on-write, holes, sizes as the recording `vdis` shows them, coalescing, changed blocks."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.storage import Repository
from simulator.storage.changes import bitmap
from simulator.storage.layer import BLOCK, UNIT
from simulator.storage.sizes import deflated, logical_volume, vhd_file

MIB = 1024 * 1024


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path, size=1024 * MIB)


def test_an_unwritten_disk_reads_as_zeroes_and_has_no_file(repository: Repository, tmp_path: Path) -> None:
    volume = repository.add("disk", 4 * MIB)
    assert volume.read(0, 4 * MIB) == bytes(4 * MIB)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("size", "differencing", "expected"),
    [
        pytest.param(2 * MIB, False, 3584, id="recording walk_1: 2 MiB"),
        pytest.param(16 * MIB, False, 3584, id="recording vdis: 16 MiB"),
        pytest.param(32 * MIB, True, 5120, id="recording vdis: a snapshot of 32 MiB"),
        pytest.param(444596224, False, 4096, id="recording walk_1: a suspend image"),
    ],
)
def test_size_of_an_empty_vhd_file(size: int, differencing: bool, expected: int) -> None:
    assert vhd_file(size, 0, differencing=differencing) == expected


def test_a_block_takes_its_data_and_a_page_in_a_file(repository: Repository) -> None:
    volume = repository.add("disk", 16 * MIB)
    volume.write(0, b"x")
    # Metadata of 3072, the sector of the bitmap up to the page border, the data, the footer.
    assert volume.utilisation() == 4096 + BLOCK + 512
    volume.write(BLOCK, b"x" * BLOCK)
    assert volume.utilisation() == 4096 + BLOCK + 4096 + BLOCK + 512


def test_a_logical_volume_has_room_for_everything_from_the_start(repository: Repository) -> None:
    volume = repository.add("disk", 1024 * MIB, kind="lv")
    before = volume.utilisation()
    assert before == logical_volume(1024 * MIB) > 1024 * MIB
    assert before % (4 * MIB) == 0
    volume.write(0, b"x" * BLOCK)
    assert volume.utilisation() == before
    assert deflated(0) == 8 * MIB


def test_zeroes_over_nothing_take_no_room_and_zeroes_over_bytes_count(repository: Repository) -> None:
    volume = repository.add("disk", 4 * MIB)
    volume.write(0, bytes(4 * MIB))
    assert volume.layer.blocks == 0
    volume.write(UNIT, b"x" * UNIT)
    volume.write(0, bytes(4 * MIB))
    assert volume.read(0, 4 * MIB) == bytes(4 * MIB)
    assert volume.layer.blocks == 1


def test_what_lies_beyond_the_end_is_dropped(repository: Repository) -> None:
    volume = repository.add("disk", 2 * MIB)
    volume.write(2 * MIB - 2, b"abcd")
    volume.write(3 * MIB, b"abcd")
    assert volume.read(2 * MIB - 2, 2) == b"ab"


def test_a_snapshot_keeps_what_was_when_the_disk_goes_on(repository: Repository) -> None:
    disk = repository.add("disk", 4 * MIB)
    disk.write(0, b"before")
    base = repository.branch("disk", "snapshot", "base")
    disk.write(0, b"after!")
    assert disk.read(0, 6) == b"after!"
    assert repository.volumes["snapshot"].read(0, 6) == b"before"
    assert base is not None
    assert base.hidden
    assert base.children == {disk, repository.volumes["snapshot"]}


def test_an_unwritten_difference_hangs_its_snapshot_on_the_parent_there_is(repository: Repository) -> None:
    repository.add("disk", 4 * MIB)
    assert repository.branch("disk", "first", "base") is not None
    # Recording vdis: VDI.clone after VDI.snapshot of an unwritten disk gives the same vhd-parent and no second base copy.
    assert repository.branch("disk", "second", "unused") is None
    assert repository.volumes["second"].parent is repository.volumes["base"]
    assert set(repository.volumes) == {"disk", "first", "second", "base"}


def test_a_leaf_takes_over_its_parent_when_the_other_child_is_gone(repository: Repository) -> None:
    disk = repository.add("disk", 4 * MIB)
    disk.write(0, b"old" * UNIT)
    base = repository.branch("disk", "snapshot", "base")
    assert base is not None
    disk.write(1, b"new")
    expected = disk.read(0, 4 * MIB)
    repository.remove("snapshot")
    assert repository.coalesce(base) is base
    assert disk.parent is None
    assert disk.read(0, 4 * MIB) == expected
    assert set(repository.volumes) == {"disk"}


def test_a_hidden_child_gives_its_bytes_to_its_parent(repository: Repository) -> None:
    disk = repository.add("disk", 4 * MIB)
    disk.write(0, b"1" * UNIT)
    repository.branch("disk", "first", "lower")
    disk.write(UNIT, b"2" * UNIT)
    repository.branch("disk", "second", "upper")
    expected = {name: repository.volumes[name].read(0, 4 * MIB) for name in ("disk", "second")}
    repository.remove("first")
    gone = repository.coalesce(repository.volumes["lower"])
    assert gone.name == "upper"
    assert {name: repository.volumes[name].read(0, 4 * MIB) for name in expected} == expected
    assert disk.parent is repository.volumes["lower"]


def test_account_of_the_repository_follows_every_change(repository: Repository) -> None:
    repository.others = 1000
    disk = repository.add("disk", 4 * MIB)
    disk.write(0, b"x" * BLOCK)
    repository.branch("disk", "snapshot", "base")
    disk.resize(64 * MIB)
    assert repository.used == 1000 + sum(volume.utilisation() for volume in repository.volumes.values())
    repository.remove("snapshot")
    assert repository.used == 1000 + sum(volume.utilisation() for volume in repository.volumes.values())


def test_a_log_of_changes_starts_anew_at_a_snapshot(repository: Repository) -> None:
    disk = repository.add("disk", 4 * MIB)
    repository.begin_log(disk)
    disk.write(0, b"x")
    repository.branch("disk", "snapshot", "base")
    repository.split_log("disk", "snapshot")
    disk.write(3 * UNIT, b"x")
    assert bitmap(4 * MIB, repository.logs_between("snapshot", "disk") or []) == bytes([0b00010000, 0, 0, 0, 0, 0, 0, 0])
    assert repository.logs_between("disk", "snapshot") is None


def test_a_deleted_log_leaves_its_changes_to_the_next(repository: Repository) -> None:
    disk = repository.add("disk", 4 * MIB)
    repository.begin_log(disk)
    for name, unit in (("first", 1), ("second", 2)):
        disk.write(unit * UNIT, b"x")
        repository.branch("disk", name, f"base of {name}")
        repository.split_log("disk", name)
    repository.end_log("second")
    assert bitmap(4 * MIB, repository.logs_between("first", "disk") or [])[0] == 0b00100000


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_any_order_of_writes_snapshots_and_merges_reads_as_plain_bytes_would(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    chance = random.Random(seed)
    size = 4 * MIB
    repository = Repository(tmp_path_factory.mktemp("disks"), size=1024 * MIB)
    repository.add("0", size)
    plain = {"0": bytearray(size)}
    for step in range(12):
        name = chance.choice(sorted(plain))
        action = chance.choice(["write", "write", "branch", "remove", "merge"])
        if action == "write":
            offset, length = chance.randrange(size), chance.choice([1, 512, UNIT, 3 * UNIT + 7])
            data = chance.choice([b"\0", bytes([1 + step])]) * length
            repository.volumes[name].write(offset, data)
            plain[name][offset : offset + length] = data[: size - offset]
        elif action == "branch":
            repository.branch(name, f"copy {step}", f"base {step}")
            plain[f"copy {step}"] = bytearray(plain[name])
        elif action == "remove" and len(plain) > 1:
            repository.remove(name)
            del plain[name]
        elif action == "merge":
            for volume in [v for v in repository.volumes.values() if v.hidden and len(v.children) == 1][:1]:
                repository.coalesce(volume)
        for known, content in plain.items():
            assert repository.volumes[known].read(0, size) == content
    repository.close()
