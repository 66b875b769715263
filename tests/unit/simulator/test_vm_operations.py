# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""VM: which operations are allowed when, and how the others are refused (facts 3.1, 3.2)."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from simulator import NULL, Failure, Simulator

from ._machines import machine, only, refusal

# The operations of facts 3.2 that allowed_operations may list, by the power states that they need.
STATES = {
    "Halted": "start start_on make_into_template changing_NVRAM changing_shadow_memory create_vtpm changing_dynamic_range changing_static_range "
    "migrate_send destroy export clone copy snapshot metadata_export",
    "Running": "pause suspend clean_shutdown clean_reboot pool_migrate changing_VCPUs_live hard_reboot hard_shutdown checkpoint migrate_send snapshot "
    "metadata_export changing_dynamic_range",
    "Paused": "unpause hard_reboot hard_shutdown checkpoint snapshot metadata_export",
    "Suspended": "resume resume_on hard_shutdown checkpoint migrate_send destroy export snapshot metadata_export",
}


@pytest.fixture
def wait(simulator: Simulator) -> Any:
    return lambda seconds: simulator.run(simulator.clock.sleep(seconds))


def allowed(session: Any, vm: str) -> set[str]:
    return set(session.VM.get_allowed_operations(vm))


@pytest.fixture
def running(session: Any, wait: Any) -> str:
    vm = machine(session, start=True)
    wait(5)
    return vm


# What is allowed


def test_a_halted_vm(session: Any) -> None:
    assert allowed(session, machine(session)) == set(STATES["Halted"].split())


def test_a_running_vm_whose_tools_reported(session: Any, running: str) -> None:
    assert allowed(session, running) == set(STATES["Running"].split())


def test_a_paused_vm(session: Any, running: str) -> None:
    session.VM.pause(running)
    assert allowed(session, running) == set(STATES["Paused"].split())


def test_a_suspended_vm(session: Any, running: str) -> None:
    session.VM.suspend(running)
    assert allowed(session, running) == set(STATES["Suspended"].split())


def test_a_guest_without_tools_cannot_be_asked_for_anything(session: Any, wait: Any) -> None:
    vm = machine(session, other_config={"simulator-guest": "none"}, start=True)
    wait(60)
    needing = {"suspend", "clean_shutdown", "clean_reboot", "pool_migrate", "changing_VCPUs_live", "checkpoint", "migrate_send"}
    assert allowed(session, vm) == set(STATES["Running"].split()) - needing
    for op in ("clean_shutdown", "clean_reboot", "suspend"):
        assert refusal(session.call, f"VM.{op}", vm) == ["VM_LACKS_FEATURE", vm]


def test_a_template(session: Any) -> None:
    vm = machine(session)
    session.VM.set_is_a_template(vm, True)
    both = {"changing_dynamic_range", "changing_static_range", "changing_shadow_memory", "changing_NVRAM", "clone", "copy", "export"}
    assert allowed(session, vm) == both | {"metadata_export", "provision", "destroy", "migrate_send"}
    default = only(session.VM.get_by_name_label("Other install media"))
    assert allowed(session, default) == both | {"metadata_export", "provision"}


def test_a_snapshot(session: Any) -> None:
    snapshot = session.VM.snapshot(machine(session), "now")
    assert allowed(session, snapshot) == {"revert", "clone", "copy", "export", "destroy", "metadata_export"}


def test_the_control_domain(session: Any) -> None:
    dom0 = next(vm for vm, row in session.VM.get_all_records().items() if row["is_control_domain"])
    assert allowed(session, dom0) == {"changing_dynamic_range", "changing_static_range", "metadata_export"}


# Refusals


@pytest.mark.parametrize(
    ("message", "arguments", "expected"),
    [
        ("start", [False, False], "halted"),
        ("unpause", [], "paused"),
        ("resume", [False, False], "suspended"),
        ("provision", [], "halted"),
        ("destroy", [], "halted, suspended"),
        ("clone", ["x"], "halted"),
        ("set_memory_static_min", [1 << 20], "halted"),
    ],
)
def test_a_running_vm_refuses(session: Any, running: str, message: str, arguments: list[Any], expected: str) -> None:
    assert refusal(session.call, f"VM.{message}", running, *arguments) == ["VM_BAD_POWER_STATE", running, expected, "running"]


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("pause", "running"),
        ("suspend", "running"),
        ("clean_shutdown", "running"),
        ("hard_reboot", "paused, running"),
        ("hard_shutdown", "paused, suspended, running"),
        ("unpause", "paused"),
    ],
)
def test_a_halted_vm_refuses(session: Any, message: str, expected: str) -> None:
    vm = machine(session)
    assert refusal(session.call, f"VM.{message}", vm) == ["VM_BAD_POWER_STATE", vm, expected, "halted"]


def test_a_template_is_no_machine(session: Any) -> None:
    template = only(session.VM.get_by_name_label("Other install media"))
    assert refusal(session.VM.start, template, False, False) == ["VM_IS_TEMPLATE", template, "start"]
    assert refusal(session.VM.snapshot, template, "x") == ["VM_IS_TEMPLATE", template, "snapshot"]
    assert refusal(session.VM.destroy, template) == ["VM_IS_TEMPLATE", template, "destroy"]
    assert refusal(session.VM.provision, machine(session)) == ["PROVISION_ONLY_ALLOWED_ON_TEMPLATE"]


def test_a_snapshot_is_no_machine(session: Any) -> None:
    vm = machine(session)
    snapshot = session.VM.snapshot(vm, "now")
    assert refusal(session.VM.start, snapshot, False, False) == ["VM_IS_SNAPSHOT", snapshot, "start"]
    # The recordings have the rule's own code hidden behind the general one.
    assert refusal(session.VM.revert, vm) == ["VM_REVERT_FAILED", vm, NULL]


def test_blocked_operations_come_before_everything(session: Any) -> None:
    vm = machine(session)
    session.VM.set_blocked_operations(vm, {"start": "in repair", "pause": "never"})
    assert refusal(session.VM.start, vm, False, False) == ["OPERATION_BLOCKED", vm, "in repair"]
    # The wrong power state is not even looked at.
    assert refusal(session.VM.pause, vm) == ["OPERATION_BLOCKED", vm, "never"]
    session.VM.remove_from_blocked_operations(vm, "start")
    session.VM.start(vm, False, False)


def test_a_vm_that_is_nailed_down(session: Any, wait: Any) -> None:
    vm = machine(session, platform={"nomigrate": "true"}, start=True)
    wait(5)
    assert refusal(session.VM.suspend, vm) == ["VM_IS_IMMOBILE", vm]
    # What counts is how it booted.
    session.VM.set_platform(vm, {})
    assert refusal(session.VM.suspend, vm) == ["VM_IS_IMMOBILE", vm]


# Beside each other


@pytest.fixture(scope="module")
def real() -> Iterator[Simulator]:
    """With a clock that does not jump while a test looks."""
    with Simulator("one_host") as simulator:
        yield simulator
        assert simulator.problems == []


def test_tools_are_not_there_at_once(real: Simulator) -> None:
    session = real.session()
    vm = machine(session, start=True)
    for _unused in range(2):
        assert "clean_shutdown" not in allowed(session, vm)
        assert refusal(session.VM.clean_shutdown, vm) == ["VM_LACKS_FEATURE", vm]
        until_asked(session, vm)
        session.VM.clean_reboot(vm)


def until_asked(session: Any, vm: str) -> None:
    """Wait for the tools of the guest."""
    end = time.monotonic() + 20
    while "clean_shutdown" not in allowed(session, vm):
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.fixture
def slow(real: Simulator) -> Iterator[dict[str, float]]:
    yield real.engine.latency
    real.engine.latency.clear()


def test_copies_run_beside_each_other_and_a_start_waits_for_them(real: Simulator, slow: dict[str, float]) -> None:
    session = real.session()
    vm = machine(session)
    slow["VM.clone"] = 0.6
    first, second = session.call("Async.VM.clone", vm, "one"), session.call("Async.VM.clone", vm, "two")
    assert session.VM.get_current_operations(vm) == {first: "clone", second: "clone"}
    assert "start" not in allowed(session, vm)
    assert {"clone", "copy"} <= allowed(session, vm)
    # It is not refused: it waits until the copies are there.
    session.VM.start(vm, False, False)
    assert session.task.get_status(first) == session.task.get_status(second) == "success"


def test_what_waits_can_be_cancelled(real: Simulator, slow: dict[str, float]) -> None:
    session = real.session()
    vm = machine(session)
    slow["VM.clone"] = 0.8
    session.call("Async.VM.clone", vm, "one")
    task = session.call("Async.VM.start", vm, False, False)
    time.sleep(0.1)
    assert session.task.get_allowed_operations(task) == ["cancel"]
    session.task.cancel(task)
    time.sleep(0.1)
    assert session.task.get_status(task) == "cancelled"
    assert session.VM.get_power_state(vm) == "Halted"


def test_a_hard_shutdown_cancels_what_is_in_its_way(real: Simulator, slow: dict[str, float]) -> None:
    session = real.session()
    vm = machine(session, start=True)
    until_asked(session, vm)
    slow["VM.clean_shutdown"] = 600.0
    task = session.call("Async.VM.clean_shutdown", vm)
    time.sleep(0.1)
    session.VM.hard_shutdown(vm)
    assert session.VM.get_power_state(vm) == "Halted"
    assert session.task.get_status(task) == "cancelled"


def test_an_operation_that_waits_for_hours_is_refused(simulator: Simulator, session: Any) -> None:
    vm = machine(session)
    simulator.engine.latency["VM.clone"] = 3 * 3600.0

    async def both() -> None:
        await simulator.engine.call("Async.VM.clone", [session.ref, vm, "slow"])
        while not simulator.engine.db.get("VM", vm, "current_operations"):
            await asyncio.sleep(0)
        before = simulator.clock.time()
        with pytest.raises(Failure) as caught:
            await simulator.engine.call("VM.start", [session.ref, vm, False, False])
        assert caught.value.description == ["OTHER_OPERATION_IN_PROGRESS", "VM.clone", vm]
        assert 7200 <= simulator.clock.time() - before < 7300

    try:
        simulator.run(both())
    finally:
        simulator.engine.latency.clear()


def test_many_at_once_leave_nothing_behind(real: Simulator) -> None:
    session = real.session()
    vm = machine(session)
    outcomes: list[str] = []

    def start() -> None:
        try:
            session.VM.start(vm, False, False)
            outcomes.append("started")
        except Failure as failure:
            outcomes.append(failure.code)

    threads = [threading.Thread(target=start) for _unused in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["VM_BAD_POWER_STATE"] * 7 + ["started"]
    assert session.VM.get_current_operations(vm) == {}


# assert_operation_valid


def test_asking_beforehand(session: Any) -> None:
    vm = machine(session)
    session.VM.assert_operation_valid(vm, "start")
    assert refusal(session.VM.assert_operation_valid, vm, "pause") == ["VM_BAD_POWER_STATE", vm, "running", "halted"]
