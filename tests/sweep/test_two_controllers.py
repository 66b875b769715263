# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

from sweep import two
from sweep.fault import Reference
from sweep.points import sample

from .conftest import assert_clean


def test_one_of_them_builds_the_vm(spawned: Reference, folder: Path) -> None:
    points = [point for machines in two.MACHINES for point in sample([moment for moment in two.meetings(spawned) if moment.how == machines], 1)]
    assert_clean(two.sweep(points, spawned, folder), points)
