# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What HA refuses because protected VMs could not all start again (xapi_ha_vm_failover.ml, binpack.ml), at every level."""

from __future__ import annotations

from typing import Any

import pytest

from simulator import Simulator, VirtualClock
from simulator.behaviour._ha_packing import Packing

from ._asking import fixtures_at_levels
from ._machines import GIB, host_named, machine, refusal, sr_named

BROKEN = ["HA_OPERATION_WOULD_BREAK_FAILOVER_PLAN"]


level, simulator, session = fixtures_at_levels(lambda level: Simulator("three_hosts", api=level, clock=VirtualClock()))


@pytest.fixture
def pool(simulator: Simulator) -> str:
    return simulator.engine.pool


def guest(simulator: Simulator, session: Any, host: str, gib: int, *, protected: bool = True) -> str:
    """A running VM on shared storage."""
    vm = machine(session)
    session.VM.set_memory(vm, gib * GIB)
    session.VM.start_on(vm, host_named(session, host), False, False)
    simulator.run(simulator.clock.sleep(10))
    if protected:
        session.VM.set_ha_restart_priority(vm, "restart")
    return vm


@pytest.fixture
def guarded(simulator: Simulator, session: Any, pool: str) -> list[str]:
    """Two protected VMs of 40 GiB on hosts that have room for one such each: one host may fail, no more."""
    vms = [guest(simulator, session, host, 40) for host in ("xs1", "xs2")]
    session.pool.enable_ha([sr_named(session, "NFS storage")], {})
    session.pool.set_ha_host_failures_to_tolerate(pool, 1)
    assert session.pool.get_ha_plan_exists_for(pool) == 1
    return vms


def test_a_host_that_the_plan_needs(session: Any, pool: str, guarded: list[str]) -> None:
    host = host_named(session, "xs3")
    # assert_host_disable_preserves_ha_plan
    assert refusal(session.host.disable, host) == BROKEN
    assert refusal(session.host.evacuate, host) == BROKEN
    session.pool.set_ha_allow_overcommit(pool, True)
    session.host.disable(host)
    assert not session.host.get_enabled(host)


def test_without_ha_nobody_minds(session: Any, guarded: list[str]) -> None:
    session.pool.disable_ha()
    session.host.disable(host_named(session, "xs3"))


@pytest.fixture
def short(session: Any, pool: str, guarded: list[str]) -> list[str]:
    """A host is missing, and nobody has made a new plan yet."""
    session.pool.set_ha_allow_overcommit(pool, True)
    session.host.disable(host_named(session, "xs3"))
    session.pool.set_ha_allow_overcommit(pool, False)
    return guarded


def test_what_has_no_plan_cannot_lose_it(session: Any, short: list[str]) -> None:
    session.host.disable(host_named(session, "xs2"))


def test_a_plan_for_less(session: Any, pool: str, short: list[str]) -> None:
    """update_pool_status: everybody is told, and what is planned for is guarded again."""
    session.VM.set_ha_restart_priority(short[0], "best-effort")
    session.VM.set_ha_restart_priority(short[0], "restart")  # has the plan computed anew
    assert session.pool.get_ha_overcommitted(pool)
    assert session.pool.get_ha_plan_exists_for(pool) == 0
    told = {row["name"]: row["body"] for row in session.message.get_all_records().values() if row["cls"] == "Pool"}
    assert told["HA_POOL_DROP_IN_PLAN_EXISTS_FOR"] == "0"
    assert "HA_POOL_OVERCOMMITTED" in told
    assert refusal(session.host.disable, host_named(session, "xs2")) == BROKEN


def test_more_failures_than_there_is_room_for(session: Any, pool: str, guarded: list[str]) -> None:
    # assert_nfailures_change_preserves_ha_plan
    assert refusal(session.pool.set_ha_host_failures_to_tolerate, pool, 2) == BROKEN
    assert session.pool.ha_compute_max_host_failures_to_tolerate() == 1
    assert [session.pool.ha_failover_plan_exists(number) for number in (0, 1, 2)] == [True, True, False]


def test_a_vm_in_the_way_of_others(simulator: Simulator, session: Any, guarded: list[str]) -> None:
    """check_vm_preserves_ha_plan: whether it is protected itself or only takes room."""
    vm = machine(session)
    session.VM.set_memory(vm, 40 * GIB)
    assert refusal(session.VM.start, vm, False, False) == BROKEN
    assert refusal(session.VM.start_on, vm, host_named(session, "xs3"), False, False) == BROKEN
    session.VM.set_memory(vm, GIB)
    session.VM.start_on(vm, host_named(session, "xs3"), False, False)
    simulator.run(simulator.clock.sleep(10))
    session.VM.hard_shutdown(vm)
    session.VM.set_memory(vm, 20 * GIB)
    session.VM.set_ha_restart_priority(vm, "restart")
    assert refusal(session.VM.start, vm, False, False) == BROKEN


def test_one_vm_more_to_protect(simulator: Simulator, session: Any, pool: str) -> None:
    vms = [guest(simulator, session, host, 40) for host in ("xs1", "xs2")]
    other = guest(simulator, session, "xs3", 40, protected=False)
    session.pool.enable_ha([sr_named(session, "NFS storage")], {})
    for vm in vms:
        session.VM.set_ha_restart_priority(vm, "")
    session.VM.set_ha_restart_priority(other, "restart")
    assert session.pool.get_ha_plan_exists_for(pool) == 0
    # assert_new_vm_preserves_ha_plan: a plan for no failures at all needs no room.
    session.VM.set_ha_restart_priority(vms[0], "restart")


def test_vms_that_run_on_one_host_alone_have_no_plan(simulator: Simulator, session: Any, guarded: list[str], pool: str) -> None:
    """Plan_exists_excluding_non_agile_VMs is none."""
    session.pool.disable_ha()  # which would not let the disk in
    local = next(sr for sr in session.SR.get_all() if session.SR.get_type(sr) == "ext")
    vdi = session.VDI.create({"SR": local, "virtual_size": 1 << 22, "type": "user", "sharable": False, "read_only": False, "other_config": {}})
    record = {"VM": guarded[0], "VDI": vdi, "userdevice": "7", "bootable": False, "mode": "RW", "type": "Disk", "empty": False}
    session.VBD.create({**record, "other_config": {}, "qos_algorithm_type": "", "qos_algorithm_params": {}})
    session.pool.enable_ha([sr_named(session, "NFS storage")], {})
    assert not session.pool.ha_failover_plan_exists(0)
    assert session.pool.ha_compute_max_host_failures_to_tolerate() == 0
    session.host.disable(host_named(session, "xs3"))


def test_a_network_of_protected_vms(session: Any, guarded: list[str], level: str) -> None:
    """abort_if_network_attached_to_protected_vms in PIF.unplug: up to 24.19; 26 leaves that to the plan."""
    pif = next(ref for ref, row in session.PIF.get_all_records().items() if row["device"] == "eth1" and row["VLAN"] == -1)
    network = session.PIF.get_network(pif)
    record = {"VM": guarded[0], "network": network, "device": "3", "MAC": "", "MTU": 1500, "other_config": {}}
    session.VIF.create({**record, "qos_algorithm_type": "", "qos_algorithm_params": {}, "locking_mode": "network_default"})
    assert refusal(session.PIF.unplug, pif) == ["HA_IS_ENABLED"]  # while it is up
    session.pool.disable_ha()
    session.PIF.unplug(pif)
    session.pool.enable_ha([sr_named(session, "NFS storage")], {})
    if level == "26":
        session.PIF.unplug(pif)
    else:
        assert refusal(session.PIF.unplug, pif) == BROKEN


def test_a_host_comes_back_with_all_that_protected_vms_need(simulator: Simulator, session: Any, guarded: list[str], pool: str, level: str) -> None:
    """assert_safe_to_reenable"""
    host, sr = host_named(session, "xs3"), sr_named(session, "NFS storage")
    session.pool.set_ha_allow_overcommit(pool, True)
    session.host.disable(host)
    session.pool.disable_ha()
    (pbd,) = [ref for ref in session.host.get_PBDs(host) if session.PBD.get_SR(ref) == sr]
    session.PBD.unplug(pbd)
    session.pool.set_ha_allow_overcommit(pool, False)
    ha_on(simulator)
    expected = ["HA_CONSTRAINT_VIOLATION_SR_NOT_SHARED", sr] if level == "26" else BROKEN
    assert refusal(session.host.enable, host) == expected
    session.PBD.plug(pbd)
    session.host.enable(host)


def ha_on(simulator: Simulator) -> None:
    """As it would be had the storage gone while HA was on: enable_ha itself looks at all hosts."""

    async def switch() -> None:
        simulator.engine.db.set("pool", simulator.engine.pool, "ha_enabled", True)

    simulator.run(switch())


# Packing


def packing(hosts: dict[str, int], vms: dict[str, tuple[int, str]], failures: int) -> Packing:
    return Packing(hosts, {vm: size for vm, (size, _host) in vms.items()}, {vm: host for vm, (_size, host) in vms.items()}, len(hosts), failures)


@pytest.mark.parametrize(
    ("hosts", "vms", "failures", "expected"),
    [
        ({"a": 0, "b": 0}, {}, 2, True),
        ({"a": 9, "b": 9}, {"v": (1, "a")}, 2, False),  # nobody left
        ({"a": 9, "b": 9}, {"v": (1, "a")}, 3, False),
        ({"a": 0, "b": 5}, {"v": (5, "a")}, 1, True),
        ({"a": 0, "b": 4}, {"v": (5, "a")}, 1, False),
        # Together there is room, in one piece there is not.
        ({"a": 0, "b": 3, "c": 3}, {"v": (5, "a")}, 1, False),
        # After the first failure the VM is where the second one strikes.
        ({"a": 0, "b": 5, "c": 5}, {"v": (5, "a")}, 2, True),
        ({"a": 0, "b": 5, "c": 4}, {"v": (5, "a")}, 2, False),
    ],
)
def test_packing(hosts: dict[str, int], vms: dict[str, tuple[int, str]], failures: int, expected: bool) -> None:
    assert packing(hosts, vms, failures).survives() is expected


def test_the_largest_first_each_where_most_is_free() -> None:
    places = packing({"a": 10, "b": 8}, {"small": (3, ""), "large": (7, "")}, 0).places_for(["small", "large"])
    assert places == {"large": "a", "small": "b"}


@pytest.mark.parametrize(("free", "expected"), [(10, True), (9, False)])
def test_of_many_hosts_the_worst_is_supposed(free: int, expected: bool) -> None:
    """approximate_bin_pack: VMs as large as the largest, those hosts fail that have most of everything."""
    hosts = {f"h{number}": free for number in range(40)}
    vms = {f"v{number}": (10 if number == 0 else 1, f"h{number % 20}") for number in range(60)}
    assert packing(hosts, vms, 5).survives() is expected
