# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""ansible-playbook is killed in the midst of a spawn; the rerun finishes it: one VM with exactly its disks, and nothing else.

Of two ways to be killed each has its turn: `all`, the controller with every process it started, as when its machine loses power,
and `group`, only its own process group: the last task of Ansible runs on, as it does after `kill -9` in a terminal.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from simulator.transport.tls import Authority

from .fault import Reference, Verdict, different
from .gates import Gate
from .playing import command, environment, play, started
from .points import REFUSAL, Point
from .pools import Pool

WAYS = ("all", "group")
# A call that is killed stands still for so long: the kill comes within it.
STANDSTILL = 3.0
PATIENCE = 120.0


def kills(known: Reference) -> list[Point]:
    """The moments: each call of the pool, before it acts. For who is dead, that is as good as after the one before."""
    return [Point(WAYS[number % len(WAYS)], point.method, point.nth) for number, point in enumerate(known.refused)]


def sweep(moments: Sequence[Point], known: Reference, _spawned: Path) -> list[Verdict]:
    """One batch: each spawn is killed by itself, and one ansible-playbook repeats them all."""
    with TemporaryDirectory(prefix="sweep-") as temporary:
        folder, authority = Path(temporary), Authority()
        pools = {f"point{number}": Pool(authority=authority) for number in range(len(moments))}
        try:
            verdicts = [_killed(moment, pool, folder) for moment, pool in zip(moments, pools.values(), strict=True)]
            again = play("spawn", {name: pool.variables for name, pool in pools.items()}, folder, in_process=False)
            for verdict, (name, pool) in zip(verdicts, pools.items(), strict=True):
                _judge(verdict, pool, known)
                verdict.wrong += [] if again[name].succeeded else [f"the rerun failed: {again[name].message}"]
            return verdicts
        finally:
            for pool in pools.values():
                pool.close()


def _killed(moment: Point, pool: Pool, folder: Path) -> Verdict:
    # Nobody is left to hear the refusal; it keeps the call from acting.
    error = REFUSAL if moment.how == "all" else ()
    gate = pool.simulator.faults.add(Gate(moment.method, stall=STANDSTILL, error=error, nth=moment.nth, times=1))
    assert isinstance(gate, Gate)
    argv = command("spawn", {"killed": pool.variables}, folder)
    with started(argv, environment(folder, in_process=False), folder / "killed.log") as process:
        reached = gate.reached.wait(PATIENCE)
        victims = _descendants(process.pid) if moment.how == "all" else []
        os.killpg(process.pid, signal.SIGKILL)
        for victim in victims:
            _kill(victim)
        process.wait()
    return Verdict(f"{moment.method} #{moment.nth} {moment.how} killed", "killed" if reached else "not reached")


def _descendants(process: int) -> list[int]:
    """All processes below one: Ansible gives its workers groups of their own."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:  # It ended meanwhile.
            continue
        parent = int(text.rpartition(")")[2].split()[1])
        children.setdefault(parent, []).append(int(path.parent.name))
    found, waiting = [], [process]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def _kill(process: int) -> None:
    try:
        os.kill(process, signal.SIGKILL)
    except ProcessLookupError:
        return


def _judge(verdict: Verdict, pool: Pool, known: Reference) -> None:
    # A killed run cannot log out: its session stays until xapi ends it, and so does the task of a killed wait.
    verdict.wrong += different(pool, known) + pool.problems()
