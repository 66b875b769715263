# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks with real filesystems, made by the ordinary tools, and looked at by them."""

from __future__ import annotations

import os
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from simulator import Simulator
from simulator.transport.memory import MemorySession

from .generated import disk_file, partition_file, pieces, run_tool, sparse, tool
from .machines import attach, new_disk, the

DATA = bytes(range(256)) * 8192  # 2 MiB
SECTOR = 512


def filesystem_disk(folder: Path, size: int, kind: str = "ext4", *, table: str = "dos", partitions: int = 1, start: int = 2048) -> Path:
    """A disk partitioned by sfdisk, the first partition with a filesystem that holds ``/data`` and ``/etc/hostname``."""
    folder.mkdir(parents=True, exist_ok=True)
    return sparse(folder / "disk.raw", size, _made(size, kind, table, partitions, start))


@cache
def _made(size: int, kind: str, table: str, partitions: int, start: int) -> tuple[tuple[int, bytes], ...]:
    """Its bytes without the holes. The tools need a tenth of a second for what dozens of tests begin with."""
    lines = [f"start={start}{', bootable' if table == 'dos' else ''}"]
    if partitions > 1:
        lines = ["start=2048, size=65536", *["start=67584"] * (partitions - 1)]
    script = f"label: {table}\nlabel-id: {'0xcafe1234' if table == 'dos' else '3f0e5a9c-7f1e-4f0c-9d35-a6b1f4a1f7e2'}\n" + "\n".join(lines)
    with tempfile.TemporaryDirectory() as folder:
        path, tree, part = Path(folder) / "disk.raw", Path(folder) / "tree", Path(folder) / "part"
        sparse(path, size, [])
        subprocess.run([tool("sfdisk", "fdisk"), "-q", str(path)], input=script, text=True, check=True, capture_output=True)
        first, sectors = first_partition(path)
        (tree / "etc").mkdir(parents=True)
        (tree / "data").write_bytes(DATA)
        (tree / "etc" / "hostname").write_text("golden\n")
        sparse(part, sectors * SECTOR, [])
        if kind == "xfs":
            run_tool(tool("mkfs.xfs", "xfsprogs"), "-q", part)
        else:
            run_tool(tool("mke2fs", "e2fsprogs"), "-q", "-F", "-t", kind, "-d", tree, part)
        with path.open("r+b") as disk:
            os.pwrite(disk.fileno(), b"bootcode", 440 - 8)
            os.pwrite(disk.fileno(), b"second stage".ljust(SECTOR, b"!"), SECTOR * 40)
            for offset, data in pieces(part):
                os.pwrite(disk.fileno(), data, first * SECTOR + offset)
        return tuple(pieces(path))


def first_partition(path: Path) -> tuple[int, int]:
    """Start and count of sectors, as sfdisk sees them."""
    line = next(line for line in run_tool(tool("sfdisk", "fdisk"), "--dump", path).splitlines() if "start=" in line)
    values = dict(item.strip().split("=") for item in line.partition(" : ")[2].split(",") if "=" in item)
    return int(values["start"]), int(values["size"])


def load(session: MemorySession, path: Path, name: str, *, sr: str = "NFS storage", **fields: Any) -> str:
    """A disk of the pool with the content of a file, made without our modules."""
    simulator = session.client.simulator
    ref = new_disk(session, the(simulator, "SR", sr)["ref"], name, path.stat().st_size, **fields)

    async def write() -> None:
        disks: Any = simulator.engine.behaviours["VDI"]
        volume = disks.volume(ref)
        for offset, data in pieces(path):
            volume.write(offset, data)

    simulator.run(write())
    return ref


def attached(session: MemorySession, vm: str, vdi: str, device: str = "4") -> None:
    attach(session, the(session.client.simulator, "VM", vm)["ref"], vdi, device)


def partition_of(path: Path) -> Path:
    """The first partition as a file of its own."""
    start, sectors = first_partition(path)
    return partition_file(path, (start + sectors) * SECTOR, start=start * SECTOR)


def looked_at(simulator: Simulator, vdi: str, folder: Path) -> tuple[Path, Path]:
    """A disk of the pool and its first partition as files; both are sound, say tools that nobody here wrote."""
    folder.mkdir(parents=True, exist_ok=True)
    disk = disk_file(simulator, vdi, folder / "export.raw")
    run_tool(tool("sfdisk", "fdisk"), "--verify", disk)
    part = partition_of(disk)
    run_tool(tool("e2fsck", "e2fsprogs"), "-f", "-n", part)
    return disk, part


def file_in(part: Path, name: str) -> bytes:
    """A file of an ext filesystem, read by debugfs."""
    done = subprocess.run([tool("debugfs", "e2fsprogs"), "-R", f"cat {name}", str(part)], capture_output=True, check=True)
    return done.stdout


def filesystem_size(part: Path) -> int:
    lines = run_tool(tool("dumpe2fs", "e2fsprogs"), "-h", part).splitlines()
    values = {key: value.strip() for key, _colon, value in (line.partition(":") for line in lines)}
    return int(values["Block count"]) * int(values["Block size"])
