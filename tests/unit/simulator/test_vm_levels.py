# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""VM, VBD, VIF: what one level of xapi does otherwise than another (expected values: the sources of v1.249.42, v24.19.2 and e2ee48d)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from simulator import Simulator, VirtualClock

from ._machines import add_nic, machine, only, refusal

LEVELS = ("8.2", "8.3", "26")


@pytest.fixture(scope="module", params=LEVELS)
def level(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def simulator(level: str) -> Iterator[Simulator]:
    with Simulator("one_host", api=level, clock=VirtualClock()) as simulator:
        yield simulator
        assert simulator.problems == []


@pytest.fixture(scope="module")
def session(simulator: Simulator) -> Any:
    return simulator.session()


@pytest.fixture
def wait(simulator: Simulator) -> Callable[[float], None]:
    return lambda seconds: simulator.run(simulator.clock.sleep(seconds))


@pytest.fixture
def vm(session: Any) -> str:
    return machine(session)


def test_8_2_lists_operations_of_its_own(session: Any, vm: str, level: str) -> None:
    listed = set(session.VM.get_allowed_operations(vm))
    # update_allowed_operations of v1.249 names what it looks at; metadata_export and create_vtpm are not there.
    assert ("metadata_export" in listed) == (level != "8.2")
    assert ("create_vtpm" in listed) == (level != "8.2")


def test_reasons_not_to_sleep(simulator: Simulator, session: Any, vm: str, level: str, wait: Callable[[float], None]) -> None:
    session.VM.start(vm, False, False)
    wait(5)
    host, domid = session.VM.get_resident_on(vm), session.VM.get_domid(vm)
    behaviour: Any = simulator.engine.behaviours["VM"]

    async def tell() -> None:
        store = behaviour.xenstore(host)
        store.write(f"/local/domain/{domid}/data/cant_suspend_reason", "a disk is busy")
        store.write(f"/local/domain/{domid}/data/updated", "1")

    simulator.run(tell())
    assert session.VM_guest_metrics.get_other(session.VM.get_guest_metrics(vm))["data-cant-suspend-reason"] == "a disk is busy"
    if level != "26":
        # check_op_for_feature before 2025 does not know the reason; a known driver version implies all features.
        session.VM.assert_operation_valid(vm, "suspend")
        return
    reason = ["VM_NON_SUSPENDABLE", vm, "a disk is busy"]
    assert refusal(session.VM.suspend, vm) == reason
    # Force helps against missing features, not against this.
    assert refusal(session.VM.pool_migrate, vm, host, {"force": "true"}) == reason
    session.VM.pause(vm)
    assert refusal(session.VM.checkpoint, vm, "now") == reason


def test_a_paused_guest_without_tools(session: Any, level: str) -> None:
    vm = machine(session, other_config={"simulator-guest": "none"}, start=True)
    session.VM.pause(vm)
    # is_live of 2025 counts Paused, `power_state <> Running` of before does not.
    assert ("checkpoint" in session.VM.get_allowed_operations(vm)) == (level != "26")


def test_flags_are_read_in_any_case(session: Any, vm: str) -> None:
    # bool_of_assoc and Vm_platform.is_true: `1`, or `true` in any case.
    session.VM.set_is_a_template(vm, True)
    for value in ("1", "TRUE", "true"):
        session.VM.set_other_config(vm, {"default_template": value})
        assert refusal(session.VM.assert_operation_valid, vm, "destroy") == ["VM_IS_TEMPLATE", vm, "destroy"]
    session.VM.set_other_config(vm, {"default_template": "yes"})
    session.VM.assert_operation_valid(vm, "destroy")


def test_a_platform_flag_in_capitals(session: Any, vm: str, wait: Callable[[float], None]) -> None:
    session.VM.set_platform(vm, {"nomigrate": "TRUE"})
    session.VM.start(vm, False, False)
    wait(5)
    assert refusal(session.VM.suspend, vm) == ["VM_IS_IMMOBILE", vm]


def test_a_rolling_upgrade(session: Any, vm: str, level: str) -> None:
    pool = only(session.pool.get_all())
    session.pool.add_to_other_config(pool, "rolling_upgrade_in_progress", "whatever")
    try:
        for op in ("snapshot", "changing_dynamic_range", "changing_static_range"):
            assert refusal(session.VM.assert_operation_valid, vm, op) == ["NOT_SUPPORTED_DURING_UPGRADE"]
        # What is wrong anyway comes first.
        assert refusal(session.VM.assert_operation_valid, vm, "checkpoint")[0] == "VM_BAD_POWER_STATE"
        session.VM.update_allowed_operations(vm)
        listed = {"start", "start_on", "clone", "copy", "destroy", "export", "make_into_template"}
        assert set(session.VM.get_allowed_operations(vm)) == listed | ({"migrate_send"} if level != "8.2" else set())
    finally:
        session.pool.remove_from_other_config(pool, "rolling_upgrade_in_progress")


def test_devices_that_a_nic_may_have(session: Any, level: str) -> None:
    vm = session.VM.clone(session.VM.get_by_name_label("Other install media")[0], "no devices")
    # allowed_VIF_devices_HVM in xapi_vm_helpers.ml
    assert len(session.VM.get_allowed_VIF_devices(vm)) == (16 if level == "26" else 7)


def test_efi_variables(session: Any, vm: str, level: str) -> None:
    session.VM.set_NVRAM_EFI_variables(vm, "AAAA")
    assert session.VM.get_NVRAM(vm) == {"EFI-variables": "AAAA"}
    if level == "26":
        session.VM.set_NVRAM_EFI_variables(vm, "BBBB", "yes")
        assert session.VM.get_secureboot_certificates_state(vm) == "ok"
    else:
        assert refusal(session.VM.set_NVRAM_EFI_variables, vm, "BBBB", "yes")[0] == "MESSAGE_PARAMETER_COUNT_MISMATCH"


def test_numbers_that_nobody_gave_are_of_their_kind(session: Any, vm: str) -> None:
    record = {key: value for key, value in session.VM.get_record(vm).items() if key != "HVM_shadow_multiplier"}
    multiplier = session.VM.get_HVM_shadow_multiplier(session.VM.create(record))
    assert (multiplier, type(multiplier)) == (1.0, float)


def test_the_device_model_of_long_ago(session: Any, vm: str) -> None:
    session.VM.set_platform(vm, {"device-model": "qemu-trad"})
    session.VM.start(vm, False, False)
    # ensure_device_model_profile_present in xapi_vm_helpers.ml
    assert session.VM.get_platform(vm)["device-model"] == "qemu-upstream-compat"


def test_what_alerts_tell(session: Any, vm: str, level: str) -> None:
    session.VM.start(vm, False, False)
    session.VM.pause(vm)
    label, uuid = session.VM.get_name_label(vm), session.VM.get_uuid(vm)
    told = {row["name"]: row["body"] for row in session.message.get_all_records().values() if row["obj_uuid"] == uuid}
    host = session.host.get_record(session.VM.get_resident_on(vm))
    started = f"started on host: {host['name_label']} (uuid: {host['uuid']})"
    # message_forwarding.ml of each level
    if level == "8.2":
        assert told == {"VM_STARTED": f"VM '{label}' {started}"}
    else:
        assert told == {"VM_STARTED": f"VM '{label}' (uuid: {uuid}) {started}", "VM_PAUSED": f"VM '{label}' (uuid: {uuid}) paused"}


# Another operation in the way: since xapi 25.27 the refusal names its task, too


TASK = "OpaqueRef:00000000-0000-4000-8000-00000000beef"


def begin(simulator: Simulator, cls: str, ref: str, op: str, task: str = TASK) -> None:
    async def put() -> None:
        simulator.engine.db.put(cls, ref, "current_operations", task, op)

    simulator.run(put())


def end(simulator: Simulator, cls: str, ref: str) -> None:
    async def drop() -> None:
        simulator.engine.db.set(cls, ref, "current_operations", {})

    simulator.run(drop())


def test_a_nic_in_use_by_another_operation(simulator: Simulator, session: Any, vm: str, level: str) -> None:
    nic = only(session.VM.get_VIFs(vm)) if session.VM.get_VIFs(vm) else add_nic(session, vm, session.network.get_all()[0])
    begin(simulator, "VIF", nic, "plug")
    told = ["{plug}", f"{{{TASK}}}"] if level == "26" else ["plug"]
    assert refusal(session.VIF.unplug, nic) == ["OTHER_OPERATION_IN_PROGRESS", "VIF", nic, *told]
    # with_vifs_marked: whatever is wrong with one of them, and without waiting.
    assert refusal(session.VM.start, vm, False, False) == ["OPERATION_NOT_ALLOWED", "Failed to lock all VIFs"]
    end(simulator, "VIF", nic)
    session.VM.start(vm, False, False)


def test_an_appliance_in_use_by_another_operation(simulator: Simulator, session: Any, vm: str, level: str) -> None:
    appliance = session.VM_appliance.create({"name_label": "pair"})
    session.VM.set_appliance(vm, appliance)
    begin(simulator, "VM_appliance", appliance, "start")
    told = ["start", TASK] if level == "26" else []
    assert refusal(session.VM_appliance.start, appliance, False) == ["OTHER_OPERATION_IN_PROGRESS", "VM_appliance", appliance, *told]
    end(simulator, "VM_appliance", appliance)
    session.VM_appliance.start(appliance, False)
    assert session.VM.get_power_state(vm) == "Running"


def test_a_device_twice_in_two_spellings(session: Any, vm: str, level: str) -> None:
    network = session.network.get_all()[0]
    add_nic(session, vm, network, "5")
    if level == "26":
        # all_vifs_with_devices compares numbers.
        assert refusal(add_nic, session, vm, network, "05") == ["DEVICE_ALREADY_EXISTS", "05"]
    else:
        add_nic(session, vm, network, "05")


def test_drives_of_a_copy(session: Any, vm: str, level: str) -> None:
    copy = session.VM.clone(vm, "copy")
    drives = [vbd for vbd in session.VM.get_VBDs(copy) if session.VBD.get_type(vbd) == "Disk"]
    # Xapi_vbd_helpers.copy looks at them since 2025.
    assert [bool(session.VBD.get_allowed_operations(vbd)) for vbd in drives] == [level == "26"] * len(drives)
    assert drives
