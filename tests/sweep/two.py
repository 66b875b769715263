# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two controllers build the same VM at the same time: never two VMs, never an orphan.

The first one stands still at a call; the second one starts then. They are on one machine or on two, by the ids of their runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

from simulator.transport.tls import Authority

from .fault import Reference, Verdict, different, unclear
from .gates import Gate
from .playing import Outcome, image, play
from .points import Point
from .pools import Pool

MACHINES = ("one machine", "two machines")
# So long the first one stands still: the second one has much of its work done then.
STANDSTILL = 6.0
PATIENCE = 120.0


def meetings(known: Reference) -> list[Point]:
    return [Point(MACHINES[number % len(MACHINES)], point.method, point.nth) for number, point in enumerate(known.refused)]


def sweep(moments: Sequence[Point], known: Reference, _spawned: Path) -> list[Verdict]:
    return [_meet(moment, known) for moment in moments]


def _meet(moment: Point, known: Reference) -> Verdict:
    with TemporaryDirectory(prefix="sweep-") as temporary:
        folder = Path(temporary)
        image(folder)
        pool = Pool(authority=Authority())
        try:
            gate = pool.simulator.faults.add(Gate(moment.method, stall=STANDSTILL, nth=moment.nth, times=1))
            assert isinstance(gate, Gate)
            told: dict[str, Outcome] = {}
            first = Thread(target=_play, args=(moment, pool, folder, "first", told))
            first.start()
            reached = gate.reached.wait(PATIENCE)
            _play(moment, pool, folder, "second", told)
            first.join()
            return _judged(moment, pool, known, told, reached=reached)
        finally:
            pool.close()


def _play(moment: Point, pool: Pool, folder: Path, name: str, told: dict[str, Outcome]) -> None:
    own = folder / name
    own.mkdir()
    # Locks lie in the folder for temporary files: two machines have two.
    apart = {"SWEEP_MACHINE": name, "TMPDIR": str(own)} if moment.how == MACHINES[1] else {"TMPDIR": str(folder)}
    told[name] = play("spawn", {name: pool.variables}, own, disk=image(folder), settings=apart)[name]


def _judged(moment: Point, pool: Pool, known: Reference, told: dict[str, Outcome], *, reached: bool) -> Verdict:
    built = [name for name, outcome in told.items() if outcome.succeeded]
    verdict = Verdict(f"{moment.method} #{moment.nth} on {moment.how}", (" and ".join(built) or "neither") + " built" if reached else "not reached")
    failed = [outcome.message for outcome in told.values() if not outcome.succeeded]
    verdict.message = "; ".join(failed)
    for message in failed:
        verdict.wrong += unclear("spawn", message)
    # When neither was built, nothing may be there.
    verdict.wrong += different(pool, known) if built else pool.difference()
    verdict.wrong += pool.problems()
    left = pool.sessions_left()
    verdict.wrong += [f"{left} sessions are left"] if left else []
    return verdict
