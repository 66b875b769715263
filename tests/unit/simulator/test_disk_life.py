# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks over the life of their VMs and SRs: reset on boot, moved, collected, held by the pool, and small files beside them."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from simulator import Failure, Simulator

from ._asking import fixtures
from ._consistency import StandingSimulator

MIB = 1024 * 1024
DRIVE = {"bootable": False, "mode": "RW", "type": "Disk", "empty": False, "other_config": {}, "qos_algorithm_type": "", "qos_algorithm_params": {}}
Refusal = Callable[..., list[str]]


simulator, session = fixtures(lambda: StandingSimulator("three_hosts"), "module")


@pytest.fixture
def nfs(session: Any) -> str:
    return session.SR.get_by_name_label("NFS storage")[0]


@pytest.fixture
def vm(session: Any) -> Iterator[str]:
    vm = session.VM.clone(session.VM.get_by_name_label("Other install media")[0], "has disks")
    session.VM.provision(vm)
    yield vm
    if session.VM.get_power_state(vm) != "Halted":
        session.VM.hard_shutdown(vm)
    for vbd in session.VM.get_VBDs(vm):
        session.VBD.destroy(vbd)


def make(session: Any, sr: str, **fields: Any) -> str:
    record = {"name_label": "disk", "SR": sr, "virtual_size": 8 * MIB, "type": "user", "sharable": False, "read_only": False}
    return session.VDI.create({**record, "other_config": {}, **fields})


def plug(session: Any, vm: str, vdi: str, device: str = "0") -> str:
    return session.VBD.create({**DRIVE, "VM": vm, "VDI": vdi, "userdevice": device})


def write(simulator: Simulator, vdi: str, data: bytes) -> None:
    async def work() -> None:
        simulator.engine.behaviours["VDI"].volume(vdi).write(0, data)

    simulator.run(work())


def read(simulator: Simulator, vdi: str, length: int) -> bytes:
    async def work() -> bytes:
        return simulator.engine.behaviours["VDI"].volume(vdi).read(0, length)

    return simulator.run(work())


@pytest.fixture
def refusal() -> Refusal:
    def run(action: Callable[..., Any], *params: Any) -> list[str]:
        with pytest.raises(Failure) as caught:
            action(*params)
        return caught.value.description

    return run


# Reset on boot


def test_a_boot_throws_away_what_was_written(simulator: Simulator, session: Any, vm: str, nfs: str) -> None:
    vdi = make(session, nfs)
    write(simulator, vdi, b"installed")
    session.VDI.set_on_boot(vdi, "reset")
    plug(session, vm, vdi)
    session.VM.start(vm, False, False)
    assert read(simulator, vdi, 9) == b"installed"
    write(simulator, vdi, b"forgotten")
    session.VM.hard_shutdown(vm)
    assert read(simulator, vdi, 9) == b"forgotten"  # until the next boot
    session.VM.start(vm, False, False)
    assert read(simulator, vdi, 9) == b"installed"
    write(simulator, vdi, b"forgotten")
    session.VM.hard_reboot(vm)
    assert read(simulator, vdi, 9) == b"installed"


def test_a_disk_that_persists_keeps_what_was_written(simulator: Simulator, session: Any, vm: str, nfs: str) -> None:
    vdi = make(session, nfs)
    session.VDI.set_on_boot(vdi, "reset")
    session.VDI.set_on_boot(vdi, "persist")
    plug(session, vm, vdi)
    session.VM.start(vm, False, False)
    write(simulator, vdi, b"kept")
    session.VM.hard_reboot(vm)
    assert read(simulator, vdi, 4) == b"kept"


def test_on_boot_is_for_halted_vms(session: Any, vm: str, nfs: str, refusal: Refusal) -> None:
    vdi = make(session, nfs)
    plug(session, vm, vdi)
    session.VM.start(vm, False, False)
    assert refusal(session.VDI.set_on_boot, vdi, "reset") == ["VM_BAD_POWER_STATE", vm, "halted", "running"]


def test_a_disk_that_is_reset_is_not_merged_with_its_base(simulator: Simulator, session: Any, nfs: str) -> None:
    vdi = make(session, nfs)
    write(simulator, vdi, b"installed")
    session.VDI.set_on_boot(vdi, "reset")
    base = session.VDI.get_sm_config(vdi)["vhd-parent"]
    pass_time(simulator, 600)
    assert session.VDI.get_uuid(session.VDI.get_by_uuid(base)) == base


# The collector


def pass_time(simulator: Simulator, seconds: float) -> None:
    async def work() -> None:
        await simulator.engine.clock.sleep(seconds)

    simulator.run(work())


def test_a_drive_that_names_a_base_copy_goes_after_it(simulator: Simulator, session: Any, nfs: str, vm: str) -> None:
    """Facts 2: what points at nothing is swept a while later, also when nobody destroyed the disk but the collector."""
    vdi = make(session, nfs)
    write(simulator, vdi, b"x")
    snapshot = session.VDI.snapshot(vdi)
    base = session.VDI.get_by_uuid(session.VDI.get_sm_config(vdi)["vhd-parent"])
    drive = session.VBD.create({**DRIVE, "VM": vm, "VDI": base, "userdevice": "7", "mode": "RO"})
    for leaf in (snapshot, vdi):
        session.VDI.destroy(leaf)
    pass_time(simulator, 600)
    with pytest.raises(Failure, match="HANDLE_INVALID"):
        session.VDI.get_record(base)
    with pytest.raises(Failure, match="HANDLE_INVALID"):
        session.VBD.get_record(drive)


def test_a_base_copy_with_one_child_is_merged_after_a_while() -> None:
    with StandingSimulator("three_hosts") as simulator:
        session = simulator.session()
        vdi = make(session, session.SR.get_by_name_label("NFS storage")[0])
        write(simulator, vdi, b"before")
        snapshot = session.VDI.snapshot(vdi)
        write(simulator, vdi, b"after ")
        base = session.VDI.get_sm_config(vdi)["vhd-parent"]
        session.VDI.destroy(snapshot)
        simulator.let_pass(290)  # SM cleanup.py waits GCPAUSE_DEFAULT_SLEEP, five minutes, before it works
        assert session.VDI.get_by_uuid(base)
        simulator.let_pass(20)
        with pytest.raises(Failure, match="UUID_INVALID"):
            session.VDI.get_by_uuid(base)
        assert "vhd-parent" not in session.VDI.get_sm_config(vdi)
        assert read(simulator, vdi, 6) == b"after "


# Migration


def test_a_disk_of_a_running_vm_goes_to_another_sr(simulator: Simulator, session: Any, vm: str, nfs: str) -> None:
    vdi = make(session, nfs, name_label="goes")
    write(simulator, vdi, b"bytes")
    vbd = plug(session, vm, vdi)
    session.VM.start(vm, False, False)
    simulator.run(simulator.clock.sleep(60))  # until its tools say that it may move
    host = session.VM.get_resident_on(vm)
    (local,) = [sr for sr in session.SR.get_by_name_label("Local storage") if session.PBD.get_host(session.SR.get_PBDs(sr)[0]) == host]
    new = session.VDI.pool_migrate(vdi, local, {})
    assert (session.VDI.get_SR(new), session.VBD.get_VDI(vbd), session.VDI.get_name_label(new)) == (local, new, "goes")
    assert read(simulator, new, 5) == b"bytes"
    with pytest.raises(Failure, match="HANDLE_INVALID"):
        session.VDI.get_uuid(vdi)


def test_a_disk_without_a_vm_does_not_migrate(session: Any, nfs: str, refusal: Refusal) -> None:
    vdi = make(session, nfs)
    local = session.SR.get_by_name_label("Local storage")[0]
    assert refusal(session.VDI.pool_migrate, vdi, local, {}) == ["VDI_NEEDS_VM_FOR_MIGRATE", vdi]


# Connections


def test_a_connection_in_use_is_not_unplugged(session: Any, vm: str, nfs: str, refusal: Refusal) -> None:
    vdi = make(session, nfs)
    plug(session, vm, vdi)
    session.VM.start(vm, False, False)
    host = session.VM.get_resident_on(vm)
    (pbd,) = [pbd for pbd in session.SR.get_PBDs(nfs) if session.PBD.get_host(pbd) == host]
    assert refusal(session.PBD.unplug, pbd) == ["VDI_IN_USE", vdi]
    assert session.PBD.get_currently_attached(pbd)


# What the pool itself keeps


def test_a_statefile_needs_every_host(session: Any, nfs: str, refusal: Refusal) -> None:
    session.SR.assert_can_host_ha_statefile(nfs)
    pbd = session.SR.get_PBDs(nfs)[0]
    session.PBD.unplug(pbd)
    assert refusal(session.SR.assert_can_host_ha_statefile, nfs) == ["SR_HAS_NO_PBDS", nfs]
    session.PBD.plug(pbd)
    local = session.SR.get_by_name_label("Local storage")[0]
    assert refusal(session.SR.assert_can_host_ha_statefile, local) == ["SR_HAS_NO_PBDS", local]


def test_replicas_of_the_database_need_a_driver_that_keeps_metadata(session: Any, nfs: str, refusal: Refusal) -> None:
    assert refusal(session.SR.enable_database_replication, nfs) == ["SR_OPERATION_NOT_SUPPORTED", nfs]


def test_no_sr_measures_itself(session: Any, nfs: str, refusal: Refusal) -> None:
    assert session.SR.get_data_sources(nfs) == []
    assert refusal(session.SR.query_data_source, nfs, "iops")[0] == "INTERNAL_ERROR"


def test_nobody_serves_nbd_without_a_network_for_it(session: Any, nfs: str) -> None:
    assert session.VDI.get_nbd_info(make(session, nfs)) == []


# Blobs


@pytest.fixture(scope="module")
def address(simulator: Simulator) -> tuple[str, int]:
    parts = urlsplit(simulator.serve(tls=False, http=True).http_url)
    return parts.hostname or "", parts.port or 0


def send(address: tuple[str, int], verb: str, body: bytes | None = None, **query: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(*address, timeout=10)
    connection.request(verb, f"/blob?{urlencode(query)}", body)
    response = connection.getresponse()
    answer = response.status, response.read()
    connection.close()
    return answer


def test_a_blob_holds_what_was_put(session: Any, nfs: str, address: tuple[str, int]) -> None:
    blob = session.SR.create_new_blob(nfs, "notes", "text/plain", False)
    assert session.SR.get_blobs(nfs) == {"notes": blob}
    assert send(address, "GET", ref=blob, session_id=session.ref) == (404, b"")
    assert send(address, "PUT", b"some text", ref=blob, session_id=session.ref)[0] == 200
    assert send(address, "GET", uuid=session.blob.get_uuid(blob), session_id=session.ref) == (200, b"some text")
    assert session.blob.get_size(blob) == 9
    assert send(address, "GET", ref=blob)[0] == 401
    session.blob.destroy(blob)
    assert send(address, "GET", ref=blob, session_id=session.ref) == (404, b"Unknown reference\n")


def test_a_public_blob_is_for_everybody_to_read(session: Any, nfs: str, address: tuple[str, int]) -> None:
    blob = session.blob.create("text/plain", True)
    assert send(address, "PUT", b"open", ref=blob)[0] == 401
    send(address, "PUT", b"open", ref=blob, session_id=session.ref)
    assert send(address, "GET", ref=blob) == (200, b"open")
    assert send(address, "GET") == (400, b"")
