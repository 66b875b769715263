# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What crashes leave, what storage drivers can do, and extensions (X/xapi_crashdump.ml, X/xapi_host_crashdump.ml, X/xapi_sm.ml, X/xapi_host.ml)."""

from __future__ import annotations

from typing import Any

import pytest

from simulator import NULL, Simulator
from simulator.engine.failure import EPOCH

from ._machines import host_named, refusal


def add(simulator: Simulator, cls: str, record: dict[str, Any]) -> str:
    made: list[str] = []

    async def create() -> None:
        made.append(simulator.engine.db.create(cls, record))

    simulator.run(create())
    return made[0]


def test_a_crashdump_goes_with_its_disk_or_without(simulator: Simulator, session: Any) -> None:
    """Pervasiveext.finally: the row goes whatever becomes of the disk."""
    sr = session.SR.get_by_name_label("Local storage")[0]
    disk = {"SR": sr, "virtual_size": 1 << 20, "type": "crashdump", "sharable": False, "read_only": False, "other_config": {}}
    free, kept = session.VDI.create(disk), session.VDI.create(disk)
    template = session.VM.get_by_name_label("Other install media")[0]
    drive = {"VM": template, "VDI": kept, "userdevice": "0", "bootable": False, "mode": "RW", "type": "Disk", "empty": False, "other_config": {}}
    session.VBD.create({**drive, "qos_algorithm_type": "", "qos_algorithm_params": {}})

    async def refuse() -> None:
        simulator.engine.db.set("VDI", kept, "managed", False)

    simulator.run(refuse())
    for vdi in (free, kept):
        dump = add(simulator, "crashdump", {"VDI": vdi, "VM": NULL})
        session.crashdump.destroy(dump)
        assert refusal(session.crashdump.get_uuid, dump) == ["HANDLE_INVALID", "crashdump", dump]
    assert refusal(session.VDI.get_uuid, free) == ["HANDLE_INVALID", "VDI", free]
    assert session.VDI.get_uuid(kept)
    assert refusal(session.crashdump.destroy, "OpaqueRef:none") == ["HANDLE_INVALID", "crashdump", "OpaqueRef:none"]


def test_a_hosts_crashdump(simulator: Simulator, session: Any) -> None:
    host = session.host.get_all()[0]
    record = {"host": host, "timestamp": EPOCH, "size": 1, "filename": "20261120-120000-UTC", "other_config": {}}
    dump = add(simulator, "host_crashdump", record)
    assert session.host.get_crashdumps(host) == [dump]
    session.host_crashdump.destroy(dump)
    assert session.host.get_crashdumps(host) == []
    assert refusal(session.host_crashdump.destroy, dump) == ["HANDLE_INVALID", "host_crashdump", dump]


def test_a_hosts_crashdump_is_destroyed_at_the_host() -> None:
    with Simulator("three_hosts") as simulator:
        session = simulator.session()
        host = host_named(session, "xs2")
        dump = add(simulator, "host_crashdump", {"host": host, "timestamp": EPOCH, "size": 1, "filename": "", "other_config": {}})

        async def silence() -> None:
            simulator.engine.db.set("host_metrics", simulator.engine.db.get("host", host, "metrics"), "live", False)

        simulator.run(silence())
        assert refusal(session.host_crashdump.destroy, dump) == ["HOST_OFFLINE", host]


@pytest.mark.parametrize("kind", ["ext", "lvm", "nfs", "file", "iso", "lvmoiscsi", "iscsi", "smb", "udev", "dummy"])
def test_every_kind_of_storage_has_its_driver(session: Any, kind: str) -> None:
    """SR.get_supported_types lists what class SM has; `capabilities` are the names of `features`."""
    rows = [row for row in session.SM.get_all_records().values() if row["type"] == kind]
    assert len(rows) == 1
    assert set(rows[0]["capabilities"]) == set(rows[0]["features"])
    assert kind in session.SR.get_supported_types()


def test_drivers_are_the_toolstacks(session: Any) -> None:
    """Only other_config is a client's to change: every other field of SM is DynamicRO."""
    driver, row = next(iter(session.SM.get_all_records().items()))
    session.SM.add_to_other_config(driver, "key", "value")
    assert session.SM.get_other_config(driver) == {**row["other_config"], "key": "value"}
    assert refusal(session.SM.set_type, driver, "x") == ["MESSAGE_METHOD_UNKNOWN", "SM.set_type"]
    session.SM.remove_from_other_config(driver, "key")


def test_extensions(session: Any) -> None:
    """None is installed; what is no JSON-RPC does not get that far (recording hosts: host.call_extension)."""
    host = session.host.get_all()[0]
    text = "Yojson.Json_error(\"Line 1, bytes 0-7:\\nInvalid token 'no.such'\")"
    assert refusal(session.host.call_extension, host, "no.such") == ["INTERNAL_ERROR", text]
    call = '{"jsonrpc": "2.0", "method": "my.extension", "params": [], "id": 1}'
    assert refusal(session.host.call_extension, host, call) == ["MESSAGE_METHOD_UNKNOWN", "my.extension"]
    assert session.host.has_extension(host, "my.extension") is False
    assert refusal(session.host.call_extension, "OpaqueRef:none", call) == ["HOST_OFFLINE", "OpaqueRef:none"]
