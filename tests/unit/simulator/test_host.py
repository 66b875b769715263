# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""host: enabled or not, emptied, down and up, gone; memory and addresses (facts 3.9; X/xapi_host.ml)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from simulator import NULL, Simulator, VirtualClock

from ._asking import fixtures, refusal, until

GIB = 1 << 30


# Time passes as fast as it can: machines boot at once.
simulator, session = fixtures(lambda: Simulator("three_hosts", clock=VirtualClock()))


@pytest.fixture
def host(session: Any) -> Callable[[str], str]:
    return lambda name: str(session.host.get_by_name_label(name)[0])


@pytest.fixture
def vm(session: Any) -> Callable[..., str]:
    """A guest with tools, running on a host."""

    def start(on: str, memory: int = GIB, name: str = "guest", *, local: bool = False) -> str:
        ref = session.VM.clone(session.VM.get_by_name_label("Other install media")[0], name)
        session.VM.provision(ref)
        session.VM.set_memory_limits(ref, memory, memory, memory, memory)
        if local:
            pbds = [session.PBD.get_record(pbd) for pbd in session.host.get_PBDs(on)]
            sr = next(pbd["SR"] for pbd in pbds if not session.SR.get_shared(pbd["SR"]))
            disk = {"name_label": "d", "SR": sr, "virtual_size": 1 << 21, "type": "user", "sharable": False, "read_only": False, "other_config": {}}
            vbd = {"VM": ref, "VDI": session.VDI.create(disk), "userdevice": "0", "bootable": True, "mode": "RW", "type": "Disk", "empty": False}
            session.VBD.create({**vbd, "other_config": {}, "qos_algorithm_type": "", "qos_algorithm_params": {}})
        session.VM.start_on(ref, on, False, False)
        until(lambda: session.VM_guest_metrics.get_PV_drivers_detected(session.VM.get_guest_metrics(ref)))
        return str(ref)

    return start


# Enabled or not


def test_a_disabled_host_takes_no_vm(session: Any, host: Callable[[str], str]) -> None:
    session.host.disable(host("xs2"))
    session.host.disable(host("xs2"))  # as good as done
    vm = session.VM.clone(session.VM.get_by_name_label("Other install media")[0], "guest")
    session.VM.provision(vm)
    assert refusal(session.VM.start_on, vm, host("xs2"), False, False) == ["HOST_DISABLED", host("xs2")]
    session.host.enable(host("xs2"))
    session.VM.start_on(vm, host("xs2"), False, False)


@pytest.mark.parametrize("message", ["reboot", "shutdown"])
def test_only_a_disabled_host_goes_down(session: Any, host: Callable[[str], str], message: str) -> None:
    assert refusal(session.call, f"host.{message}", host("xs2")) == ["HOST_NOT_DISABLED"]
    assert message not in session.host.get_allowed_operations(host("xs2"))
    session.host.disable(host("xs2"))
    assert message in session.host.get_allowed_operations(host("xs2"))


# Down and up


def test_a_reboot(session: Any, host: Callable[[str], str]) -> None:
    ref = host("xs2")
    before = session.host.get_other_config(ref)["boot_time"]
    session.host.disable(ref)
    session.host.reboot(ref)
    until(lambda: session.host.get_other_config(ref)["boot_time"] != before)
    until(lambda: session.host.get_enabled(ref) and session.host_metrics.get_live(session.host.get_metrics(ref)))
    assert all(session.PBD.get_currently_attached(pbd) for pbd in session.host.get_PBDs(ref))


def test_a_shutdown_and_power_on(session: Any, host: Callable[[str], str]) -> None:
    ref = host("xs3")
    session.host.disable(ref)
    session.host.shutdown(ref)
    until(lambda: not session.host_metrics.get_live(session.host.get_metrics(ref)))
    assert refusal(session.host.enable, ref) == ["HOST_OFFLINE", ref]
    assert refusal(session.host.power_on, ref) == ["HOST_POWER_ON_MODE_DISABLED"]
    session.host.set_power_on_mode(ref, "wake-on-lan", {})
    session.host.power_on(ref)
    until(lambda: session.host_metrics.get_live(session.host.get_metrics(ref)))
    assert refusal(session.host.power_on, ref) == ["HOST_IS_LIVE", ref]


def test_vms_do_not_survive_their_host(session: Any, host: Callable[[str], str], vm: Callable[..., str]) -> None:
    ref, guest = host("xs2"), vm(host("xs2"))
    session.host.disable(ref)
    session.host.shutdown(ref)
    until(lambda: not session.host_metrics.get_live(session.host.get_metrics(ref)))
    assert (session.VM.get_power_state(guest), session.VM.get_resident_on(guest)) == ("Halted", NULL)


def crash(simulator: Simulator, ref: str) -> None:
    async def stop() -> None:
        simulator.engine.behaviours["host"].crash(ref)

    simulator.run(stop())


def test_a_crashed_host_is_silent_and_then_dead(simulator: Simulator, session: Any, host: Callable[[str], str], vm: Callable[..., str]) -> None:
    """Its VMs count as running until somebody declares it dead."""
    ref, guest = host("xs2"), vm(host("xs2"))
    crash(simulator, ref)
    until(lambda: not session.host_metrics.get_live(session.host.get_metrics(ref)))
    assert session.VM.get_power_state(guest) == "Running"
    assert refusal(session.VM.hard_shutdown, guest)[0] in ("HOST_OFFLINE", "CANNOT_CONTACT_HOST")
    session.host.declare_dead(ref)
    assert session.VM.get_power_state(guest) == "Halted"
    session.VM.start(guest, False, False)
    assert session.VM.get_resident_on(guest) != ref


def test_who_lives_is_not_declared_dead(session: Any, host: Callable[[str], str]) -> None:
    assert refusal(session.host.declare_dead, host("xs2")) == ["HOST_IS_LIVE", host("xs2")]
    assert refusal(session.host.destroy, host("xs2")) == ["HOST_IS_LIVE", host("xs2")]
    assert refusal(session.host.destroy, host("xs1")) == ["HOST_IS_LIVE", host("xs1")]


def test_a_dead_host_is_forgotten_when_nothing_runs_there(simulator: Simulator, session: Any, host: Callable[[str], str], vm: Callable[..., str]) -> None:
    ref, guest = host("xs2"), vm(host("xs2"))
    crash(simulator, ref)
    until(lambda: not session.host_metrics.get_live(session.host.get_metrics(ref)))
    assert refusal(session.host.destroy, ref) == ["HOST_HAS_RESIDENT_VMS", ref]
    session.VM.power_state_reset(guest)
    session.host.destroy(ref)
    assert len(session.host.get_all()) == 2
    assert ref not in {row["host"] for row in session.PBD.get_all_records().values()}
    assert ref not in {row["host"] for row in session.PIF.get_all_records().values()}


# Emptied


def test_everybody_leaves(session: Any, host: Callable[[str], str], vm: Callable[..., str]) -> None:
    guests = [vm(host("xs1"), name=f"guest {number}") for number in range(3)]
    session.host.evacuate(host("xs1"))
    assert host("xs1") not in {session.VM.get_resident_on(guest) for guest in guests}
    assert session.host.get_enabled(host("xs1"))  # emptied, not disabled


def test_nowhere_to_go(session: Any, host: Callable[[str], str], vm: Callable[..., str]) -> None:
    guest = vm(host("xs1"))
    for name in ("xs2", "xs3"):
        session.host.disable(host(name))
    assert session.host.get_vms_which_prevent_evacuation(host("xs1")) == {guest: ["NO_HOSTS_AVAILABLE", guest]}
    assert refusal(session.host.assert_can_evacuate, host("xs1")) == ["CANNOT_EVACUATE_HOST", f"NO_HOSTS_AVAILABLE,{guest}"]
    assert refusal(session.host.evacuate, host("xs1")) == ["NO_HOSTS_AVAILABLE", guest]


def test_who_has_a_local_disk_stays(session: Any, host: Callable[[str], str], vm: Callable[..., str]) -> None:
    stays, goes = vm(host("xs1"), local=True), vm(host("xs1"), name="free")
    prevented = session.host.get_vms_which_prevent_evacuation(host("xs1"))
    assert list(prevented) == [stays]
    assert prevented[stays][:2] == ["VM_REQUIRES_SR", stays]
    assert refusal(session.host.evacuate, host("xs1")) == prevented[stays]
    assert session.VM.get_resident_on(goes) == host("xs1")  # a plan that does not work out is not begun


def test_too_large_for_the_others(session: Any, host: Callable[[str], str], vm: Callable[..., str]) -> None:
    filling = [vm(host(name), 40 * GIB, name=name) for name in ("xs2", "xs3")]
    guest = vm(host("xs1"), 30 * GIB)
    assert session.host.get_vms_which_prevent_evacuation(host("xs1")) == {guest: ["HOST_NOT_ENOUGH_FREE_MEMORY", guest]}
    session.VM.hard_shutdown(filling[0])
    session.host.evacuate(host("xs1"))
    assert session.VM.get_resident_on(guest) == host("xs2")


# Memory


def test_free_memory_is_what_domains_leave(session: Any, host: Callable[[str], str], vm: Callable[..., str]) -> None:
    ref = host("xs2")
    record = session.host.get_record(ref)
    total = session.host_metrics.get_memory_total(record["metrics"])
    control = session.VM.get_record(record["control_domain"])
    before = session.host.compute_free_memory(ref)
    assert before == total - record["memory_overhead"] - control["memory_dynamic_min"] - control["memory_overhead"]
    guest = vm(ref, 2 * GIB)
    assert session.host.compute_free_memory(ref) == before - 2 * GIB - session.VM.get_memory_overhead(guest)


# Names and addresses


@pytest.mark.parametrize(
    ("name", "reason"),
    [("", "hostname empty"), ("a" * 256, "hostname is too long"), ("with space", "hostname contains invalid characters"), ("-x", None), ("x-", None)],
)
def test_hostnames_that_are_none(session: Any, host: Callable[[str], str], name: str, reason: str | None) -> None:
    expected = ["HOST_NAME_INVALID", reason or "hostname contains invalid characters"]
    assert refusal(session.host.set_hostname_live, host("xs2"), name) == expected


def test_a_hostname_names_the_control_domain(session: Any, host: Callable[[str], str]) -> None:
    session.host.set_hostname_live(host("xs2"), "fresh")
    control = session.host.get_control_domain(host("xs2"))
    assert session.VM.get_name_label(control) == "Control domain on host: fresh"
    assert session.host.get_name_label(host("xs2")) == "xs2"


def test_where_a_migration_arrives(session: Any, host: Callable[[str], str]) -> None:
    management = session.network.get_by_name_label("Pool-wide network associated with eth0")[0]
    answer = session.host.migrate_receive(host("xs2"), management, {})
    assert answer["host"] == host("xs2")
    assert answer["session_id"] != session.ref
    private = session.network.get_by_name_label("Private")[0]
    assert refusal(session.host.migrate_receive, host("xs2"), private, {}) == ["HOST_CANNOT_ATTACH_NETWORK", host("xs2"), private]
    plain = session.network.get_by_name_label("Pool-wide network associated with eth1")[0]
    pif = next(pif for pif in session.network.get_PIFs(plain) if session.PIF.get_host(pif) == host("xs2"))
    assert refusal(session.host.migrate_receive, host("xs2"), plain, {}) == ["PIF_HAS_NO_NETWORK_CONFIGURATION", pif]


def test_an_unknown_host_is_as_good_as_offline(session: Any) -> None:
    assert refusal(session.host.get_servertime, "OpaqueRef:none") == ["HOST_OFFLINE", "OpaqueRef:none"]
    # The plan of HA names the host in its log first (string_of_configuration_change in xapi_ha_vm_failover.ml), HA or not.
    assert refusal(session.host.disable, "OpaqueRef:none") == ["HANDLE_INVALID", "host", "OpaqueRef:none"]
    assert refusal(session.host.get_name_label, "OpaqueRef:none") == ["HANDLE_INVALID", "host", "OpaqueRef:none"]
