# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""SR and PBD where xapi's layers show: who works on an SR, what a plug looks at, what a destroy finds (X/storage_smapiv1.ml, sm drivers)."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from simulator import Failure, Simulator, VirtualClock

from ._asking import fixtures, refusal

MIB = 1024**2
DISK = {"name_label": "d", "virtual_size": 4 * MIB, "type": "user", "sharable": False, "read_only": False, "other_config": {}}


simulator, session = fixtures(lambda: Simulator("three_hosts"), "module")


@pytest.fixture(scope="module")
def hosts(session: Any) -> list[str]:
    """The coordinator first."""
    master = session.pool.get_master(session.pool.get_all()[0])
    return [master, *(host for host in session.host.get_all() if host != master)]


def storage_error(kind: str, text: str) -> list[str]:
    return ["INTERNAL_ERROR", f"Storage_error ([S({kind});S({text})])"]


# A local SR with two PBDs has no master (X/helpers.ml get_srmaster, X/sm.ml __get_my_devconf_for_sr)


@pytest.fixture
def twice(session: Any, hosts: list[str]) -> tuple[str, str, list[str], Callable[[], list[str]]]:
    """SR, disk, PBDs, and their uuids as get_PBDs lists them: the newest first."""
    sr = session.SR.create(hosts[0], {}, 0, "twice", "", "dummy", "user", False, {})
    vdi = session.VDI.create({**DISK, "SR": sr})
    session.PBD.create({"host": hosts[1], "SR": sr, "device_config": {}})
    pbds = session.SR.get_PBDs(sr)
    return sr, vdi, pbds, lambda: [session.PBD.get_uuid(pbd) for pbd in session.SR.get_PBDs(sr)]


def test_a_disk_of_it_is_refused_by_the_code(session: Any, twice: Any) -> None:
    """X/storage_smapiv1.ml: functions of VDI turn a Server_error into a Backend_error, which comes out as it went in."""
    sr, vdi, _unused, uuids = twice
    calls = [(session.VDI.create, {**DISK, "SR": sr}), *((call, vdi) for call in (session.VDI.snapshot, session.VDI.clone, session.VDI.destroy))]
    # checksum reads it in dom0, where a plug asks the storage manager too.
    for call, *params in [*calls, (session.VDI.resize, vdi, 8 * MIB), (session.VDI.checksum, vdi)]:
        assert refusal(call, *params) == ["SR_HAS_MULTIPLE_PBDS", *uuids()]


def test_it_itself_is_refused_as_an_internal_error(session: Any, twice: Any) -> None:
    """Functions of SR look before their `try`: the exception is printed into one of the storage layer."""
    sr, _unused, pbds, uuids = twice
    expected = storage_error("Internal_error", f"Server_error(SR_HAS_MULTIPLE_PBDS, [ {'; '.join(uuids())} ])")
    for call, *params in ((session.SR.scan, sr), (session.SR.update, sr), (session.SR.set_name_label, sr, "new name")):
        assert refusal(call, *params) == expected
    assert session.SR.get_name_label(sr) == "new name"  # was set before
    session.PBD.plug(pbds[1])  # is plugged already


def test_none_of_two_can_be_plugged(session: Any, hosts: list[str]) -> None:
    sr = session.SR.introduce("", "unplugged twice", "", "dummy", "user", False, {})
    pbds = [session.PBD.create({"host": host, "SR": sr, "device_config": {}}) for host in hosts[:2]]
    texts = "; ".join(session.PBD.get_uuid(pbd) for pbd in reversed(pbds))
    expected = storage_error("Internal_error", f"Server_error(SR_HAS_MULTIPLE_PBDS, [ {texts} ])")
    assert refusal(session.PBD.plug, pbds[0]) == expected
    assert refusal(session.SR.destroy, sr) == expected
    session.PBD.destroy(pbds[1])
    session.PBD.plug(pbds[0])


def test_names_of_its_disks(session: Any, twice: Any) -> None:
    """X/storage_smapiv1.ml VDI.stat: whatever went wrong, there is no such disk; X/xapi_vdi.ml update does not translate it."""
    _unused, vdi, _unused, _unused = twice
    assert refusal(session.VDI.set_name_label, vdi, "x") == storage_error("Vdi_does_not_exist", session.VDI.get_location(vdi))
    assert session.VDI.get_name_label(vdi) == "x"


# Creation


def test_the_host_of_a_shared_sr_is_not_asked_for(session: Any) -> None:
    """X/message_forwarding.ml SR.create: "if shared, then ignore host parameter"."""
    config = {"server": "s", "serverpath": "/a"}
    assert len(session.SR.get_PBDs(session.SR.create("OpaqueRef:x", config, 0, "n", "", "nfs", "user", True, {}))) == 3
    assert refusal(session.SR.create, "OpaqueRef:x", {}, 0, "n", "", "dummy", "user", False, {}) == ["HOST_OFFLINE", "OpaqueRef:x"]


def test_a_host_that_cannot_plug_does_not_fail_the_creation(session: Any, simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """X/xapi_sr.ml create: Tasks.wait_for_all waits, and asks for no outcome."""
    driver = simulator.engine.behaviours["SR"].driver_of("dummy")

    def refuse(sr: str, config: Any) -> None:
        raise Failure("SR_BACKEND_FAILURE_73", "", "NFS mount error", "")

    monkeypatch.setattr(driver, "attach", refuse)
    sr = session.SR.create(session.host.get_all()[0], {}, 0, "n", "", "dummy", "user", True, {})
    assert [session.PBD.get_currently_attached(pbd) for pbd in session.SR.get_PBDs(sr)] == [False] * 3


def test_a_host_that_is_down_has_its_pbd_alone_unplugged() -> None:
    """X/message_forwarding.ml PBD.plug: do_op_on checks that the host is live."""
    with Simulator("three_hosts") as simulator:
        session = simulator.session()
        member = next(host for host in session.host.get_all() if host != simulator.engine.coordinator)
        metrics = session.host.get_metrics(member)

        async def die() -> None:
            simulator.engine.db.set("host_metrics", metrics, "live", False)

        simulator.run(die())
        sr = session.SR.create(member, {}, 0, "n", "", "dummy", "user", True, {})
        plugged = {session.PBD.get_host(pbd): session.PBD.get_currently_attached(pbd) for pbd in session.SR.get_PBDs(sr)}
        assert plugged == {host: host != member for host in session.host.get_all()}
        (pbd,) = (pbd for pbd in session.SR.get_PBDs(sr) if session.PBD.get_host(pbd) == member)
        for call in (session.PBD.plug, session.PBD.unplug):
            assert refusal(call, pbd) == ["HOST_OFFLINE", member]


def test_a_pbd_of_no_host_goes_with_the_collector() -> None:
    """X/xapi_pbd.ml create asks nobody; X/db_gc_util.ml."""
    with Simulator("one_host", clock=VirtualClock()) as simulator:
        session, engine = simulator.session(), simulator.engine
        sr = session.SR.introduce("", "n", "", "dummy", "user", False, {})

        async def live() -> tuple[str, list[str], bool]:
            """Without a pause, in which the clock would run on."""
            pbd = await engine.call("PBD.create", [session.ref, {"host": "OpaqueRef:x", "SR": sr, "device_config": {}}])
            host = await engine.call("PBD.get_host", [session.ref, pbd])
            with pytest.raises(Failure) as caught:
                await engine.call("PBD.plug", [session.ref, pbd])
            await simulator.clock.sleep(31)
            return host, caught.value.description, engine.db.exists("PBD", pbd)

        assert simulator.run(live()) == ("OpaqueRef:x", ["HOST_OFFLINE", "OpaqueRef:x"], False)


def test_backups_of_metadata_have_the_uuid_that_they_are_looked_for_by(session: Any, hosts: list[str]) -> None:
    """X/xapi_vdi.ml create, libs/uuid/uuidx.ml Hash; the storage manager has one file of a name (FileVDI.create)."""
    for kind, config in (("file", {"location": "/srv/x"}), ("dummy", {})):
        sr = session.SR.create(hosts[0], config, 0, "n", "", kind, "user", False, {})
        backup = {**DISK, "SR": sr, "name_label": "Pool Metadata Backup"}
        expected = uuid.uuid5(uuid.UUID("e93e0639-2bdb-4a59-8b46-352b3f408c19"), session.SR.get_uuid(sr))
        assert session.VDI.get_uuid(session.VDI.create(backup)) == str(expected)
        assert refusal(session.VDI.create, backup) == ["SR_BACKEND_FAILURE_43", "", "The VDI already exists", ""]


# Scans


@pytest.mark.parametrize(("level", "size"), [("8.2", 1024**4), ("8.3", -1), ("26", -1)])
def test_images_are_looked_at_later(level: str, size: int) -> None:
    """ISOSR.after_master_attach does nothing, so what is "dirty" waits for the scanning thread; 8.2 scans behind every plug (scan_one)."""
    with Simulator("one_host", api=level, clock=VirtualClock()) as simulator:
        session, engine = simulator.session(), simulator.engine
        config = {"location": "/srv/isos", "legacy_mode": "true"}
        host = session.host.get_all()[0]

        def look(sr: str) -> tuple[int, dict[str, str]]:
            row = engine.db.row("SR", sr)
            return row["physical_size"], dict(row["other_config"])

        async def live() -> list[tuple[int, dict[str, str]]]:
            """Without a pause, in which the clock would run on."""
            sr = await engine.call("SR.create", [session.ref, host, config, 0, "n", "", "iso", "iso", False, {}])
            first = look(sr)
            await simulator.clock.sleep(31)
            return [first, look(sr)]

        assert simulator.run(live()) == [(size, {"dirty": ""}), (1024**4, {})]


def test_a_scan_of_a_dummy_forgets_what_it_has_no_place_for(session: Any, hosts: list[str]) -> None:
    """DummySR.scan makes a DummyVDI of each row: sm_config {}, read_only False."""
    sr = session.SR.create(hosts[0], {}, 0, "n", "", "dummy", "user", False, {})
    vdi = session.VDI.create({**DISK, "SR": sr})
    snapshot = session.VDI.snapshot(vdi)
    assert (session.VDI.get_sm_config(vdi), session.VDI.get_read_only(snapshot)) == ({"samplekey": "This is a dummy SR VDI"}, True)
    session.SR.scan(sr)
    assert (session.VDI.get_sm_config(vdi), session.VDI.get_read_only(snapshot)) == ({}, False)


def test_a_scan_of_images_keeps_the_date_alone(session: Any) -> None:
    """ISOSR._loadvdis."""
    sr = next(sr for sr, record in session.SR.get_all_records().items() if record["type"] == "iso" and not record["is_tools_sr"])
    vdi = session.VDI.create({**DISK, "SR": sr, "sm_config": {"path": "notes.iso"}})
    assert set(session.VDI.get_sm_config(vdi)) == {"path", "created"}
    session.SR.scan(sr)
    assert set(session.VDI.get_sm_config(vdi)) == {"created"}


def test_a_probe_that_the_driver_has_not(session: Any, hosts: list[str]) -> None:
    """SM SR.py probe raises Unimplemented, 38; X/storage_smapiv1.ml SR.probe does not expect it. Its own load comes first (ISOSR.load)."""
    expected = storage_error("Internal_error", "Smint.Not_implemented_in_backend")
    for call in (session.SR.probe, session.SR.probe_ext):
        assert refusal(call, hosts[0], {"location": "/srv"}, "iso", {}) == expected
        assert refusal(call, hosts[0], {}, "iso", {}) == ["SR_BACKEND_FAILURE_94", "", "The request is missing the location parameter", ""]


# End


@pytest.mark.parametrize(("kind", "config"), [("file", {"location": "/srv/y"}), ("lvm", {"device": "/dev/sdy"})])
def test_forgotten_disks_are_still_there(session: Any, hosts: list[str], kind: str, config: dict[str, str]) -> None:
    """FileSR.delete, LVHDSR.delete: SRNotEmpty, which is 39 (X/sm_exec.ml); the collector of base copies has run before."""
    sr = session.SR.create(hosts[0], config, 1024**3, "n", "", kind, "user", False, {})
    vdi = session.VDI.create({**DISK, "SR": sr})
    name, snapshot = session.VDI.get_uuid(vdi), session.VDI.snapshot(vdi)
    session.VDI.forget(vdi)
    session.VDI.destroy(snapshot)
    (pbd,) = session.SR.get_PBDs(sr)
    session.PBD.unplug(pbd)
    assert refusal(session.SR.destroy, sr) == ["SR_NOT_EMPTY"]
    session.PBD.plug(pbd)
    session.VDI.destroy(session.VDI.get_by_uuid(name))
    session.PBD.unplug(pbd)
    session.SR.destroy(sr)


def test_a_shared_sr_is_destroyed_from_the_coordinator(session: Any, hosts: list[str]) -> None:
    """X/message_forwarding.ml choose_pbds_for_sr, with unplugged ones too."""
    sr = session.SR.introduce("", "n", "", "nfs", "user", True, {})
    session.PBD.create({"host": hosts[1], "SR": sr, "device_config": {"server": "s", "serverpath": "/b"}})
    assert refusal(session.SR.destroy, sr) == ["SR_HAS_NO_PBDS", sr]
