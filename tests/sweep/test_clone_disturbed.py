# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

from sweep.fault import clones, reference

from .conftest import assert_clean


def test_a_clone_that_nobody_heard_of_is_taken_back(folder: Path) -> None:
    known = reference("clone", folder)
    refused = {(point.method, point.nth): point for point in known.refused}
    cut = {(point.method, point.nth): point for point in known.cut}
    points = [refused["event.from", 1], refused["VM.set_other_config", 1], refused["VM.provision", 1], cut["Async.VM.clone", 1], cut["VM.set_name_label", 1]]
    assert_clean(clones(points, known, folder), points)
