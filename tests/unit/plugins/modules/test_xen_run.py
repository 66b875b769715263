# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from ansible_collections.xapi.xenserver.plugins.module_utils._run_id import new_id
from simulator import Rule, Simulator
from simulator.transport.memory import MemorySession

from ..conftest import Run
from ..scenario import Do, Scenario
from .images import image, run_served
from .machines import ETH0, MACHINES, attach, named, new_disk, started, the

__all__ = ["image", "run_served"]
RUN_ID, OTHER = "run-1", "run-2"
UTILS = "ansible_collections.xapi.xenserver.plugins.module_utils"
MARK, CACHED, CACHED_BY = "xen_ansible:run", "xen_ansible:cached", "xen_ansible:cached_by"


def nfs(session: MemorySession) -> str:
    (ref,) = session.SR.get_by_name_label("NFS storage")
    return str(ref)


def make_marked_disk(session: MemorySession) -> None:
    new_disk(session, nfs(session), "half done", other_config={MARK: RUN_ID})


SCENARIO = Scenario(
    Do({"run_id": RUN_ID, "state": "undone"}, told=("removed",)),
    Do({"run_id": "never-was", "state": "undone"}, changes=False),
    world=MACHINES,
    prepare=make_marked_disk,
)
pytestmark = pytest.mark.world(MACHINES)
Look = Callable[[], dict[str, Any]]


@pytest.fixture
def pool(simulator: Simulator) -> Look:
    """Everything that a run can make, but for what counts by itself."""

    def look() -> dict[str, Any]:
        classes = ("VM", "VDI", "VBD", "VIF", "network", "VGPU", "task")
        return {xen_class: {ref: record["uuid"] for ref, record in simulator.records(xen_class).items()} for xen_class in classes}

    return look


@pytest.fixture
def building(run_module: Run) -> Callable[..., Any]:
    """A module as a part of the run."""

    def run(module: str, **params: Any) -> Any:
        outcome = run_module(module, run_id=RUN_ID, **params)
        assert not outcome.failed, outcome.result
        return outcome

    return run


def build(building: Callable[..., Any]) -> str:
    """A VM with what can be on it."""
    vm: str = building("xen_vm", name="new", memory="256MiB")["vm"]["uuid"]
    building("xen_vdi", name="new data", owner=vm, size="4MiB")
    building("xen_vbd", vm_uuid=vm, userdevice=1, vdi="new data")
    network = building("xen_network", port_id="3f0e5a9c-7f1e-4f0c-9d35-a6b1f4a1f7e2")["network"]["uuid"]
    building("xen_vif", vm_uuid=vm, device=0, network=network)
    return vm


class TestUndone:
    def test_all_that_the_run_made_goes_and_nothing_else(self, run_module: Run, building: Callable[..., Any], pool: Look) -> None:
        before = pool()
        vm = build(building)
        building("xen_cd", vm_uuid=vm, iso="guest-tools.iso")
        building("xen_power", uuid=vm, state="running")
        outcome = run_module("xen_run", run_id=RUN_ID, state="undone")
        assert not outcome.failed, outcome.result
        assert pool() == before
        assert any("VM 'new'" in line for line in outcome["removed"])

    def test_what_it_added_to_a_vm_that_was_there(self, run_module: Run, building: Callable[..., Any], simulator: Simulator, pool: Look) -> None:
        started(simulator.session(), "web1")
        before = pool()
        building("xen_vdi", name="more", size="4MiB")
        building("xen_vbd", vm="web1", userdevice=5, vdi="more")
        building("xen_vif", vm="web1", device=3, network=ETH0)
        assert not run_module("xen_run", run_id=RUN_ID, state="undone").failed
        assert pool() == before
        assert the(simulator, "VM", "web1")["power_state"] == "Running"

    def test_disks_that_it_only_attached_stay(self, run_module: Run, building: Callable[..., Any], simulator: Simulator, pool: Look) -> None:
        new_disk(simulator.session(), nfs(simulator.session()), "precious")
        before = pool()
        vm = building("xen_vm", name="new", memory="256MiB")["vm"]["uuid"]
        building("xen_vbd", vm_uuid=vm, userdevice=0, vdi="precious")
        assert not run_module("xen_run", run_id=RUN_ID, state="undone").failed
        assert pool() == before

    def test_disks_that_came_with_a_clone_go(self, run_module: Run, building: Callable[..., Any], simulator: Simulator, pool: Look) -> None:
        before = pool()
        building("xen_vm", name="new", template="golden")
        assert len(named(simulator, "VDI", "golden")) == 2
        assert not run_module("xen_run", run_id=RUN_ID, state="undone").failed
        after = pool()
        # What storage keeps of a clone until it tidies up is nobody's.
        hidden = {ref for ref, record in simulator.records("VDI").items() if not record["managed"]}
        after["VDI"] = {ref: uuid for ref, uuid in after["VDI"].items() if ref not in hidden}
        assert after == before

    def test_other_runs_are_left_alone(self, run_module: Run, building: Callable[..., Any], simulator: Simulator) -> None:
        build(building)
        made = {xen_class: simulator.records(xen_class) for xen_class in ("VM", "VDI", "VBD", "VIF", "network")}
        outcome = run_module("xen_run", run_id=OTHER, state="undone")
        assert (outcome.changed, outcome["removed"]) == (False, [])
        assert {xen_class: simulator.records(xen_class).keys() for xen_class in made} == {key: records.keys() for key, records in made.items()}

    def test_a_snapshot_of_a_marked_disk_stays(self, run_module: Run, simulator: Simulator) -> None:
        session = simulator.session()
        disk = new_disk(session, nfs(session), "data", other_config={MARK: RUN_ID})
        snapshot = session.VDI.snapshot(disk, {})
        run_module("xen_run", run_id=RUN_ID, state="undone")
        assert disk not in simulator.records("VDI")
        assert snapshot in simulator.records("VDI")

    def test_an_image_that_it_cached_goes_and_its_clones_stay(self, run_module: Run, simulator: Simulator) -> None:
        session = simulator.session()
        image = new_disk(session, nfs(session), "Glance Image 1", other_config={CACHED_BY: RUN_ID, "image-id": "1"})
        session.VDI.add_to_other_config(image, CACHED, session.VDI.get_uuid(image))
        clone = session.VDI.clone(image, {})
        session.VDI.add_to_other_config(clone, MARK, OTHER)
        run_module("xen_run", run_id=RUN_ID, state="undone")
        assert image not in simulator.records("VDI")
        assert clone in simulator.records("VDI")

    def test_an_image_goes_wherever_its_making_ended(self, run_served: Run, image: Callable[..., str], simulator: Simulator, pool: Look) -> None:
        before = pool()
        # The call after the one that makes it complete.
        simulator.faults.add(Rule("VDI.get_record", error=("INTERNAL_ERROR", "ended here"), nth=2, times=1))
        assert "ended here" in run_served("xen_image", run_id=RUN_ID, image=image(), vm="web1", userdevice=1).msg
        assert not run_served("xen_run", run_id=RUN_ID, state="undone").failed
        assert pool() == before

    def test_a_clone_that_nobody_claims_goes(self, run_module: Run, simulator: Simulator) -> None:
        """Its maker never heard of it: the answer to VDI.clone was lost."""
        session = simulator.session()
        image = new_disk(session, nfs(session), "Glance Image 1", other_config={"image-id": "1"})
        session.VDI.add_to_other_config(image, CACHED, session.VDI.get_uuid(image))
        clone = session.VDI.clone(image, {})
        outcome = run_module("xen_run", run_id=RUN_ID, state="undone")
        assert outcome.writes[:2] == ["VDI.add_to_other_config", "Async.VDI.destroy"]
        assert clone not in simulator.records("VDI")
        assert image in simulator.records("VDI")

    @pytest.mark.parametrize("when", ["VM.clone", "event.from"])
    def test_a_vm_whose_cloning_was_not_answered_goes(
        self, when: str, run_served: Run, simulator: Simulator, pool: Look, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(f"{UTILS}._rollback.MOMENTS", 0.1)
        run_id, before = new_id("new", 1), pool()
        method, fault = ("Async.VM.clone", {"cut": "after"}) if when == "VM.clone" else (when, {"error": ("INTERNAL_ERROR", "no")})
        simulator.faults.add(Rule(method, nth=1, times=1, **fault))
        assert run_served("xen_vm", run_id=run_id, name="new", template="golden").failed
        assert named(simulator, "VM", "new (unfinished)")
        assert not run_served("xen_run", run_id=run_id, state="undone").failed
        assert all(ref in before["VDI"] for ref, record in simulator.records("VDI").items() if record["managed"])
        assert {**pool(), "VDI": before["VDI"]} == before

    def test_a_clone_that_another_run_may_be_making_stays(self, run_module: Run, simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(f"{UTILS}._rollback.MOMENTS", 0.1)
        session, golden = simulator.session(), the(simulator, "VM", "golden")["ref"]
        claimed, other = (session.VM.clone(golden, f"{name} (unfinished)") for name in ("new", "old"))
        session.VM.add_to_other_config(claimed, MARK, OTHER)
        assert run_module("xen_run", run_id=new_id("new", 1), state="undone")["removed"] == []
        session.VM.remove_from_other_config(claimed, MARK)
        task = session.task.create("Async.VM.copy", f"({MARK} {new_id('new', 1)})")
        assert run_module("xen_run", run_id=new_id("new", 1), state="undone")["removed"] == []
        session.task.set_status(task, "cancelled")
        assert len(run_module("xen_run", run_id=new_id("new", 1), state="undone")["removed"]) == 2
        assert other in simulator.records("VM")

    def test_disks_of_a_clone_go_when_another_run_built_its_source(
        self, run_module: Run, building: Callable[..., Any], simulator: Simulator, pool: Look
    ) -> None:
        session = simulator.session()
        for drive in the(simulator, "VM", "web1")["VBDs"]:
            session.VBD.add_to_other_config(drive, MARK, OTHER)
        before = pool()
        building("xen_vm", name="new", source_vm="web1")
        assert not run_module("xen_run", run_id=RUN_ID, state="undone").failed
        assert all(ref in before["VDI"] for ref, record in simulator.records("VDI").items() if record["managed"])
        assert {**pool(), "VDI": before["VDI"]} == before

    def test_what_cannot_go_is_told_when_all_else_is_gone(self, run_module: Run, simulator: Simulator) -> None:
        session = simulator.session()
        stuck = new_disk(session, nfs(session), "a stuck", other_config={MARK: RUN_ID})
        free = new_disk(session, nfs(session), "b free", other_config={MARK: RUN_ID})
        attach(session, the(simulator, "VM", "web2")["ref"], stuck, "7")
        started(session, "web2")
        outcome = run_module("xen_run", run_id=RUN_ID, state="undone")
        assert outcome.failed
        assert "'a stuck'" in outcome.msg
        assert {stuck, free} & simulator.records("VDI").keys() == {stuck}

    def test_tasks_of_the_run_are_waited_for_and_removed(self, run_module: Run, simulator: Simulator) -> None:
        simulator.session().task.create("Import of x", f"({MARK} {RUN_ID})")
        kept = simulator.session().task.create("Import of y", "of somebody else")
        run_module("xen_run", run_id=RUN_ID, state="undone")
        assert list(simulator.records("task")) == [kept]

    def test_check_mode_removes_nothing(self, run_module: Run, building: Callable[..., Any], pool: Look) -> None:
        build(building)
        before = pool()
        outcome = run_module("xen_run", run_id=RUN_ID, state="undone", check=True)
        assert outcome.changed
        assert pool() == before


class TestFinished:
    def test_the_vm_is_let_go(self, run_module: Run, building: Callable[..., Any], simulator: Simulator) -> None:
        vm = build(building)
        assert the(simulator, "VM", "new")["other_config"][MARK] == RUN_ID
        assert run_module("xen_run", run_id=RUN_ID, state="finished", vm_uuid=vm).changed
        assert MARK not in the(simulator, "VM", "new")["other_config"]
        assert not run_module("xen_run", run_id=RUN_ID, state="finished", vm_uuid=vm).changed

    def test_tasks_of_who_began_it_and_was_killed_go(self, run_module: Run, simulator: Simulator) -> None:
        subject = "0123456789ab"
        earlier, now, foreign = f"{subject}.cdef01234567.1.2.first", f"{subject}.cdef01234567.3.4.second", "ba9876543210.cdef01234567.5.6.other"
        vm = run_module("xen_vm", run_id=earlier, name="new", memory="256MiB")["vm"]["uuid"]
        session = simulator.session()
        ended, alien, _pending = (session.task.create("Import", f"({MARK} {of})") for of in (earlier, foreign, earlier))
        for task in (ended, alien):
            session.task.set_status(task, "success")
        assert run_module("xen_run", run_id=now, state="finished", vm_uuid=vm).changed
        assert simulator.records("task").keys() == {alien}

    def test_a_lost_answer_is_looked_up(self, run_served: Run, simulator: Simulator) -> None:
        """Who took the VM for unbuilt would take back what it runs on."""
        vm = build(partial(run_served, run_id=RUN_ID))
        simulator.faults.add(Rule("VM.remove_from_other_config", cut="after", times=1))
        assert run_served("xen_run", run_id=RUN_ID, state="finished", vm_uuid=vm).changed
        assert MARK not in the(simulator, "VM", "new")["other_config"]

    def test_a_call_that_never_arrived_is_an_error(self, run_served: Run, simulator: Simulator) -> None:
        vm = build(partial(run_served, run_id=RUN_ID))
        simulator.faults.add(Rule("VM.remove_from_other_config", cut="before", times=1))
        assert run_served("xen_run", run_id=RUN_ID, state="finished", vm_uuid=vm).failed

    def test_a_vm_that_is_gone_is_an_error(self, run_module: Run) -> None:
        outcome = run_module("xen_run", run_id=RUN_ID, state="finished", vm_uuid="00000000-0000-0000-0000-000000000000")
        assert outcome.failed
        assert "somebody removed it" in outcome.msg


def test_a_vm_that_was_started_and_not_noted_is_noted_by_the_next_run(building: Callable[..., Any], simulator: Simulator) -> None:
    vm, session = build(building), simulator.session()
    session.VM.start(the(simulator, "VM", "new")["ref"], False, False)
    assert building("xen_power", uuid=vm, state="running").changed
    record = the(simulator, "VM", "new")
    assert record["other_config"]["last_dom_id"] == str(record["domid"])
    assert not building("xen_power", uuid=vm, state="running").changed


class TestRivals:
    """Two runs that make a VM of one name: never two VMs."""

    def test_who_comes_later_gives_way(self, run_module: Run, simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
        create = simulator.engine.behaviours["VM"].create
        other: list[str] = []

        def twice(record: dict[str, Any]) -> Any:
            if not other:
                other.append("")
                other[0] = create({**record, "other_config": {}})
            return create(record)

        monkeypatch.setattr(simulator.engine.behaviours["VM"], "create", twice)
        monkeypatch.setattr("ansible_collections.xapi.xenserver.plugins.module_utils._vm_rivals.PATIENCE", 0.2)
        outcome = run_module("xen_vm", name="new", memory="256MiB")
        assert outcome.failed
        assert "at the same time" in outcome.msg
        assert not outcome["changed"]
        assert [record["ref"] for record in named(simulator, "VM", "new")] == other

    def test_a_clone_has_its_name_when_it_is_complete(self, run_module: Run, simulator: Simulator) -> None:
        simulator.faults.add(Rule("VM.provision", error=("INTERNAL_ERROR", "no"), nth=1))
        before = simulator.records("VM").keys()
        outcome = run_module("xen_vm", name="new", template="golden")
        assert outcome.failed
        assert simulator.records("VM").keys() == before

    def test_what_an_interrupted_clone_left_goes(self, run_module: Run, simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("ansible_collections.xapi.xenserver.plugins.module_utils._vm_source.MOMENTS", 0.1)
        session = simulator.session()
        session.VM.clone(the(simulator, "VM", "golden")["ref"], "new (unfinished)")
        assert len(named(simulator, "VDI", "golden")) == 2
        outcome = run_module("xen_vm", name="new", template="golden")
        assert not outcome.failed, outcome.result
        assert named(simulator, "VM", "new (unfinished)") == []
        assert len(named(simulator, "VM", "new")) == 1
        assert len(named(simulator, "VDI", "golden")) == 2
