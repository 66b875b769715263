# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""VMs for tests, made by plain calls. The record is the one that the recording ``vm_records`` sends."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import yaml

from simulator import Simulator
from simulator.transport.memory import MemorySession

from ..conftest import MODULES, Outcome, run_on

RECORDING = Path(__file__).resolve().parents[3] / "conformance/recordings/vm_records.json"
GIB = 2**30
# A PVH guest shuts down and suspends when it is asked, from the moment it runs (recording vm_with_tools).
PVH: dict[str, Any] = {"domain_type": "pvh", "HVM_boot_policy": "", "HVM_boot_params": {}, "PV_bootloader": "pygrub"}


def recorded_create() -> dict[str, Any]:
    """The parameter of the first VM.create in the recording: an HVM guest without disks."""
    steps = json.loads(RECORDING.read_text())["steps"]
    record: dict[str, Any] = next(step["params"][0] for step in steps if step.get("call") == "VM.create")
    return record


def create_vm(session: MemorySession, name: str, **fields: Any) -> str:
    """A halted VM; ``fields`` replace those of the recorded one."""
    ref: str = session.call("VM.create", {**recorded_create(), "name_label": name, **fields})
    return ref


def create_disk(session: MemorySession, vm: str, device: str, *, name: str = "disk", mark: dict[str, str] | None = None, vdi: str | None = None) -> str:
    """A disk of 1 GiB on the default repository, attached to the VM; ``mark`` is the other_config of the attachment."""
    (pool,) = session.call("pool.get_all_records").values()
    size = {"virtual_size": GIB, "SR": pool["default_SR"], "type": "user", "sharable": False, "read_only": False}
    disk: str = vdi or session.call(
        "VDI.create", {"name_label": name, "name_description": "", "other_config": {}, "xenstore_data": {}, "sm_config": {}, "tags": [], **size}
    )
    attach(session, vm, device, disk, mark=mark)
    return disk


def attach(session: MemorySession, vm: str, device: str, vdi: str, *, kind: str = "Disk", mark: dict[str, str] | None = None) -> str:
    """An attachment of a disk, or of a medium in a CD drive."""
    mode = "RO" if kind == "CD" else "RW"
    ways = {"VM": vm, "VDI": vdi, "userdevice": device, "bootable": device == "0", "mode": mode, "type": kind, "unpluggable": kind == "Disk"}
    ref: str = session.call("VBD.create", {**ways, "empty": False, "other_config": mark or {}, "qos_algorithm_type": "", "qos_algorithm_params": {}})
    return ref


def create_nic(session: MemorySession, vm: str, device: str = "0") -> str:
    """An interface on the network of the first NIC of the hosts."""
    network = next(ref for ref, record in session.call("network.get_all_records").items() if record["bridge"] == "xenbr0")
    ways = {"device": device, "network": network, "VM": vm, "MAC": "", "MTU": 1500, "other_config": {}}
    ref: str = session.call("VIF.create", {**ways, "qos_algorithm_type": "", "qos_algorithm_params": {}})
    return ref


def run_examples(simulator: Simulator, module: str) -> list[Outcome]:
    """Run the tasks of EXAMPLES, in order on one pool, but for those of Ansible itself."""
    outcomes = []
    for task in yaml.safe_load(importlib.import_module(f"{MODULES}.{module}").EXAMPLES):
        for action, params in task.items():
            if action.startswith("xapi.xenserver."):
                outcome = run_on(simulator, action.rpartition(".")[2], params or {})
                assert not outcome.failed, (task["name"], outcome.result)
                outcomes.append(outcome)
    return outcomes
