# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from simulator import Simulator

from ..conftest import Run
from ..scenario import Do, Scenario
from .machines import MACHINES, start, the
from .vms import run_examples

SCENARIO = Scenario(
    Do({"vm": "web1", "devices": ["87:00.0"]}),
    Do({"vm": "web1", "devices": ["0000:87:00.1", "0/0000:87:00.0"]}),
    Do({"vm": "web1", "state": "absent"}),
    Do({"vm": "web2", "devices": []}, changes=False),
    world=MACHINES,
)
pytestmark = pytest.mark.world(MACHINES)


def test_list_is_that_of_the_old_driver_and_other_keys_stay(run_module: Run, simulator: Simulator) -> None:
    """Driver row set_other_config_pci."""
    before = the(simulator, "VM", "web1")["other_config"]
    run_module("xen_pci_passthrough", vm="web1", devices=["0000:87:00.0"])
    assert the(simulator, "VM", "web1")["other_config"] == {**before, "pci": "0/0000:87:00.0"}
    outcome = run_module("xen_pci_passthrough", vm="web1", devices=["87:00.0", "87:00.1"])
    assert the(simulator, "VM", "web1")["other_config"]["pci"] == "0/0000:87:00.0,0/0000:87:00.1"
    assert outcome["devices"] == ["0000:87:00.0", "0000:87:00.1"]


@pytest.mark.parametrize("address", ["87:00", "0000:87:20.0", "87:00.8", "gpu0", ""])
def test_what_is_no_address_is_refused(run_module: Run, address: str) -> None:
    outcome = run_module("xen_pci_passthrough", vm="web1", devices=[address])
    assert outcome.failed
    assert "no address of a PCI device" in outcome.msg
    assert outcome.writes == []


def test_running_vm_gets_them_at_its_next_start(run_module: Run, simulator: Simulator) -> None:
    start(simulator, "web1")
    outcome = run_module("xen_pci_passthrough", vm="web1", devices=["87:00.0"])
    assert outcome.changed
    assert "at its next start" in str(outcome["warnings"])


def test_examples_run(run_module: Run, simulator: Simulator) -> None:
    assert [len(outcome["devices"]) for outcome in run_examples(simulator, "xen_pci_passthrough")] == [2, 0]
