# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Repositories that outlive their process: what was committed is there, whatever was begun after it."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from simulator.storage import Ledger, Repository, Store
from simulator.storage.layer import UNIT

UNITS = 4
SR = "sr"


class Repositories(RuleBasedStateMachine):
    """A repository worked on like a driver does; after any step the process may be killed."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="ledger-"))
        self.ledger = Ledger(self.folder / "ledger")
        self.store = Store(self.folder / "disks", self.ledger)
        self.store.settle = self.commit
        self.contents: dict[str, list[bytes]] = {}  # volume → its units
        # Of every committed volume: what each unit has held since the commit.
        self.committed: dict[str, list[set[bytes]]] = {}
        self.made = 0
        self.commit()

    @property
    def repository(self) -> Repository:
        return self.store.repository(SR)

    def name(self) -> str:
        self.made += 1
        return f"volume-{self.made}"

    def leaves(self) -> list[str]:
        return sorted(name for name, volume in self.repository.volumes.items() if not volume.children and not volume.hidden)

    @rule()
    def create(self) -> None:
        name = self.name()
        self.repository.add(name, UNITS * UNIT)
        self.contents[name] = [bytes(UNIT)] * UNITS

    @precondition(lambda self: self.leaves())
    @rule(data=st.data(), unit=st.integers(0, UNITS - 1), value=st.integers(0, 255), partly=st.booleans())
    def write(self, data: st.DataObject, unit: int, value: int, partly: bool) -> None:
        name = data.draw(st.sampled_from(self.leaves()))
        old = self.contents[name][unit]
        new = bytes([value]) * 512 + old[512:] if partly else bytes([value]) * UNIT
        self.repository.volumes[name].write(unit * UNIT, new[:512] if partly else new)
        self.contents[name][unit] = new
        if name in self.committed:
            self.committed[name][unit].add(new)

    @precondition(lambda self: self.leaves())
    @rule(data=st.data())
    def branch(self, data: st.DataObject) -> None:
        name, copy = data.draw(st.sampled_from(self.leaves())), self.name()
        self.repository.branch(name, copy, f"{copy}-base")
        self.contents[copy] = list(self.contents[name])

    @precondition(lambda self: self.leaves())
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(self.leaves()))
        self.repository.remove(name)
        del self.contents[name]

    @rule()
    def collect(self) -> None:
        for volume in list(self.repository.volumes.values()):
            if volume.hidden and len(volume.children) == 1:
                self.repository.coalesce(volume)
                return

    @rule()
    def commit(self) -> None:
        self.repository.size = 2**30
        self.store.save(self.ledger)
        self.ledger.commit()
        self.store.clean()
        self.committed = {name: [{unit} for unit in units] for name, units in self.contents.items()}

    @rule()
    def kill(self) -> None:
        """A copy of what is on the disk right now must open, with every committed volume in it."""
        with tempfile.TemporaryDirectory(prefix="ledger-") as copy:
            shutil.copytree(self.folder, copy, dirs_exist_ok=True)
            ledger = Ledger(Path(copy) / "ledger")
            found = Store(Path(copy) / "disks", ledger).repository(SR)
            assert {name for name, volume in found.volumes.items() if not volume.hidden} == set(self.committed)
            for name, units in self.committed.items():
                data = found.volumes[name].read(0, UNITS * UNIT)
                for unit, possible in enumerate(units):
                    assert data[unit * UNIT : (unit + 1) * UNIT] in possible, f"unit {unit} of {name}"
            found.close()
            ledger.close()

    @invariant()
    def bytes_are_right(self) -> None:
        for name, units in self.contents.items():
            assert self.repository.volumes[name].read(0, UNITS * UNIT) == b"".join(units)

    def teardown(self) -> None:
        self.store.close()
        self.ledger.close()
        shutil.rmtree(self.folder)


TestRepositories = Repositories.TestCase
# The same walks every time, but in the deep profile.
CHOSEN: dict[str, Any] = (
    {} if settings.get_current_profile_name() == "deep" else {"max_examples": 60, "stateful_step_count": 25, "derandomize": True, "database": None}
)
TestRepositories.settings = settings(deadline=None, suppress_health_check=list(HealthCheck), **CHOSEN)


def test_what_is_merged_is_committed_first(tmp_path: Path) -> None:
    """A random walk found it: the ledger still knew the disk that the snapshot was taken of by the file that went to its copy."""
    ledger = Ledger(tmp_path / "ledger")
    store = Store(tmp_path / "disks", ledger)

    def commit() -> None:
        store.save(ledger)
        ledger.commit()
        store.clean()

    store.settle = commit
    repository = store.repository(SR)
    repository.add("disk", UNITS * UNIT)
    commit()
    base = repository.branch("disk", "copy", "base")
    assert base is not None
    repository.remove("disk")
    repository.coalesce(base)
    repository.volumes["copy"].write(0, b"x" * UNIT)
    # The process is killed here, and the ledger knows what was there before the merge.
    found = Store(tmp_path / "disks", Ledger(tmp_path / "ledger")).repository(SR)
    assert {name for name, volume in found.volumes.items() if not volume.hidden} == {"copy"}


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger")


def saved(store: Store, ledger: Ledger) -> None:
    store.save(ledger)
    ledger.commit()
    store.clean()


def test_nothing_of_a_store_without_a_ledger_stays(tmp_path: Path) -> None:
    store = Store()
    store.repository(SR).add("disk", UNIT).write(0, b"x")
    folder = store.directory
    assert [path.name for path in (folder / SR).iterdir() if path.suffix == ".map"] == []
    store.close()
    assert not folder.exists()


def test_files_that_no_volume_needs_are_swept(tmp_path: Path, ledger: Ledger) -> None:
    store = Store(tmp_path / "disks", ledger)
    store.repository(SR).size = 1
    store.repository(SR).add("kept", UNIT).write(0, b"x")
    saved(store, ledger)
    store.repository(SR).add("begun", UNIT).write(0, b"x")
    store.close()
    assert len(list((tmp_path / "disks" / SR).iterdir())) == 4
    again = Store(tmp_path / "disks", ledger)
    assert len(list((tmp_path / "disks" / SR).iterdir())) == 2
    assert again.repository(SR).volumes.keys() == {"kept"}
    assert again.repository(SR).volumes["kept"].read(0, 2) == b"x\0"


def test_a_wiped_repository_is_forgotten(tmp_path: Path, ledger: Ledger) -> None:
    store = Store(tmp_path / "disks", ledger)
    volume = store.repository(SR).add("disk", UNIT)
    store.repository(SR).begin_log(volume)
    volume.write(0, b"x")
    saved(store, ledger)
    store.drop(SR)
    assert (tmp_path / "disks" / SR).exists(), "the ledger still needs it"
    saved(store, ledger)
    assert not (tmp_path / "disks" / SR).exists()
    (tmp_path / "disks" / SR).mkdir()  # as if killed before it was removed
    assert Store(tmp_path / "disks", ledger).repositories == {}
    assert not (tmp_path / "disks" / SR).exists()


def test_a_repository_that_comes_from_elsewhere_is_kept_from_then_on(tmp_path: Path, ledger: Ledger) -> None:
    other, store = Store(tmp_path / "other"), Store(tmp_path / "disks", ledger)
    volume = other.repository(SR).add("disk", 4 * UNIT)
    other.repository(SR).begin_log(volume)
    volume.write(UNIT, b"x")
    store.take_over(SR, other)
    saved(store, ledger)
    found = Store(tmp_path / "disks", ledger).repository(SR)
    assert found.volumes["disk"].read(UNIT, 2) == b"x\0"
    assert found.logs["disk"].units == b"\0\1"
    assert found.volumes["disk"].changes is found.logs["disk"]
