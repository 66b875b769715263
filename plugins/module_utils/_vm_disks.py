# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which disks belong to a VM, so that they may go when it goes."""

from __future__ import annotations

from collections.abc import Iterator

from ._disk_content import kind_of
from ._lookup import Record, View, is_null
from ._neighbours import load
from ._render_devices import OWNER, VOLUME

# Media in drives are shared, except those that are made for one VM (xen_configdrive, xen_ipxe_iso).
MADE_MEDIA = {"configdrive", "ipxe"}


def own_disks(view: View, vm: str) -> dict[str, Record]:
    """The disks that are this VM's alone: no volumes, no shared media in CD drives, nothing that another VM has attached too."""
    drives = view.load("VBD", {"VM": vm})
    mine = set(drives)
    wanted = {drive["VDI"] for drive in drives.values() if drive["type"] == "Disk" and VOLUME not in drive["other_config"]}
    media = {drive["VDI"] for drive in drives.values() if drive["type"] == "CD"} - wanted
    load(view, "VDI", wanted | media)
    disks = {ref: view.record("VDI", ref) for ref in sorted(wanted | media) if not is_null(ref)}
    own = {ref: disk for ref, disk in disks.items() if disk and disk["managed"] and set(disk["VBDs"]) <= mine}
    return {ref: disk for ref, disk in own.items() if ref in wanted or kind_of(disk) in MADE_MEDIA}


def owned_disks(view: View, uuid: str) -> dict[str, Record]:
    """Disks that carry the uuid of the VM as their owner and are attached to nothing, as an interrupted run leaves them."""
    disks = view.load("VDI", {"is_a_snapshot": False, "managed": True})
    return {ref: disk for ref, disk in disks.items() if disk["other_config"].get(OWNER) == uuid and not disk["VBDs"]}


def kept_disks(view: View, vm: str, gone: set[str]) -> Iterator[tuple[Record, str]]:
    """The disks of the VM that stay when those in ``gone`` go, and why. Media in drives are shared, and nothing to tell of."""
    for drive in view.load("VBD", {"VM": vm}).values():
        disk = view.record("VDI", drive["VDI"])
        if disk and drive["type"] == "Disk" and drive["VDI"] not in gone:
            yield disk, "it is a network volume" if VOLUME in drive["other_config"] else "another VM has it too"
