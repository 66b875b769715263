# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`--state`: the pool goes on where it was; killed at any moment, it has what it answered, and its disks are whole."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import xmlrpc.client
from pathlib import Path
from typing import Any

import pytest

from simulator import Failure, Simulator, StateError

TESTS = Path(__file__).parents[2]
MIB = 1024 * 1024
# What restarting the toolstack changes by itself (recording `restart`).
RENEWED = {"session", "task", "host_cpu", "host", "host_metrics", "PBD", "SR", "VDI", "VBD"}


def disk(session: Any, sr: str, size: int = 8 * MIB, name: str = "kept") -> str:
    record = {"SR": sr, "virtual_size": size, "type": "user", "sharable": False, "read_only": False, "other_config": {}}
    return session.VDI.create({"name_label": name, **record})


def write(simulator: Simulator, vdi: str, offset: int, data: bytes) -> None:
    async def work() -> None:
        simulator.engine.behaviours["VDI"].volume(vdi).write(offset, data)

    simulator.run(work())


def read(simulator: Simulator, vdi: str, offset: int, length: int) -> bytes:
    async def work() -> bytes:
        return simulator.engine.behaviours["VDI"].volume(vdi).read(offset, length)

    return simulator.run(work())


def rows(simulator: Simulator) -> dict[str, list[tuple[str, Any]]]:
    return {cls: list(simulator.records(cls).items()) for cls in simulator.engine.db.tables if cls not in RENEWED}


def names(session: Any) -> set[str]:
    return {session.VDI.get_name_label(vdi) for vdi in session.VDI.get_all()}


def test_everything_is_there_again_in_its_order(tmp_path: Path) -> None:
    with Simulator("three_hosts", state=tmp_path / "pool") as simulator:
        session = simulator.session()
        vm = session.VM.clone(session.VM.get_by_name_label("Other install media")[0], "a clone")
        session.VM.add_tags(vm, "kept")
        session.VM.destroy(session.VM.clone(vm, "gone"))
        session.message.create("SAID", 5, "VM", session.VM.get_uuid(vm), "something")
        before = rows(simulator)
    with Simulator("one_host", state=tmp_path / "pool") as simulator:
        assert rows(simulator) == before
        assert simulator.session().VM.get_tags(vm) == ["kept"]
        assert simulator.problems == []


def test_sessions_tasks_and_tokens_are_as_after_a_restart_of_the_toolstack(tmp_path: Path) -> None:
    with Simulator("one_host", state=tmp_path) as simulator:
        session = simulator.session()
        session.task.create("mine", "")
        token = session.call("event.from", ["VM"], "", 0.0)["token"]
        reference = session.ref
    with Simulator("one_host", state=tmp_path) as simulator:
        with pytest.raises(Failure, match="SESSION_INVALID"):
            simulator.connect().call("VM.get_all", [reference])
        session = simulator.session()
        assert session.task.get_all() == []
        events = session.call("event.from", ["VM"], token, 0.0)["events"]
        assert {event["operation"] for event in events} == {"add"}
        assert {event["ref"] for event in events} == set(session.VM.get_all())


def test_a_changed_password_stays_changed(tmp_path: Path) -> None:
    with Simulator("one_host", state=tmp_path) as simulator:
        simulator.session().session.change_password("simulated", "another")
    with Simulator("one_host", state=tmp_path) as simulator:
        assert simulator.password == "another"
        with pytest.raises(Failure, match="SESSION_AUTHENTICATION_FAILED"):
            simulator.session(password="simulated")
        simulator.session()


@pytest.mark.parametrize("kind", ["NFS storage", "Local storage"])
def test_disks_keep_bytes_chains_sizes_and_change_logs(tmp_path: Path, kind: str) -> None:
    with Simulator("three_hosts", state=tmp_path) as simulator:
        session = simulator.session()
        sr = session.SR.get_by_name_label(kind)[0]
        vdi, empty = disk(session, sr), disk(session, sr, name="empty")
        session.VDI.enable_cbt(vdi)
        write(simulator, vdi, 0, b"before" * 100)
        snapshot = session.VDI.snapshot(vdi)
        write(simulator, vdi, 64 * 1024 * 3, b"after")
        clone = session.VDI.clone(snapshot)
        session.VDI.destroy(empty)
        session.SR.scan(sr)
        disks = {ref: session.VDI.get_record(ref) for ref in session.SR.get_VDIs(sr)}
        used, changed = session.SR.get_physical_utilisation(sr), session.VDI.list_changed_blocks(snapshot, vdi)
    with Simulator("three_hosts", state=tmp_path) as simulator:
        session = simulator.session()
        settle(session, sr)
        session.SR.scan(sr)
        found = {ref: session.VDI.get_record(ref) for ref in session.SR.get_VDIs(sr)}
        assert found == disks
        assert session.SR.get_physical_utilisation(sr) == used
        assert session.VDI.list_changed_blocks(snapshot, vdi) == changed
        assert read(simulator, vdi, 0, 600) == read(simulator, clone, 0, 600) == b"before" * 100
        assert read(simulator, vdi, 64 * 1024 * 3, 5) == b"after"
        assert read(simulator, snapshot, 64 * 1024 * 3, 5) == bytes(5)
        write(simulator, vdi, 64 * 1024 * 9, b"later")
        assert session.VDI.list_changed_blocks(snapshot, vdi) != changed
        assert simulator.problems == []


def settle(session: Any, sr: str) -> None:
    """A toolstack that has just started plugs its storage first."""
    deadline = time.monotonic() + 10
    while not all(session.PBD.get_currently_attached(pbd) for pbd in session.SR.get_PBDs(sr)) and time.monotonic() < deadline:
        time.sleep(0.05)


def test_files_of_disks_that_are_gone_are_gone(tmp_path: Path) -> None:
    def files() -> list[Path]:
        return [path for path in (tmp_path / "disks").rglob("*") if path.is_file()]

    with Simulator("one_host", state=tmp_path) as simulator:
        session = simulator.session()
        vdi = disk(session, session.SR.get_by_name_label("Local storage")[0])
        write(simulator, vdi, 0, b"x")
        assert len(files()) == 2
        session.VDI.destroy(vdi)
        assert files() == []


def test_one_simulator_a_directory_and_one_level_a_pool(tmp_path: Path) -> None:
    with Simulator("one_host", state=tmp_path), pytest.raises(StateError, match="another simulator uses it"):
        Simulator("one_host", state=tmp_path)
    with pytest.raises(StateError, match=r"a pool of API level 8\.3, which cannot be served as 8\.2"):
        Simulator("one_host", api="8.2", state=tmp_path)
    with Simulator("one_host", api="8.2", state=tmp_path / "older"):
        pass
    with Simulator("one_host", state=tmp_path / "older") as simulator:
        assert simulator.engine.schema.level == "8.2"


# Killed


class Served:
    """The simulator as a process of its own, and a client of it."""

    def __init__(self, folder: Path) -> None:
        ready = folder / "ready.json"
        ready.unlink(missing_ok=True)
        words = ["--world", "one_host", "--http", "--port", "0", "--state", str(folder / "state"), "--ready-file", str(ready)]
        self.process = subprocess.Popen([sys.executable, str(TESTS / "simulator"), *words])
        deadline = time.monotonic() + 20
        while not ready.exists():
            assert self.process.poll() is None, "the simulator did not start"
            assert time.monotonic() < deadline
            time.sleep(0.02)
        description = json.loads(ready.read_text(encoding="utf-8"))
        self.proxy = xmlrpc.client.ServerProxy(description["http_url"])
        self.session = self.call("session.login_with_password", description["username"], description["password"], session=False)

    def call(self, method: str, *params: Any, session: bool = True) -> Any:
        function: Any = self.proxy
        for part in method.split("."):
            function = getattr(function, part)
        answer = function(*([self.session] if session else []), *params)
        if answer["Status"] != "Success":
            raise Failure(*answer["ErrorDescription"])
        return answer.get("Value")

    def kill(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()


def worked(served: Served, sr: str, known: dict[str, bool], chance: random.Random, number: int) -> None:
    """Make, snapshot and remove disks for as long as anybody answers. `known`: name → there; what is being changed is not in it."""
    try:
        for step in range(10_000):
            name = f"{number}-{step}"
            record = {"name_label": name, "SR": sr, "virtual_size": str(4 * MIB), "type": "user", "sharable": False, "read_only": False}
            vdi = served.call("VDI.create", {**record, "other_config": {}})
            known[name] = True
            if chance.random() < 0.5:
                served.call("VDI.set_name_label", served.call("VDI.snapshot", vdi, {}), f"{name}-snapshot")
                known[f"{name}-snapshot"] = True
            if chance.random() < 0.5:
                del known[name]
                served.call("VDI.destroy", vdi)
                known[name] = False
    except (OSError, xmlrpc.client.Error):
        pass


def test_what_was_answered_survives_a_kill(tmp_path: Path) -> None:
    chance, known = random.Random(7), dict[str, bool]()
    for number in range(4):
        served = Served(tmp_path)
        sr = served.call("SR.get_by_name_label", "Local storage")[0]
        deadline = time.monotonic() + 10
        while not served.call("PBD.get_currently_attached", served.call("SR.get_PBDs", sr)[0]) and time.monotonic() < deadline:
            time.sleep(0.05)
        disks = {ref: record for ref, record in served.call("VDI.get_all_records").items() if record["SR"] == sr}
        # The server may be killed between a snapshot and its renaming: until then it has the name of its disk.
        found = [disk["name_label"] for disk in disks.values() if disk["name_label"] != disks.get(disk["snapshot_of"], {}).get("name_label", "none of these")]
        assert len(found) - found.count("base copy") == len({name for name in found if name != "base copy"})
        for name, there in known.items():
            assert (name in found) == there, f"{name} after kill {number}"
        before = {ref: {**record, "physical_utilisation": ""} for ref, record in served.call("VDI.get_all_records").items()}
        served.call("SR.scan", sr)
        after = {ref: {**record, "physical_utilisation": ""} for ref, record in served.call("VDI.get_all_records").items()}
        assert after == before, "database and disks disagree"
        worker = threading.Thread(target=worked, args=(served, sr, known, chance, number))
        worker.start()
        time.sleep(0.3 + chance.random() * 0.4)
        served.kill()
        worker.join()
    assert len(known) > 20
