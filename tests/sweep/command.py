# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Command line: which sweeps, how many points, and the table in the end."""

from __future__ import annotations

import argparse
import multiprocessing
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

from . import fault, kill, two
from .fault import Reference, Verdict
from .points import Point, sample

WORKERS = 2
BATCH = 12
WIDEST = 400  # letters of a line; records are long
Choice = Callable[[Reference], list[Point]]
Judge = Callable[[Sequence[Point], Reference, Path], list[Verdict]]


def in_batches(role: str, chosen: Choice, judge: Judge, number: int) -> list[Verdict]:
    """Play the role undisturbed, and then disturbed at each point that was chosen."""
    with TemporaryDirectory(prefix="sweep-") as temporary:
        folder = Path(temporary)
        known = fault.reference(role, folder)
        points = sample(chosen(known), number)
        # Each batch has points from everywhere, so that all take about as long.
        count = max(1, -(-len(points) // BATCH))
        with ProcessPoolExecutor(WORKERS, mp_context=multiprocessing.get_context("spawn")) as workers:
            judged = [workers.submit(judge, points[start::count], known, folder) for start in range(count)]
            return [verdict for future in judged for verdict in future.result()]


def refused(known: Reference) -> list[Point]:
    return known.refused


def cut(known: Reference) -> list[Point]:
    return known.cut


SWEEPS: dict[str, list[tuple[str, Choice, Judge]]] = {
    "fault": [("spawn", refused, fault.spawns)],
    "cut": [("spawn", cut, fault.spawns)],
    "clone": [("clone", refused, fault.clones), ("clone", cut, fault.clones)],
    "destroy": [("destroy", refused, fault.destroys), ("destroy", cut, fault.destroys)],
    "kill": [("spawn", kill.kills, kill.sweep)],
    "two": [("spawn", two.meetings, two.sweep)],
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests/sweep", description=__doc__)
    parser.add_argument("sweeps", nargs="*", metavar="SWEEP", help=f"{', '.join(SWEEPS)}; all of them when none is named")
    parser.add_argument("--sample", type=int, default=0, metavar="N", help="only so many points of each sweep")
    parser.add_argument("--verbose", action="store_true", help="tell of each point")
    arguments = parser.parse_args()
    unknown = set(arguments.sweeps) - set(SWEEPS)
    if unknown:
        parser.error(f"there is no sweep {', '.join(sorted(unknown))}; there are {', '.join(SWEEPS)}")
    rows, faulty = [], 0
    for name in arguments.sweeps or SWEEPS:
        began = time.monotonic()
        verdicts = [verdict for role, chosen, judge in SWEEPS[name] for verdict in in_batches(role, chosen, judge, arguments.sample)]
        faulty += tell(name, verdicts, verbose=arguments.verbose)
        rows.append(row(name, verdicts, time.monotonic() - began))
    print(table(rows))
    return 1 if faulty else 0


def tell(name: str, verdicts: list[Verdict], *, verbose: bool) -> int:
    """Print what is wrong, and return at how many points something is."""
    for verdict in verdicts:
        if verdict.wrong or verbose:
            print(f"{name}: {verdict.point}: {verdict.outcome}: {verdict.message}")
        for text in verdict.wrong:
            print(f"    {text}"[:WIDEST])
    return sum(1 for verdict in verdicts if verdict.wrong)


def row(name: str, verdicts: list[Verdict], seconds: float) -> list[str]:
    faulty = sum(1 for verdict in verdicts if verdict.wrong)
    outcomes = Counter(verdict.outcome for verdict in verdicts)
    told = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items()))
    return [name, *map(str, (len(verdicts), len(verdicts) - faulty, faulty)), f"{seconds:.0f} s", told]


def table(rows: list[list[str]]) -> str:
    lines = [["sweep", "points", "clean", "faulty", "time", "outcomes"], *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in lines)
