# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""VMs for tests of the simulator."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from simulator import NULL, Failure, Simulator

MIB, GIB = 1 << 20, 1 << 30
TEMPLATE = "Debian 12 (cloud image)"
NUMBERS = itertools.count(1)


def refusal(action: Callable[..., Any], *params: Any) -> list[str]:
    """The error code and its parameters."""
    with pytest.raises(Failure) as caught:
        action(*params)
    return list(caught.value.description)


def marks(simulator: Simulator) -> set[str]:
    """The operations that stand on hosts from now on, for however short a time."""
    seen: set[str] = set()
    hosts = simulator.engine.db.tables["host"].rows

    def look(cls: str, ref: str) -> None:
        if cls == "host" and ref in hosts:
            seen.update(hosts[ref]["current_operations"].values())

    simulator.engine.db.watchers.append(look)
    return seen


def machine(session: Any, name: str = "", *, template: str = TEMPLATE, start: bool = False, **settings: Any) -> str:
    """A halted VM of a template, with what else its fields shall be."""
    (source,) = session.VM.get_by_name_label(template)
    vm = session.VM.clone(source, name or f"vm-{next(NUMBERS)}")
    session.VM.provision(vm)
    for field, value in settings.items():
        session.call(f"VM.set_{field}", vm, value)
    if start:
        session.VM.start(vm, False, False)
    return str(vm)


def disks(session: Any, vm: str) -> list[str]:
    """The VM's disks, in the order of their device numbers; drives without one do not count."""
    drives = [session.VBD.get_record(vbd) for vbd in session.VM.get_VBDs(vm)]
    found = sorted((drive["userdevice"], drive["VDI"]) for drive in drives if drive["type"] == "Disk")
    return [vdi for _unused, vdi in found]


def add_disk(session: Any, vm: str, sr: str, *, size: int = 4 * MIB, device: str = "autodetect", **fields: Any) -> str:
    record = {"SR": sr, "virtual_size": size, "type": "user", "sharable": False, "read_only": False, "other_config": {}, "name_label": "data"}
    vdi = session.VDI.create({**record, **fields})
    attach(session, vm, vdi, device=device)
    return str(vdi)


def attach(session: Any, vm: str, vdi: str, *, device: str = "autodetect", mode: str = "RW") -> str:
    record = {"VM": vm, "VDI": vdi, "userdevice": device, "bootable": False, "mode": mode, "type": "Disk", "empty": False}
    return str(session.VBD.create({**record, "other_config": {}, "qos_algorithm_type": "", "qos_algorithm_params": {}}))


def add_nic(session: Any, vm: str, network: str, device: str = "0", mac: str = "") -> str:
    record = {"VM": vm, "network": network, "device": device, "MAC": mac, "MTU": 1500, "other_config": {}}
    return str(session.VIF.create({**record, "qos_algorithm_type": "", "qos_algorithm_params": {}, "locking_mode": "network_default"}))


def only(refs: Sequence[str]) -> str:
    (ref,) = refs
    return ref


def sr_named(session: Any, name: str) -> str:
    return only(session.SR.get_by_name_label(name))


def host_named(session: Any, name: str) -> str:
    return only(session.host.get_by_name_label(name))


def messages_of(session: Any, vm: str) -> list[str]:
    """Names of the messages about a VM, the oldest first."""
    found = [one for one in session.message.get_all_records().values() if one["obj_uuid"] == session.VM.get_uuid(vm)]
    return [one["name"] for one in sorted(found, key=lambda one: one["timestamp"])]


def gone(session: Any, cls: str, ref: str) -> bool:
    if ref == NULL:
        return True
    return refusal(session.call, f"{cls}.get_uuid", ref) == ["HANDLE_INVALID", cls, ref]
