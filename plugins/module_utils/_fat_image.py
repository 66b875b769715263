# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""FAT images with files in them, made by mkfs.vfat and mtools: no root, no mount. Contents reach the tools by pipes only."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ._disk_build import MKFS_VFAT
from ._errors import XenError
from ._private import new_file, private_folder
from ._tool import Tool, find_tool

MMD = Tool("mmd", "mtools", "mtools")
MCOPY = Tool("mcopy", "mtools", "mtools")


def check_tools() -> None:
    """Refuse before anything is created when a tool is missing."""
    for tool in (MKFS_VFAT, MMD, MCOPY):
        find_tool(tool)


@contextmanager
def fat_image(files: Mapping[str, bytes], label: str, size: int) -> Iterator[Path]:
    """An image of ``size`` bytes with these files by path, without a partition table; gone at the end of the block.

    It may hold a password: only its owner can read it, and not for longer than it is sent.
    """
    with private_folder() as folder:
        path = folder / "image"
        with new_file(path) as file:
            file.truncate(size)
        _run(MKFS_VFAT, ["-n", label, str(path)])
        folders = {"/".join(name.split("/")[:depth]) for name in files for depth in range(1, name.count("/") + 1)}
        for name in sorted(folders):
            _run(MMD, ["-i", str(path), f"::/{name}"])
        for name, data in files.items():
            _run(MCOPY, ["-i", str(path), "-", f"::/{name}"], data)
        yield path


def _run(tool: Tool, arguments: list[str], data: bytes = b"") -> None:
    done = subprocess.run([find_tool(tool), *arguments], input=data, capture_output=True, check=False)  # noqa: S603  # no shell, our own path
    if done.returncode:
        reason = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()
        raise XenError(f"{tool.name} could not make the FAT image: {reason[-1] if reason else f'exit {done.returncode}'}")
