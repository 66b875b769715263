# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What most tests of the simulator begin with: a pool, a session in it, how it refuses, and waiting for what it does beside calls."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, Literal

import pytest

from simulator import Failure, Simulator


def fixtures(make: Callable[[], Simulator], scope: Literal["function", "module"] = "function") -> tuple[Any, Any]:
    """The fixtures ``simulator`` and ``session`` of a file; a call that the simulator does not know fails its test."""

    @pytest.fixture(scope=scope)
    def simulator() -> Iterator[Simulator]:
        with make() as made:
            yield made
            assert made.problems == []

    @pytest.fixture(scope=scope)
    def session(simulator: Simulator) -> Any:
        return simulator.session()

    return simulator, session


def fixtures_at_levels(make: Callable[[str], Simulator]) -> tuple[Any, Any, Any]:
    """The fixtures ``level``, ``simulator`` and ``session`` of a file whose tests hold at every level of the API."""

    @pytest.fixture(params=["8.2", "8.3", "26"])
    def level(request: pytest.FixtureRequest) -> str:
        return str(request.param)

    @pytest.fixture
    def simulator(level: str) -> Iterator[Simulator]:
        with make(level) as made:
            yield made
            assert made.problems == []

    @pytest.fixture
    def session(simulator: Simulator) -> Any:
        return simulator.session()

    return level, simulator, session


def refusal(action: Callable[..., Any], *params: Any) -> list[str]:
    with pytest.raises(Failure) as caught:
        action(*params)
    return caught.value.description


def until(condition: Callable[[], Any]) -> Any:
    """What the condition gives when it is met."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError("not within ten seconds")
