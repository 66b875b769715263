# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Contents of generated disks: a partition table, and a swap area or a filesystem behind it.

Filesystems are made by the ordinary ``mkfs`` tools on a plain sparse file: no root, no loop device, no mount. What comes out
are extents (offset, bytes) that hold data; the rest of a fresh VDI is zero already and is never sent.
"""

from __future__ import annotations

import struct
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from . import _partition
from ._errors import XenError
from ._extent import PAGE, Extent, file_extents
from ._private import new_file, private_folder
from ._tool import Tool, find_tool

MKE2FS = Tool("mke2fs", "e2fsprogs", "e2fsprogs")
MKFS_XFS = Tool("mkfs.xfs", "xfsprogs", "xfsprogs")
MKFS_VFAT = Tool("mkfs.vfat", "dosfstools", "dosfstools")
MKFS_NTFS = Tool("mkfs.ntfs", "ntfs-3g", "ntfsprogs")

# Filesystem → tool, arguments, how a label is given, and the longest label.
FILESYSTEMS: dict[str, tuple[Tool, tuple[str, ...], str, int]] = {
    # The VDI is zero-filled: inode tables and journal need not be written, nor zeroed by the guest at first mount.
    "ext2": (MKE2FS, ("-q", "-F", "-t", "ext2"), "-L", 16),
    "ext3": (MKE2FS, ("-q", "-F", "-t", "ext3"), "-L", 16),
    "ext4": (MKE2FS, ("-q", "-F", "-t", "ext4", "-E", "lazy_itable_init=1,lazy_journal_init=1"), "-L", 16),
    "xfs": (MKFS_XFS, ("-q", "-f"), "-L", 12),
    "vfat": (MKFS_VFAT, ("-F", "32", "-h", str(_partition.START)), "-n", 11),
    "ntfs": (MKFS_NTFS, ("-F", "-Q", "-q", "-p", str(_partition.START), "-H", "255", "-S", "63"), "-L", 32),
}


def check_tools(filesystem: str | None) -> None:
    """Refuse before anything is created when the tool for ``filesystem`` is missing."""
    if filesystem in FILESYSTEMS:
        find_tool(FILESYSTEMS[filesystem][0])


def swap_page(size: int, identity: uuid.UUID, label: str = "") -> bytes:
    """The first page of a swap area of ``size`` bytes, as mkswap writes it (version 1)."""
    pages = size // PAGE
    if pages < 10:
        raise XenError(f"a swap area of {size} bytes is too small; 10 pages of {PAGE} bytes are the least")
    head = struct.pack("<III16s16s", 1, pages - 1, 0, identity.bytes, label.encode()[:15])
    return bytes(1024) + head + bytes(PAGE - 1024 - len(head) - 10) + b"SWAPSPACE2"


def swap_disk(size: int, *, type_: int = _partition.TYPES["swap"], identity: uuid.UUID | None = None) -> Iterator[Extent]:
    """A disk of ``size`` bytes with one swap partition: two extents."""
    start = _partition.START * _partition.SECTOR
    table = _partition.mbr(size, type_)
    yield Extent(0, table.ljust(PAGE, b"\0"))
    yield Extent(start, swap_page(size - start, identity or uuid.uuid4()))


def filesystem_disk(size: int, filesystem: str | None, *, label: str = "", type_: int | None = None) -> Iterator[Extent]:
    """A disk of ``size`` bytes with one partition that holds ``filesystem``, or nothing when that is None."""
    kind = type_ if type_ is not None else _partition.TYPES[filesystem or "linux"]
    table = _partition.mbr(size, kind)
    start = _partition.START * _partition.SECTOR
    if filesystem is None:
        yield Extent(0, table.ljust(PAGE, b"\0"))
        return
    # The filesystem is made before the first extent goes out, so that a failing mkfs leaves nothing half sent.
    with filesystem_file(size - start, filesystem, label) as path:
        yield Extent(0, table.ljust(PAGE, b"\0"))
        yield from file_extents(path, start)


@contextmanager
def filesystem_file(size: int, filesystem: str, label: str) -> Iterator[Path]:
    """A temporary sparse file of ``size`` bytes that holds a filesystem; gone at the end of the block."""
    with private_folder() as folder:
        path = folder / "filesystem"
        make_filesystem(path, size, filesystem, label)
        yield path


def make_filesystem(path: Path, size: int, filesystem: str, label: str) -> None:
    """Make ``filesystem`` in a new sparse file of ``size`` bytes, readable by its owner only."""
    tool, arguments, label_option, longest = FILESYSTEMS[filesystem]
    if len(label.encode()) > longest:
        raise XenError(f"{filesystem} takes a label of {longest} bytes at most, not {label!r}")
    program = find_tool(tool)
    with new_file(path) as file:
        file.truncate(size)
    labelled = [label_option, label] if label else []
    done = subprocess.run([program, *arguments, *labelled, str(path)], capture_output=True, text=True, check=False)  # noqa: S603  # no shell, our own path
    if done.returncode:
        reason = (done.stderr or done.stdout).strip().splitlines()
        raise XenError(f"{tool.name} could not make {filesystem} of {size} bytes: {reason[-1] if reason else f'exit {done.returncode}'}")
