# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""community.general's xenserver_guest and its siblings against ours, for what both can do with a VM: one task each, login included.

The VM is made of a template with two disks and one NIC. Both play in turn on the same pool, which takes its time to log in and to start.
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
LATENCY = "session.login_with_password=400ms,VM.start=2s"
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


def main() -> bool:
    subprocess.run([sys.executable, str(INSTALL)], check=True)
    seconds: dict[tuple[str, str], list[float]] = {}
    trips: dict[tuple[str, str], int] = {}
    with TemporaryDirectory(prefix="bench-") as name, Served("--world", str(world(Path(name))), "--latency", LATENCY, log=True) as served:
        for _round in range(ROUNDS):
            for who, tasks in (("ours", our_tasks("bench-1")), ("theirs", their_tasks("bench-2"))):
                # An info task of each kind first: a module is packed when it is first used, and that is not measured.
                modules = {key: (WARM, task) for label, task in tasks for key in task if label in ("absent", "info", "power off")}
                warm = [(WARM, {**task, "ignore_errors": True}) for _label, task in modules.values()]
                done, counts = played(Path(name), served, [*warm, *tasks])
                outcomes = [task for task in done.tasks if task["task"] != WARM]
                for (label, _task), outcome, count in zip(tasks, outcomes, counts[len(warm) :], strict=True):
                    if (outcome["outcome"] == "changed") != (label not in ("rerun", "info")):
                        raise SystemExit(f"{who}, {label}: {outcome['outcome']}")
                    seconds.setdefault((label, who), []).append(outcome["seconds"])
                    trips[label, who] = count
    good = True
    print(f"{'':<12}{'round trips':>16}{'seconds, median of ' + str(ROUNDS):>28}\n{'':<12}{'ours':>8}{'theirs':>8}{'ours':>18}{'theirs':>10}   (ours lower)")
    for label, _task in our_tasks(""):
        ours, theirs = (statistics.median(seconds[label, who]) for who in ("ours", "theirs"))
        fine = trips[label, "ours"] < trips[label, "theirs"] and ours < theirs
        good &= fine
        print(f"{label:<12}{trips[label, 'ours']:>8}{trips[label, 'theirs']:>8}{ours:>18.2f}{theirs:>10.2f}   {'ok' if fine else 'MISSED'}")
    return good
