# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Markers and the deeper profile of the unit tests; here because test_every_module imports those of the modules, run alone or not."""

from __future__ import annotations

import pytest
from hypothesis import settings

# The same examples every time: a change is judged by what it changed. New ones, of a number that has an end: pytest --hypothesis-profile=deep
settings.register_profile("repeatable", derandomize=True, database=None, deadline=None)
settings.register_profile("deep", max_examples=1000, stateful_step_count=80, deadline=None)
if settings.get_current_profile_name() == "default":
    settings.load_profile("repeatable")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "world(name): the start state of the simulated pool, one_host unless told")
