# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Guests go on only on processors that have all that they were shown (assert_vm_is_compatible in cpuid_helpers.ml, create_pool_cpuinfo in create_misc.ml)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from simulator import Simulator, VirtualClock

from ._asking import fixtures
from ._machines import host_named, machine, refusal

FEWER = "VM last booted on a CPU with features this host's CPU does not have."
NO_KEYS = "Host does not have new leveling feature keys - not comparing VM's flags"
# A bit of the second word that the worlds' hosts have.
BIT = 0x20


simulator, session = fixtures(lambda: Simulator("three_hosts", clock=VirtualClock()))


@pytest.fixture
def change(simulator: Simulator) -> Callable[..., None]:
    def apply(host: str, **info: str | None) -> None:
        """Exchange the processors of a host."""

        async def run() -> None:
            old = simulator.engine.db.get("host", host, "cpu_info")
            new = {key: value for key, value in {**old, **info}.items() if value is not None}
            simulator.engine.db.set("host", host, "cpu_info", new)

        simulator.run(run())

    return apply


@pytest.fixture
def running(simulator: Simulator, session: Any) -> str:
    vm = machine(session)
    session.VM.start_on(vm, host_named(session, "xs1"), False, False)
    simulator.run(simulator.clock.sleep(10))
    return vm


def less(text: str) -> str:
    first, second, *rest = text.split("-")
    assert int(second, 16) & BIT
    return "-".join([first, f"{int(second, 16) & ~BIT:08x}", *rest])


def test_a_guest_is_shown_what_all_hosts_have(simulator: Simulator, session: Any, change: Any) -> None:
    host = host_named(session, "xs2")
    old = session.host.get_cpu_info(host)["features_hvm_host"]
    change(host, features_hvm_host=less(old))

    async def look() -> None:
        simulator.engine.behaviours["pool"].hosts_changed()

    simulator.run(look())
    assert session.pool.get_cpu_info(simulator.engine.pool)["features_hvm_host"] == less(old)
    vm = machine(session)
    session.VM.start_on(vm, host_named(session, "xs1"), False, False)
    assert session.VM.get_last_boot_CPU_flags(vm) == {"vendor": "GenuineIntel", "features": less(old)}


@pytest.mark.parametrize("power_state", ["Running", "Suspended"])
def test_a_host_that_can_do_less(session: Any, running: str, change: Any, power_state: str) -> None:
    host = host_named(session, "xs2")
    change(host, features_hvm=less(session.host.get_cpu_info(host)["features_hvm"]))
    told = ["VM_INCOMPATIBLE_WITH_THIS_HOST", running, host, FEWER]
    if power_state == "Suspended":
        session.VM.suspend(running)
        assert refusal(session.VM.resume_on, running, host, False, False) == told
    assert refusal(session.VM.assert_can_boot_here, running, host) == told
    # Looked at before the power state is.
    assert refusal(session.VM.pool_migrate, running, host, {}) == told
    if power_state == "Running":
        session.VM.pool_migrate(running, host, {"force": "true"})
        assert session.VM.get_resident_on(running) == host


def test_a_halted_vm_starts_there(session: Any, change: Any) -> None:
    host, vm = host_named(session, "xs2"), machine(session)
    change(host, features_hvm="00000000")
    session.VM.start_on(vm, host, False, False)


def test_longer_words_are_compared_with_nothing(session: Any, running: str, change: Any) -> None:
    host = host_named(session, "xs2")
    short = "-".join(session.host.get_cpu_info(host)["features_hvm"].split("-")[:5])
    change(host, features_hvm=short)
    assert refusal(session.VM.assert_can_boot_here, running, host)[3] == FEWER
    change(host, features_hvm=session.VM.get_last_boot_CPU_flags(running)["features"] + "-00000001")
    session.VM.assert_can_boot_here(running, host)


@pytest.mark.parametrize("key", ["vendor", "features_hvm"])
def test_a_host_that_does_not_say(session: Any, running: str, change: Any, key: str) -> None:
    host = host_named(session, "xs2")
    change(host, **{key: None})
    assert refusal(session.VM.pool_migrate, running, host, {}) == ["VM_INCOMPATIBLE_WITH_THIS_HOST", running, host, NO_KEYS]


def test_what_a_guest_saw_it_sees_wherever_it_goes(simulator: Simulator, session: Any, running: str) -> None:
    flags = session.VM.get_last_boot_CPU_flags(running)

    async def drop() -> None:
        engine = simulator.engine
        engine.db.put("pool", engine.pool, "cpu_info", "features_hvm_host", "00000000")

    simulator.run(drop())
    session.VM.pool_migrate(running, host_named(session, "xs2"), {})
    assert session.VM.get_last_boot_CPU_flags(running) == flags
