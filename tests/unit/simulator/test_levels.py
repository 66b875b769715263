# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What xapi did otherwise at older API levels. Expectations are read from its source: v1.249.42 (8.2), v24.19.2 (8.3), of 2026 (26)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from simulator import Failure, Simulator, VirtualClock

LEVELS = ("8.2", "8.3", "26")
TASK = "OpaqueRef:11111111-2222-3333-4444-555555555555"
MIB = 1024**2


@pytest.fixture(scope="module", params=LEVELS)
def simulator(request: pytest.FixtureRequest) -> Iterator[Simulator]:
    with Simulator("one_host", api=request.param) as simulator:
        yield simulator
        assert simulator.problems == []


@pytest.fixture
def level(simulator: Simulator) -> str:
    return simulator.engine.schema.level


@pytest.fixture
def session(simulator: Simulator) -> Any:
    return simulator.session()


@pytest.fixture
def disk(session: Any) -> str:
    fields = {"name_label": "d", "virtual_size": 4 * MIB, "type": "user", "sharable": False, "read_only": False, "other_config": {}}
    return str(session.VDI.create({**fields, "SR": session.SR.get_by_name_label("Local storage")[0], "tags": ["blue"]}))


@pytest.mark.parametrize("branch", ["snapshot", "clone"])
def test_tags_follow_a_branch_since_2026(session: Any, level: str, disk: str, branch: str) -> None:
    """xapi b1b140a091; before it xapi_vdi.ml snapshot_and_clone leaves the new disk without any."""
    new = getattr(session.VDI, branch)(disk, {})
    assert session.VDI.get_tags(new) == (["blue"] if level == "26" else [])
    assert session.VDI.get_tags(session.VDI.copy(disk, session.VDI.get_SR(disk))) == ["blue"]


BUSY = [
    # class, operation that runs, operation that is asked for; what 8.2 and 8.3 say after class and reference; what 26 says.
    pytest.param("VDI", "resize", "destroy", [], ["resize", TASK], id="VDI"),
    pytest.param("SR", "scan", "vdi_create", ["scan"], ["scan", TASK], id="SR"),
    pytest.param("host", "evacuate", "provision", ["evacuate"], ["evacuate", TASK], id="host"),
    pytest.param("pool", "ha_enable", "eject", [], [], id="pool, beside a blocking operation"),
]


@pytest.mark.parametrize(("cls", "running", "asked", "older", "newer"), BUSY)
def test_who_says_what_is_in_the_way(
    simulator: Simulator, session: Any, level: str, disk: str, cls: str, running: str, asked: str, older: list[str], newer: list[str]
) -> None:
    """Uniformly operation and task since 25.27; before it each class had its own ways (facts 3.1; xapi_vdi.ml, xapi_pool_helpers.ml)."""
    if (cls, level) == ("pool", "8.2"):
        pytest.skip("all operations that a pool of 8.2 has block each other, with codes of their own")
    ref = {"VDI": disk, "SR": session.VDI.get_SR(disk), "host": session.host.get_all()[0], "pool": session.pool.get_all()[0]}[cls]

    def refused() -> list[str]:
        simulator.engine.db.put(cls, ref, "current_operations", TASK, running)
        try:
            simulator.engine.behaviours[cls].check(ref, asked)
        except Failure as failure:
            return failure.description
        finally:
            simulator.engine.db.drop(cls, ref, "current_operations", TASK)
        return []

    assert on_engine(simulator, refused) == ["OTHER_OPERATION_IN_PROGRESS", cls, ref, *(newer if level == "26" else older)]


def test_a_vif_names_all_that_runs_since_2025(simulator: Simulator, session: Any, level: str) -> None:
    """X/xapi_vif_helpers.ml."""
    template = next(ref for ref, row in session.VM.get_all_records().items() if row["is_default_template"])
    vm = session.VM.clone(template, "busy")
    fields = {"device": "0", "network": session.network.get_all()[0], "VM": vm, "MAC": "", "MTU": 1500, "other_config": {}}
    vif = session.VIF.create({**fields, "qos_algorithm_type": "", "qos_algorithm_params": {}})

    def refused() -> list[str]:
        simulator.engine.db.put("VIF", vif, "current_operations", TASK, "plug")
        try:
            simulator.engine.behaviours["VIF"].check(vif, "unplug")
        except Failure as failure:
            return failure.description
        finally:
            simulator.engine.db.drop("VIF", vif, "current_operations", TASK)
        return []

    said = ["{plug}", "{" + TASK + "}"] if level == "26" else ["plug"]
    assert on_engine(simulator, refused) == ["OTHER_OPERATION_IN_PROGRESS", "VIF", vif, *said]


def test_an_unmanaged_network_takes_a_purpose_until_2026(simulator: Simulator, session: Any, level: str) -> None:
    """X/xapi_network.ml add_purpose: assert_network_is_managed came later."""
    network = session.network.create({"name_label": "n", "other_config": {}, "managed": False})
    if level == "26":
        with pytest.raises(Failure) as caught:
            session.network.add_purpose(network, "nbd")
        assert caught.value.description == ["NETWORK_UNMANAGED", network]
    else:
        session.network.add_purpose(network, "nbd")
        assert session.network.get_purpose(network) == ["nbd"]


@pytest.mark.parametrize("api", LEVELS)
def test_what_ha_does_not_protect_stays(api: str) -> None:
    """X/xapi_host.ml compute_evacuation_plan_no_wlb: for want of a better code, memory, until it got one of its own."""
    with Simulator("three_hosts", api=api) as simulator:
        session = simulator.session()
        here = session.host.get_by_name_label("xs1")[0]
        guest = session.VM.clone(session.VM.get_by_name_label("Other install media")[0], "unprotected")
        session.VM.provision(guest)
        session.VM.set_HVM_boot_policy(guest, "")  # what boots without emulation may move without tools
        session.VM.start_on(guest, here, False, False)
        pool = session.pool.get_all()[0]
        changed(simulator, "pool", pool, ha_enabled=True)
        code = "HOST_EVACUATE_VM_NOT_HA_PROTECTED" if api == "26" else "HOST_NOT_ENOUGH_FREE_MEMORY"
        assert session.host.get_vms_which_prevent_evacuation(here) == {guest: [code, guest]}
        assert simulator.problems == []


@pytest.mark.parametrize("api", LEVELS)
def test_storage_that_ha_needs_stays_plugged(api: str) -> None:
    """X/xapi_pbd.ml unplug: first what HA protects, which is refused in other words later, then the statefile, then disks in use."""
    with Simulator("three_hosts", api=api) as simulator:
        session = simulator.session()
        pool = session.pool.get_all()[0]
        shared = session.SR.get_by_name_label("NFS storage")[0]
        pbd = next(pbd for pbd in session.SR.get_PBDs(shared) if session.PBD.get_host(pbd) != session.pool.get_master(pool))
        fields = {"name_label": "d", "virtual_size": 4 * MIB, "type": "user", "sharable": False, "read_only": False, "other_config": {}}
        disk = session.VDI.create({**fields, "SR": shared})
        vm = session.VM.clone(session.VM.get_by_name_label("Other install media")[0], "protected")
        drive = {"VM": vm, "VDI": disk, "userdevice": "0", "bootable": True, "mode": "RW", "type": "Disk", "empty": False}
        session.VBD.create({**drive, "other_config": {}, "qos_algorithm_type": "", "qos_algorithm_params": {}})

        def set_up() -> list[str]:
            db = simulator.engine.db
            db.update("pool", pool, ha_enabled=True, ha_statefiles=[disk])
            db.update("VM", vm, ha_always_run=True, ha_restart_priority="restart")
            return []

        def refused() -> list[str]:
            with pytest.raises(Failure) as caught:
                session.PBD.unplug(pbd)
            return caught.value.description

        on_engine(simulator, set_up)
        protected = ["HA_CONSTRAINT_VIOLATION_SR_NOT_SHARED", shared] if api == "26" else ["HA_OPERATION_WOULD_BREAK_FAILOVER_PLAN"]
        assert refused() == protected
        changed(simulator, "VM", vm, ha_restart_priority="best-effort")
        assert refused() == ["HA_IS_ENABLED"]
        changed(simulator, "pool", pool, ha_statefiles=[])
        session.PBD.unplug(pbd)
        assert not session.PBD.get_currently_attached(pbd)
        assert simulator.problems == []


@pytest.mark.parametrize("auto_enable", [True, False])
def test_a_host_that_is_disabled_for_good_stays_so_over_a_reboot(auto_enable: bool) -> None:
    """X/xapi_host.ml disable since 25.31 (facts 3.9): host_auto_enable outlives the boot; an explicit enable ends it."""
    with Simulator("three_hosts", api="26", clock=VirtualClock()) as simulator:
        session = simulator.session()
        ref = session.host.get_by_name_label("xs2")[0]
        session.host.disable(ref, auto_enable)
        session.host.disable(ref, True)  # a disabled host is left as it is
        session.host.reboot(ref)
        simulator.run(simulator.clock.sleep(300))
        assert session.host_metrics.get_live(session.host.get_metrics(ref))
        assert session.host.get_enabled(ref) is auto_enable
        session.host.enable(ref)
        session.host.disable(ref)
        session.host.reboot(ref)
        simulator.run(simulator.clock.sleep(300))
        assert session.host.get_enabled(ref)
        assert simulator.problems == []


def changed(simulator: Simulator, cls: str, ref: str, **fields: Any) -> None:
    def change() -> list[str]:
        simulator.engine.db.update(cls, ref, **fields)
        return []

    on_engine(simulator, change)


def on_engine(simulator: Simulator, action: Callable[[], list[str]]) -> list[str]:
    async def run() -> list[str]:
        return action()

    return simulator.run(run())
