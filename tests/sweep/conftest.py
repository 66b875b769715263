# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A sample of the sweep: a few points of each kind, the same ones each time. `make sweep` has all of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweep.fault import Reference, Verdict, reference
from sweep.points import Point


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sweep")


@pytest.fixture(scope="session")
def spawned(folder: Path) -> Reference:
    return reference("spawn", folder)


def assert_clean(verdicts: list[Verdict], points: list[Point]) -> None:
    assert len(verdicts) == len(points)
    assert {verdict.point: verdict.wrong for verdict in verdicts if verdict.wrong} == {}
    # What disturbs nothing proves nothing.
    reached = [verdict for verdict in verdicts if verdict.outcome != "not reached"]
    assert len(reached) >= len(verdicts) - len(verdicts) // 8
