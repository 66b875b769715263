# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.xapi.xenserver.plugins.module_utils import _sr_scan
from simulator import Rule, Simulator

from ..conftest import Run
from ..scenario import Do, Scenario
from .machines import MACHINES, named, new_disk, start, the

THREE = {**MACHINES, "hosts": [{**MACHINES["hosts"][0], "name": f"xs{number}", "address": f"127.0.0.{number}"} for number in (1, 2, 3)]}
NFS: dict[str, Any] = {"type": "nfs", "device_config": {"server": "nfs.example.com", "serverpath": "/export/test"}}
LOCAL = {"type": "ext", "host": "xs2", "device_config": {"device": "/dev/sdb"}}
LOCAL_TYPES = {"ext", "lvm", "file", "udev", "dummy"}
UUID = "0c5f0a5e-8f8b-4b44-9bb1-5b9d84f1d1e9"

SCENARIO = Scenario(
    Do({"name": "shared", **NFS, "tags": ["fast"], "other_config": {"tier": "1"}, "default": True}),
    Do({"name": "shared", "description": "on NFS", "tags": [], "other_config": {"tier": None, "kind": "x"}, "default": False}),
    Do({"name": "shared", "new_name": "nfs two"}),
    Do({"name": "nfs two", "attached": False}),
    Do({"name": "nfs two", "attached": True}),
    Do({"name": "Local storage", **LOCAL, "device_config": {"device": "/dev/sda3"}}, changes=False),
    Do({"name": "second", **LOCAL}),
    Do({"name": "second", "state": "absent"}),
    Do({"name": "nfs two", "state": "forgotten"}),
    Do({"uuid": UUID, "new_name": "introduced", **NFS, "tags": ["old"]}),
    Do({"uuid": UUID, "state": "forgotten"}),
    Do({"name": "idle", **NFS, "attached": False}),
    world=THREE,
)
pytestmark = pytest.mark.world(THREE)


def connections(simulator: Simulator, name: str) -> dict[str, bool]:
    """Host → whether it is connected."""
    hosts, ref = simulator.records("host"), the(simulator, "SR", name)["ref"]
    return {hosts[pbd["host"]]["name_label"]: pbd["currently_attached"] for pbd in simulator.records("PBD").values() if pbd["SR"] == ref}


def default_sr(simulator: Simulator) -> str:
    (pool,) = simulator.records("pool").values()
    return str(pool["default_SR"])


def test_shared_storage_is_for_all_hosts(run_module: Run, simulator: Simulator) -> None:
    outcome = run_module("xen_sr", name="shared", **NFS, default=True)
    record = the(simulator, "SR", "shared")
    assert (record["type"], record["content_type"], record["shared"]) == ("nfs", "user", True)
    assert connections(simulator, "shared") == {"xs1": True, "xs2": True, "xs3": True}
    assert default_sr(simulator) == record["ref"]
    assert outcome["sr"]["default"] is True
    assert outcome.writes == ["Async.SR.create", "pool.set_default_SR"]


def test_local_storage_is_of_one_host(run_module: Run, simulator: Simulator) -> None:
    run_module("xen_sr", name="second", **LOCAL)
    assert the(simulator, "SR", "second")["shared"] is False
    assert connections(simulator, "second") == {"xs2": True}


def test_local_storage_of_a_name_is_chosen_by_host(run_module: Run, simulator: Simulator) -> None:
    outcome = run_module("xen_sr", name="Local storage", host="xs2", tags=["here"])
    (host,) = [record["uuid"] for record in simulator.records("host").values() if record["name_label"] == "xs2"]
    assert [pbd["host"] for pbd in outcome["sr"]["pbds"]] == [host]
    assert [record["uuid"] for record in named(simulator, "SR", "Local storage") if record["tags"]] == [outcome["sr"]["uuid"]]
    refused = run_module("xen_sr", name="Local storage", tags=[])
    assert "3 storage repositories are named 'Local storage'" in refused.msg


def test_secrets_are_secrets(run_module: Run, simulator: Simulator) -> None:
    config = {"server": "//files/share", "username": "backup"}
    outcome = run_module("xen_sr", name="smb", type="smb", device_config=config, device_secrets={"password": "hunter2"})
    assert not outcome.failed
    assert "hunter2" not in str(outcome.result)
    ref = the(simulator, "SR", "smb")["ref"]
    configs = [pbd["device_config"] for pbd in simulator.records("PBD").values() if pbd["SR"] == ref]
    assert all(config.keys() >= {"password_secret"} and "password" not in config for config in configs)
    assert not run_module("xen_sr", name="smb", type="smb", device_config=config, device_secrets={"password": "hunter2"}).changed


def test_introduced_with_its_disks(run_module: Run, simulator: Simulator) -> None:
    """What is on the storage outlives the pool's knowledge of it."""
    run_module("xen_sr", name="shared", **NFS)
    before = the(simulator, "SR", "shared")
    disk = new_disk(simulator.session(), before["ref"], "kept")
    uuid = simulator.records("VDI")[disk]["uuid"]
    assert run_module("xen_sr", name="shared", state="forgotten").changed
    assert not named(simulator, "SR", "shared")
    outcome = run_module("xen_sr", uuid=before["uuid"], new_name="again", **NFS)
    assert outcome["sr"]["uuid"] == before["uuid"]
    assert connections(simulator, "again") == {"xs1": True, "xs2": True, "xs3": True}
    assert uuid in [record["uuid"] for record in simulator.records("VDI").values() if record["SR"] == the(simulator, "SR", "again")["ref"]]


def test_an_interrupted_introduction_is_completed(run_module: Run, simulator: Simulator) -> None:
    session = simulator.session()
    session.SR.introduce(UUID, "introduced", "", "nfs", "user", True, {})
    outcome = run_module("xen_sr", uuid=UUID, new_name="introduced", **NFS)
    assert outcome.changed
    assert connections(simulator, "introduced") == {"xs1": True, "xs2": True, "xs3": True}


def test_what_a_failing_introduction_made_is_gone(run_module: Run, simulator: Simulator) -> None:
    simulator.faults.add(Rule("PBD.plug", error=("SR_BACKEND_FAILURE_73", "", "NFS mount error", ""), nth=2))
    outcome = run_module("xen_sr", uuid=UUID, new_name="introduced", **NFS)
    assert outcome.failed
    assert "NFS mount error" in outcome.msg
    assert not named(simulator, "SR", "introduced")
    assert outcome["changed"] is False


def test_what_a_failing_creation_left_is_gone(run_module: Run, simulator: Simulator) -> None:
    """xapi keeps the repository when a host cannot plug it."""
    simulator.faults.add(Rule("pool.set_default_SR", error=("INTERNAL_ERROR", "no"), nth=1))
    outcome = run_module("xen_sr", name="shared", **NFS, default=True)
    assert outcome.failed
    assert not named(simulator, "SR", "shared")


def test_missing_connection_is_made(run_module: Run, simulator: Simulator) -> None:
    session = simulator.session()
    run_module("xen_sr", name="shared", **NFS)
    sr = the(simulator, "SR", "shared")["ref"]
    (pbd,) = [ref for ref, record in simulator.records("PBD").items() if record["SR"] == sr and is_on(simulator, record, "xs3")]
    session.PBD.unplug(pbd)
    session.PBD.destroy(pbd)
    assert not run_module("xen_sr", name="shared").changed
    assert run_module("xen_sr", name="shared", **NFS).writes == ["PBD.create", "Async.PBD.plug"]
    assert connections(simulator, "shared") == {"xs1": True, "xs2": True, "xs3": True}


def is_on(simulator: Simulator, pbd: dict[str, Any], host: str) -> bool:
    return bool(simulator.records("host")[pbd["host"]]["name_label"] == host)


def test_coordinator_is_first_and_last(run_module: Run, simulator: Simulator) -> None:
    """Operations on shared storage run on the coordinator."""
    run_module("xen_sr", name="shared", **NFS)
    hosts = {ref: is_on(simulator, record, "xs1") for ref, record in simulator.records("PBD").items()}
    down = run_module("xen_sr", name="shared", attached=False)
    up = run_module("xen_sr", name="shared", attached=True)
    assert [hosts[call.params[0]] for call in down.calls if call.method == "Async.PBD.unplug"] == [False, False, True]
    assert [hosts[call.params[0]] for call in up.calls if call.method == "Async.PBD.plug"] == [True, False, False]


# Every type

ISCSI = {"target": "storage.example.com", "targetIQN": "iqn.2026-11.com.example:a", "SCSIid": "36001405a"}
TYPES: dict[str, dict[str, str]] = {
    "dummy": {},
    "ext": {"device": "/dev/sdb"},
    "file": {"location": "/srv/disks"},
    "iscsi": ISCSI,
    "iso": {"location": "nfs.example.com:/export/images", "type": "nfs_iso"},
    "lvm": {"device": "/dev/sdb"},
    "lvmoiscsi": ISCSI,
    "nfs": NFS["device_config"],
    "smb": {"server": "//files/share", "username": "backup"},
    "udev": {"location": "/dev/xapi/block"},
}


def test_every_type_of_the_pool_is_tried(simulator: Simulator) -> None:
    assert set(simulator.session().SR.get_supported_types()) == TYPES.keys()


@pytest.mark.parametrize("kind", TYPES)
def test_life_of_every_type(run_module: Run, simulator: Simulator, kind: str) -> None:
    """Created, forgotten, introduced as the same, forgotten or destroyed; each twice."""
    given: dict[str, Any] = {"type": kind, "device_config": TYPES[kind]}
    given |= {"host": "xs2"} if kind in LOCAL_TYPES else {}
    created = run_module("xen_sr", name="one", **given)
    assert created.changed, created.result
    assert connections(simulator, "one") == ({"xs2": True} if kind in LOCAL_TYPES else {"xs1": True, "xs2": True, "xs3": True})
    assert not run_module("xen_sr", name="one", **given).changed
    assert not run_module("xen_sr", name="one", state="scanned").failed
    uuid = created["sr"]["uuid"]
    for _again in range(2):
        assert not run_module("xen_sr", uuid=uuid, state="forgotten").failed
    assert not named(simulator, "SR", "one")
    introduced = run_module("xen_sr", uuid=uuid, new_name="two", **given)
    assert introduced.changed, introduced.result
    assert (introduced["sr"]["uuid"], introduced["sr"]["type"]) == (uuid, kind)
    assert not run_module("xen_sr", uuid=uuid, new_name="two", **given).changed
    gone = run_module("xen_sr", name="two", state="absent")
    assert gone.changed, gone.result
    assert not named(simulator, "SR", "two")
    assert not run_module("xen_sr", name="two", state="absent").changed


# Scanned


def test_scan_is_no_change(run_module: Run, simulator: Simulator) -> None:
    outcome = run_module("xen_sr", state="scanned")
    assert not outcome.changed
    assert [call.params for call in outcome.calls if call.method == "Async.SR.scan"] == [[default_sr(simulator)]]
    assert outcome["sr"]["name"] == "NFS storage"
    checked = run_module("xen_sr", state="scanned", check=True)
    assert checked.writes == []
    assert checked["sr"].items() <= outcome["sr"].items()


@pytest.mark.parametrize(("failures", "failed", "calls"), [(0, False, 1), (3, False, 4), (4, True, 4)])
def test_scan_that_fails_is_repeated(run_module: Run, simulator: Simulator, monkeypatch: pytest.MonkeyPatch, failures: int, failed: bool, calls: int) -> None:
    assert _sr_scan.PAUSES == (2, 4, 8)
    monkeypatch.setattr(_sr_scan, "PAUSES", (0.02, 0.04, 0.08))
    simulator.faults.add(Rule("SR.scan", error=("SR_BACKEND_FAILURE_40", "", "The SR scan failed", ""), times=failures or 1, nth=0 if failures else 99))
    outcome = run_module("xen_sr", state="scanned", name="NFS storage")
    assert outcome.failed == failed
    assert outcome.writes == ["Async.SR.scan"] * calls
    assert not failed or "could not scan storage repository 'NFS storage'" in outcome.msg


def test_other_failures_of_a_scan_are_not_repeated(run_module: Run, simulator: Simulator) -> None:
    simulator.faults.add(Rule("SR.scan", error=("SR_BACKEND_FAILURE_47", "", "The SR is not available", "")))
    outcome = run_module("xen_sr", state="scanned", name="NFS storage")
    assert outcome.failed
    assert len(outcome.writes) == 1


# Refusals


def test_used_storage_stays(run_module: Run, simulator: Simulator) -> None:
    start(simulator, "web1")
    for params in ({"state": "forgotten"}, {"state": "absent"}, {"attached": False}):
        outcome = run_module("xen_sr", name="NFS storage", **params)
        assert outcome.failed
        assert "'NFS storage' is in use by VM 'web1'" in outcome.msg
        assert outcome.writes == []


def test_storage_with_disks_is_not_destroyed(run_module: Run) -> None:
    outcome = run_module("xen_sr", name="NFS storage", state="absent")
    assert "still holds 3 disks ('golden', 'web1 root', 'web2 root'); remove them first, or use state forgotten" in outcome.msg
    assert outcome.writes == []


@pytest.mark.parametrize(
    ("params", "message"),
    [
        pytest.param({}, "state is present but any of the following are missing: name, uuid", id="nothing"),
        pytest.param({"name": "new"}, "there is no storage repository 'new' in this pool; give type and device_config", id="unknown"),
        pytest.param({"uuid": UUID}, f"there is no storage repository '{UUID}' in this pool; give new_name, type and device_config", id="unknown uuid"),
        pytest.param({"name": "new", **NFS, "type": "floppy"}, "type 'floppy' is none that this pool knows; it knows", id="type"),
        pytest.param({"name": "new", "type": "ext", "device_config": {"device": "/dev/sdb"}}, "give host (xs1, xs2, xs3)", id="no host"),
        pytest.param({"name": "new", **LOCAL, "host": "xs9"}, "there is no host 'xs9'", id="host"),
        pytest.param({"name": "NFS storage", "type": "ext"}, "type of storage repository 'NFS storage' is 'nfs' and cannot become 'ext'", id="other type"),
        pytest.param({"name": "NFS storage", "shared": False}, "shared of storage repository 'NFS storage' is True", id="other shared"),
        pytest.param({"name": "NFS storage", **NFS}, "serverpath '/export/vm', which cannot become '/export/test'", id="other path"),
        pytest.param({"name": "new", "type": "smb", "device_config": {"password": "x"}}, "give it in device_secrets", id="password"),
        pytest.param({"name": "none", "state": "scanned"}, "there is no storage repository 'none'", id="scan nothing"),
    ],
)
def test_refuses(run_module: Run, params: dict[str, Any], message: str) -> None:
    outcome = run_module("xen_sr", **params)
    assert outcome.failed
    assert message in outcome.msg
    assert outcome.writes == []


@pytest.mark.parametrize(("kind", "key"), [(kind, key) for kind, config in TYPES.items() for key in config if key not in ("type", "username")])
@pytest.mark.parametrize("uuid", [None, UUID])
def test_the_key_that_is_missing_is_named(run_module: Run, kind: str, key: str, uuid: str | None) -> None:
    """In check mode too, before anything is made; what the storage has for it is told."""
    config = {name: value for name, value in TYPES[kind].items() if name != key}
    place = {"name": "new"} if uuid is None else {"uuid": uuid, "new_name": "new"}
    offers = {"serverpath": "/export/vm", "targetIQN": "iqn.2026-11.simulator:", "SCSIid": "3600"}
    for check in (True, False):
        outcome = run_module("xen_sr", check=check, type=kind, host="xs2", device_config=config, **place)
        if (kind, key) == ("iscsi", "SCSIid"):  # All LUNs of the target are disks then.
            assert not outcome.failed
            continue
        assert outcome.msg.startswith(f"device_config lacks {key}; {f'choose one of {offers[key]}' if key in offers else 'give it, as storage of type'}")
        assert (outcome.failed, outcome.writes) == (True, [])


def test_a_server_that_is_not_there_offers_nothing(run_module: Run) -> None:
    outcome = run_module("xen_sr", name="new", type="nfs", device_config={"server": "nfs.invalid"})
    assert "device_config lacks serverpath; give it" in outcome.msg


def test_a_lun_may_be_named_by_its_number(run_module: Run) -> None:
    config = {"target": ISCSI["target"], "targetIQN": ISCSI["targetIQN"], "LUNid": "0"}
    assert not run_module("xen_sr", check=True, name="new", type="lvmoiscsi", device_config=config).failed


def test_storage_without_connection_is_not_scanned(run_module: Run) -> None:
    run_module("xen_sr", name="idle", **NFS, attached=False)
    outcome = run_module("xen_sr", name="idle", state="scanned")
    assert "'idle' is connected to no host and cannot be scanned" in outcome.msg
    assert outcome.writes == []
