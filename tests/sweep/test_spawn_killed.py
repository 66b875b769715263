# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

from sweep import kill
from sweep.fault import Reference
from sweep.points import sample

from .conftest import assert_clean


def test_a_rerun_has_one_vm_with_its_disks(spawned: Reference, folder: Path) -> None:
    assert len(kill.kills(spawned)) >= 50  # the whole sweep, of which this is a sample
    points = [point for way in kill.WAYS for point in sample([moment for moment in kill.kills(spawned) if moment.how == way], 1)]
    assert_clean(kill.sweep(points, spawned, folder), points)
