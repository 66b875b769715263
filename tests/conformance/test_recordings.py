# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every recording of a real xapi replays as far as its threshold demands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from conformance.replay import replay
from conformance.report import FileResult
from conformance.target import SimulatedTarget
from conformance.thresholds import THRESHOLDS

RECORDINGS = Path(__file__).parent / "recordings"


def test_every_recording_is_a_gate() -> None:
    assert set(THRESHOLDS) == {path.stem for path in RECORDINGS.glob("*.json")}


@pytest.mark.parametrize("name", sorted(THRESHOLDS))
def test_recording(name: str) -> None:
    path = RECORDINGS / f"{name}.json"
    with SimulatedTarget(path, json.loads(path.read_text(encoding="utf-8"))) as target:
        file = FileResult(name, replay(path, target))
    assert file.steps, "a replay without a step proves nothing"
    assert file.met, "\n".join([file.line(), *file.failures(20)])
