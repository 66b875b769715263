# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A pool on sockets, with TLS, for clients that were written for the real thing and know of no simulator."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from simulator import Simulator
from simulator.server import Server


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with Simulator("three_hosts") as simulator:
        yield simulator
        assert simulator.problems == []


@pytest.fixture(scope="module")
def server(simulator: Simulator) -> Server:
    return simulator.serve()
