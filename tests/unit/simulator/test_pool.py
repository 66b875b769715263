# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""pool: who leads, who leaves, high availability, operations that exclude each other (facts 3.10; recordings pool_two_hosts, small_classes)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from simulator import Simulator, VirtualClock
from simulator.engine.context import CURRENT, Context

from ._asking import fixtures, refusal, until

GIB = 1 << 30


simulator, session = fixtures(lambda: Simulator("three_hosts", clock=VirtualClock()))


@pytest.fixture
def pool(session: Any) -> str:
    return str(session.pool.get_all()[0])


@pytest.fixture
def host(session: Any) -> Callable[[str], str]:
    return lambda name: str(session.host.get_by_name_label(name)[0])


def guest(session: Any, on: str, memory: int = GIB) -> str:
    vm = session.VM.clone(session.VM.get_by_name_label("Other install media")[0], "guest")
    session.VM.provision(vm)
    session.VM.set_memory_limits(vm, memory, memory, memory, memory)
    session.VM.start_on(vm, on, False, False)
    return str(vm)


# Who leads


def test_members_send_to_the_coordinator(simulator: Simulator, session: Any, host: Callable[[str], str]) -> None:
    member = simulator.connect(host("xs2"))
    expected = ["HOST_IS_SLAVE", "127.0.0.1"]
    assert refusal(member.call, "session.login_with_password", ["root", "wrong"]) == expected  # before the password is looked at
    assert refusal(member.call, "VM.get_all", [session.ref]) == expected
    assert refusal(member.call, "VM.get_all", ["OpaqueRef:none"]) == ["SESSION_INVALID", "OpaqueRef:none"]


def test_another_coordinator(simulator: Simulator, session: Any, pool: str, host: Callable[[str], str]) -> None:
    """Sessions end, the old coordinator follows, the new one answers."""
    old, new = host("xs1"), host("xs2")
    session.pool.designate_new_master(new)
    until(lambda: simulator.engine.coordinator == new)
    assert refusal(session.VM.get_all) == ["SESSION_INVALID", session.ref]
    assert refusal(simulator.connect(old).call, "session.login_with_password", ["root", "simulated"]) == ["HOST_IS_SLAVE", "127.0.0.2"]
    again = simulator.session()
    assert again.pool.get_master(pool) == new
    again.pool.designate_new_master(new)  # as good as done
    assert again.VM.get_all()


def test_a_host_that_is_not_there_does_not_lead(simulator: Simulator, session: Any, host: Callable[[str], str]) -> None:
    assert refusal(session.pool.designate_new_master, "OpaqueRef:none") == ["HANDLE_INVALID", "host", "OpaqueRef:none"]
    session.host.disable(host("xs2"))
    session.host.shutdown(host("xs2"))
    until(lambda: not session.host_metrics.get_live(session.host.get_metrics(host("xs2"))))
    assert refusal(session.pool.designate_new_master, host("xs2")) == ["HOST_OFFLINE", host("xs2")]


# Who leaves


def test_a_host_leaves_with_its_storage(session: Any, host: Callable[[str], str]) -> None:
    ref = host("xs3")
    pbds = [session.PBD.get_record(pbd) for pbd in session.host.get_PBDs(ref)]
    local = [pbd["SR"] for pbd in pbds if not session.SR.get_shared(pbd["SR"])]
    shared = [pbd["SR"] for pbd in pbds if session.SR.get_shared(pbd["SR"])]
    control = session.host.get_control_domain(ref)
    session.pool.eject(ref)
    assert len(session.host.get_all()) == 2
    known = session.SR.get_all()
    assert not set(local) & set(known)
    assert set(shared) <= set(known)
    assert control not in session.VM.get_all()


def test_who_cannot_leave(session: Any, pool: str, host: Callable[[str], str]) -> None:
    assert refusal(session.pool.eject, host("xs1")) == ["INTERNAL_ERROR", "Xapi_pool.Cannot_eject_master"]
    vm = guest(session, host("xs2"))
    assert refusal(session.pool.eject, host("xs2")) == ["OPERATION_NOT_ALLOWED", "VM resident on host"]
    session.VM.hard_shutdown(vm)
    session.pool.eject(host("xs2"))


# High availability


def test_ha_needs_storage_that_all_hosts_see(session: Any, pool: str, host: Callable[[str], str]) -> None:
    local = next(sr for sr in session.SR.get_by_name_label("Local storage"))
    assert refusal(session.pool.enable_ha, [local], {}) == ["SR_HAS_NO_PBDS", local]  # not on every host
    iso = session.SR.get_by_name_label("ISO library")[0]
    assert refusal(session.pool.enable_ha, [iso], {}) == ["SR_OPERATION_NOT_SUPPORTED", iso]
    shared = session.SR.get_by_name_label("NFS storage")[0]
    pbd = next(pbd for pbd in session.SR.get_PBDs(shared) if session.PBD.get_host(pbd) == host("xs3"))
    session.PBD.unplug(pbd)
    assert refusal(session.pool.enable_ha, [shared], {}) == ["SR_HAS_NO_PBDS", shared]
    assert refusal(session.pool.enable_ha, [], {}) == ["CANNOT_CREATE_STATE_FILE"]


def test_ha_on_and_off(session: Any, pool: str, host: Callable[[str], str]) -> None:
    assert refusal(session.pool.disable_ha) == ["HA_NOT_ENABLED"]
    session.pool.enable_ha([session.SR.get_by_name_label("NFS storage")[0]], {})
    record = session.pool.get_record(pool)
    assert record["ha_enabled"]
    assert [session.VDI.get_type(vdi) for vdi in record["ha_statefiles"]] == ["ha_statefile"]
    assert refusal(session.pool.enable_ha, [], {}) == ["HA_IS_ENABLED"]
    assert refusal(session.pool.designate_new_master, host("xs2")) == ["HA_IS_ENABLED"]
    assert refusal(session.pool.eject, host("xs2")) == ["HA_IS_ENABLED"]
    session.pool.disable_ha()
    assert not session.pool.get_ha_enabled(pool)
    disks = session.VDI.get_all()
    session.pool.enable_ha([], {})
    assert session.VDI.get_all() == disks  # those of the first time


def test_ha_needs_its_licence(simulator: Simulator, session: Any) -> None:
    async def restrict() -> None:
        simulator.engine.db.put("pool", simulator.engine.pool, "restrictions", "enable_xha", "false")

    simulator.run(restrict())
    assert refusal(session.pool.enable_ha, [], {}) == ["LICENCE_RESTRICTION", "HA"]


def test_how_many_hosts_may_fail(session: Any, pool: str, host: Callable[[str], str]) -> None:
    """Of three hosts with about 60 GiB each, whoever fails."""
    vm = guest(session, host("xs1"), 50 * GIB)
    session.pool.enable_ha([session.SR.get_by_name_label("NFS storage")[0]], {})
    assert session.pool.ha_compute_max_host_failures_to_tolerate() == 3  # nobody is protected
    session.VM.set_ha_restart_priority(vm, "restart")
    assert session.pool.ha_compute_hypothetical_max_host_failures_to_tolerate({vm: "restart"}) == 2
    assert refusal(session.pool.ha_compute_hypothetical_max_host_failures_to_tolerate, {vm: "always"})[0] == "INVALID_VALUE"
    assert refusal(session.pool.set_ha_host_failures_to_tolerate, pool, -1) == ["INVALID_VALUE", "ha_host_failures_to_tolerate", "-1"]
    assert session.pool.ha_failover_plan_exists(2)
    assert not session.pool.ha_failover_plan_exists(3)


def test_where_vms_of_a_lost_host_would_start(session: Any, host: Callable[[str], str]) -> None:
    large, small = guest(session, host("xs1"), 50 * GIB), guest(session, host("xs1"), 5 * GIB)
    plan = session.pool.ha_compute_vm_failover_plan([host("xs1"), host("xs2")], [large, small])
    assert plan == {large: {"host": host("xs3")}, small: {"host": host("xs3")}}
    assert session.pool.ha_compute_vm_failover_plan(session.host.get_all(), [small]) == {small: {"error_code": "HOST_NOT_ENOUGH_FREE_MEMORY"}}


# Operations


def test_one_great_change_at_a_time(simulator: Simulator, session: Any, pool: str) -> None:
    """The second is refused with a code of its own, at once."""
    refused: list[list[str]] = []

    async def during() -> None:
        CURRENT.set(Context())
        async with simulator.engine.operations.hold("pool", pool, "designate_new_master"):
            attempt = threading.Thread(target=lambda: refused.append(refusal(session.pool.enable_ha, [], {})))
            attempt.start()
            while attempt.is_alive():
                await asyncio.sleep(0.01)

    simulator.run(during())
    assert refused == [["DESIGNATE_NEW_MASTER_IN_PROGRESS"]]


# Settings


def test_default_storage_is_not_looked_at(session: Any, pool: str) -> None:
    session.pool.set_default_SR(pool, "OpaqueRef:none")
    assert session.pool.get_default_SR(pool) == "OpaqueRef:none"


def test_what_agents_are_told(session: Any, pool: str) -> None:
    session.pool.add_to_guest_agent_config(pool, "auto_update_enabled", "true")
    assert refusal(session.pool.add_to_guest_agent_config, pool, "auto_update_enabled", "maybe")[0] == "INVALID_VALUE"
    assert refusal(session.pool.add_to_guest_agent_config, pool, "colour", "red")[0] == "INVALID_VALUE"
    session.pool.remove_from_guest_agent_config(pool, "auto_update_enabled")
    assert session.pool.get_guest_agent_config(pool) == {}
