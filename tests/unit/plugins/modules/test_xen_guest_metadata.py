# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest

from simulator import Simulator

from ..conftest import Run
from ..scenario import Do, Scenario
from .machines import MACHINES, started, the
from .vms import run_examples

SCENARIO = Scenario(
    Do({"vm": "web1", "metadata": {"role": "frontend", "a/b c": "x"}, "guest_hostname": "web1", "auto_disk_config": True}),
    Do({"vm": "web1", "metadata": {"role": None, "site": "north"}}),
    Do({"vm": "web1", "state": "replaced", "metadata": {"role": "backend"}, "auto_disk_config": False}),
    Do({"vm": "web1", "state": "absent", "keys": ["role", "never there"], "guest_hostname": ""}),
    Do({"vm": "web2", "metadata": {"role": "live"}}),
    Do({"vm": "no such VM", "metadata": {"role": "x"}}, changes=False),
    world=MACHINES,
    prepare=lambda session: started(session, "web2"),
)
pytestmark = pytest.mark.world(MACHINES)


def data(simulator: Simulator, vm: str) -> dict[str, str]:
    found: dict[str, str] = the(simulator, "VM", vm)["xenstore_data"]
    return found


def test_keys_are_those_of_the_old_driver(run_module: Run, simulator: Simulator) -> None:
    """driver-operations §14.2 and §14.3: values are JSON, empty ones the empty text; the host name is plain."""
    before = data(simulator, "web1")
    outcome = run_module("xen_guest_metadata", vm="web1", metadata={"a/b c": "x", "ok-_@9": "", "n": 5}, guest_hostname="web1", auto_disk_config=True)
    assert outcome.writes == ["VM.set_xenstore_data"]
    assert data(simulator, "web1") == {
        **before,
        "vm-data/user-metadata/a_b_c": '"x"',
        "vm-data/user-metadata/ok-_@9": '""',
        "vm-data/user-metadata/n": "5",
        "vm-data/hostname": "web1",
        "vm-data/auto-disk-config": "True",
    }
    assert outcome["metadata"] == {"a_b_c": "x", "n": 5, "ok-_@9": ""}


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({}, "averyveryverylongname"),
        ({"os_type": "windows"}, "averyveryverylo"),
        ({"rescue": True}, "RESCUE-averyveryverylongname"),
        ({"os_type": "windows", "rescue": True}, "RESCUE-averyver"),
    ],
    ids=["as it is", "windows", "rescue", "windows in rescue"],
)
def test_host_name(run_module: Run, simulator: Simulator, more: dict[str, object], told: str) -> None:
    run_module("xen_guest_metadata", vm="web1", guest_hostname="averyveryverylongname", **more)
    assert data(simulator, "web1")["vm-data/hostname"] == told


def test_json_of_another_client_compares_by_its_meaning(run_module: Run, simulator: Simulator) -> None:
    session = simulator.session()
    session.VM.add_to_xenstore_data(the(simulator, "VM", "web1")["ref"], "vm-data/user-metadata/list", '[1,  "two" ]')
    assert not run_module("xen_guest_metadata", vm="web1", metadata={"list": [1, "two"]}).changed


def test_a_running_guest_keeps_what_it_wrote_meanwhile(run_module: Run, simulator: Simulator) -> None:
    """The map is read again just before it is set (driver-operations §14.1)."""
    session = simulator.session()
    started(session, "web1")
    run_module("xen_guest_metadata", vm="web1", metadata={"role": "live"})
    assert json.loads(data(simulator, "web1")["vm-data/user-metadata/role"]) == "live"
    methods = [call.method for call in simulator.calls]
    assert methods[methods.index("VM.set_xenstore_data") - 1] == "VM.get_xenstore_data"


def test_keys_that_become_the_same_are_refused(run_module: Run) -> None:
    outcome = run_module("xen_guest_metadata", vm="web1", metadata={"a b": 1, "a/b": 2})
    assert outcome.failed
    assert "'a b' and 'a/b'" in outcome.msg
    assert outcome.writes == []


def test_a_vm_that_is_gone_is_a_warning(run_module: Run) -> None:
    outcome = run_module("xen_guest_metadata", vm="gone", metadata={"role": "x"})
    assert not outcome.failed
    assert not outcome.changed
    assert "there is no VM 'gone'" in str(outcome["warnings"])


def test_examples_run(run_module: Run, simulator: Simulator) -> None:
    outcomes = run_examples(simulator, "xen_guest_metadata")
    assert [outcome["metadata"] for outcome in outcomes] == [{"role": "frontend", "site": "north"}, {"role": "backend"}, {}, {}]
    assert outcomes[-1]["guest_hostname"] is None
