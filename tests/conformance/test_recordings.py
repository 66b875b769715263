# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every recording of a real xapi replays as far as its threshold demands."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from conformance.replay import replay
from conformance.report import FileResult
from conformance.target import SimulatedTarget
from conformance.thresholds import THRESHOLDS

RECORDINGS = Path(__file__).parent / "recordings"
# Each has pools of its own, and waits for guests and events most of the time.
AT_A_TIME = 4


def test_every_recording_is_a_gate() -> None:
    assert set(THRESHOLDS) == {path.stem for path in RECORDINGS.glob("*.json")}


def replayed(name: str) -> FileResult:
    path = RECORDINGS / f"{name}.json"
    with SimulatedTarget(path, json.loads(path.read_text(encoding="utf-8"))) as target:
        return FileResult(name, replay(path, target))


@pytest.fixture(scope="module")
def replays(request: pytest.FixtureRequest) -> Iterator[dict[str, Future[FileResult]]]:
    """A replay of each recording that this session of pytest selected."""
    tests = [item for item in request.session.items if isinstance(item, pytest.Function) and item.originalname == "test_recording"]
    with ThreadPoolExecutor(AT_A_TIME) as threads:
        yield {name: threads.submit(replayed, name) for name in (str(test.callspec.params["name"]) for test in tests)}
        threads.shutdown(cancel_futures=True)


@pytest.mark.parametrize("name", sorted(THRESHOLDS))
def test_recording(name: str, replays: dict[str, Future[FileResult]]) -> None:
    file = replays[name].result()
    assert file.steps, "a replay without a step proves nothing"
    assert file.met, "\n".join([file.line(), *file.failures(20)])
