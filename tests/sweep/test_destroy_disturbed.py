# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

from sweep.fault import destroys, reference
from sweep.points import sample

from .conftest import assert_clean


def test_a_rerun_completes_and_nothing_is_left(folder: Path) -> None:
    known = reference("destroy", folder)
    points = [*sample(known.refused, 4), *sample(known.cut, 4)]
    assert_clean(destroys(points, known, folder), points)
