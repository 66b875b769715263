# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a module's main() for real against a simulated pool in memory."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.xapi.xenserver.plugins.module_utils import xenapi_session
from simulator import Call, Failure, Simulator

MODULES = "ansible_collections.xapi.xenserver.plugins.modules"


class MemoryTransport:
    """The simulator's client in memory as a transport of our session."""

    def __init__(self, simulator: Simulator, host: str) -> None:
        self._client = simulator.connect(host)

    def call(self, method: str, params: list[Any]) -> Any:
        try:
            return self._client.call(method, params)
        except Failure as failure:
            raise xenapi_session.Refusal(failure.description) from None

    def close(self) -> None:
        self._client.close()


@dataclass
class Outcome:
    """What a module said, and the calls it made while it ran."""

    result: dict[str, Any]
    calls: list[Call]

    def __getitem__(self, key: str) -> Any:
        return self.result[key]

    @property
    def changed(self) -> bool:
        return bool(self.result["changed"])

    @property
    def failed(self) -> bool:
        return bool(self.result.get("failed"))

    @property
    def msg(self) -> str:
        return str(self.result["msg"])

    @property
    def methods(self) -> list[str]:
        """Everything called but login and logout."""
        return [call.method for call in self.calls if not call.method.startswith("session.log")]

    @property
    def writes(self) -> list[str]:
        """The calls that change the pool."""
        return [call.method for call in self.calls if call.writes and not call.method.startswith(("session.", "task."))]


Run = Callable[..., Outcome]


@pytest.fixture
def simulator(request: pytest.FixtureRequest) -> Iterator[Simulator]:
    """A fresh pool. A call that the simulator declares but does not know fails the test."""
    marker = request.node.get_closest_marker("world")
    with Simulator(marker.args[0] if marker else "one_host") as pool:
        yield pool
        assert pool.problems == []


@pytest.fixture
def pool_in_memory(monkeypatch: pytest.MonkeyPatch) -> Callable[[Simulator], None]:
    """Make our sessions reach a simulator without a socket; an address of a host leads to that host."""

    def use(simulator: Simulator) -> None:
        def connect(options: Any) -> MemoryTransport:
            hosts = {record["address"]: ref for ref, record in simulator.records("host").items()}
            return MemoryTransport(simulator, hosts.get(options.endpoint.host, "OpaqueRef:NULL"))

        monkeypatch.setattr(xenapi_session, "connect", connect)

    return use


@pytest.fixture
def run_module(simulator: Simulator, pool_in_memory: Callable[[Simulator], None]) -> Run:
    """``run_module("xen_network", name="storage", check=True)``: parameters are the module's own."""
    pool_in_memory(simulator)

    def run(module: str, *, check: bool = False, diff: bool = True, **params: Any) -> Outcome:
        return run_on(simulator, module, params, check=check, diff=diff)

    return run


def run_on(simulator: Simulator, module: str, params: dict[str, Any], *, check: bool = False, diff: bool = True) -> Outcome:
    """Run one module to its exit and read what it printed, as Ansible would."""
    login = {"hostname": "pool.example", "username": simulator.username, "password": simulator.password}
    flags = {"_ansible_check_mode": check, "_ansible_diff": diff}
    earlier = len(simulator.calls)
    printed = io.StringIO()
    with (
        patch_module_args({**login, **params, **flags}),
        contextlib.redirect_stdout(printed),
        contextlib.suppress(SystemExit),
    ):
        importlib.import_module(f"{MODULES}.{module}").main()
    return Outcome(json.loads(printed.getvalue()), simulator.calls[earlier:])


@pytest.fixture(autouse=True)
def no_controller(monkeypatch: pytest.MonkeyPatch) -> None:
    """Modules run as in a process of their own: a test of a filter loads Ansible's other half, which would take their warnings,
    and what one test warned of would be told by the next."""
    monkeypatch.setattr("ansible.module_utils._internal.is_controller", False)
    monkeypatch.setattr("ansible.module_utils.common.warnings._global_warnings", {})
    monkeypatch.setattr("ansible.module_utils.common.warnings._global_deprecations", {})
