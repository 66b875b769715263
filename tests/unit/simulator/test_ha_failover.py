# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host dies while HA is on (restart_auto_run_vms in xapi_ha_vm_failover.ml)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from simulator import NULL, Simulator, VirtualClock, fault_effects

from ._machines import GIB, host_named, machine, sr_named


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator("three_hosts", clock=VirtualClock()) as simulator:
        yield simulator
        assert simulator.problems == []


@pytest.fixture
def guest(simulator: Simulator) -> Callable[..., str]:
    def start(host: str, priority: str, gib: int = 1, order: int = 0) -> str:
        session = simulator.session()
        vm = machine(session)
        session.VM.set_memory(vm, gib * GIB)
        session.VM.start_on(vm, host_named(session, host), False, False)
        simulator.run(simulator.clock.sleep(10))
        session.VM.set_ha_restart_priority(vm, priority)
        session.VM.set_order(vm, order)
        return vm

    return start


def switch_on(simulator: Simulator) -> None:
    session = simulator.session()
    session.pool.enable_ha([sr_named(session, "NFS storage")], {})


def crash(simulator: Simulator, name: str, seconds: float) -> Any:
    """A session some time after."""

    async def run() -> None:
        fault_effects.crash(simulator.engine, name)

    simulator.run(run())
    simulator.run(simulator.clock.sleep(seconds))
    return simulator.session()


def where(simulator: Simulator, session: Any, vm: str) -> str:
    host = session.VM.get_resident_on(vm)
    return "" if host == NULL else str(session.host.get_name_label(host))


def test_protected_vms_start_elsewhere(simulator: Simulator, guest: Any) -> None:
    kept, tried, lost = guest("xs2", "restart"), guest("xs2", "best-effort"), guest("xs2", "")
    elsewhere = guest("xs3", "restart")
    switch_on(simulator)
    session = crash(simulator, "xs2", 300)
    dead = host_named(session, "xs2")
    assert not session.host_metrics.get_live(session.host.get_metrics(dead))
    assert [session.VM.get_power_state(vm) for vm in (kept, tried, lost, elsewhere)] == ["Running", "Running", "Halted", "Running"]
    assert "xs2" not in (where(simulator, session, kept), where(simulator, session, tried))
    assert where(simulator, session, elsewhere) == "xs3"
    assert session.VM.get_ha_always_run(kept)
    told = [row["name"] for row in session.message.get_all_records().values()]
    assert "HA_HOST_FAILED" in told
    assert "HA_PROTECTED_VM_RESTART_FAILED" not in told


def test_in_their_order(simulator: Simulator, guest: Any) -> None:
    last, second, first = guest("xs2", "restart", order=9), guest("xs2", "restart", order=5), guest("xs2", "restart", order=1)
    switch_on(simulator)
    simulator.engine.log.calls.clear()
    crash(simulator, "xs2", 300)
    assert [call.params[0] for call in simulator.calls if call.method == "VM.start"] == [first, second, last]


def test_what_does_not_fit_is_told(simulator: Simulator, guest: Any) -> None:
    large = guest("xs2", "restart", 50)
    for host in ("xs1", "xs3"):
        guest(host, "", 50)
    switch_on(simulator)
    session = crash(simulator, "xs2", 300)
    assert session.VM.get_power_state(large) == "Halted"
    told = {row["name"]: row["obj_uuid"] for row in session.message.get_all_records().values()}
    assert told["HA_PROTECTED_VM_RESTART_FAILED"] == session.VM.get_uuid(large)


def test_another_leads_when_the_coordinator_is_gone(simulator: Simulator, guest: Any) -> None:
    vm = guest("xs1", "restart")
    switch_on(simulator)
    session = crash(simulator, "xs1", 300)
    leader = session.pool.get_master(session.pool.get_all()[0])
    assert session.host.get_name_label(leader) != "xs1"
    assert where(simulator, session, vm) not in ("", "xs1")


def test_without_ha_nothing_starts(simulator: Simulator, guest: Any) -> None:
    vm = guest("xs2", "restart")
    session = crash(simulator, "xs2", 700)
    assert not session.host_metrics.get_live(session.host.get_metrics(host_named(session, "xs2")))
    assert session.VM.get_power_state(vm) == "Running"  # nobody has declared the host dead


def test_a_host_that_is_back_in_time_keeps_its_vms(simulator: Simulator, guest: Any) -> None:
    vm = guest("xs2", "restart")
    switch_on(simulator)

    async def blink() -> None:
        fault_effects.crash(simulator.engine, "xs2")
        fault_effects.boot(simulator.engine, "xs2")

    simulator.run(blink())
    simulator.run(simulator.clock.sleep(300))
    session = simulator.session()
    assert where(simulator, session, vm) == "xs2"
