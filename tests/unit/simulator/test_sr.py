# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""SR, PBD and the storage drivers (facts 3.7; recordings storage, shared_sr, small_classes)."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import Any

import pytest

from simulator import Simulator, VirtualClock

from ._asking import fixtures, refusal

MIB, GIB = 1024**2, 1024**3


simulator, session = fixtures(lambda: Simulator("three_hosts", clock=VirtualClock()), "module")


@pytest.fixture
def hosts(session: Any) -> list[str]:
    coordinator = session.pool.get_master(session.pool.get_all()[0])
    return [coordinator, *(host for host in session.host.get_all() if host != coordinator)]


@pytest.fixture
def create(session: Any, hosts: list[str]) -> Callable[..., str]:
    def make(kind: str, config: dict[str, str], size: int = 0, *, shared: bool = False, at: int = 0) -> str:
        return session.SR.create(hosts[at], config, size, f"a {kind}", "", kind, "user", shared, {})

    return make


def disk(session: Any, sr: str, size: int = 16 * MIB, **fields: Any) -> str:
    record = {"SR": sr, "virtual_size": size, "type": "user", "sharable": False, "read_only": False, "other_config": {}}
    return session.VDI.create({"name_label": "disk", **record, **fields})


# Making


def test_a_shared_sr_is_plugged_at_every_host(session: Any, create: Callable[..., str], hosts: list[str]) -> None:
    sr = create("nfs", {"server": "s", "serverpath": "/p"}, shared=True)
    pbds = [session.PBD.get_record(pbd) for pbd in session.SR.get_PBDs(sr)]
    assert {pbd["host"] for pbd in pbds} == set(hosts)
    assert all(pbd["currently_attached"] for pbd in pbds)
    assert all(pbd["other_config"]["storage_driver_domain"] == session.host.get_control_domain(pbd["host"]) for pbd in pbds)


def test_a_local_sr_is_plugged_at_its_host_and_works_there(session: Any, create: Callable[..., str], hosts: list[str]) -> None:
    sr = create("ext", {"device": "/dev/sdb"}, 10 * GIB, at=1)
    (pbd,) = session.SR.get_PBDs(sr)
    assert session.PBD.get_host(pbd) == hosts[1]
    assert session.SR.get_physical_size(sr) == 10 * GIB
    assert session.VDI.get_SR(disk(session, sr)) == sr


@pytest.mark.parametrize(
    ("kind", "config", "number", "sentence"),
    [
        ("nfs", {"serverpath": "/p"}, 102, "The request is missing the server parameter"),
        ("nfs", {"server": "s"}, 101, "The request is missing the serverpath parameter"),
        ("ext", {}, 90, "The request is missing the device parameter"),
        ("lvm", {}, 90, "The request is missing the device parameter"),
        ("file", {}, 94, "The request is missing the location parameter"),
        ("iso", {"location": "/srv/none"}, 228, 'Require "-o" along with xe-mount-iso-sr'),
        ("lvmoiscsi", {"target": "t", "targetIQN": "i"}, 107, "The SCSIid parameter is missing or incorrect"),
        ("lvmoiscsi", {"target": "t"}, 96, "The request is missing or has an incorrect target IQN parameter"),
        ("smb", {}, 102, "The request is missing the server parameter"),
    ],
)
def test_what_device_config_lacks(session: Any, create: Callable[..., str], kind: str, config: dict[str, str], number: int, sentence: str) -> None:
    before = set(session.SR.get_all()), set(session.PBD.get_all())
    assert refusal(create, kind, config)[:3] == [f"SR_BACKEND_FAILURE_{number}", "", sentence]
    assert (set(session.SR.get_all()), set(session.PBD.get_all())) == before


def test_a_type_without_driver(create: Callable[..., str]) -> None:
    assert refusal(create, "no_such_type", {}) == ["SR_UNKNOWN_DRIVER", "no_such_type"]


def test_types_are_lower_case(session: Any, create: Callable[..., str]) -> None:
    assert session.SR.get_type(create("NFS", {"server": "s", "serverpath": "/q"}, shared=True)) == "nfs"


def test_passwords_become_secrets_of_each_pbd_and_go_with_it(session: Any, create: Callable[..., str]) -> None:
    sr = create("smb", {"server": "\\\\h\\s", "username": "u", "password": "hidden"}, shared=True)
    configs = {pbd: session.PBD.get_device_config(pbd) for pbd in session.SR.get_PBDs(sr)}
    assert all("password" not in config for config in configs.values())
    secrets = {config["password_secret"] for config in configs.values()}
    assert len(secrets) == 3
    assert {session.secret.get_value(session.secret.get_by_uuid(uuid)) for uuid in secrets} == {"hidden"}
    for pbd in configs:
        session.PBD.unplug(pbd)
        session.PBD.destroy(pbd)
    assert secrets.isdisjoint({record["uuid"] for record in session.secret.get_all_records().values()})


def test_introduce_takes_a_uuid_once(session: Any) -> None:
    uuid = "6a2f0a3c-98ae-4b5b-9a5f-5a3d1f1f1f1f"
    sr = session.SR.introduce(uuid, "known", "", "nfs", "user", True, {})
    assert (session.SR.get_physical_size(sr), session.SR.get_PBDs(sr)) == (-1, [])
    assert refusal(session.SR.introduce, uuid, "again", "", "nfs", "user", True, {}) == ["SR_UUID_EXISTS", uuid]


# Connections


def test_one_pbd_a_host(session: Any, hosts: list[str]) -> None:
    sr = session.SR.get_by_name_label("NFS storage")[0]
    pbd = next(pbd for pbd in session.SR.get_PBDs(sr) if session.PBD.get_host(pbd) == hosts[0])
    record = {"host": hosts[0], "SR": sr, "device_config": {}, "other_config": {}}
    assert refusal(session.PBD.create, record) == ["PBD_EXISTS", sr, hosts[0], pbd]


def test_what_a_pbd_is_not_given(session: Any, hosts: list[str]) -> None:
    sr = session.SR.introduce("", "x", "", "nfs", "user", True, {})
    record = {"host": hosts[0], "SR": sr, "other_config": {"kept": "not"}}
    sentence = "This key is for internal use only"
    assert refusal(session.PBD.create, {**record, "device_config": {"SRmaster": "true"}}) == ["VALUE_NOT_SUPPORTED", "SRmaster", "true", sentence]
    pbd = session.PBD.create({**record, "device_config": {}})
    assert session.PBD.get_other_config(pbd) == {}


def test_a_local_sr_is_not_for_two_hosts(session: Any, create: Callable[..., str], hosts: list[str]) -> None:
    sr = create("ext", {"device": "/dev/sdc"}, GIB)
    second = session.PBD.create({"host": hosts[1], "SR": sr, "device_config": {"device": "/dev/sdc"}, "other_config": {}})
    assert refusal(session.PBD.plug, second) == ["SR_NOT_SHARABLE", sr, hosts[0]]


def test_plug_and_unplug_may_be_said_twice(session: Any, create: Callable[..., str]) -> None:
    (pbd,) = session.SR.get_PBDs(create("ext", {"device": "/dev/sdd"}, GIB))
    session.PBD.plug(pbd)
    assert refusal(session.PBD.destroy, pbd) == ["OPERATION_NOT_ALLOWED", "PBD is currently attached"]
    session.PBD.unplug(pbd)
    session.PBD.unplug(pbd)


def test_an_sr_that_its_worker_does_not_see(session: Any, create: Callable[..., str], hosts: list[str]) -> None:
    sr = create("nfs", {"server": "s", "serverpath": "/r"}, shared=True)
    vdi = disk(session, sr)
    at_coordinator = next(pbd for pbd in session.SR.get_PBDs(sr) if session.PBD.get_host(pbd) == hosts[0])
    session.PBD.unplug(at_coordinator)
    for call in (lambda: disk(session, sr), lambda: session.VDI.snapshot(vdi), lambda: session.SR.scan(sr), lambda: session.SR.set_name_label(sr, "x")):
        assert refusal(call) == ["SR_HAS_NO_PBDS", sr]


# End


def test_destroy_and_forget_want_it_unplugged_and_destroy_wants_it_empty(session: Any, create: Callable[..., str]) -> None:
    sr = create("ext", {"device": "/dev/sde"}, GIB)
    vdi = disk(session, sr)
    for call in (session.SR.destroy, session.SR.forget):
        assert refusal(call, sr) == ["SR_HAS_PBD", sr]
    (pbd,) = session.SR.get_PBDs(sr)
    session.PBD.unplug(pbd)
    assert refusal(session.SR.destroy, sr) == ["SR_NOT_EMPTY"]
    session.PBD.plug(pbd)
    session.VDI.destroy(vdi)
    session.PBD.unplug(pbd)
    session.SR.add_to_other_config(sr, "indestructible", "true")
    assert refusal(session.SR.destroy, sr) == ["SR_INDESTRUCTIBLE", sr]
    session.SR.remove_from_other_config(sr, "indestructible")
    session.SR.destroy(sr)
    assert refusal(session.SR.get_record, sr) == ["HANDLE_INVALID", "SR", sr]
    assert refusal(session.PBD.get_record, pbd) == ["HANDLE_INVALID", "PBD", pbd]


def test_destroy_needs_a_pbd_to_reach_the_storage(session: Any) -> None:
    sr = session.SR.introduce("", "unreachable", "", "nfs", "user", True, {})
    assert refusal(session.SR.destroy, sr) == ["SR_HAS_NO_PBDS", sr]


def test_a_forgotten_sr_still_has_its_disks_when_introduced_again(session: Any, create: Callable[..., str], hosts: list[str]) -> None:
    config = {"device": "/dev/sdf"}
    sr = create("lvm", config, 10 * GIB)
    uuid, vdi = session.SR.get_uuid(sr), session.VDI.get_uuid(disk(session, sr))
    session.PBD.unplug(session.SR.get_PBDs(sr)[0])
    session.SR.forget(sr)
    again = session.SR.introduce(uuid, "back", "", "lvm", "user", False, {})
    session.PBD.plug(session.PBD.create({"host": hosts[0], "SR": again, "device_config": config, "other_config": {}}))
    record = session.VDI.get_record(session.VDI.get_by_uuid(vdi))
    # Logical volumes keep names beside them; files do not.
    assert (record["SR"], record["name_label"]) == (again, "disk")


# Space


def test_logical_volumes_are_thick_and_the_group_fills_up(session: Any, create: Callable[..., str]) -> None:
    sr = create("lvm", {"device": "/dev/sdg"}, GIB)
    vdi = disk(session, sr, 500 * MIB)
    record = session.VDI.get_record(vdi)
    assert record["sm_config"] == {"vdi_type": "vhd"}
    # 500 MiB, 1 MiB of pages for its 250 blocks, 4.1 MiB of metadata laid out for the largest VHD: in extents of 4 MiB that is 508.
    assert record["physical_utilisation"] == 508 * MIB
    assert session.SR.get_physical_utilisation(sr) == 508 * MIB
    assert refusal(disk, session, sr, 520 * MIB) == ["SR_BACKEND_FAILURE_44", "", "There is insufficient space", ""]
    assert refusal(session.VDI.resize, vdi, 1020 * MIB) == ["SR_BACKEND_FAILURE_44", "", "There is insufficient space", ""]


def test_a_snapshot_in_a_volume_group_is_thin_and_its_clone_thick(session: Any, create: Callable[..., str]) -> None:
    sr = create("lvm", {"device": "/dev/sdh"}, 10 * GIB)
    vdi = disk(session, sr, 500 * MIB)
    snapshot = session.VDI.snapshot(vdi)
    used = {ref: session.VDI.get_physical_utilisation(ref) for ref in (vdi, snapshot, session.VDI.clone(vdi))}
    base = session.VDI.get_by_uuid(session.VDI.get_sm_config(vdi)["vhd-parent"])
    assert list(used.values()) == [508 * MIB, 8 * MIB, 508 * MIB]
    assert session.VDI.get_physical_utilisation(base) == 8 * MIB


def test_files_are_thin(session: Any, create: Callable[..., str]) -> None:
    sr = create("ext", {"device": "/dev/sdi"}, GIB)
    assert session.VDI.get_virtual_size(disk(session, sr, 100 * GIB)) == 100 * GIB


def test_raw_disks_have_no_snapshots(session: Any, create: Callable[..., str]) -> None:
    sr = create("lvm", {"device": "/dev/sdj"}, 10 * GIB)
    vdi = disk(session, sr, sm_config={"type": "raw"})
    assert session.VDI.get_sm_config(vdi) == {"type": "raw", "vdi_type": "aio"}
    assert refusal(session.VDI.snapshot, vdi) == ["UNIMPLEMENTED_IN_SM_BACKEND", sr]


# Time


def test_base_copies_that_nothing_needs_go_after_a_while(simulator: Simulator, session: Any, create: Callable[..., str]) -> None:
    sr = create("ext", {"device": "/dev/sdk"}, GIB)
    vdi = disk(session, sr)
    snapshot = session.VDI.snapshot(vdi)
    assert len(session.SR.get_VDIs(sr)) == 3
    session.VDI.destroy(snapshot)

    async def wait() -> None:
        await simulator.clock.sleep(600)

    simulator.run(wait())
    assert session.SR.get_VDIs(sr) == [vdi]
    assert session.VDI.get_sm_config(vdi) == {}


def test_operations_on_one_sr_wait_for_each_other(simulator: Simulator, session: Any, create: Callable[..., str]) -> None:
    sr = create("ext", {"device": "/dev/sdl"}, GIB)
    simulator.engine.latency["VDI.create"] = 5.0
    try:
        record = {"name_label": "x", "SR": sr, "virtual_size": MIB, "type": "user", "sharable": False, "read_only": False, "other_config": {}}
        began = simulator.clock.time()
        tasks = [session.call("Async.VDI.create", record) for _unused in range(3)]
        while any(session.task.get_status(task) == "pending" for task in tasks):
            pass
        assert [session.task.get_status(task) for task in tasks] == ["success"] * 3
        assert simulator.clock.time() - began >= 15.0
    finally:
        simulator.engine.latency.clear()


def test_a_dirty_sr_is_scanned_within_half_a_minute(simulator: Simulator, session: Any, create: Callable[..., str]) -> None:
    sr = create("ext", {"device": "/dev/sdm"}, GIB)

    async def wait() -> None:
        await simulator.clock.sleep(40)

    simulator.run(wait())
    assert "dirty" not in session.SR.get_other_config(sr)


# Questions


def test_probe_lists_the_srs_on_a_share(session: Any, create: Callable[..., str], hosts: list[str]) -> None:
    config = {"server": "probed", "serverpath": "/p"}
    assert "<SRlist/>" in session.SR.probe(hosts[0], config, "nfs", {})
    sr = create("nfs", config, shared=True)
    assert f"<UUID>{session.SR.get_uuid(sr)}</UUID>" in session.SR.probe(hosts[0], config, "nfs", {})


def test_a_probe_leads_to_a_lun(session: Any, create: Callable[..., str], hosts: list[str]) -> None:
    config = {"target": "storage.example.com"}
    choices = ET.fromstring(refusal(session.SR.probe, hosts[0], config, "lvmoiscsi", {})[3])
    config["targetIQN"] = choices.findtext("TGT/TargetIQN", "")
    luns = ET.fromstring(refusal(session.SR.probe, hosts[0], config, "lvmoiscsi", {})[3]).findall("LUN")
    config["SCSIid"] = luns[0].findtext("SCSIid", "")
    assert ET.fromstring(session.SR.probe(hosts[0], config, "lvmoiscsi", {})).findall("SR") == []
    sr = create("lvmoiscsi", config, shared=True)
    assert session.SR.get_physical_size(sr) == int(luns[0].findtext("size", ""))
    found = ET.fromstring(session.SR.probe(hosts[0], config, "lvmoiscsi", {}))
    assert found.findtext("SR/UUID") == session.SR.get_uuid(sr)


@pytest.mark.parametrize(
    ("kind", "config", "expected"),
    [
        ("nfs", {"server": "nfs.invalid", "serverpath": "/p"}, ["SR_BACKEND_FAILURE_140", "", "Incorrect DNS name, unable to resolve.", ""]),
        ("nfs", {"server": "192.0.2.1", "serverpath": "/p"}, ["SR_BACKEND_FAILURE_108", "", "Unable to detect an NFS service on this target.", ""]),
        ("lvmoiscsi", {"target": "192.0.2.1"}, ["SR_BACKEND_FAILURE_141", "", "Unable to connect to ISCSI service on target", ""]),
    ],
)
def test_servers_that_do_not_answer(create: Callable[..., str], kind: str, config: dict[str, str], expected: list[str]) -> None:
    assert refusal(create, kind, config) == expected


def test_luns_are_taken_whole(session: Any, create: Callable[..., str]) -> None:
    sr = create("iscsi", {"target": "t", "targetIQN": "i"}, shared=True)
    assert {session.VDI.get_managed(vdi) for vdi in session.SR.get_VDIs(sr)} == {False}
    vdi = disk(session, sr)
    assert session.VDI.get_virtual_size(vdi) == 100 * GIB
    assert session.VDI.get_virtual_size(disk(session, sr)) == 1024 * GIB
    assert refusal(disk, session, sr)[0] == "SR_BACKEND_FAILURE_44"


def test_supported_types_are_those_of_the_drivers(session: Any) -> None:
    assert {"ext", "nfs", "iso", "lvm", "lvmoiscsi", "smb", "udev", "dummy", "file", "iscsi"} == set(session.SR.get_supported_types())


def test_an_sr_with_two_connections_stays_shared(session: Any) -> None:
    sr = session.SR.get_by_name_label("NFS storage")[0]
    assert refusal(session.SR.set_shared, sr, False)[0] == "SR_HAS_MULTIPLE_PBDS"
