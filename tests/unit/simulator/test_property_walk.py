# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One fixed walk past what random ones meet seldom; after each step all of test_properties' invariants hold."""

from __future__ import annotations

from typing import Any

from ._machines import disks
from .test_properties import MIB, Pool


def test_a_walk() -> None:
    pool = Pool()
    pool.start()
    try:
        walk(pool)
    finally:
        pool.teardown()


def walk(pool: Pool) -> None:
    session = pool.session
    (vm,) = session.VM.get_by_name_label("first")
    (sr,) = session.SR.get_by_name_label("NFS storage")

    def step(message: str, *arguments: Any) -> Any:
        done, answer = pool.call(message, *arguments)
        assert done, answer
        pool.consistent()
        return answer

    pool.consistent()
    step("VM.start", vm, False, False)
    pool.time_passes(10)
    pool.consistent()
    # A drive that comes, is plugged and goes changes what its disk allows.
    record = {"SR": sr, "virtual_size": MIB, "type": "user", "sharable": False, "read_only": False, "other_config": {}}
    disk = step("VDI.create", record)
    drive = {"VM": vm, "VDI": disk, "userdevice": "7", "bootable": False, "mode": "RW", "type": "Disk", "empty": False, "other_config": {}}
    vbd = step("VBD.create", {**drive, "qos_algorithm_type": "", "qos_algorithm_params": {}})
    for message in ("VBD.plug", "VBD.unplug", "VBD.destroy"):
        step(message, vbd)
    step("VDI.destroy", disk)
    # What changes alone: one object, one generation of the database.
    message = step("message.create", "WALKED", "5", "VM", session.VM.get_uuid(vm), "far")
    step("message.destroy", message)
    task = step("task.create", "walk", "")
    step("task.destroy", task)
    # Base copies that go take with them the drives that named them.
    step("VM.hard_shutdown", vm)
    snapshot = step("VM.snapshot", vm, "snapshot")
    base = session.VDI.get_by_uuid(session.VDI.get_sm_config(disks(session, vm)[0])["vhd-parent"])
    vbd = step("VBD.create", {**drive, "VDI": base, "mode": "RO", "qos_algorithm_type": "", "qos_algorithm_params": {}})
    step("VM.revert", snapshot)
    for one in disks(session, snapshot):
        step("VDI.destroy", one)
    step("VM.destroy", snapshot)
    for one in disks(session, vm):
        if one != base:
            step("VDI.destroy", one)
    pool.time_passes(400)
    pool.consistent()
    assert not pool.simulator.engine.db.exists("VDI", base)
    assert not pool.simulator.engine.db.exists("VBD", vbd)
