# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixed walks past what random ones meet seldom, or have met once; after each step all of test_properties' invariants hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ._consistency import Database, database
from ._machines import disks
from .test_properties import MIB, Pool

Step = Callable[..., Any]


@pytest.fixture
def pool() -> Iterator[Pool]:
    pool = Pool()
    pool.start()
    try:
        yield pool
    finally:
        pool.teardown()


@pytest.fixture
def step(pool: Pool) -> Step:
    """A call that must be done, after which all invariants hold."""

    def step(message: str, *arguments: Any) -> Any:
        done, answer = pool.call(message, *arguments)
        assert done, answer
        pool.consistent()
        return answer

    return step


@pytest.fixture
def refused(pool: Pool) -> Callable[..., list[str]]:
    """A call that an object lists in allowed_operations, and that is refused all the same; nothing is left of it."""

    def refused(message: str, ref: str, *arguments: Any) -> list[str]:
        pool.consistent()
        before = recorded(pool)
        cls, _unused, name = message.partition(".")
        assert name in pool.session.call(f"{cls}.get_allowed_operations", ref)
        done, answer = pool.call(message, ref, *arguments)
        assert not done
        pool.consistent()
        assert recorded(pool) == before
        refusal: list[str] = answer
        return refusal

    return refused


def recorded(pool: Pool) -> Database:
    """The database but for the lists of operations, which xapi writes anew of what was locked and released."""
    return {key: {**record, "allowed_operations": []} for key, record in database(pool.simulator).items()}


def drive(vm: str, disk: str, mode: str) -> dict[str, Any]:
    record = {"VM": vm, "VDI": disk, "userdevice": "7", "bootable": False, "mode": mode, "type": "Disk", "empty": False, "other_config": {}}
    return {**record, "qos_algorithm_type": "", "qos_algorithm_params": {}}


def test_a_walk(pool: Pool, step: Step) -> None:
    session = pool.session
    (vm,) = session.VM.get_by_name_label("first")
    (sr,) = session.SR.get_by_name_label("NFS storage")

    pool.consistent()
    step("VM.start", vm, False, False)
    pool.time_passes(10)
    pool.consistent()
    # A drive that comes, is plugged and goes changes what its disk allows.
    record = {"SR": sr, "virtual_size": MIB, "type": "user", "sharable": False, "read_only": False, "other_config": {}}
    disk = step("VDI.create", record)
    vbd = step("VBD.create", drive(vm, disk, "RW"))
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
    vbd = step("VBD.create", drive(vm, base, "RO"))
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


@pytest.mark.parametrize("copying", ["VM.snapshot", "VM.clone"])
def test_a_disk_that_cannot_be_copied_is_met_when_its_turn_comes(pool: Pool, step: Step, refused: Callable[..., list[str]], copying: str) -> None:
    """The list does not look at the features of SRs (xapi_vm_lifecycle.ml), xapi_vm_clone.ml asks disk by disk and takes back what it made."""
    session = pool.session
    (vm,) = session.VM.get_by_name_label("first")
    iso = next(ref for ref, sr in session.SR.get_all_records().items() if sr["content_type"] == "iso" and sr["VDIs"])
    step("VBD.create", drive(vm, session.SR.get_VDIs(iso)[0], "RO"))
    assert refused(copying, vm, "copied") == ["SR_OPERATION_NOT_SUPPORTED", iso]


def test_a_base_copy_is_met_when_the_drives_are_marked(pool: Pool, step: Step, refused: Callable[..., list[str]]) -> None:
    """xapi_vbd_helpers.ml refuses every operation of a drive of a base copy; whether the VM allows a start does not depend on it."""
    session = pool.session
    (vm,) = session.VM.get_by_name_label("first")
    step("VM.snapshot", vm, "snapshot")
    base = session.VDI.get_by_uuid(session.VDI.get_sm_config(disks(session, vm)[0])["vhd-parent"])
    vbd = step("VBD.create", drive(vm, base, "RO"))
    assert refused("VM.start", vm, False, False) == ["VDI_NOT_MANAGED", vbd]
