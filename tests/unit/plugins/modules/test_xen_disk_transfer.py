# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import random
from typing import Any

import pytest

from simulator import Rule, Simulator
from simulator.transport.memory import MemorySession

from ..conftest import Run
from ..scenario import Do, Scenario
from .generated import address, dying, streaming
from .images import content_of
from .machines import MACHINES, MIB, attach, named, new_disk, the

SIZE = 16 * MIB
KEYS = {"nova_disk_type": "ephemeral", "nova_instance_uuid": "3f0e5a9c-7f1e-4f0c-9d35-a6b1f4a1f7e2", "xen_ansible:content": "ephemeral sha256:0"}
BYTES = random.Random(1).randbytes(3 * MIB)
LOCAL = {"dest_sr": "Local storage"}


def write(simulator: Simulator, vdi: str, offset: int, data: bytes) -> None:
    """As a guest would."""

    async def put() -> None:
        simulator.engine.behaviours["VDI"].volume(vdi).write(offset, data)

    simulator.run(put())


def data_disk(session: MemorySession) -> str:
    simulator = session.client.simulator
    ref = new_disk(session, the(simulator, "SR", "NFS storage")["ref"], "data", SIZE, other_config=KEYS, tags=["kept"])
    write(simulator, ref, MIB // 2, BYTES)
    attach(session, the(simulator, "VM", "web1")["ref"], ref, "4")
    return ref


def base_of(simulator: Simulator) -> str:
    """The uuid of the snapshot that the one unfinished copy holds."""
    (bases,) = [
        keys["xen_ansible:transfer_base"] for record in simulator.records("VDI").values() if "xen_ansible:transfer_base" in (keys := record["other_config"])
    ]
    newest: str = bases.split()[0]
    return newest


MOVING = {"vm": "web1", "userdevice": "4", "dest_sr": "Thick storage", "dest_name": "moving"}
SCENARIO = Scenario(
    Do(streaming(name="data", sr="NFS storage", **LOCAL), told=("transfer",)),
    Do(streaming(**MOVING, phase="send"), told=("transfer",)),
    Do(lambda session: streaming(**MOVING, phase="send", base=base_of(session.client.simulator))(session), told=("transfer",)),
    Do(streaming(**MOVING, phase="import"), told=("transfer",)),
    world=MACHINES,
    prepare=data_disk,
)
pytestmark = pytest.mark.world(MACHINES)


@pytest.fixture
def transfer(run_module: Run, simulator: Simulator) -> Run:
    return lambda **params: run_module("xen_disk_transfer", **{"hostname": address(simulator), "vm": "web1", "userdevice": "4", **params})


@pytest.fixture
def source(simulator: Simulator) -> str:
    return data_disk(simulator.session())


def ref_of(simulator: Simulator, outcome: Any) -> str:
    (ref,) = [ref for ref, record in simulator.records("VDI").items() if record["uuid"] == outcome["vdi"]["uuid"]]
    return ref


def test_copy_is_the_same_to_the_byte(transfer: Run, simulator: Simulator, source: str) -> None:
    outcome = transfer(**LOCAL)
    assert not outcome.failed, outcome.result
    copy = ref_of(simulator, outcome)
    assert content_of(simulator, copy) == content_of(simulator, source)
    record = simulator.records("VDI")[copy]
    assert record["SR"] == the(simulator, "SR", "Local storage")["ref"]
    assert (record["name_label"], record["tags"], record["virtual_size"]) == ("data", ["kept"], SIZE)
    assert KEYS.items() <= record["other_config"].items()
    # What is zero is not sent; BYTES lie within 4096-byte pages.
    assert outcome["transfer"]["bytes_sent"] == len(BYTES)
    assert outcome["transfer"]["bytes_total"] == SIZE


def test_copy_is_marked_as_unfinished_until_it_is_complete(transfer: Run, source: str) -> None:
    outcome = transfer(**LOCAL)
    create = next(call for call in outcome.calls if call.method == "Async.VDI.create")
    assert create.params[0]["other_config"]["xen_ansible:content"].startswith("unfinished")
    assert outcome.writes == ["Async.VDI.create", "PUT /import_raw_vdi", "VDI.set_other_config"]
    assert outcome["vdi"]["content"] == KEYS["xen_ansible:content"]


def test_complete_copy_outlives_its_source(run_module: Run, simulator: Simulator, source: str) -> None:
    uuid = simulator.records("VDI")[source]["uuid"]
    first = run_module("xen_disk_transfer", hostname=address(simulator), uuid=uuid, **LOCAL)
    assert not first.failed, first.result
    session = simulator.session()
    session.VDI.destroy(source)
    again = run_module("xen_disk_transfer", uuid=uuid, **LOCAL)
    assert not again.changed
    assert again["vdi"]["uuid"] == first["vdi"]["uuid"]


def test_a_name_means_the_source_and_not_its_copy(run_module: Run, simulator: Simulator, source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half made or complete, the copy has the same name, on another repository."""
    given = {"hostname": address(simulator), "name": "data", **LOCAL}
    with dying(monkeypatch, "VDI.set_other_config"):
        assert run_module("xen_disk_transfer", **given).failed
    assert len(named(simulator, "VDI", "data")) == 2
    first = run_module("xen_disk_transfer", **given)
    assert not first.failed, first.result
    assert len(named(simulator, "VDI", "data")) == 2
    again = run_module("xen_disk_transfer", **given)
    assert (again.changed, again["vdi"], again["source"]) == (False, first["vdi"], first["source"])
    simulator.session().VDI.destroy(source)
    left = run_module("xen_disk_transfer", **given)
    assert (left.changed, left["vdi"]["uuid"], left["source"]) == (False, first["vdi"]["uuid"], first["source"])


@pytest.mark.parametrize("phase", ["full", "send"])
def test_interrupted_transfer_is_made_anew(transfer: Run, simulator: Simulator, source: str, phase: str) -> None:
    """Killed: nothing was taken back."""
    last = "VDI.set_other_config" if phase == "full" else "VDI.get_uuid"
    simulator.faults.add(Rule(last, error=("INTERNAL_ERROR", "no"), nth=1))
    simulator.faults.add(Rule("VDI.destroy", error=("INTERNAL_ERROR", "no")))
    assert transfer(**LOCAL, phase=phase).failed
    simulator.faults.clear()
    assert len(named(simulator, "VDI", "data")) == (2 if phase == "full" else 3)
    outcome = transfer(**LOCAL, phase=phase)
    assert not outcome.failed, outcome.result
    assert len(named(simulator, "VDI", "data")) == (2 if phase == "full" else 3)
    assert content_of(simulator, ref_of(simulator, outcome)) == content_of(simulator, source)


def test_failure_leaves_nothing(transfer: Run, simulator: Simulator, source: str) -> None:
    simulator.faults.add(Rule("VDI.set_other_config", error=("INTERNAL_ERROR", "no"), nth=1))
    outcome = transfer(**LOCAL)
    assert outcome.failed
    assert [record["ref"] for record in named(simulator, "VDI", "data")] == [source]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        pytest.param({"dest_sr": "NFS storage"}, "disk 'data' lies on 'NFS storage' already", id="same place"),
        pytest.param({"dest_sr": "none"}, "there is no storage repository 'none'", id="no sr"),
        pytest.param({"dest_sr": "twin"}, "), or name its host in dest_host", id="two srs"),
        pytest.param({"dest_host": "xs9"}, "there is no host 'xs9'", id="no host"),
        pytest.param({"dest_host": "xs1", "dest_sr": "none"}, "host 'xs1' has no storage repository 'none' attached", id="no sr of host"),
        pytest.param({"dest_host": "xs1"}, "2 storage repositories are named 'of host xs1'", id="several of host"),
        pytest.param({**LOCAL, "phase": "import"}, "disk 'data' was not sent to 'Local storage' yet; run phase send first", id="not sent"),
        pytest.param({**LOCAL, "base": "x"}, "base is for phase send and phase import", id="base of all"),
        pytest.param({**LOCAL, "phase": "send", "base": "x"}, "holds no snapshot of it that is still there; leave base out", id="no base"),
        pytest.param({**LOCAL, "userdevice": "9"}, "there is no disk at device 9 of VM 'web1'", id="no disk"),
        pytest.param({**LOCAL, "dest_pool": {"hostname": "http://127.0.0.1:9", "password": "x"}}, "127.0.0.1:9", id="no pool"),
    ],
)
def test_refuses(transfer: Run, simulator: Simulator, source: str, params: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if "dest_pool" in params:
        from ansible_collections.xapi.xenserver.plugins.module_utils import _jsonrpc, xenapi_session

        known = xenapi_session.connect

        def real(options: Any) -> Any:
            return _jsonrpc.JsonRpc(options, xenapi_session.Refusal) if options.endpoint.port == 9 else known(options)

        monkeypatch.setattr(xenapi_session, "connect", real)
    for _twice in range(2):
        simulator.session().SR.introduce("", "twin", "", "nfs", "user", False, {})
    outcome = transfer(**params)
    assert outcome.failed
    assert message in outcome.msg
    assert outcome.writes == []
