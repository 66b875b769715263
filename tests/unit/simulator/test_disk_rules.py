# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""VDI and VBD where the storage manager, HA or a broken copy has a word (X/xapi_vdi.ml, X/storage_smapiv1.ml, X/xapi_vbd_helpers.ml, sm drivers)."""

from __future__ import annotations

import xmlrpc.client
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from simulator import Failure, Simulator

from ._asking import refusal

MIB = 1024**2
TASK = "OpaqueRef:00000000-0000-0000-0000-000000000001"
INTRODUCED = (True, 0, 0, "OpaqueRef:NULL", False, "19700101T00:00:00Z", "OpaqueRef:NULL")
Make = Callable[..., str]


@pytest.fixture(scope="module", params=["8.3", "26"])
def simulator(request: pytest.FixtureRequest) -> Iterator[Simulator]:
    with Simulator("three_hosts", api=request.param) as simulator:
        yield simulator
        assert simulator.problems == []


@pytest.fixture(scope="module")
def session(simulator: Simulator) -> Any:
    return simulator.session()


@pytest.fixture(scope="module")
def hosts(session: Any) -> list[str]:
    master = session.pool.get_master(session.pool.get_all()[0])
    return [master, *(host for host in session.host.get_all() if host != master)]


@pytest.fixture
def sr(session: Any, hosts: list[str]) -> Callable[..., str]:
    def create(kind: str, size: int = 0, *, shared: bool = False, **config: str) -> str:
        return str(session.SR.create(hosts[0], config, size, "n", "", kind, "user", shared, {}))

    return create


@pytest.fixture
def disk(session: Any) -> Make:
    def create(sr: str, size: int = 4 * MIB, **fields: Any) -> str:
        record = {"name_label": "d", "SR": sr, "virtual_size": size, "type": "user", "sharable": False, "read_only": False, "other_config": {}}
        return str(session.VDI.create({**record, **fields}))

    return create


def storage_error(kind: str, text: str) -> list[str]:
    return ["INTERNAL_ERROR", f"Storage_error ([S({kind});S({text})])"]


def introduce(session: Any, sr: str, uuid: str, location: str) -> Any:
    return session.VDI.introduce(uuid, "n", "", sr, "user", False, False, {}, location, {}, {}, *INTRODUCED)


# What the storage manager refuses


def test_introduce_says_of_every_error_that_there_is_no_such_disk(session: Any, sr: Callable[..., str]) -> None:
    """X/storage_smapiv1.ml VDI.introduce: `with e -> raise (Storage_error (Vdi_does_not_exist location))`."""
    where, uuid = sr("dummy"), "12345678-1234-1234-1234-123456789abc"
    vdi = introduce(session, where, uuid, "there")
    assert session.VDI.get_location(vdi) == "there"
    assert refusal(introduce, session, where, uuid, "again") == storage_error("Vdi_does_not_exist", "again")  # VDIExists
    assert refusal(introduce, session, where, "no uuid", "x") == storage_error("Vdi_does_not_exist", "x")  # UUID_INVALID of VDI.db_introduce
    assert refusal(introduce, session, where, uuid.replace("1", "2"), "there") == ["LOCATION_NOT_UNIQUE", where, "there"]  # before that
    session.VDI.destroy(vdi)


def test_a_disk_whose_bytes_are_gone(simulator: Simulator, session: Any, sr: Callable[..., str], disk: Make) -> None:
    """FileVDI.load raises VDIUnavailable; X/storage_smapiv1.ml VDI.stat makes it Vdi_does_not_exist, which X/xapi_vdi.ml update does not translate."""
    vdi = disk(sr("nfs", server="s", serverpath="/a", shared=True))
    location, repository = session.VDI.get_location(vdi), simulator.engine.behaviours["SR"].repository(session.VDI.get_SR(vdi))

    async def lose() -> None:
        repository.remove(location)

    simulator.run(lose())
    for call, *params in ((session.VDI.update, vdi), (session.VDI.set_name_label, vdi, "x"), (session.VDI.set_name_description, vdi, "x")):
        assert refusal(call, *params) == storage_error("Vdi_does_not_exist", location)
    session.VDI.forget(vdi)


def test_what_a_raw_disk_cannot_be(session: Any, sr: Callable[..., str], disk: Make) -> None:
    """FileVDI._do_snapshot raises Unimplemented; X/storage_smapiv1.ml set_persistent does not expect it."""
    raw = disk(sr("nfs", server="s", serverpath="/b", shared=True), sm_config={"type": "raw"})
    assert refusal(session.VDI.set_on_boot, raw, "reset") == storage_error("Internal_error", "Smint.Not_implemented_in_backend")
    session.VDI.set_on_boot(raw, "persist")
    assert refusal(session.VDI.snapshot, raw) == ["UNIMPLEMENTED_IN_SM_BACKEND", session.VDI.get_SR(raw)]
    assert refusal(session.VDI.resize, raw, 8 * MIB) == ["UNIMPLEMENTED_IN_SM_BACKEND", session.VDI.get_SR(raw)]


def test_a_raw_logical_volume_has_whole_extents_and_grows(session: Any, sr: Callable[..., str], disk: Make) -> None:
    """LVHDVDI.create and resize: rounded as a VHD is, then to LVM_SIZE_INCREMENT."""
    raw = disk(sr("lvm", 1024 * MIB, device="/dev/sdr"), 5 * MIB, sm_config={"type": "raw"})
    assert session.VDI.get_virtual_size(raw) == 8 * MIB
    session.VDI.resize(raw, 9 * MIB)
    assert (session.VDI.get_virtual_size(raw), session.VDI.get_physical_utilisation(raw)) == (12 * MIB, 12 * MIB)
    assert refusal(session.VDI.resize, raw, 8 * MIB)[0] == "SR_BACKEND_FAILURE_79"


def test_a_clone_that_xapi_copies_goes_when_the_copy_fails(
    simulator: Simulator, session: Any, sr: Callable[..., str], disk: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """X/xapi_vdi.ml clone: "Caught failure during copy, deleting VDI"."""
    where = sr("file", location="/srv/c")
    raw = disk(where, sm_config={"type": "raw"})

    async def fail(*_unused: Any) -> None:
        raise Failure("VDI_IO_ERROR", "Device I/O errors")

    monkeypatch.setattr(simulator.engine.behaviours["VDI"], "copy_bytes", fail)
    assert refusal(session.VDI.clone, raw) == ["VDI_IO_ERROR", "Device I/O errors"]
    assert session.SR.get_VDIs(where) == [raw]


def test_what_a_host_needs_to_reach_a_disk_without_the_toolstack(session: Any, hosts: list[str], sr: Callable[..., str], disk: Make) -> None:
    """NFSFileVDI.generate_config; it is that host's own connection that counts (X/sm.ml assert_pbd_is_plugged)."""
    where = sr("nfs", server="s", serverpath="/d", shared=True)
    vdi = disk(where)
    params, method = xmlrpc.client.loads(session.VDI.generate_config(hosts[0], vdi))
    answer: Any = params[0]
    assert (method, list(answer)) == ("vdi_attach_from_config", ["device_config", "sr_uuid", "vdi_uuid", "sr_sm_config", "sr_other_config", "command"])
    assert answer["device_config"] == {"SRmaster": "true", "server": "s", "serverpath": "/d"}
    member = next(pbd for pbd in session.SR.get_PBDs(where) if session.PBD.get_host(pbd) == hosts[1])
    session.PBD.unplug(member)
    assert refusal(session.VDI.generate_config, hosts[1], vdi) == ["SR_HAS_NO_PBDS", where]


def test_storage_that_is_taken(session: Any, hosts: list[str], sr: Callable[..., str], disk: Make) -> None:
    """SM util.py test_hostPBD_devs: of the same host; FileSR.create: the folder must be empty, and every error is one of number 61."""
    sr("ext", device="/dev/sdv,/dev/sdw")
    for kind in ("ext", "lvm"):
        assert refusal(partial(sr, kind, device="/dev/sdw")) == ["SR_DEVICE_IN_USE"]
    session.SR.create(hosts[1], {"device": "/dev/sdw"}, 0, "n", "", "ext", "user", False, {})
    filled, expected = sr("file", location="/srv/same"), ["SR_BACKEND_FAILURE_61", "", "File SR creation error", ""]
    session.SR.forget(unplugged(session, sr("file", location="/srv/same")))
    disk(filled)
    assert refusal(partial(sr, "file", location="/srv/same")) == expected


def unplugged(session: Any, sr: str) -> str:
    for pbd in session.SR.get_PBDs(sr):
        session.PBD.unplug(pbd)
    return sr


# What others need a disk for


def test_disks_of_ha_while_it_comes_and_goes(simulator: Simulator, session: Any, sr: Callable[..., str], disk: Make) -> None:
    """X/xapi_vdi.ml check_destroy; which types has changed."""
    db, pool, where = simulator.engine.db, session.pool.get_all()[0], sr("file", location="/srv/e")
    kinds = ["redo_log", "metadata"] if simulator.engine.schema.level == "26" else ["metadata", "redo_log"]
    vdi, other = (disk(where, type=kind) for kind in kinds)
    for op in ("ha_enable", "ha_disable"):
        simulator.run(mark(partial(db.put, "pool", pool, "current_operations", TASK, op)))
        assert refusal(session.VDI.destroy, vdi) == [f"{op.upper()}_IN_PROGRESS"]
        assert "destroy" in session.VDI.get_allowed_operations(other)
        simulator.run(mark(lambda: db.drop("pool", pool, "current_operations", TASK)))
    session.VDI.destroy(vdi)


async def mark(change: Callable[[], None]) -> None:
    change()


def test_a_protected_vm_gets_no_disk_that_only_one_host_sees(simulator: Simulator, session: Any, sr: Callable[..., str], disk: Make) -> None:
    """X/xapi_vbd_helpers.ml assert_doesnt_make_vm_non_agile, in VBD.create and VBD.insert."""
    vm, pool, db = session.VM.clone(session.VM.get_by_name_label("Other install media")[0], "p"), session.pool.get_all()[0], simulator.engine.db
    local = disk(where := sr("file", location="/srv/f"))
    drive = {"VM": vm, "bootable": False, "type": "CD", "mode": "RO", "other_config": {}, "qos_algorithm_type": "", "qos_algorithm_params": {}}
    empty = session.VBD.create({**drive, "userdevice": "3", "VDI": "OpaqueRef:NULL", "empty": True})
    simulator.run(mark(lambda: db.update("VM", vm, ha_always_run=True, ha_restart_priority="restart")))
    simulator.run(mark(lambda: db.set("pool", pool, "ha_enabled", True)))
    level = simulator.engine.schema.level
    expected = ["HA_CONSTRAINT_VIOLATION_SR_NOT_SHARED", where] if level == "26" else ["HA_OPERATION_WOULD_BREAK_FAILOVER_PLAN"]
    assert refusal(session.VBD.create, {**drive, "userdevice": "4", "VDI": local, "empty": False}) == expected
    assert refusal(session.VBD.insert, empty, local) == expected
    session.VBD.insert(empty, disk(sr("nfs", server="s", serverpath="/e", shared=True)))
    simulator.run(mark(lambda: db.set("pool", pool, "ha_enabled", False)))
    session.VBD.create({**drive, "userdevice": "4", "VDI": local, "empty": False})


def test_a_crashdump_is_destroyed_where_its_disk_is(simulator: Simulator, session: Any, sr: Callable[..., str], disk: Make) -> None:
    """X/message_forwarding.ml forward_crashdump_op; X/xapi_crashdump.ml destroys the row whatever becomes of the disk."""
    where = sr("file", location="/srv/g")
    vdi, made = disk(where), []
    simulator.run(mark(lambda: made.append(simulator.engine.db.create("crashdump", {"VDI": vdi, "VM": "OpaqueRef:NULL"}))))
    (pbd,) = session.SR.get_PBDs(where)
    session.PBD.unplug(pbd)
    assert refusal(session.crashdump.destroy, made[0]) == ["SR_HAS_NO_PBDS", where]
    session.PBD.plug(pbd)
    session.crashdump.destroy(made[0])
    assert refusal(session.VDI.get_uuid, vdi) == ["HANDLE_INVALID", "VDI", vdi]
