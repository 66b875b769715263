# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.xapi.xenserver.plugins.module_utils import _plug
from simulator import Failure, Rule, Simulator
from simulator.transport.memory import MemorySession

from ..conftest import Run
from ..scenario import Do, Scenario
from .machines import MACHINES, attach, named, new_disk, start, started, the
from .vms import run_examples


def prepare(session: MemorySession) -> None:
    """A disk to attach, and web2 running."""
    new_disk(session, session.SR.get_by_name_label("NFS storage")[0], "data")
    started(session, "web2")


SCENARIO = Scenario(
    Do({"vm": "web1", "vdi": "data", "userdevice": "xvdb", "volume": True, "qos_type": "ionice", "qos_params": {"class": 4}}),
    Do({"vm": "web1", "userdevice": "1", "mode": "ro", "bootable": True, "unpluggable": False, "volume": False, "other_config": {"a": True}}),
    Do({"vm": "web1", "vdi": "data", "other_config": {"a": None}, "plugged": True}),
    Do({"vm": "web1", "vdi": "data", "userdevice": "/dev/sdb", "state": "absent"}),
    Do({"vm": "web2", "vdi": "data"}),
    Do({"vm": "web2", "vdi": "data", "plugged": False}),
    Do({"vm": "web2", "vdi": "data", "plugged": True}),
    Do({"vm": "web2", "vdi": "data", "state": "absent"}),
    Do({"vm": "web2", "vdi": "gone", "state": "absent"}, changes=False),
    world=MACHINES,
    prepare=prepare,
)
pytestmark = pytest.mark.world(MACHINES)


@pytest.fixture
def data(simulator: Simulator) -> str:
    """A disk that is attached to nothing."""
    return new_disk(simulator.session(), the(simulator, "SR", "NFS storage")["ref"], "data")


def vbds(simulator: Simulator, vm: str) -> list[dict[str, Any]]:
    ref = the(simulator, "VM", vm)["ref"]
    return [record for record in simulator.records("VBD").values() if record["VM"] == ref]


def vbd_at(simulator: Simulator, vm: str, device: str) -> dict[str, Any]:
    (record,) = [record for record in vbds(simulator, vm) if record["userdevice"] == device]
    return record


def test_new_one_is_as_the_old_driver_made_it(run_module: Run, simulator: Simulator, data: str) -> None:
    """The table of driver-operations §5.4."""
    outcome = run_module("xen_vbd", vm="web1", vdi="data", userdevice=1, volume=True)
    assert outcome.writes == ["VBD.create"]
    record = vbd_at(simulator, "web1", "1")
    assert (record["VDI"], record["type"], record["mode"]) == (data, "Disk", "RW")
    assert (record["bootable"], record["unpluggable"], record["empty"]) == (False, True, False)
    assert record["other_config"] == {"osvol": "True"}
    assert (record["qos_algorithm_type"], record["qos_algorithm_params"]) == ("", {})
    assert outcome["vbd"]["uuid"] == record["uuid"]
    assert "OpaqueRef" not in str(outcome.result)


@pytest.mark.usefixtures("data")
class TestDevice:
    @pytest.mark.parametrize("name", ["1", "xvdb", "sdb", "hdb", "vdb", "/dev/xvdb", "/dev/sdb"])
    def test_names_mean_numbers(self, run_module: Run, simulator: Simulator, name: str) -> None:
        run_module("xen_vbd", vm="web1", vdi="data", userdevice=name)
        assert vbd_at(simulator, "web1", "1")
        assert not run_module("xen_vbd", vm="web1", vdi="data", userdevice="1").changed

    def test_first_free_one_when_left_out(self, run_module: Run) -> None:
        assert run_module("xen_vbd", vm="web1", vdi="data")["vbd"]["userdevice"] == 1
        assert not run_module("xen_vbd", vm="web1", vdi="data").changed

    def test_written_by_name_by_another_client(self, run_module: Run, simulator: Simulator) -> None:
        session = simulator.session()
        attach(session, the(simulator, "VM", "web1")["ref"], the(simulator, "VDI", "data")["ref"], "xvdc")
        outcome = run_module("xen_vbd", vm="web1", vdi="data", userdevice=2)
        assert not outcome.changed
        assert outcome["vbd"]["userdevice"] == 2


class TestRunning:
    @pytest.fixture(autouse=True)
    def running(self, simulator: Simulator, data: str) -> None:
        start(simulator, "web1")

    def test_is_plugged_and_unplugged(self, run_module: Run, simulator: Simulator) -> None:
        outcome = run_module("xen_vbd", vm="web1", vdi="data")
        assert outcome.writes == ["VBD.create", "Async.VBD.plug"]
        assert (outcome["vbd"]["plugged"], outcome["vbd"]["device"]) == (True, "xvdb")
        assert run_module("xen_vbd", vm="web1", vdi="data", state="absent").writes == ["Async.VBD.unplug", "VBD.destroy"]
        assert len(vbds(simulator, "web1")) == 1
        assert named(simulator, "VDI", "data"), "the disk stays"

    def test_is_not_plugged_when_told_so(self, run_module: Run) -> None:
        assert run_module("xen_vbd", vm="web1", vdi="data", plugged=False).writes == ["VBD.create"]
        assert not run_module("xen_vbd", vm="web1", vdi="data").changed, "left out: as it is"

    def test_plug_that_fails_leaves_nothing(self, run_module: Run, simulator: Simulator) -> None:
        simulator.faults.add(Rule("VBD.plug", error=("SR_BACKEND_FAILURE_46", "", "busy", "")))
        outcome = run_module("xen_vbd", vm="web1", vdi="data")
        assert outcome.failed
        assert outcome["undone"] == ["add disk of VM 'web1'"]
        assert len(vbds(simulator, "web1")) == 1

    def test_plugged_meanwhile_by_somebody_else_is_success(self, run_module: Run, simulator: Simulator) -> None:
        run_module("xen_vbd", vm="web1", vdi="data", plugged=False)
        simulator.faults.add(Rule("VBD.plug", error=("DEVICE_ALREADY_ATTACHED", "x")))
        assert not run_module("xen_vbd", vm="web1", vdi="data", plugged=True).failed

    def test_mode_needs_a_halted_vm(self, run_module: Run) -> None:
        run_module("xen_vbd", vm="web1", vdi="data")
        outcome = run_module("xen_vbd", vm="web1", vdi="data", mode="ro", check=True)
        assert outcome.failed
        assert outcome.msg == "mode of a disk changes only while its VM is halted, but VM 'web1' is running; halt it first"

    def test_disk_of_another_running_vm(self, run_module: Run, simulator: Simulator) -> None:
        for check in (True, False):
            outcome = run_module("xen_vbd", vm="web2", vdi="web1 root", check=check)
            assert not outcome.failed, "a halted VM may have it too"
        start_web2 = simulator.session()
        start_web2.VBD.destroy(next(ref for ref, record in simulator.records("VBD").items() if record["userdevice"] == "1"))
        start(simulator, "web2")
        for check in (True, False):
            outcome = run_module("xen_vbd", vm="web2", vdi="web1 root", check=check)
            assert outcome.failed
            assert outcome.msg == "disk 'web1 root' is in use by VM 'web1'; detach it there first, or halt that VM"
            assert outcome.writes == []

    def test_paused_vm_cannot_plug(self, run_module: Run, simulator: Simulator) -> None:
        simulator.session().VM.pause(the(simulator, "VM", "web1")["ref"])
        outcome = run_module("xen_vbd", vm="web1", vdi="data", plugged=True)
        assert outcome.failed
        assert outcome.msg == "a disk can be plugged and unplugged only while its VM runs, but VM 'web1' is paused"
        assert outcome.writes == []


class TestRetries:
    """Those of driver-operations §5.4."""

    @pytest.fixture(autouse=True)
    def plugged(self, run_module: Run, simulator: Simulator, data: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(_plug, "MOMENT", 0.05)
        start(simulator, "web1")
        run_module("xen_vbd", vm="web1", vdi="data")

    @pytest.mark.parametrize("code", ["DEVICE_DETACH_REJECTED", "INTERNAL_ERROR", "VM_MISSING_PV_DRIVERS"])
    def test_a_guest_that_refuses_is_asked_again(self, run_module: Run, simulator: Simulator, code: str) -> None:
        simulator.faults.add(Rule("VBD.unplug", error=(code, "VBD", "x", "mounted"), times=2))
        outcome = run_module("xen_vbd", vm="web1", vdi="data", plugged=False)
        assert not outcome.failed
        assert outcome.writes == ["Async.VBD.unplug"] * 3

    def test_not_for_ever(self, run_module: Run, simulator: Simulator) -> None:
        simulator.faults.add(Rule("VBD.unplug", error=("DEVICE_DETACH_REJECTED", "VBD", "x", "mounted")))
        outcome = run_module("xen_vbd", vm="web1", vdi="data", state="absent", retries=1)
        assert outcome.failed
        assert outcome.writes == ["Async.VBD.unplug"] * 2
        assert "the guest refused to give up VBD x: mounted; unmount it in the guest first" in outcome.msg
        assert vbd_at(simulator, "web1", "1")

    def test_drivers_that_load_later_are_waited_for(self, run_module: Run, simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
        """xapi plugs nothing into an HVM guest before its drivers report (facts §3.4)."""
        monkeypatch.setattr(_plug, "MOMENT", 1.0)
        simulator.session().VM.start(the(simulator, "VM", "web2")["ref"], False, False)
        new_disk(simulator.session(), the(simulator, "SR", "NFS storage")["ref"], "more")
        refused = run_module("xen_vbd", vm="web2", vdi="more", retries=0)
        assert refused["xenapi_error"]["code"] == "VM_MISSING_PV_DRIVERS"
        outcome = run_module("xen_vbd", vm="web2", vdi="more")
        assert not outcome.failed
        assert outcome.writes.count("Async.VBD.plug") in (2, 3, 4)

    def test_other_refusals_are_final(self, run_module: Run, simulator: Simulator) -> None:
        simulator.faults.add(Rule("VBD.unplug", error=("DEVICE_DETACH_TIMEOUT", "VBD", "x")))
        outcome = run_module("xen_vbd", vm="web1", vdi="data", plugged=False)
        assert outcome.failed
        assert outcome.writes == ["Async.VBD.unplug"]

    def test_unplugged_already_is_success(self, run_module: Run, simulator: Simulator) -> None:
        simulator.faults.add(Rule("VBD.unplug", error=("DEVICE_ALREADY_DETACHED", "x"), times=1))
        outcome = run_module("xen_vbd", vm="web1", vdi="data", plugged=False)
        assert not outcome.failed
        assert outcome.writes == ["Async.VBD.unplug"]


@pytest.mark.usefixtures("data")
@pytest.mark.parametrize(
    ("params", "message"),
    [
        pytest.param({"vdi": "data"}, "one of the following is required: vm, vm_uuid", id="no vm"),
        pytest.param({"vm": "nobody", "vdi": "data"}, "there is no VM 'nobody' in this pool", id="unknown vm"),
        pytest.param({"vm": "twin", "vdi": "data"}, "2 VMs are named 'twin'; select one by uuid", id="ambiguous vm"),
        pytest.param({"vm": "golden", "vdi": "data"}, "'golden' is a template and no VM; create a VM from it first", id="template"),
        pytest.param({"vm": "web1"}, "give userdevice or vdi", id="nothing selected"),
        pytest.param({"vm": "web1", "vdi": "nothing"}, "there is no disk 'nothing' in this pool", id="unknown disk"),
        pytest.param({"vm": "web1", "userdevice": "5"}, "there is no disk at device 5 of VM 'web1'; give vdi to attach one", id="nothing there"),
        pytest.param({"vm": "web1", "vdi": "data", "userdevice": "xvdz"}, "'xvdz' is no device of a VM; write a number from 0 to 254", id="device name"),
        pytest.param({"vm": "web1", "vdi": "data", "userdevice": "255"}, "'255' is no device of a VM", id="device number"),
        pytest.param({"vm": "web1", "vdi": "data", "userdevice": "-1"}, "'-1' is no device of a VM", id="negative"),
        pytest.param({"vm": "web1", "vdi": "data", "userdevice": "0"}, "device 0 of VM 'web1' is in use by disk 'web1 root'; choose another", id="in use"),
        pytest.param({"vm": "web1", "vdi": "web1 root", "userdevice": "4"}, "disk 'web1 root' is attached already as device 0 of VM 'web1'", id="twice"),
        pytest.param({"vm": "web1", "vdi": "data", "userdevice": "3"}, "device 3 of VM 'web1' is in use by a CD drive", id="drive"),
        pytest.param({"vm": "web1", "userdevice": "3"}, "device 3 of VM 'web1' is a CD drive; use xen_cd", id="is a drive"),
        pytest.param({"vm": "web1", "userdevice": "3", "state": "absent"}, "device 3 of VM 'web1' is a CD drive; use xen_cd", id="remove drive"),
        pytest.param({"vm": "web1", "vdi": "debian-12.iso"}, "disk 'debian-12.iso' is read-only; attach it with mode ro", id="read-only"),
        pytest.param({"vm": "web1", "vdi": "data", "retries": -1}, "retries must be 0 or more, not -1", id="retries"),
    ],
)
def test_refuses(run_module: Run, simulator: Simulator, params: dict[str, Any], message: str) -> None:
    session = simulator.session()
    web1 = the(simulator, "VM", "web1")["ref"]
    for _unused in range(2):
        session.VM.clone(the(simulator, "VM", "web2")["ref"], "twin")
    attach(session, web1, "OpaqueRef:NULL", "3", type="CD", mode="RO", empty=True)
    for check in (True, False):
        outcome = run_module("xen_vbd", check=check, **params)
        assert outcome.failed
        assert message in outcome.msg
        assert outcome.writes == []


def test_running_hvm_guest_takes_no_read_only_disk(run_module: Run, simulator: Simulator, data: str) -> None:
    """Check mode says so as well. One that is not plugged may be attached."""
    start(simulator, "web1")
    for check in (True, False):
        outcome = run_module("xen_vbd", check=check, vm="web1", vdi="data", mode="ro")
        assert outcome.failed
        assert "cannot be plugged read-only into VM 'web1'" in outcome.msg
        assert outcome.writes == []
    outcome = run_module("xen_vbd", vm="web1", vdi="data", mode="ro", plugged=False)
    assert (outcome.failed, outcome.changed) == (False, True), outcome.result
    with pytest.raises(Failure, match="DISK_VBD_MUST_BE_READWRITE_FOR_HVM"):
        simulator.session().VBD.plug(simulator.session().VBD.get_by_uuid(outcome.result["vbd"]["uuid"]))


def test_absent_means_the_disk_that_is_named(run_module: Run, simulator: Simulator, data: str) -> None:
    """Another disk at the number is not removed."""
    assert not run_module("xen_vbd", vm="web1", vdi="data", userdevice=0, state="absent").changed
    assert len(vbds(simulator, "web1")) == 1


def test_repeat_needs_few_calls(run_module: Run, data: str) -> None:
    run_module("xen_vbd", vm="web1", vdi="data", userdevice=1)
    assert run_module("xen_vbd", vm="web1", vdi="data", userdevice=1).methods == [
        "VM.get_all_records_where",
        "VBD.get_all_records_where",
        "VDI.get_all_records_where",
    ]


@pytest.mark.usefixtures("run_module", "data")
def test_examples_run(simulator: Simulator) -> None:
    session = simulator.session()
    session.VDI.set_name_label(the(simulator, "VDI", "web1 root")["ref"], "web1")
    session.VDI.set_name_label(the(simulator, "VDI", "data")["ref"], "database")
    start(simulator, "web1")
    outcomes = run_examples(simulator, "xen_vbd")
    assert [outcome.writes for outcome in outcomes] == [
        [],
        ["VBD.create", "Async.VBD.plug"],
        ["Async.VBD.unplug"],
        ["VBD.destroy"],
    ]
