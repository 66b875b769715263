# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""VBD: drives of VMs (facts 3.4; recordings vbds, images)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from simulator import NULL, Failure, Simulator

from ._asking import fixtures

MIB = 1024 * 1024


simulator, session = fixtures(lambda: Simulator("one_host"), "module")


@pytest.fixture
def disk(session: Any) -> str:
    sr = session.SR.get_by_name_label("NFS storage")[0]
    record = {"SR": sr, "virtual_size": 2 * MIB, "type": "user", "sharable": False, "read_only": False, "other_config": {}}
    return session.VDI.create(record)


@pytest.fixture
def vm(session: Any) -> str:
    template = session.VM.get_by_name_label("Other install media")[0]
    return session.VM.clone(template, "drives")


@pytest.fixture
def add(session: Any, vm: str) -> Callable[..., str]:
    def create(vdi: str = NULL, userdevice: str = "autodetect", **fields: Any) -> str:
        kind = {"type": "CD", "mode": "RO"} if vdi == NULL else {"type": "Disk", "mode": "RW"}
        record = {"VM": vm, "VDI": vdi, "userdevice": userdevice, "bootable": False, "empty": vdi == NULL, **kind}
        return session.VBD.create({**record, "other_config": {}, "qos_algorithm_type": "", "qos_algorithm_params": {}, **fields})

    return create


def refusal(action: Callable[..., Any], *params: Any, **fields: Any) -> list[str]:
    with pytest.raises(Failure) as caught:
        action(*params, **fields)
    return caught.value.description


# Device numbers


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param("1", "xvdb", id="the same disk by its PV name"),
        pytest.param("1", "hdb", id="by its IDE name"),
        pytest.param("xvda", "0", id="by its number"),
        pytest.param("0x2", "2", id="numbers as OCaml reads them"),
    ],
)
def test_a_device_in_use_by_any_of_its_names_is_refused(add: Callable[..., str], disk: str, first: str, second: str) -> None:
    add(disk, first)
    assert refusal(add, disk, second) == ["DEVICE_ALREADY_EXISTS", second]


@pytest.mark.parametrize("name", ["xvdz", "sdq", "fdc", "d3", "nonsense", "", "xvdax"])
def test_names_that_are_no_device_are_refused(add: Callable[..., str], disk: str, name: str) -> None:
    assert refusal(add, disk, name) == ["INVALID_DEVICE", name]


@pytest.mark.parametrize("name", ["-1", "999", "xvdp", "hda1", "254"])
def test_numbers_are_taken_as_they_come(session: Any, add: Callable[..., str], disk: str, name: str) -> None:
    assert session.VBD.get_userdevice(add(disk, name)) == name


def test_autodetect_takes_the_lowest_that_is_free(session: Any, add: Callable[..., str], disk: str) -> None:
    add(disk, "0")
    add(disk, "1")
    assert session.VBD.get_userdevice(add(disk)) == "2"


def test_autodetect_stumbles_over_a_name_that_only_pv_drivers_use(add: Callable[..., str], disk: str) -> None:
    # X/xapi_vbd.ml: the free one is looked for among IDE numbers, and the clash found afterwards.
    add(disk, "xvda")
    assert refusal(add, disk) == ["DEVICE_ALREADY_EXISTS", "0"]


# Creation


def test_one_disk_may_have_many_drives(session: Any, add: Callable[..., str], disk: str) -> None:
    drives = {add(disk), add(disk)}
    assert set(session.VDI.get_VBDs(disk)) == drives


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param({"type": "CD"}, ["VBD_CDS_MUST_BE_READONLY"], id="a writable CD"),
        pytest.param({"empty": True}, ["VBD_NOT_REMOVABLE_MEDIA", "in constructor"], id="an empty disk"),
        pytest.param({"VM": "OpaqueRef:x"}, ["HANDLE_INVALID", "VM", "OpaqueRef:x"], id="no such VM"),
        pytest.param({"VDI": "OpaqueRef:x"}, ["HANDLE_INVALID", "VDI", "OpaqueRef:x"], id="no such disk"),
    ],
)
def test_drives_that_cannot_be(add: Callable[..., str], disk: str, fields: dict[str, Any], expected: list[str]) -> None:
    assert refusal(add, disk, **fields) == expected


def test_a_read_only_disk_is_not_written(session: Any, add: Callable[..., str]) -> None:
    iso = session.VDI.get_by_name_label("debian-12.iso")[0]
    assert refusal(add, iso) == ["VDI_READONLY", iso]
    assert session.VBD.get_mode(add(iso, mode="RO", type="CD")) == "RO"


def test_state_that_the_caller_makes_up_is_ignored(session: Any, add: Callable[..., str], disk: str) -> None:
    record = session.VBD.get_record(add(disk, device="xvdq", currently_attached=True))
    assert (record["device"], record["currently_attached"]) == ("", False)


# Media, on a halted VM


def test_a_cd_goes_in_and_out(session: Any, add: Callable[..., str], disk: str) -> None:
    drive = add()
    assert set(session.VBD.get_allowed_operations(drive)) == {"attach", "insert"}
    assert refusal(session.VBD.eject, drive) == ["VBD_IS_EMPTY", drive]
    session.VBD.insert(drive, disk)
    record = session.VBD.get_record(drive)
    assert (record["VDI"], record["empty"], set(record["allowed_operations"])) == (disk, False, {"attach", "eject"})
    assert refusal(session.VBD.insert, drive, disk) == ["VBD_NOT_EMPTY", drive]
    session.VBD.eject(drive)
    assert (session.VBD.get_VDI(drive), session.VBD.get_empty(drive)) == (NULL, True)


def test_disks_have_no_drawer(session: Any, add: Callable[..., str], disk: str) -> None:
    drive = add(disk)
    assert refusal(session.VBD.insert, drive, disk) == ["VBD_NOT_REMOVABLE_MEDIA", drive]
    assert refusal(session.VBD.eject, drive) == ["VBD_NOT_REMOVABLE_MEDIA", drive]


def test_plugging_wants_a_running_vm(session: Any, add: Callable[..., str], disk: str, vm: str) -> None:
    drive = add(disk)
    for call in (session.VBD.plug, session.VBD.unplug, session.VBD.unplug_force):
        assert refusal(call, drive) == ["VM_BAD_POWER_STATE", vm, "running", "halted"]
    assert session.VBD.get_allowed_operations(drive) == ["attach"]


def test_pause_is_no_longer_there(session: Any, add: Callable[..., str], disk: str) -> None:
    drive = add(disk)
    # A halted VM refuses first (xapi_vbd_helpers.ml).
    assert refusal(session.VBD.pause, drive)[0] == "VM_BAD_POWER_STATE"


def test_a_destroyed_disk_takes_its_drives_along(session: Any, add: Callable[..., str], disk: str, vm: str) -> None:
    drive = add(disk)
    session.VDI.destroy(disk)
    assert refusal(session.VBD.get_record, drive) == ["HANDLE_INVALID", "VBD", drive]
    assert drive not in session.VM.get_VBDs(vm)


# On a running VM


@pytest.fixture
def running(session: Any, vm: str, add: Callable[..., str], disk: str) -> Iterator[str]:
    add(disk, "0")
    session.VM.provision(vm)
    session.VM.start(vm, False, False)
    yield vm
    session.VM.hard_shutdown(vm)


def test_a_started_disk_is_named_and_in_use(session: Any, running: str, disk: str) -> None:
    drive = session.VM.get_VBDs(running)[0]
    record = session.VBD.get_record(drive)
    assert (record["device"], record["currently_attached"]) == ("xvda", True)
    for message, op in (("destroy", "destroy"), ("forget", "forget")):
        assert refusal(getattr(session.VDI, message), disk) == ["VDI_IN_USE", disk, op]
    assert refusal(session.VDI.resize, disk, 4 * MIB) == ["VDI_IN_USE", disk, "resize"]
    sr = session.VDI.get_SR(disk)
    assert refusal(session.VDI.copy, disk, sr) == ["VDI_IN_USE", disk, "copy"]
    assert session.VDI.get_is_a_snapshot(session.VDI.snapshot(disk)) is True
    vbd_uuid, vm_uuid = record["uuid"], session.VM.get_uuid(running)
    assert refusal(session.VBD.destroy, drive) == ["OPERATION_NOT_ALLOWED", f"VBD '{vbd_uuid}' still attached to '{vm_uuid}'"]
    assert refusal(session.VBD.set_mode, drive, "RO") == ["VM_BAD_POWER_STATE", running, "halted", "running"]


def test_a_new_drive_of_a_running_vm_is_not_plugged(session: Any, running: str, add: Callable[..., str]) -> None:
    drive = add()
    assert session.VBD.get_currently_attached(drive) is False
