# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The partition of a disk as a sparse file on the controller, and what a tool changed in it.

Of the blocks that came, only hashes are kept to know the changed ones again: there is no second copy.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from ._disk_layout import HEAD, TABLES, Layout
from ._disk_read import exported
from ._errors import XenError
from ._extent import Extent, file_extents, trimmed
from ._private import new_file, new_folder, remove, write_at
from ._task import client_task
from ._transfer import Deadline, Request, Session
from ._vhd import LARGEST
from ._vhd_reader import SparseReader

BLOCK = 1024 * 1024
RAW_PIECE = 4 * 1024 * 1024


def read_head(session: Session, vdi: str, disk_size: int, *, label: str, timeout: float, count: int = HEAD) -> bytes:
    """The first bytes of a disk. xapi exports whole disks only, so the connection is cut when they have come."""
    count, pieces = min(count, disk_size), bytearray()
    deadline = Deadline(timeout, f"the beginning of {label} to be read")
    query = {"vdi": vdi, "format": "raw"}
    try:
        with client_task(session, f"Look at {label}") as task, Request(session, "GET", "/export_raw_vdi", query, task) as request:
            for piece in request.receive(deadline):
                pieces += piece
                if len(pieces) >= count:
                    raise _Enough
            request.fail(f"the disk has {disk_size} bytes, but {len(pieces)} arrived")
    except _Enough:
        return bytes(pieces[:count])
    raise AssertionError("unreachable")


class _Enough(Exception):
    """What was to be read has been read."""


@contextmanager
def disk_extents(session: Session, vdi: str, disk_size: int, *, label: str, timeout: float) -> Iterator[Iterator[Extent]]:
    """What a disk holds. As VHD only what is allocated goes over the network; what is too large for that goes as it is."""
    form = "vhd" if disk_size <= LARGEST else "raw"
    with ExitStack() as stack:
        read = stack.enter_context(exported(session, vdi, form, label=label, timeout=timeout))
        if form == "raw":
            yield _raw(read, disk_size, label)
            return
        reader = SparseReader(read)
        if reader.footer.size != disk_size:
            raise XenError(f"{label} has {disk_size} bytes, but its export has {reader.footer.size}; look at the host")
        yield (piece for extent in reader.extents() for piece in trimmed(*extent))


def _raw(read: object, disk_size: int, label: str) -> Iterator[Extent]:
    position = 0
    while position < disk_size:
        data = read(min(RAW_PIECE, disk_size - position))  # type: ignore[operator]
        if not data:
            raise XenError(f"{label} has {disk_size} bytes, but {position} arrived; look at the host, and run the task again")
        yield from trimmed(position, data)
        position += len(data)


class LocalPartition:
    """The partition of a disk in a file. Use as a context: the file is gone at its end."""

    def __init__(self, layout: Layout, folder: str | None) -> None:
        self.layout = layout
        self._before: dict[int, bytes] = {}
        self._front = bytearray()
        try:
            self._folder = new_folder(folder)
        except OSError as error:
            raise XenError(f"work_dir {folder!r} cannot be used: {error.strerror or error}") from error
        self.path = self._folder / "partition"

    def close(self) -> None:
        remove(self._folder)

    def fetch(self, session: Session, vdi: str, disk_size: int, *, label: str, timeout: float) -> None:
        """Read it, and remember what it was."""
        start, size = self.layout.start, self.layout.size
        self._front = bytearray(min(start, HEAD))
        try:
            with new_file(self.path) as file:
                file.truncate(size)
                with disk_extents(session, vdi, disk_size, label=label, timeout=timeout) as extents:
                    for offset, data in extents:
                        if offset < len(self._front):
                            self._front[offset : offset + len(data)] = data[: len(self._front) - offset]
                        first, last = max(start - offset, 0), min(start + size - offset, len(data))
                        if first < last:
                            write_at(file.fileno(), data[first:last], offset + first - start)
        except OSError as error:
            raise XenError(f"{label} cannot be kept in {str(self._folder)!r}: {error.strerror or error}; free space, or choose another work_dir") from error
        if self._front[:TABLES] != self.layout.tables[:start]:
            raise XenError(f"{label} changed while it was looked at; run the task again when nobody writes to it")
        self._before = self._hashes()

    def content(self) -> Iterator[Extent]:
        """All of it that is not zero, at its place on the disk, and the boot loader that may lie in front of it."""
        yield from trimmed(0, bytes(self._front))
        yield from file_extents(self.path, self.layout.start)

    def changes(self) -> Iterator[Extent]:
        """The blocks that are not what came, at their places on the disk; what became zero is written as zeros."""
        after = self._hashes()
        with self.path.open("rb", buffering=0) as file:
            for number in sorted(after.keys() | self._before.keys()):
                if after.get(number) != self._before.get(number):
                    data = os.pread(file.fileno(), BLOCK, number * BLOCK)
                    if data:
                        yield Extent(self.layout.start + number * BLOCK, data)

    def _hashes(self) -> dict[int, bytes]:
        """Block → hash, of the blocks that are not all zero."""
        numbers: set[int] = set()
        for offset, data in file_extents(self.path):
            numbers.update(range(offset // BLOCK, (offset + len(data) - 1) // BLOCK + 1))
        with self.path.open("rb", buffering=0) as file:
            return {number: _hash(os.pread(file.fileno(), BLOCK, number * BLOCK)) for number in sorted(numbers)}


def _hash(data: bytes) -> bytes:
    # Padded, so that the last block of a file that grew is the same when only zeros came.
    return hashlib.blake2b(data.ljust(BLOCK, b"\0"), digest_size=16).digest()
