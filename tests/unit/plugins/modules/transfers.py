# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every module that writes a disk over the network, for tests of what may go wrong on the way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from simulator import Simulator

from ..conftest import Run
from .filesystems import attached, filesystem_disk, load
from .generated import address
from .machines import MIB

SIZE = 64 * MIB
# Module, storage repository that is written to, what the disk is called there, parameters.
CASES: list[tuple[str, str, str, dict[str, Any]]] = [
    ("xen_swap", "NFS storage", "disk 'web1' of 256MiB", {"vm": "web2", "size": "256MiB", "name": "web1", "filesystem": "vfat"}),
    ("xen_blank_disk", "NFS storage", "disk 'web2' of 8GiB", {"vm": "web2", "size": "8GiB", "userdevice": "3"}),
    ("xen_configdrive", "NFS storage", "disk 'config-2' of 64MiB", {"vm": "web2", "files": [{"path": "/x", "content": "x" * 8 * MIB}]}),
    ("xen_image", "NFS storage", "of 8MiB", {"name": "root", "cache": False}),
    ("xen_image", "NFS storage", "of 8MiB", {"name": "root", "cache": True}),
    ("xen_vdi", "NFS storage", "disk 'root' of 8MiB", {"name": "root"}),
    ("xen_disk_transfer", "NFS storage", "disk 'data' of 64MiB", {"name": "data", "dest_sr": "NFS storage"}),
    ("xen_disk_transfer", "NFS storage", "disk 'data' of 64MiB", {"name": "data", "dest_sr": "NFS storage", "phase": "send"}),
    ("xen_disk_resize", "Local storage", "disk 'small' of 32MiB", {"name": "data", "mode": "shrink_copy", "size": "32MiB", "copy_name": "small"}),
    ("xen_disk_resize", "Local storage", "disk 'data' of 32GiB", {"name": "data", "mode": "auto_configure", "size": "32GiB"}),
    ("xen_disk_inject", "Local storage", "disk 'data' of 64MiB", {"name": "data", "files": [{"path": "/x", "content": "x" * 8 * MIB}]}),
]
IDS = [f"{number} {case[0]}" for number, case in enumerate(CASES)]


@pytest.fixture
def run(run_module: Run, simulator: Simulator) -> Run:
    return lambda module, **params: run_module(module, **{"hostname": address(simulator), **params})


@pytest.fixture
def data(simulator: Simulator, tmp_path: Path) -> str:
    """An ext4 disk, device 4 of web1."""
    session = simulator.session()
    ref = load(session, filesystem_disk(tmp_path / "made", SIZE), "data", sr="Local storage")
    attached(session, "web1", ref)
    return ref


def image(folder: Path) -> str:
    path = folder / "image.raw"
    path.write_bytes(b"\1" * (8 * MIB))
    return str(path)


def with_image(module: str, params: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Parameters with the file that the module writes to the disk."""
    key = {"xen_image": "image", "xen_vdi": "content"}.get(module)
    return {**params, **({key: image(folder)} if key else {})}


def disks(simulator: Simulator) -> dict[str, list[str]]:
    """What a user sees, and where it is attached."""
    return {ref: record["VBDs"] and [simulator.records("VBD")[vbd]["userdevice"] for vbd in record["VBDs"]] for ref, record in shown(simulator).items()}


def shown(simulator: Simulator) -> dict[str, Any]:
    return {ref: record for ref, record in simulator.records("VDI").items() if record["managed"]}
