# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each program of the controller that is missing is named with its packages, before anything is made in the pool."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.xapi.xenserver.plugins.module_utils import _tool
from simulator import Simulator

from ..conftest import Run
from .machines import MACHINES
from .transfers import data, run

__all__ = ["data", "run"]
pytestmark = pytest.mark.world(MACHINES)
ZSTD = b"\x28\xb5\x2f\xfd" + bytes(64)
DISK = {"vm": "web2", "size": "1GiB", "userdevice": "4"}
INTO = {"name": "data", "ssh_keys": ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJvAC3E6bBHOhsTt2x1g2jTTCM6zjXYrXEZ6vBJ2xk3F me"]}
GROW = {"name": "data", "mode": "auto_configure", "size": "128MiB"}
SHRINK = {"name": "data", "mode": "shrink_copy", "size": "32MiB", "copy_name": "small"}
# Program, its packages of Debian and as RPM, a module that needs it, parameters.
NEEDED: list[tuple[str, str, str, str, dict[str, Any]]] = [
    *[("mke2fs", "e2fsprogs", "e2fsprogs", "xen_ephemeral", {**DISK, "filesystem": kind}) for kind in ("ext2", "ext3", "ext4")],
    ("mkfs.xfs", "xfsprogs", "xfsprogs", "xen_ephemeral", {**DISK, "filesystem": "xfs"}),
    ("mkfs.vfat", "dosfstools", "dosfstools", "xen_ephemeral", {**DISK, "filesystem": "vfat"}),
    ("mkfs.ntfs", "ntfs-3g", "ntfsprogs", "xen_blank_disk", {**DISK, "filesystem": "ntfs"}),
    ("mkfs.vfat", "dosfstools", "dosfstools", "xen_swap", {"vm": "web2", "size": "1GiB", "filesystem": "vfat"}),
    *[
        (name, package, package, "xen_configdrive", {"vm": "web2", "filesystem": "vfat", "attach_as": "disk"})
        for name, package in (("mkfs.vfat", "dosfstools"), ("mmd", "mtools"), ("mcopy", "mtools"))
    ],
    *[(name, "e2fsprogs", "e2fsprogs", "xen_disk_resize", params) for name in ("e2fsck", "resize2fs") for params in (GROW, SHRINK)],
    *[(name, "e2fsprogs", "e2fsprogs", "xen_disk_inject", INTO) for name in ("debugfs", "e2fsck")],
    ("zstd", "zstd", "zstd", "xen_image", {"name": "root", "image": "disk.raw.zst"}),
]


@pytest.mark.parametrize(("tool", "debian", "rpm", "module", "params"), NEEDED, ids=[f"{item[0]} {item[3]} {number}" for number, item in enumerate(NEEDED)])
def test_is_told_before_anything_is_made(
    run: Run,
    simulator: Simulator,
    data: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tool: str,
    debian: str,
    rpm: str,
    module: str,
    params: dict[str, Any],
) -> None:
    if module == "xen_image":
        (tmp_path / params["image"]).write_bytes(ZSTD)
        params = {**params, "image": str(tmp_path / params["image"])}
    monkeypatch.setattr(_tool, "SBIN", ())
    monkeypatch.setenv("PATH", str(all_but(tool, tmp_path / "bin")))
    outcome = run(module, **params)
    assert outcome.failed
    assert outcome.msg == f"{tool} is missing on the controller; install the package {debian} (Debian, Ubuntu) or {rpm} (RPM)"
    assert outcome.writes == []


def all_but(missing: str, folder: Path) -> Path:
    """A folder with all programs that disks need, one left out: nothing runs them, they have only to be found."""
    folder.mkdir()
    for name in {item[0] for item in NEEDED} - {missing}:
        (folder / name).write_text("#!/bin/sh\nexit 1\n")
        (folder / name).chmod(0o755)
    return folder


def test_every_program_that_is_looked_for_is_tried_here() -> None:
    """A program that is added to the modules is added above."""
    folder = Path(str(_tool.__file__)).parent
    declared = {
        line.split('Tool("')[1].split('"')[0] for path in folder.glob("*.py") for line in path.read_text(encoding="utf-8").splitlines() if 'Tool("' in line
    }
    assert declared == {item[0] for item in NEEDED}
