# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A pool in the middle of a rolling upgrade: hosts of two versions (module Checks in xapi's helpers.ml; v1.249.42, v24.19.2 and e2ee48d)."""

from __future__ import annotations

from typing import Any

import pytest

from simulator import Simulator, VirtualClock

from ._asking import fixtures_at_levels
from ._machines import machine, marks, refusal

REFUSED = ["NOT_SUPPORTED_DURING_UPGRADE"]
MARK = "rolling_upgrade_in_progress"
OLD = {"platform_version": "3.2.1", "xapi": "1.249", "xapi_build": "1.249.1", "xen": "4.13.5"}


level, simulator, session = fixtures_at_levels(lambda level: Simulator("three_hosts", api=level, clock=VirtualClock()))


@pytest.fixture
def pool(simulator: Simulator) -> str:
    return simulator.engine.pool


def outdate(simulator: Simulator, *names: str) -> None:
    """Make these hosts older than the others, and let xapi notice."""

    async def change() -> None:
        engine = simulator.engine
        for name in names:
            (host,) = engine.db.where("host", name_label=name)
            engine.db.set("host", host, "software_version", {**engine.db.get("host", host, "software_version"), **OLD})
        engine.restart()

    simulator.run(change())


@pytest.fixture
def mixed(simulator: Simulator) -> Any:
    """A session with a pool whose coordinator alone is upgraded; its hosts by name."""
    outdate(simulator, "xs2", "xs3")
    simulator.run(simulator.clock.sleep(60))
    return simulator.session()


def host(session: Any, name: str) -> str:
    return str(session.host.get_by_name_label(name)[0])


def test_the_pool_is_marked_while_its_hosts_differ(simulator: Simulator, mixed: Any, pool: str) -> None:
    # detect_rolling_upgrade in db_gc.ml
    assert mixed.pool.get_other_config(pool)[MARK] == "true"
    outdate(simulator, "xs1")
    assert MARK not in simulator.session().pool.get_other_config(pool)


def test_hosts_of_one_version_are_not_marked(session: Any, pool: str) -> None:
    assert MARK not in session.pool.get_other_config(pool)


def test_vms_start_on_upgraded_hosts_only(mixed: Any) -> None:
    vm = machine(mixed)
    # message_forwarding.ml start_on, resume_on; vm_can_run_on_host in xapi_vm_helpers.ml
    assert refusal(mixed.VM.start_on, vm, host(mixed, "xs2"), False, False) == REFUSED
    assert refusal(mixed.VM.resume_on, vm, host(mixed, "xs2"), False, False) == REFUSED
    mixed.VM.set_affinity(vm, host(mixed, "xs2"))
    mixed.VM.start(vm, False, False)
    assert mixed.VM.get_resident_on(vm) == host(mixed, "xs1")


def test_a_vm_cannot_boot_on_a_host_of_another_version(mixed: Any) -> None:
    vm, other = machine(mixed), host(mixed, "xs2")
    # assert_can_boot_here in xapi_vm.ml
    assert refusal(mixed.VM.assert_can_boot_here, vm, other) == ["VM_HOST_INCOMPATIBLE_VERSION", other, vm]
    mixed.VM.assert_can_boot_here(vm, host(mixed, "xs1"))


def test_vms_do_not_go_back(simulator: Simulator, session: Any) -> None:
    vm = machine(session)
    session.VM.start_on(vm, host(session, "xs1"), False, False)
    simulator.run(simulator.clock.sleep(10))
    outdate(simulator, "xs2")
    simulator.run(simulator.clock.sleep(60))
    session = simulator.session()
    # pool_migrate in message_forwarding.ml, assert_can_migrate in xapi_vm_migrate.ml
    assert refusal(session.VM.pool_migrate, vm, host(session, "xs2"), {}) == REFUSED
    network = session.network.get_by_name_label("Pool-wide network associated with eth0")[0]
    dest = session.host.migrate_receive(host(session, "xs2"), network, {})
    vdis = {session.VBD.get_VDI(vbd): session.pool.get_default_SR(session.pool.get_all()[0]) for vbd in session.VM.get_VBDs(vm)}
    assert refusal(session.VM.assert_can_migrate, vm, dest, True, vdis, {}, {}) == REFUSED
    session.VM.pool_migrate(vm, host(session, "xs3"), {})
    assert session.VM.get_resident_on(vm) == host(session, "xs3")


def test_a_host_is_emptied_onto_hosts_that_are_as_new(simulator: Simulator, session: Any) -> None:
    vm = machine(session)
    session.VM.start_on(vm, host(session, "xs1"), False, False)
    simulator.run(simulator.clock.sleep(10))
    outdate(simulator, "xs2", "xs3")
    simulator.run(simulator.clock.sleep(60))
    session = simulator.session()
    # compute_evacuation_plan_no_wlb in xapi_host.ml
    assert session.host.get_vms_which_prevent_evacuation(host(session, "xs1")) == {vm: ["NO_HOSTS_AVAILABLE", vm]}


def test_storage_stays_as_it_is(simulator: Simulator, mixed: Any) -> None:
    master, sr = host(mixed, "xs1"), mixed.SR.get_by_name_label("NFS storage")[0]
    # xapi_sr.ml create; disallowed_during_rpu in xapi_sr_operations.ml; check_operation_error in xapi_vdi.ml
    assert refusal(mixed.SR.create, master, {}, 0, "new", "", "dummy", "user", False, {}) == REFUSED
    assert not {op for op in mixed.SR.get_allowed_operations(sr) if op.endswith(("_cbt", "mirror", "data_destroy", "changed_blocks", "on_boot"))}
    vdi = mixed.VDI.create({"SR": sr, "virtual_size": 1 << 22, "type": "user", "sharable": False, "read_only": False, "other_config": {}})
    assert refusal(mixed.VDI.enable_cbt, vdi) == REFUSED
    assert refusal(simulator.run, ask(simulator, vdi, "mirror")) == REFUSED
    mixed.VDI.snapshot(vdi, {})


async def ask(simulator: Simulator, vdi: str, op: str) -> None:
    """What the disk itself says, whatever its SR does."""
    simulator.engine.behaviours["VDI"].check(vdi, op)


def test_hosts_offer_what_all_know(mixed: Any, simulator: Simulator) -> None:
    master = host(mixed, "xs1")
    # host_operations_miami in xapi_globs.ml
    assert sorted(mixed.host.get_allowed_operations(master)) == ["evacuate", "provision"]
    assert mixed.host.get_enabled(master)
    seen = marks(simulator)
    mixed.host.disable(master)
    mixed.host.enable(master)
    assert seen == set()
    mixed.host.evacuate(master)
    assert seen == {"evacuate"}


def test_no_new_secret(mixed: Any) -> None:
    # xapi_psr.ml assert_no_rpu
    assert refusal(mixed.pool.rotate_secret) == REFUSED
