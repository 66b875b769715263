# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One pool of one host for all tests of a file, on a clock that stands still until it is told; files that need another one have their own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from simulator import Simulator

from ._consistency import StandingSimulator


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with StandingSimulator("one_host") as simulator:
        yield simulator
        assert simulator.problems == []


@pytest.fixture(scope="module")
def session(simulator: Simulator) -> Any:
    return simulator.session()
