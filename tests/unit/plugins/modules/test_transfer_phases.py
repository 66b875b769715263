# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""xen_disk_transfer while the VM goes on: sent, sent on from snapshot to snapshot, and imported when the VM is halted."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any

import pytest
import yaml

from ansible_collections.xapi.xenserver.plugins.modules import xen_disk_transfer
from simulator import Rule, Simulator

from ..conftest import MemoryTransport, Outcome, Run
from .generated import address, dying
from .images import content_of
from .machines import MACHINES, MIB, attach, named, new_disk, started, the
from .test_xen_disk_transfer import KEYS, LOCAL, base_of, data_disk, ref_of, write

# A root disk of a size that can be looked at whole.
SMALL: dict[str, Any] = {**MACHINES, "machines": [{"name": "web1", "disks": [{"sr": "NFS storage", "size": "24MiB", "name": "web1 root"}]}]}
pytestmark = pytest.mark.world(SMALL)
OWNER = {"nova_instance_uuid": "3f0e5a9c-7f1e-4f0c-9d35-a6b1f4a1f7e2"}
Connect = Callable[[Any], Any]


@pytest.fixture
def transfer(run_module: Run, simulator: Simulator) -> Run:
    return lambda **params: run_module("xen_disk_transfer", **{"hostname": address(simulator), "vm": "web1", "userdevice": "4", **params})


@pytest.fixture
def source(simulator: Simulator) -> str:
    """Of a running VM."""
    session = simulator.session()
    disk = data_disk(session)
    started(session, "web1")
    return disk


@pytest.fixture
def there(simulator: Simulator, run_module: Run, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Simulator, dict[str, Any]]]:
    """Another pool, and the option ``dest_pool`` that leads there."""
    from ansible_collections.xapi.xenserver.plugins.module_utils import xenapi_session

    known: Connect = xenapi_session.connect
    with Simulator("one_host") as pool:
        place = address(pool)
        monkeypatch.setattr(
            xenapi_session, "connect", lambda options: MemoryTransport(pool, "OpaqueRef:NULL") if options.endpoint.url == place else known(options)
        )
        yield pool, {"hostname": place, "username": pool.username, "password": pool.password}
        assert pool.problems == []


def done(outcome: Outcome) -> Outcome:
    assert not outcome.failed, outcome.result
    return outcome


def digest(simulator: Simulator, disk: str) -> str:
    return sha256(content_of(simulator, disk)).hexdigest()


def halt(simulator: Simulator) -> None:
    simulator.session().VM.hard_shutdown(the(simulator, "VM", "web1")["ref"])


def snapshots(simulator: Simulator) -> list[str]:
    return [record["uuid"] for record in simulator.records("VDI").values() if record["is_a_snapshot"]]


def test_disks_of_a_vm_are_in_the_other_pool(transfer: Run, simulator: Simulator, there: tuple[Simulator, dict[str, Any]]) -> None:
    """Root and ephemeral disks, sent while the VM runs, imported when it is halted."""
    pool, option = there
    session, sr = simulator.session(), the(simulator, "SR", "NFS storage")["ref"]
    vm, root = the(simulator, "VM", "web1")["ref"], the(simulator, "VDI", "web1 root")["ref"]
    session.VDI.set_other_config(root, {**OWNER, "nova_disk_type": "root"})
    disks = {"0": root}
    for device, name in (("4", "web1 ephemeral"), ("5", "web1 ephemeral (1)")):
        disks[device] = new_disk(session, sr, name, 16 * MIB, other_config={**OWNER, "nova_disk_type": "ephemeral"})
        attach(session, vm, disks[device], device)
    for device, disk in disks.items():
        write(simulator, disk, MIB, random.Random(device).randbytes(MIB))
    started(session, "web1")
    for device, disk in disks.items():
        done(transfer(userdevice=device, phase="send", dest_pool=option))
        write(simulator, disk, 9 * MIB, random.Random(device).randbytes(5000))
    halt(simulator)
    copies = {device: ref_of(pool, done(transfer(userdevice=device, phase="import", dest_pool=option))) for device in disks}

    assert {device: digest(pool, copy) for device, copy in copies.items()} == {device: digest(simulator, disk) for device, disk in disks.items()}
    for device, copy in copies.items():
        original, record = simulator.records("VDI")[disks[device]], pool.records("VDI")[copy]
        assert record["name_label"] == original["name_label"]
        kept = {key: value for key, value in record["other_config"].items() if key in ("nova_instance_uuid", "nova_disk_type")}
        assert kept == {**OWNER, "nova_disk_type": "root" if device == "0" else "ephemeral"}
    assert snapshots(simulator) == snapshots(pool) == []
    for device in disks:
        assert not transfer(userdevice=device, phase="import", dest_pool=option).changed
    # No session stays open there, and nothing tells how to open one.
    assert all(record["is_local_superuser"] for record in pool.records("session").values())


def test_at_once_to_another_pool(transfer: Run, simulator: Simulator, source: str, there: tuple[Simulator, dict[str, Any]]) -> None:
    pool, option = there
    halt(simulator)
    outcome = done(transfer(dest_pool=option))
    copy = ref_of(pool, outcome)
    assert digest(pool, copy) == digest(simulator, source)
    assert pool.records("VDI")[copy]["other_config"].items() >= KEYS.items()
    assert option["password"] not in str(outcome.result)
    assert not transfer(dest_pool=option).changed


def test_full_and_delta_make_the_same_content(transfer: Run, simulator: Simulator, source: str) -> None:
    """Sent from one snapshot to the next: new data, data in place of old, and zeros in place of data; only they go over the network."""
    assert "use phase send while the VM runs" in transfer(**LOCAL).msg
    first = done(transfer(**LOCAL, phase="send"))
    copy = ref_of(simulator, first)
    assert digest(simulator, copy) == digest(simulator, source)
    assert first["vdi"]["content"] is None  # not complete
    assert first["source"] == {"uuid": simulator.records("VDI")[source]["uuid"], "snapshot": base_of(simulator)}
    assert not transfer(**LOCAL, phase="send").changed

    write(simulator, source, 9 * MIB, b"new" * 1000)
    write(simulator, source, MIB, b"other" * 100)
    write(simulator, source, 2 * MIB, bytes(2 * MIB))  # a whole block
    base = first["source"]["snapshot"]
    second = done(transfer(**LOCAL, phase="send", base=base))
    assert second.changed
    assert ref_of(simulator, second) == copy
    assert digest(simulator, copy) == digest(simulator, source)
    # Blocks of 2 MiB that were written to, in a disk of eight.
    assert second["transfer"]["bytes_sent"] == 3 * 2 * MIB
    assert snapshots(simulator) == [second["source"]["snapshot"]] != [base]
    again = transfer(**LOCAL, phase="send", base=base)
    assert (again.changed, again["source"]) == (False, second["source"])

    write(simulator, source, 5 * MIB, b"last")
    assert "halt the VM first" in transfer(**LOCAL, phase="import").msg
    halt(simulator)
    last = done(transfer(**LOCAL, phase="import", base=second["source"]["snapshot"]))
    assert ref_of(simulator, last) == copy
    assert digest(simulator, copy) == digest(simulator, source)
    assert last["vdi"]["content"] == KEYS["xen_ansible:content"]
    assert last["source"] == {"uuid": first["source"]["uuid"]}
    assert snapshots(simulator) == []
    again = transfer(**LOCAL, phase="import")
    assert (again.changed, again.writes) == (False, [])


def test_a_base_that_the_new_disk_never_held_is_refused(transfer: Run, simulator: Simulator, source: str) -> None:
    held = done(transfer(**LOCAL, phase="send"))["source"]["snapshot"]
    halt(simulator)
    for phase in ("send", "import"):
        outcome = transfer(**LOCAL, phase=phase, base="of nobody")
        assert f"base 'of nobody' is not what the new disk has: that of disk 'data' holds snapshot {held}; give that one" in outcome.msg
        assert outcome.writes == []


def test_a_snapshot_that_is_gone_means_all_of_it_again(transfer: Run, simulator: Simulator, source: str) -> None:
    first = done(transfer(**LOCAL, phase="send"))
    session = simulator.session()
    session.VDI.destroy(session.VDI.get_by_uuid(first["source"]["snapshot"]))
    assert "was not sent to 'Local storage' yet" in transfer(**LOCAL, phase="import").msg
    second = done(transfer(**LOCAL, phase="send"))
    assert first["vdi"]["uuid"] not in {record["uuid"] for record in simulator.records("VDI").values()}
    assert digest(simulator, ref_of(simulator, second)) == digest(simulator, source)


def test_a_disk_that_was_resized_meanwhile(transfer: Run, simulator: Simulator, source: str) -> None:
    first = done(transfer(**LOCAL, phase="send"))
    halt(simulator)
    simulator.session().VDI.resize(source, 32 * MIB)
    for params in ({"phase": "import"}, {"phase": "send", "base": first["source"]["snapshot"]}):
        assert f"was resized since it was sent; remove the new disk {first['vdi']['uuid']}" in transfer(**LOCAL, **params).msg


@pytest.mark.parametrize("method", ["PUT /import_raw_vdi", "VDI.get_uuid", "VDI.set_other_config"])
def test_sending_on_fails_and_is_made_good(transfer: Run, simulator: Simulator, source: str, method: str) -> None:
    base = done(transfer(**LOCAL, phase="send"))["source"]["snapshot"]
    write(simulator, source, MIB, b"other" * 100_000)
    simulator.faults.add(Rule(method, cut="before", at=1000) if " " in method else Rule(method, error=("INTERNAL_ERROR", "no"), nth=1))
    assert transfer(**LOCAL, phase="send", base=base).failed
    simulator.faults.clear()
    assert snapshots(simulator) == [base]
    write(simulator, source, 3 * MIB, b"more")
    outcome = done(transfer(**LOCAL, phase="send", base=base))
    assert digest(simulator, ref_of(simulator, outcome)) == digest(simulator, source)


def test_snapshot_before_that_cannot_go_is_still_the_base(transfer: Run, simulator: Simulator, source: str) -> None:
    base = done(transfer(**LOCAL, phase="send"))["source"]["snapshot"]
    simulator.faults.add(Rule("VDI.destroy", error=("INTERNAL_ERROR", "no"), nth=1))
    assert transfer(**LOCAL, phase="send", base=base).failed
    simulator.faults.clear()
    assert snapshots(simulator) == [base]
    assert base_of(simulator) == base


@pytest.mark.parametrize("at", ["VDI.set_other_config", "Async.VDI.destroy"])
def test_killed_while_sending_on(transfer: Run, simulator: Simulator, source: str, monkeypatch: pytest.MonkeyPatch, at: str) -> None:
    base = done(transfer(**LOCAL, phase="send"))["source"]["snapshot"]
    write(simulator, source, MIB, b"other" * 100)
    with dying(monkeypatch, at):
        assert transfer(**LOCAL, phase="send", base=base).failed
    assert len(snapshots(simulator)) == 2
    halt(simulator)
    outcome = done(transfer(**LOCAL, phase="import"))
    assert digest(simulator, ref_of(simulator, outcome)) == digest(simulator, source)
    assert snapshots(simulator) == []


def test_at_once_instead_of_import_leaves_no_snapshot(transfer: Run, simulator: Simulator, source: str) -> None:
    done(transfer(**LOCAL, phase="send"))
    halt(simulator)
    outcome = done(transfer(**LOCAL))
    assert digest(simulator, ref_of(simulator, outcome)) == digest(simulator, source)
    assert snapshots(simulator) == []
    assert len(named(simulator, "VDI", "data")) == 2


def test_examples_run(run_module: Run, simulator: Simulator, there: tuple[Simulator, dict[str, Any]]) -> None:
    """In their order: the first of a halted VM, the others of one that runs until they halt it."""
    session, (_pool, option) = simulator.session(), there
    data_disk(session)
    spare = new_disk(session, the(simulator, "SR", "NFS storage")["ref"], "spare", 16 * MIB)
    attach(session, the(simulator, "VM", "web1")["ref"], spare, "5")
    registered: dict[str, Outcome] = {}
    for number, task in enumerate(yaml.safe_load(xen_disk_transfer.EXAMPLES)):
        if number == 1:
            started(session, "web1")
        module = next(key for key in task if key.startswith("xapi.xenserver."))
        given = {**task[module], **({"dest_pool": option} if "dest_pool" in task[module] else {})}
        if "base" in given:
            given["base"] = registered["sent"]["source"]["snapshot"]
        for item in task.get("loop", [None]):
            params = {**given, **({} if item is None else {"userdevice": str(item)})}
            outcome = done(run_module(module.rpartition(".")[2], **{"hostname": address(simulator), **params}))
            registered[task.get("register", "")] = outcome
            assert outcome.changed == (item != 4), "at device 4 is the disk that was imported"
