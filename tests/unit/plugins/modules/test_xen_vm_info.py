# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from simulator import NULL, Simulator
from simulator.transport.memory import MemorySession

from ..conftest import Outcome, Run, run_on
from ..scenario import reads
from .vms import GIB, attach, create_disk, create_nic, create_vm, run_examples


def prepare(session: MemorySession) -> None:
    session.VM.snapshot(create_vm(session, "web1"), "before")


SCENARIO = reads(
    {},
    {"name": "web1"},
    {"name": "absent"},
    {"is_template": True},
    {"is_snapshot": True},
    {"control_domain": True, "scope": "resident", "host": "xs1"},
    world="three_hosts",
    prepare=prepare,
)

pytestmark = pytest.mark.world("three_hosts")


def names(outcome: Outcome) -> list[str]:
    assert not outcome.failed, outcome.result
    assert outcome["exists"] is bool(outcome["vms"])
    return [vm["name"] for vm in outcome["vms"]]


@pytest.fixture
def refs(simulator: Simulator) -> dict[str, str]:
    """Here and there run on xs1 and xs2, paused is on xs1, off is halted and prefers xs1."""
    session = simulator.session()
    hosts = {record["name_label"]: ref for ref, record in simulator.records("host").items()}
    vms = {name: create_vm(session, name, tags=tags) for name, tags in (("here", ["a", "b"]), ("there", ["b"]), ("paused", []))}
    vms["off"] = create_vm(session, "off", affinity=hosts["xs1"])
    session.VM.start_on(vms["here"], hosts["xs1"], False, False)
    session.VM.start_on(vms["there"], hosts["xs2"], False, False)
    session.VM.start_on(vms["paused"], hosts["xs1"], True, False)
    vms["before"] = session.VM.snapshot(vms["here"], "before")
    return vms


@pytest.mark.parametrize(
    ("params", "found"),
    [
        ({}, ["here", "off", "paused", "there"]),
        ({"name": "off"}, ["off"]),
        ({"name": "nobody"}, []),
        ({"uuid": "00000000-0000-0000-0000-000000000000"}, []),
        ({"scope": "resident"}, ["here", "paused", "there"]),
        ({"scope": "resident", "host": "xs1"}, ["here", "paused"]),
        ({"scope": "affinity", "host": "xs1"}, ["off"]),
        ({"scope": "pool", "host": "xs1"}, ["here", "off", "paused"]),
        ({"scope": "resident", "host": "xs3"}, []),
        ({"power_state": "paused"}, ["paused"]),
        ({"power_state": "running", "host": "xs2"}, ["there"]),
        ({"tags": ["b"]}, ["here", "there"]),
        ({"tags": ["b", "a"]}, ["here"]),
        ({"tags": []}, ["here", "off", "paused", "there"]),
        ({"is_snapshot": True}, ["before"]),
        ({"is_template": True, "name": "Windows 11"}, ["Windows 11"]),
        ({"is_template": True, "name": "before"}, []),
        ({"is_template": False, "is_snapshot": False}, ["here", "off", "paused", "there"]),
    ],
    ids=str,
)
def test_which_vms_are_listed(params: dict[str, Any], found: list[str], refs: dict[str, str], run_module: Run) -> None:
    assert names(run_module("xen_vm_info", **params)) == found


def test_control_domain_of_a_host(run_module: Run, simulator: Simulator) -> None:
    (dom0,) = run_module("xen_vm_info", control_domain=True, scope="resident", host="xs2")["vms"]
    (host,) = [record for record in simulator.records("host").values() if record["name_label"] == "xs2"]
    assert dom0["uuid"] == simulator.records("VM")[host["control_domain"]]["uuid"]
    assert (dom0["is_control_domain"], dom0["host"], dom0["domid"]) == (True, host["uuid"], 0)


def test_two_of_one_name_are_both_listed(run_module: Run, simulator: Simulator) -> None:
    session = simulator.session()
    twins = {session.VM.get_uuid(create_vm(session, "twin")) for _unused in range(2)}
    assert {vm["uuid"] for vm in run_module("xen_vm_info", name="twin")["vms"]} == twins


def test_a_uuid_finds_whatever_has_it(refs: dict[str, str], run_module: Run, simulator: Simulator) -> None:
    snapshot = simulator.records("VM")[refs["before"]]
    (found,) = run_module("xen_vm_info", uuid=snapshot["uuid"])["vms"]
    here = simulator.records("VM")[refs["here"]]["uuid"]
    assert (found["is_snapshot"], found["is_template"], found["snapshot_of"]) == (True, True, here)
    (origin,) = run_module("xen_vm_info", name="here")["vms"]
    assert origin["snapshots"] == [snapshot["uuid"]]
    assert run_module("xen_vm_info", uuid=snapshot["uuid"], is_template=True)["vms"] == []


@pytest.mark.parametrize(
    ("reach", "word"),
    [
        (lambda session, vm: None, "halted"),
        (lambda session, vm: session.VM.start(vm, False, False), "running"),
        (lambda session, vm: session.VM.start(vm, True, False), "paused"),
    ],
    ids=["halted", "running", "paused"],
)
def test_power_states_are_words_of_ours(reach: Callable[[MemorySession, str], Any], word: str, run_module: Run, simulator: Simulator) -> None:
    session = simulator.session()
    reach(session, create_vm(session, "web1"))
    (vm,) = run_module("xen_vm_info", name="web1")["vms"]
    assert vm["power_state"] == word
    # driver-operations §4.5: MiB of static_max, of running and paused VMs only.
    assert vm["usage"] == (None if word == "halted" else 256)
    assert (vm["host"] is None) == (vm["domid"] is None) == (word == "halted")


def test_disks_and_nics_by_device_number(run_module: Run, simulator: Simulator) -> None:
    session = simulator.session()
    ref = create_vm(session, "web1")
    create_disk(session, ref, "10", name="late")
    create_disk(session, ref, "2", name="volume", mark={"osvol": "True"})
    create_disk(session, ref, "0", name="root")
    drive = attach(session, ref, "3", next(vdi for vdi, record in simulator.records("VDI").items() if record["name_label"] == "debian-12.iso"), kind="CD")
    session.VBD.eject(drive)
    create_nic(session, ref, "1")
    create_nic(session, ref, "0")
    (vm,) = run_module("xen_vm_info", name="web1")["vms"]
    shown = [(disk["userdevice"], disk["type"], disk["vdi_name"], disk["size"], disk["volume"]) for disk in vm["disks"]]
    assert shown == [
        (0, "disk", "root", GIB, False),
        (2, "disk", "volume", GIB, True),
        (3, "cd", None, None, False),
        (10, "disk", "late", GIB, False),
    ]
    assert [nic["device"] for nic in vm["nics"]] == [0, 1]
    assert vm["nics"][0]["network_name"] == "Pool-wide network associated with eth0"


def test_kernel_paths(run_module: Run, simulator: Simulator) -> None:
    create_vm(simulator.session(), "pv1", PV_kernel="/boot/guest/k", PV_ramdisk="/boot/guest/r", HVM_boot_policy="", HVM_boot_params={})
    (vm,) = run_module("xen_vm_info", name="pv1")["vms"]
    assert (vm["boot_mode"], vm["pv_kernel"], vm["pv_ramdisk"], vm["firmware"]) == ("pv_kernel", "/boot/guest/k", "/boot/guest/r", None)


def test_no_reference_of_the_api_is_in_the_result(refs: dict[str, str], run_module: Run) -> None:
    assert "OpaqueRef" not in str(run_module("xen_vm_info").result)


@pytest.mark.parametrize("count", [1, 3, 60])
def test_fewer_than_ten_calls_however_many_vms(count: int, pool_in_memory: Callable[[Simulator], None]) -> None:
    with Simulator("three_hosts", vms=count) as simulator:
        pool_in_memory(simulator)
        listed = run_on(simulator, "xen_vm_info", {})
        assert len(listed["vms"]) == count
        assert len(listed.calls) < 10, listed.methods  # login and logout are among them
        one = run_on(simulator, "xen_vm_info", {"name": listed["vms"][0]["name"]})
        assert one["vms"] == [listed["vms"][0]]
        assert len(one["vms"][0]["disks"]) == 4
        assert len(one.calls) < 10, one.methods


def test_fewer_than_ten_calls_with_snapshots_hosts_and_guests(refs: dict[str, str], run_module: Run, simulator: Simulator) -> None:
    session = simulator.session()
    for name in ("here", "there"):
        create_disk(session, refs[name], "0")
        create_nic(session, refs[name])
    for params in ({}, {"scope": "resident", "host": "xs1"}, {"name": "here"}):
        outcome = run_module("xen_vm_info", **params)
        assert len(outcome.methods) < 10, outcome.methods


def test_two_selectors_are_refused(run_module: Run) -> None:
    outcome = run_module("xen_vm_info", name="a", uuid="b")
    assert outcome.failed
    assert "mutually exclusive" in outcome.msg


def test_an_unknown_host_is_refused(run_module: Run) -> None:
    outcome = run_module("xen_vm_info", scope="resident", host="xs9")
    assert outcome.failed
    assert "there is no host 'xs9' in this pool" in outcome.msg
    assert NULL not in outcome.msg


def test_examples_run(pool_in_memory: Callable[[Simulator], None], simulator: Simulator) -> None:
    pool_in_memory(simulator)
    everything, here, web1, templates, dom0 = run_examples(simulator, "xen_vm_info")
    assert names(everything) == names(here) == names(web1) == []
    assert "Windows 11" in names(templates)
    assert len(names(dom0)) == 1
