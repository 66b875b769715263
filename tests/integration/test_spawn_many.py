# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""playbooks/spawn_many.yml: many VMs at a time, one upload of their image, few sessions, and none of them left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sweep.gates import Gate

from simulator import Call, Rule, Simulator

from .conftest import ROOT

LOGIN, LOGOUT = "session.login_with_password", "session.logout"


@pytest.fixture
def pool() -> Iterator[Simulator]:
    with Simulator("three_hosts") as simulator:
        yield simulator
        assert simulator.problems == []


def prepared(pool: Simulator, folder: Path, vms: dict[str, dict[str, Any]], forks: int, **variables: Any) -> tuple[list[str], dict[str, str]]:
    """The command that plays it for these VMs, and its environment; the image is the same for all."""
    image, inventory = folder / "disk.raw", folder / "vms.json"
    image.write_bytes(os.urandom(1 << 20))
    common = {"spawn_image": str(image), "spawn_memory": "256MiB", **variables}
    inventory.write_text(json.dumps({"all": {"hosts": vms, "vars": common}}))
    server = pool.serve()
    environment = {
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_HOME": str(folder / "ansible"),
        "ANSIBLE_LOCAL_TEMP": str(folder / "local"),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_PIPELINING": "1",
        "ANSIBLE_REMOTE_TEMP": str(folder / "remote"),
        "LC_ALL": "C.UTF-8",
        "XENSERVER_HOST": server.url,
        "XENSERVER_USER": server.username,
        "XENSERVER_PASSWORD": server.password,
        "XENSERVER_CA_PATH": str(server.ca_path),
    }
    command = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", str(inventory), "-f", str(forks)]
    command += ["-e", f"ansible_python_interpreter={sys.executable}", str(ROOT / "playbooks" / "spawn_many.yml")]
    return command, {**os.environ, **environment}


def spawn_many(pool: Simulator, folder: Path, vms: dict[str, dict[str, Any]], forks: int, **variables: Any) -> subprocess.CompletedProcess[str]:
    """Play it for these VMs."""
    command, environment = prepared(pool, folder, vms, forks, **variables)
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600, check=False)


def running(pool: Simulator) -> list[str]:
    return sorted(record["name_label"] for record in pool.records("VM").values() if record["name_label"].startswith("many-") and record["domid"] > 0)


def sessions(calls: list[Call]) -> tuple[int, int, int]:
    """How many there were, the most at a time, and how many were left."""
    opened = now = most = 0
    for call in calls:
        if call.method == LOGIN and call.error is None:
            opened, now = opened + 1, now + 1
        elif call.method == LOGOUT:
            now -= 1
        most = max(most, now)
    return opened, most, now


def uploads(calls: list[Call]) -> int:
    return sum(call.method == "PUT /import_raw_vdi" for call in calls)


def test_one_session_one_upload_and_a_failure_of_one_is_its_own(pool: Simulator, tmp_path: Path) -> None:
    pool.faults.add(Rule("PUT /import_raw_vdi", stall=1.0))  # so that all others find the image half made
    vms: dict[str, dict[str, Any]] = {f"many-{number}": {} for number in range(5)}
    vms["many-3"] = {"spawn_memory": "900GiB"}
    done = spawn_many(pool, tmp_path, vms, forks=5)
    assert done.returncode == 2, done.stdout + done.stderr
    assert running(pool) == ["many-0", "many-1", "many-2", "many-4"]
    assert "many-3 was not built: VM exists: no host has 900GiB of memory free" in done.stdout
    assert uploads(pool.calls) == 1
    assert sessions(pool.calls) == (1, 1, 0)
    recap = done.stdout[done.stdout.index("PLAY RECAP") :]
    assert [line.split()[0] for line in recap.splitlines() if "failed=1" in line] == ["many-3"]


def test_a_session_for_each_vm_and_never_more_than_forks(pool: Simulator, tmp_path: Path) -> None:
    done = spawn_many(pool, tmp_path, {f"many-{number}": {} for number in range(3)}, forks=2, spawn_many_session="vm")
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(running(pool)) == 3
    assert uploads(pool.calls) == 1
    opened, most, left = sessions(pool.calls)
    assert (opened, left) == (3, 0)
    assert most <= 2


def test_an_interrupted_run_is_finished_by_the_next(pool: Simulator, tmp_path: Path) -> None:
    """Ansible plays nothing more after Ctrl-C: what it had open stays until the pool ends it, and never more than that."""
    vms: dict[str, dict[str, Any]] = {f"many-{number}": {} for number in range(3)}
    gate = pool.faults.add(Gate("VM.start", stall=3.0, times=1))
    assert isinstance(gate, Gate)
    command, environment = prepared(pool, tmp_path, vms, forks=2, spawn_many_session="vm")
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert gate.reached.wait(300)
        process.send_signal(signal.SIGINT)
        output, _unused = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "User interrupted execution" in output
    _opened, most, left = sessions(pool.calls)
    assert max(most, left) <= 2
    before = len(pool.calls)
    again = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert again.returncode == 0, again.stdout + again.stderr
    assert running(pool) == sorted(vms)
    assert sessions(pool.calls[before:])[2] == 0
    names = [record["name_label"] for record in pool.records("VM").values()]
    assert [names.count(name) for name in vms] == [1, 1, 1]
    assert len([record for record in pool.records("VDI").values() if record["name_label"] in vms]) == 3
