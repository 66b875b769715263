# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks of an SR that no host is connected to, and connections that somebody still needs: who refuses, and in which words."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from simulator import Simulator

from ._asking import fixtures, refusal

MIB = 1024**2
DISK = {"name_label": "d", "virtual_size": 4 * MIB, "type": "user", "sharable": False, "read_only": False, "other_config": {}}


simulator, session = fixtures(lambda: Simulator("three_hosts"))


def local_sr(session: Any, host: str) -> str:
    mine = [session.PBD.get_SR(pbd) for pbd in session.host.get_PBDs(host)]
    return next(sr for sr in mine if session.SR.get_type(sr) in ("ext", "lvm") and not session.SR.get_shared(sr))


@pytest.fixture
def unreachable(session: Any) -> str:
    """A disk whose SR is unplugged."""
    sr = local_sr(session, session.pool.get_master(session.pool.get_all()[0]))
    vdi = str(session.VDI.create({**DISK, "SR": sr}))
    for pbd in session.SR.get_PBDs(sr):
        session.PBD.unplug(pbd)
    return vdi


def test_a_copy_finds_no_host(session: Any, unreachable: str) -> None:
    """X/message_forwarding.ml VDI.copy: forward_sr_multiple_op raises Not_found, and the second try has no handler."""
    assert refusal(session.VDI.copy, unreachable, session.VDI.get_SR(unreachable)) == ["INTERNAL_ERROR", "Not_found"]


def test_a_checksum_finds_no_host(session: Any, unreachable: str) -> None:
    """X/message_forwarding.ml VDI.checksum: forward_to_access_srs_and asks choose_host."""
    assert refusal(session.VDI.checksum, unreachable) == ["NO_HOSTS_AVAILABLE"]


def test_a_local_sr_with_two_connections_has_no_master(session: Any) -> None:
    """X/helpers.ml get_srmaster, which PBD.unplug asks first (with_unplug_locks): uuids, not references."""
    sr = session.SR.introduce("", "twice", "", "dummy", "user", False, {})
    pbds = [session.PBD.create({"host": host, "SR": sr, "device_config": {}}) for host in session.host.get_all()[:2]]
    code, *uuids = refusal(session.PBD.unplug, pbds[0])
    assert code == "SR_HAS_MULTIPLE_PBDS"
    assert sorted(uuids) == sorted(session.PBD.get_uuid(pbd) for pbd in pbds)


def test_an_unplug_waits_for_the_disks_that_are_worked_on(simulator: Simulator, session: Any) -> None:
    """X/message_forwarding.ml with_unplug_locks: OTHER_OPERATION_IN_PROGRESS inside retry_with_global_lock is waited for."""
    coordinator = session.pool.get_master(session.pool.get_all()[0])
    sr = local_sr(session, coordinator)
    vdi = session.VDI.create({**DISK, "SR": sr})
    (pbd,) = session.SR.get_PBDs(sr)
    db, task = simulator.engine.db, "OpaqueRef:00000000-0000-0000-0000-000000000001"

    async def mark(busy: bool) -> None:
        if busy:
            db.put("VDI", vdi, "current_operations", task, "copy")
        else:
            db.drop("VDI", vdi, "current_operations", task)
            simulator.engine.operations.wake()

    simulator.run(mark(True))
    waiting = threading.Thread(target=session.PBD.unplug, args=(pbd,))
    waiting.start()
    waiting.join(0.2)
    assert waiting.is_alive()
    assert session.PBD.get_currently_attached(pbd)
    simulator.run(mark(False))
    waiting.join(10)
    assert not session.PBD.get_currently_attached(pbd)
