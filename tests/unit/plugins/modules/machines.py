# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The world one_host with two halted VMs and a small thick repository, for tests of what belongs to VMs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from simulator import Simulator, worlds
from simulator.transport.memory import MemorySession

MIB = 2**20
GIB = 2**30
ETH0 = "Pool-wide network associated with eth0"
_BLUEPRINT = json.loads((Path(worlds.__file__).parent / "one_host.json").read_text(encoding="utf-8"))
MACHINES: dict[str, Any] = {
    **_BLUEPRINT,
    "srs": [*_BLUEPRINT["srs"], {"name": "Thick storage", "type": "lvm", "size": "20GiB", "used": "4GiB", "each_host": True}],
    "machines": [
        {"name": "web1", "disks": [{"sr": "NFS storage", "size": "4GiB", "name": "web1 root"}], "networks": [ETH0]},
        {"name": "web2", "disks": [{"sr": "NFS storage", "size": "4GiB", "name": "web2 root"}]},
        {"name": "golden", "template": True, "disks": [{"sr": "NFS storage", "size": "2GiB", "name": "golden"}]},
    ],
}


def named(simulator: Simulator, xen_class: str, name: str) -> list[dict[str, Any]]:
    """The records of this name, each with its reference."""
    return [{**record, "ref": ref} for ref, record in simulator.records(xen_class).items() if record["name_label"] == name]


def the(simulator: Simulator, xen_class: str, name: str) -> dict[str, Any]:
    """The one record of this name."""
    (record,) = named(simulator, xen_class, name)
    return record


def start(simulator: Simulator, name: str) -> MemorySession:
    """Start a VM, and return the session that did."""
    session = simulator.session()
    started(session, name)
    return session


def started(session: MemorySession, name: str) -> None:
    """Start a VM whose tools report at once, where they would need two seconds."""
    simulator = session.client.simulator
    vm = the(simulator, "VM", name)["ref"]
    session.VM.start(vm, False, False)

    async def report() -> None:
        guests: Any = simulator.engine.behaviours["VM"]
        guests.agent_reports(vm)

    simulator.run(report())


def new_disk(session: MemorySession, sr: str, name: str, size: int = GIB, **fields: Any) -> str:
    """A disk made without our modules."""
    plain = {"name_description": "", "type": "user", "sharable": False, "read_only": False}
    maps: dict[str, Any] = {"other_config": {}, "xenstore_data": {}, "sm_config": {}, "tags": []}
    ref: str = session.VDI.create({**plain, **maps, "name_label": name, "SR": sr, "virtual_size": size, **fields})
    return ref


def attach(session: MemorySession, vm: str, vdi: str, device: str, **fields: Any) -> str:
    """A disk attached without our modules."""
    plain = {"bootable": False, "mode": "RW", "type": "Disk", "unpluggable": True, "empty": False, "other_config": {}}
    ref: str = session.VBD.create({**plain, "VM": vm, "VDI": vdi, "userdevice": device, "qos_algorithm_type": "", "qos_algorithm_params": {}, **fields})
    return ref
