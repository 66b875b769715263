# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One run for each point, disturbed there; what it says, and what it leaves."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from simulator.transport.tls import Authority

from .playing import NAME, Outcome, play, steps
from .points import Point, points
from .pools import Pool

# A login whose answer is lost leaves a session that nobody has the reference of; xapi ends it when it is idle for a day (facts §1.6).
LOST_LOGIN = ("session.login_with_password", "cut")
# How the failure of a role begins.
SENTENCES = {"spawn": f"{NAME} was not built: ", "clone": f"{NAME} was not built: ", "destroy": f"{NAME} was not removed; repeat it to go on: "}


@dataclass
class Verdict:
    """Of one point; it is clean when nothing is wrong."""

    point: str
    outcome: str
    message: str = ""
    wrong: list[str] = field(default_factory=list)


@dataclass
class Reference:
    """An undisturbed run: its points, and what it makes of the pool."""

    refused: list[Point]
    cut: list[Point]
    shape: Counter[str]


def reference(role: str, folder: Path) -> Reference:
    """Play a role undisturbed. For destroy the pool with the VM stays in `folder`, to be copied for each run."""
    if role == "destroy":
        _spawned(folder)
    pool = _pool(role, folder, folder / "reference", Authority())
    try:
        outcome = play(role, {"reference": pool.variables}, folder)["reference"]
        if not outcome.succeeded:
            raise RuntimeError(f"the undisturbed run failed: {outcome.message}")
        calls = pool.simulator.calls
        return Reference(points(calls, "refused"), points(calls, "cut"), pool.shape())
    finally:
        pool.close()


def _spawned(folder: Path) -> None:
    """A pool in which the VM was built, kept in a folder."""
    pool = Pool(state=folder / "spawned")
    try:
        outcome = play("spawn", {"spawned": pool.variables}, folder)["spawned"]
        if not outcome.succeeded:
            raise RuntimeError(f"the VM to destroy was not built: {outcome.message}")
    finally:
        pool.close()


def _pool(role: str, folder: Path, own: Path, authority: Authority) -> Pool:
    if role != "destroy":
        return Pool(authority=authority)
    shutil.copytree(folder / "spawned", own)
    return Pool(state=own, authority=authority)


def spawns(disturbed: Sequence[Point], known: Reference, spawned: Path, *, role: str = "spawn") -> list[Verdict]:
    with TemporaryDirectory(prefix="sweep-") as folder, _disturbed(role, disturbed, spawned, Path(folder)) as (pools, told):
        return [_judged_spawn(role, point, pools[name], told[name], known) for name, point in zip(pools, disturbed, strict=True)]


def clones(disturbed: Sequence[Point], known: Reference, spawned: Path) -> list[Verdict]:
    """Spawns from a template."""
    return spawns(disturbed, known, spawned, role="clone")


def destroys(disturbed: Sequence[Point], known: Reference, spawned: Path) -> list[Verdict]:
    """What is disturbed is repeated."""
    with TemporaryDirectory(prefix="sweep-") as folder, _disturbed("destroy", disturbed, spawned, Path(folder)) as (pools, told):
        verdicts = [_judged_destroy(point, pools[name], told[name], known) for name, point in zip(pools, disturbed, strict=True)]
        again = play("destroy", {name: pool.variables for name, pool in pools.items()}, Path(folder))
        for verdict, (name, pool) in zip(verdicts, pools.items(), strict=True):
            verdict.wrong += _judged_again(again[name], pool, known)
        return verdicts


@contextmanager
def _disturbed(role: str, disturbed: Sequence[Point], spawned: Path, folder: Path) -> Iterator[tuple[dict[str, Pool], dict[str, Outcome]]]:
    """One batch: each point on a pool of its own, all played by one ansible-playbook."""
    authority = Authority()
    pools = {f"point{number}": _pool(role, spawned, folder / f"state{number}", authority) for number in range(len(disturbed))}
    try:
        for pool, point in zip(pools.values(), disturbed, strict=True):
            pool.simulator.faults.add(point.rule())
        yield pools, play(role, {name: pool.variables for name, pool in pools.items()}, folder)
    finally:
        for pool in pools.values():
            pool.close()


def _judged_spawn(role: str, point: Point, pool: Pool, outcome: Outcome, known: Reference) -> Verdict:
    verdict = _judged(role, point, pool, outcome)
    verdict.wrong += different(pool, known) if outcome.succeeded else pool.difference()
    return verdict


def _judged_destroy(point: Point, pool: Pool, outcome: Outcome, known: Reference) -> Verdict:
    verdict = _judged("destroy", point, pool, outcome)
    tasks = pool.simulator.records("task")
    verdict.wrong += [f"more: task {task['name_label']}" for task in tasks.values()]
    verdict.wrong += different(pool, known) if outcome.succeeded else []
    return verdict


def _judged_again(outcome: Outcome, pool: Pool, known: Reference) -> list[str]:
    """A rerun of destroy completes, and nothing is left."""
    wrong = [] if outcome.succeeded else [f"repeating it failed: {outcome.message}"]
    return wrong + [f"after the rerun: {text}" for text in different(pool, known)]


def _judged(role: str, point: Point, pool: Pool, outcome: Outcome) -> Verdict:
    struck = any(rule.struck for rule in pool.simulator.faults.rules)
    verdict = Verdict(str(point), "not reached" if not struck else "succeeded" if outcome.succeeded else "failed", outcome.message)
    left = pool.sessions_left() - ((point.method, point.how) == LOST_LOGIN)
    verdict.wrong += [f"{left} sessions are left"] if left else []
    verdict.wrong += pool.problems()
    if not outcome.succeeded:
        verdict.wrong += unclear(role, outcome.message)
    return verdict


def unclear(role: str, message: str) -> list[str]:
    """What is wrong with the words of a failure: they begin with the sentence of the role, and what follows is one of its steps and a reason."""
    sentence = SENTENCES[role]
    step, _colon, reason = message.removeprefix(sentence).partition(": ")
    wrong = []
    if not message.startswith(sentence) or step not in steps(role) or not reason.strip():
        wrong.append(f"the failure names no step: {message!r}")
    wrong += [f"the failure speaks of {word}: {message!r}" for word in ("Traceback", "censored", "MODULE FAILURE") if word in message]
    return wrong


def different(pool: Pool, known: Reference) -> list[str]:
    """How the pool differs from that of the undisturbed run."""
    shape = pool.shape()
    more, less = shape - known.shape, known.shape - shape
    surplus, lack = list(more.elements()), list(less.elements())
    if len(surplus) == len(lack):  # The same things, and not as they should be.
        return [_fields(*pair) for pair in zip(sorted(lack), sorted(surplus), strict=True)]
    return [f"too much: {text}" for text in surplus] + [f"missing: {text}" for text in lack]


def _fields(wanted: str, found: str) -> str:
    """In which fields two records differ."""
    cls, _blank, record = found.partition(" ")
    now, then = json.loads(record), json.loads(wanted.partition(" ")[2])
    return f"{cls}: " + ", ".join(f"{name} is {now.get(name)!r} and not {then.get(name)!r}" for name in sorted(now) if now.get(name) != then.get(name))
