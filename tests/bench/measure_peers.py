# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""community.general's xenserver_guest and its siblings against ours, for what both can do with a VM: one task each, login included.

The VM is made of a template with two disks and one NIC. Both play in turn on the same pool, which takes its time: to log in and to start
as a busy pool does, and a little for every other call, in proportion. The first round, on a pool that takes none, counts and tells which
calls there are.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from .played import ROOT, Played, play
from .served import Served

ROUNDS = 5
INSTALL = ROOT / "tests" / "strangers" / "install.py"
THEIRS = ROOT / ".build" / "strangers" / "ansible"
TEMPLATE = "Two disks"
# A recorded pool at rest logs in within 40 ms and answers a getter within 0.5 ms; a busy one takes ten times as long.
SLOW = {"session.login_with_password": "400ms", "VM.start": "2s"}
OTHER = "5ms"
WARM = "warm"
Task = tuple[str, dict[str, Any]]


def our_tasks(name: str) -> list[Task]:
    create = {"xapi.xenserver.xen_vm": {"name": name, "template": TEMPLATE, "description": "bench", "memory": "512MiB", "vcpus": 2}}
    return [
        ("create", create),
        ("rerun", create),
        ("info", {"xapi.xenserver.xen_vm_info": {"name": name}}),
        ("power on", {"xapi.xenserver.xen_power": {"name": name, "state": "running"}}),
        ("power off", {"xapi.xenserver.xen_power": {"name": name, "state": "halted", "force": True}}),
        ("absent", {"xapi.xenserver.xen_vm": {"name": name, "state": "absent", "destroy_disks": True}}),
    ]


def their_tasks(name: str) -> list[Task]:
    hardware = {"memory_mb": 512, "num_cpus": 2}
    create = {"community.general.xenserver_guest": {"name": name, "template": TEMPLATE, "name_desc": "bench", "hardware": hardware, "linked_clone": True}}
    power = "community.general.xenserver_guest_powerstate"
    return [
        ("create", create),
        ("rerun", create),
        ("info", {"community.general.xenserver_guest_info": {"name": name}}),
        ("power on", {power: {"name": name, "state": "powered-on"}}),
        ("power off", {power: {"name": name, "state": "powered-off"}}),
        ("absent", {"community.general.xenserver_guest": {"name": name, "state": "absent"}}),
    ]


TASKS = {"ours": our_tasks, "theirs": their_tasks}


def world(folder: Path) -> Path:
    blueprint = json.loads((ROOT / "tests/simulator/worlds/one_host.json").read_text(encoding="utf-8"))
    disks = [{"sr": "NFS storage", "size": "4GiB", "name": f"disk {number}"} for number in range(2)]
    nics = ["Pool-wide network associated with eth0"]
    blueprint["machines"].append({"name": TEMPLATE, "template": True, "memory": "1GiB", "vcpus": 1, "disks": disks, "networks": nics})
    path = folder / "world.json"
    path.write_text(json.dumps(blueprint), encoding="utf-8")
    return path


def played(folder: Path, served: Served, tasks: list[Task]) -> tuple[Played, list[int]]:
    """The play, and the round trips of each task: every task logs in for itself."""
    playbook = folder / "play.yml"
    named = [{"name": name, **task} for name, task in tasks]
    playbook.write_text(json.dumps([{"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": named}]), encoding="utf-8")
    before = len(served.calls())
    environment = {**served.environment, "SSL_CERT_FILE": served.ca_path, "ANSIBLE_COLLECTIONS_PATH": f"{ROOT / '.build'}:{THEIRS}"}
    done = play(playbook, folder, environment)
    trips: list[int] = []
    for call in served.calls()[before:]:
        if call["method"] == "session.login_with_password":
            trips.append(0)
        trips[-1] += 1
    if len(trips) != len(tasks):
        raise SystemExit(f"{len(tasks)} tasks logged in {len(trips)} times")
    return done, trips


def round_of(folder: Path, served: Served, who: str) -> dict[str, tuple[float, int]]:
    """Seconds and round trips of each task."""
    tasks = TASKS[who]("bench")
    # Each module is packed when it is first used, which is not measured. In check mode it does nothing.
    modules = {module: options for _label, task in tasks for module, options in task.items()}
    warm: list[Task] = [(WARM, {module: options, "check_mode": True, "ignore_errors": True}) for module, options in modules.items()]
    done, trips = played(folder, served, [*warm, *tasks])
    measured = {}
    for (label, _task), outcome, count in zip(tasks, [task for task in done.tasks if task["task"] != WARM], trips[len(warm) :], strict=True):
        if (outcome["outcome"] == "changed") != (label not in ("rerun", "info")):
            raise SystemExit(f"{who}, {label}: {outcome['outcome']}")
        measured[label] = (outcome["seconds"], count)
    return measured


def main() -> bool:
    subprocess.run([sys.executable, str(INSTALL)], check=True)
    with TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        pool = str(world(folder))
        with Served("--world", pool, log=True) as served:
            counted = {who: round_of(folder, served, who) for who in TASKS}
            methods = {call["method"] for call in served.calls() if "." in call["method"] and not call["method"].startswith(("Async.", "event."))}
        latency = ",".join(f"{method}={SLOW.get(method, OTHER)}" for method in sorted(methods | SLOW.keys()))
        with Served("--world", pool, "--latency", latency, log=True) as served:
            rounds = [{who: round_of(folder, served, who) for who in TASKS} for _round in range(ROUNDS)]
    good = True
    print("ours are to be lower: all round trips, and the time of create")
    print(f"{'':<12}{'round trips':>16}{f'seconds, median of {ROUNDS}':>28}")
    print(f"{'':<12}{'ours':>8}{'theirs':>8}{'ours':>18}{'theirs':>10}")
    for label in counted["ours"]:
        trips = [counted[who][label][1] for who in TASKS]
        seconds = [statistics.median(one[who][label][0] for one in rounds) for who in TASKS]
        # The time of a task that does next to nothing is Ansible's own, within the noise of the machine.
        fine = trips[0] < trips[1] and (label != "create" or seconds[0] < seconds[1])
        good &= fine
        print(f"{label:<12}{trips[0]:>8}{trips[1]:>8}{seconds[0]:>18.2f}{seconds[1]:>10.2f}   {'ok' if fine else 'MISSED'}")
    return good
