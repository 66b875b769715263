# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ext2, ext3 and ext4 filesystems: recognised by their superblock, checked and resized in a plain file.

The superblock is that of the kernel's documentation, filesystems/ext4/super.rst: 1024 bytes from the start, little-endian.
"""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path
from typing import NamedTuple

from ._errors import XenError
from ._tool import Tool, find_tool

E2FSCK = Tool("e2fsck", "e2fsprogs", "e2fsprogs")
RESIZE2FS = Tool("resize2fs", "e2fsprogs", "e2fsprogs")
SECTOR = 512
OFFSET, MAGIC = 1024, 0xEF53
HAS_JOURNAL, EXTENTS, FEATURE_64BIT = 0x4, 0x40, 0x80
# Corrected, or nothing to correct; 2 asks for a reboot, which a file does not need (driver-operations §7.1).
CLEAN = {0, 1, 2}


class Superblock(NamedTuple):
    """What is needed of a superblock; sizes in bytes."""

    type: str
    size: int
    group_size: int

    @classmethod
    def parse(cls, start: bytes) -> Superblock | None:
        """From the first 2 KiB of a filesystem; None when it is no such one."""
        block = start[OFFSET : 2 * OFFSET]
        if len(block) < OFFSET or struct.unpack_from("<H", block, 56)[0] != MAGIC:
            return None
        count_low, log_size, per_group = (struct.unpack_from("<I", block, position)[0] for position in (4, 24, 32))
        compatible, incompatible = struct.unpack_from("<II", block, 92)
        if log_size > 6:
            return None
        count = count_low | (struct.unpack_from("<I", block, 336)[0] << 32 if incompatible & FEATURE_64BIT else 0)
        kind = "ext4" if incompatible & (EXTENTS | FEATURE_64BIT) else "ext3" if compatible & HAS_JOURNAL else "ext2"
        return cls(kind, count * (1024 << log_size), per_group * (1024 << log_size))


def check_tools() -> None:
    """Refuse before anything is created when a tool is missing."""
    find_tool(E2FSCK)
    find_tool(RESIZE2FS)


def check(path: Path) -> None:
    """Check a filesystem, and repair what can be repaired without asking."""
    done = _run(find_tool(E2FSCK), "-f", "-p", str(path))
    if done.returncode not in CLEAN:
        raise XenError(f"the filesystem has errors that cannot be repaired without asking ({_reason(done)}); repair it in the guest by e2fsck")


def resize(path: Path, size: int) -> None:
    """Make the filesystem in a file, checked before, ``size`` bytes large."""
    done = _run(find_tool(RESIZE2FS), str(path), f"{size // SECTOR}s")
    if done.returncode:
        raise XenError(f"resize2fs could not make the filesystem {size} bytes large: {_reason(done)}{_least(path)}")


def _least(path: Path) -> str:
    """What it needs at least, as resize2fs estimates it."""
    done = _run(find_tool(RESIZE2FS), "-P", str(path))
    with path.open("rb") as file:
        block = Superblock.parse(file.read(2 * OFFSET))
        file.seek(OFFSET + 24)
        unit = 1024 << struct.unpack("<I", file.read(4))[0]
    blocks = done.stdout.rpartition(":")[2].strip()
    return f"; what is in it needs {int(blocks) * unit} bytes at least" if block and blocks.isdigit() else ""


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, env={"LC_ALL": "C", "PATH": "/usr/sbin:/sbin:/usr/bin:/bin"})  # noqa: S603  # no shell, our own path


def _reason(done: subprocess.CompletedProcess[str]) -> str:
    lines = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip() and not line.startswith(("resize2fs 1", "e2fsck 1"))]
    return lines[-1] if lines else f"exit {done.returncode}"
