# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many VMs by playbooks/spawn_many.yml, on a pool that takes its time to log in and to start a VM.

The floor is what Ansible itself needs for a play of the same shape, where every task is replaced by one of its kind that does nothing, and
the sum of what the pool needs in any case: one login, and the start of each VM. As VMs start side by side, a second floor counts the starts
only as often as the forks come round; nobody can be below it, and it is shown beside the other one.

What does nothing is a true assertion for what runs on the controller or is skipped, and `ansible.builtin.ping` for a module, under as many
names as there are modules: Ansible packs each module once in a run, which is a sixth of a second that a single VM feels.
A single VM takes seconds, in which two runs of the same differ by a tenth: it is measured three times, and the median counts.
Round trips are bounded by `measure_round_trips`; here one VM in the run uploads the image, and others wait for it.
"""

from __future__ import annotations

import json
import math
import os
import statistics
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ansible.modules import ping

from .played import ROOT, Played, play
from .served import Served

TIMES = {1: 3, 10: 1, 100: 1}  # how often each number of VMs is measured
FORKS = 5
LOGIN, START = 0.4, 2.0
RATIO, REPEAT_MOST = 1.4, 20
# Of the session that all share, and of the image that all share.
ONCE = ("session.",)
MODULES = "xapi.xenserver."
PING = Path(ping.__file__)
ASSERTION = {"ansible.builtin.assert": {"that": True, "quiet": True}}


def inventory(folder: Path, count: int) -> Path:
    spawn: dict[str, Any] = {"spawn_image": str(folder / "disk.raw"), "spawn_root_size": "64MiB", "spawn_memory": "256MiB", "spawn_swap": "64MiB"}
    spawn["spawn_nics"] = [{"device": 0, "network": "Pool-wide network associated with eth0"}]
    path = folder / f"vms-{count}.yml"
    path.write_text(json.dumps({"all": {"hosts": {f"many-{number:03}": {} for number in range(count)}, "vars": spawn}}), encoding="utf-8")
    return path


def _nothing(folder: Path, action: str) -> dict[str, Any]:
    """A task that does nothing where this action was. Modules beside a playbook, in its folder `library`, are found by Ansible."""
    if not action.startswith(MODULES):
        return ASSERTION
    name = action.removeprefix(MODULES).replace("xen_", "ping_")
    (folder / "library").mkdir(exist_ok=True)
    (folder / "library" / f"{name}.py").write_bytes(PING.read_bytes())
    return {name: {}}


def floor_play(folder: Path, done: Played) -> Path:
    """The tasks of the VM that had most of them."""
    by_host: dict[str, list[dict[str, Any]]] = {}
    for task in done.tasks:
        by_host.setdefault(task["host"], []).append(task)
    by_host.pop("localhost", None)
    longest = max(by_host.values(), key=len)
    tasks = [_nothing(folder, task["action"]) if task["outcome"] != "skipped" else ASSERTION for task in longest]
    common = {"connection": "local", "gather_facts": False, "vars": {"ansible_python_interpreter": "{{ ansible_playbook_python }}"}}
    log_in_or_out = {"hosts": "localhost", **common, "tasks": [_nothing(folder, f"{MODULES}xen_session")]}
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
    return sum(not call["method"].startswith(ONCE) for call in calls) / count


def measure(count: int) -> tuple[float, bool]:
    """The ratio to the floor, and whether all that is no matter of time is as it has to be."""
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
        nothing = run(floor_play(folder, done))[0].seconds + LOGIN
        writes = sum(call["writes"] and not call["method"].startswith(("session.", "task.")) for call in repeated)
    summed, side_by_side = nothing + count * START, nothing + math.ceil(count / forks) * START
    uploads = sum(call["method"] == "PUT /import_raw_vdi" for call in calls) - count  # beside the swap disk of each VM
    sessions = max(peak_of_sessions(calls), peak_of_sessions(repeated))
    ratio = done.seconds / summed
    good = per_vm(repeated, count) <= REPEAT_MOST and (writes, again.changed, uploads) == (0, 0, 1) and sessions <= forks
    print(
        f"{count:>5}{forks:>6}{done.seconds:>9.1f}{summed:>8.1f}{ratio:>7.2f}{side_by_side:>9.1f}{done.seconds / side_by_side:>7.2f}"
        f"{uploads:>9}{per_vm(calls, count):>10.1f}{again.seconds:>11.1f}{per_vm(repeated, count):>10.1f}"
        f"{again.changed:>9}{writes:>8}{sessions:>10}  {'' if good else 'MISSED'}",
        flush=True,
    )
    return ratio, good


def measured(count: int, times: int) -> bool:
    results = [measure(count) for _time in range(times)]
    median = statistics.median(ratio for ratio, _good in results)
    good = median <= RATIO and all(good for _ratio, good in results)
    print(f"{count:>5}{'median' if times > 1 else '':>23}{median:>7.2f}  {'ok' if good else 'MISSED'}", flush=True)
    return good


def main() -> bool:
    print(
        f"{'VMs':>5}{'forks':>6}{'s':>9}{'floor':>8}{'ratio':>7}{'2nd':>9}{'ratio':>7}"
        f"{'uploads':>9}{'trips/VM':>10}{'repeat, s':>11}{'trips/VM':>10}{'changed':>9}{'writes':>8}{'sessions':>10}"
    )
    print(f"{'':>28}{f'≤ {RATIO}':>7}{'':>16}{'1':>9}{'':>21}{f'≤ {REPEAT_MOST}':>10}{'0':>9}{'0':>8}{'≤ forks':>10}")
    results = [measured(count, times) for count, times in TIMES.items()]  # each is shown, also when one before it was missed
    return all(results)
