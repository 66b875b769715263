# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Operations of hosts and pools: what excludes what, in which words (valid_operations in xapi_host_helpers.ml, xapi_pool_helpers.ml, record_util.ml)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from simulator import Simulator, VirtualClock

from ._asking import fixtures_at_levels
from ._machines import machine, marks, refusal

TASK, OTHER = "OpaqueRef:one-task", "OpaqueRef:other-task"


level, simulator, session = fixtures_at_levels(lambda level: Simulator("three_hosts", api=level, clock=VirtualClock()))


@pytest.fixture
def member(session: Any) -> str:
    return str(session.host.get_by_name_label("xs2")[0])


@pytest.fixture
def check(simulator: Simulator) -> Callable[[str, str, str, dict[str, str]], list[str]]:
    """How an operation is refused while others run on the object."""

    def ask(cls: str, ref: str, op: str, running: dict[str, str]) -> list[str]:
        async def look() -> None:
            engine = simulator.engine
            engine.db.set(cls, ref, "current_operations", running)
            try:
                engine.behaviours[cls].check(ref, op)
            finally:
                engine.db.set(cls, ref, "current_operations", {})

        return refusal(simulator.run, look())

    return ask


@pytest.mark.parametrize(("op", "spelt"), [("vm_resume", "VM.resume"), ("vm_migrate", "VM.migrate"), ("provision", "provision")])
def test_what_makes_vms_is_in_the_way_of_what_removes_them(level: str, member: str, check: Any, op: str, spelt: str) -> None:
    tail = [TASK] if level == "26" else []
    assert check("host", member, "evacuate", {TASK: op}) == ["OTHER_OPERATION_IN_PROGRESS", "host", member, spelt, *tail]


def test_before_25_the_first_operation_is_named(level: str, member: str, check: Any) -> None:
    """List.hd of all of them; later the one that is in the way."""
    expected = ["VM.migrate", OTHER] if level == "26" else ["VM.start"]
    assert check("host", member, "evacuate", {TASK: "vm_start", OTHER: "vm_migrate"}) == ["OTHER_OPERATION_IN_PROGRESS", "host", member, *expected]


def test_updates_keep_a_host_as_it_is(level: str, member: str, session: Any, check: Any) -> None:
    if level == "8.2":
        pytest.skip("8.2 knows no apply_updates")
    tail = [TASK] if level == "26" else []
    session.host.disable(member)
    for op in ("reboot", "shutdown", "enable"):
        assert check("host", member, op, {TASK: "apply_updates"}) == ["OTHER_OPERATION_IN_PROGRESS", "host", member, "apply_updates", *tail]


def test_enabling_is_an_operation_since_8_3(simulator: Simulator, session: Any, level: str, member: str) -> None:
    session.host.disable(member)
    seen = marks(simulator)
    session.host.enable(member)
    assert seen == (set() if level == "8.2" else {"enable"})


def test_a_vm_does_not_wait_for_its_host(simulator: Simulator, session: Any, member: str, level: str) -> None:
    """allocate_vm_to_host asks once: what runs on the host refuses at once (message_forwarding.ml)."""
    vm = machine(session)
    session.VM.start_on(vm, session.host.get_by_name_label("xs1")[0], False, False)
    simulator.run(simulator.clock.sleep(10))

    async def reboot() -> None:
        simulator.engine.db.set("host", member, "current_operations", {TASK: "reboot"})

    simulator.run(reboot())
    tail = [TASK] if level == "26" else []
    before = simulator.clock.time()
    assert refusal(session.VM.pool_migrate, vm, member, {}) == ["OTHER_OPERATION_IN_PROGRESS", "host", member, "reboot", *tail]
    assert simulator.clock.time() - before < 60


# Pools


@pytest.mark.parametrize(("running", "code"), [("ha_enable", "HA_ENABLE_IN_PROGRESS"), ("sync_bundle", "SYNC_BUNDLE_IN_PROGRESS")])
def test_great_changes_refuse_each_other(simulator: Simulator, level: str, check: Any, running: str, code: str) -> None:
    if running == "sync_bundle" and level != "26":
        pytest.skip("not there before 26")
    pool = simulator.engine.pool
    assert check("pool", pool, "designate_new_master", {TASK: running}) == [code]


def test_a_pool_of_8_2_ejects_beside_everything(simulator: Simulator, session: Any, level: str, member: str) -> None:
    pool = simulator.engine.pool
    assert ("eject" in session.pool.get_allowed_operations(pool)) == (level != "8.2")
    if level != "8.2":
        return

    async def change() -> None:
        simulator.engine.db.set("pool", pool, "current_operations", {TASK: "ha_disable"})

    simulator.run(change())
    session.pool.eject(member)
    assert session.host.get_by_name_label("xs2") == []


def test_who_cannot_be_ejected(simulator: Simulator, session: Any, level: str, member: str) -> None:
    coordinator = session.host.get_by_name_label("xs1")[0]
    vm = machine(session)
    session.VM.start_on(vm, member, False, False)
    assert refusal(session.pool.eject, "OpaqueRef:nobody") == ["HOST_OFFLINE", "OpaqueRef:nobody"]  # forwarded before anybody looks
    assert refusal(session.pool.eject, coordinator) == ["INTERNAL_ERROR", "Xapi_pool.Cannot_eject_master"]
    assert refusal(session.pool.eject, member) == ["OPERATION_NOT_ALLOWED", "VM resident on host"]
    session.pool.enable_ha([session.SR.get_by_name_label("NFS storage")[0]], {})
    # eject of v1.249 looks at HA before it looks at who it is; eject_self before the VMs.
    expected = ["HA_IS_ENABLED"] if level == "8.2" else ["INTERNAL_ERROR", "Xapi_pool.Cannot_eject_master"]
    assert refusal(session.pool.eject, coordinator) == expected
    assert refusal(session.pool.eject, member) == ["HA_IS_ENABLED"]


# Sleep that nobody asks the pool about


def test_sleep_by_acpi_goes_to_the_domain_as_it_is(session: Any, simulator: Simulator) -> None:
    """s3suspend in xapi_xenops.ml takes no lock and looks at no state: xenopsd complains of what it does not know."""
    vm = machine(session)
    gone = ["INTERNAL_ERROR", f"Object with type VM and id {session.VM.get_uuid(vm)} does not exist in xenopsd"]
    assert refusal(session.VM.s3_suspend, vm) == gone
    assert refusal(session.VM.s3_resume, vm) == gone
    session.VM.start(vm, True, False)
    session.VM.s3_suspend(vm)
    session.VM.s3_resume(vm)
    assert session.VM.get_power_state(vm) == "Paused"
