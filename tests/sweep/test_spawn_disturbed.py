# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

from sweep.fault import Reference, spawns
from sweep.points import sample

from .conftest import assert_clean


def test_the_pool_is_as_before_or_the_vm_is_whole(spawned: Reference, folder: Path) -> None:
    points = [*sample(spawned.refused, 6), *sample(spawned.cut, 6)]
    assert_clean(spawns(points, spawned, folder), points)
