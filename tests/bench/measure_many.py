# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many VMs by playbooks/spawn_many.yml, on a pool that takes its time to log in and to start a VM.

The floor is what Ansible itself needs for a play of the same shape, where every task is replaced by one of its kind that does
nothing (a module by a copy of `ansible.builtin.ping` with a name of its own, so that as many modules are packed; what runs on the
controller and what is skipped by a true assertion), and the time that the pool needs in any case: one login, and the starts, as
many at a time as there are forks.
"""

from __future__ import annotations

import json
import math
import os
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ansible.modules import ping

from .played import ROOT, Played, play
from .served import Served

COUNTS = (1, 10, 100)
FORKS = 5
LOGIN, START = 0.4, 2.0
RATIO, SPAWN_MOST, REPEAT_MOST = 1.4, 45, 20
# More than for a spawn from the cached image: a start that takes time is waited for with one call more; the image is uploaded once, and
# each fork that waited for that looks once more.
WAIT, UPLOAD = 1, 17
MODULES = "xapi.xenserver."
PING = Path(ping.__file__)
LOG_IN_OR_OUT = "xen_session"
ASSERT: dict[str, Any] = {"ansible.builtin.assert": {"that": True, "quiet": True}}


def inventory(folder: Path, count: int) -> Path:
    spawn: dict[str, Any] = {"spawn_image": str(folder / "disk.raw"), "spawn_root_size": "64MiB", "spawn_memory": "256MiB", "spawn_swap": "64MiB"}
    spawn["spawn_nics"] = [{"device": 0, "network": "Pool-wide network associated with eth0"}]
    path = folder / f"vms-{count}.yml"
    path.write_text(json.dumps({"all": {"hosts": {f"many-{number:03}": {} for number in range(count)}, "vars": spawn}}), encoding="utf-8")
    return path


def floor_play(folder: Path, done: Played) -> Path:
    """The tasks of the VM that had most of them."""
    by_host: dict[str, list[dict[str, Any]]] = {}
    for task in done.tasks:
        by_host.setdefault(task["host"], []).append(task)
    by_host.pop("localhost", None)
    longest = max(by_host.values(), key=len)
    used = [task["action"].removeprefix(MODULES) if task["action"].startswith(MODULES) and task["outcome"] != "skipped" else "" for task in longest]
    library = folder / "library"
    library.mkdir()
    for module in {LOG_IN_OR_OUT, *used} - {""}:
        shutil.copy(PING, library / f"noop_{module}.py")
    tasks = [{f"noop_{module}": {}} if module else ASSERT for module in used]
    common = {"connection": "local", "gather_facts": False, "vars": {"ansible_python_interpreter": "{{ ansible_playbook_python }}"}}
    log_in_or_out = {"hosts": "localhost", **common, "tasks": [{f"noop_{LOG_IN_OR_OUT}": {}}]}
    vms = {"hosts": "all:!localhost", "strategy": "ansible.builtin.host_pinned", **common, "tasks": tasks}
    path = folder / "floor.yml"
    path.write_text(json.dumps([log_in_or_out, vms, log_in_or_out]), encoding="utf-8")
    return path


def peak_of_sessions(calls: list[dict[str, Any]]) -> int:
    open_now = most = 0
    for call in calls:
        open_now += {"session.login_with_password": 1, "session.logout": -1}.get(call["method"], 0) if call["outcome"] == "ok" else 0
        most = max(most, open_now)
    if open_now:
        raise SystemExit(f"{open_now} sessions were left open")
    return most


def per_vm(calls: list[dict[str, Any]], count: int) -> float:
    """Without login and logout, which is once for all."""
    return sum(not call["method"].startswith("session.") for call in calls) / count


def measure(count: int) -> bool:
    with (
        TemporaryDirectory(prefix="bench-") as name,
        Served("--world", "three_hosts", "--latency", f"session.login_with_password={LOGIN}s,VM.start={START}s", log=True) as served,
    ):
        folder, forks = Path(name), min(FORKS, count)
        (folder / "disk.raw").write_bytes(os.urandom(1 << 20))
        arguments = ("-i", str(inventory(folder, count)), "-f", str(forks))

        def run(playbook: Path) -> tuple[Played, list[dict[str, Any]]]:
            before = len(served.calls())
            return play(playbook, folder, served.environment, *arguments), served.calls()[before:]

        spawn = ROOT / "playbooks" / "spawn_many.yml"
        done, calls = run(spawn)
        again, repeated = run(spawn)
        least = run(floor_play(folder, done))[0].seconds + LOGIN + math.ceil(count / forks) * START
        writes = sum(call["writes"] and not call["method"].startswith(("session.", "task.")) for call in repeated)
    figures = (done.seconds / least, per_vm(calls, count), per_vm(repeated, count))
    good = figures[0] <= RATIO and figures[1] <= SPAWN_MOST + WAIT + (UPLOAD + forks) / count and figures[2] <= REPEAT_MOST
    good &= (writes, again.changed) == (0, 0) and max(peak_of_sessions(calls), peak_of_sessions(repeated)) <= forks
    print(
        f"{count:>5}{forks:>7}{done.seconds:>9.1f}{least:>9.1f}{figures[0]:>8.2f}{figures[1]:>9.1f}{again.seconds:>11.1f}{figures[2]:>9.1f}"
        f"{again.changed:>9}{writes:>8}{peak_of_sessions(calls):>10}  {'ok' if good else 'MISSED'}",
        flush=True,
    )
    return good


def main() -> bool:
    print(f"{'VMs':>5}{'forks':>7}{'s':>9}{'floor':>9}{'ratio':>8}{'trips/VM':>9}{'repeat, s':>11}{'trips/VM':>9}{'changed':>9}{'writes':>8}{'sessions':>10}")
    print(f"{'':>30}{f'≤ {RATIO}':>8}{f'≤ {SPAWN_MOST}':>9}{'':>11}{f'≤ {REPEAT_MOST}':>9}{'0':>9}{'0':>8}{'≤ forks':>10}")
    results = [measure(count) for count in COUNTS]  # all of them, also after a miss
    return all(results)
