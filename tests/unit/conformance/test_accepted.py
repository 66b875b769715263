# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of accepted differences keeps its own rules."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conformance.accepted import ACCEPTED, Accepted

RECORDINGS = Path(__file__).parents[2] / "conformance" / "recordings"


@pytest.mark.parametrize("entry", ACCEPTED, ids=lambda entry: entry.name)
def test_an_entry_has_a_reason_and_hides_no_refusal(entry: Accepted) -> None:
    steps = json.loads((RECORDINGS / f"{entry.recording}.json").read_text(encoding="utf-8"))["steps"]
    assert len(entry.reason) > 20
    for number in entry.steps:
        assert "error" not in steps[number - 1]


def test_at_most_two_percent_are_accepted() -> None:
    total = sum(len(json.loads(path.read_text(encoding="utf-8"))["steps"]) for path in RECORDINGS.glob("*.json"))
    assert sum(len(entry.steps) for entry in ACCEPTED) <= 0.02 * total


def test_names_are_given_once() -> None:
    assert len({entry.name for entry in ACCEPTED}) == len(ACCEPTED)
