# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Contents that are made on the way, over the wire: extents into a fresh disk, and out of a disk as a sparse VHD.

What is sent is not known beforehand, so the request announces the most it can be; in xapi's chunked framing the end
is the end mark, and the announced length is not looked at (xapi's import_raw_vdi.ml hands the socket to vhd-tool).
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager

from ._errors import XenError
from ._extent import Extent
from ._task import client_task, wait_for_task
from ._transfer import CHUNK, CHUNK_HEADER, Deadline, Request, Session, Transfer

# Disks are written with direct I/O: a chunk of one byte fails the task, one of 512 bytes is fine (recording ``images``).
SECTOR = 512


def import_extents(session: Session, vdi: str, extents: Iterable[Extent], disk_size: int, *, label: str, timeout: float) -> Transfer:
    """Write extents to a fresh disk, which reads as zeros elsewhere. Extents may raise until their very end.

    Whatever is raised, the pool has let go of the disk then (as far as it says so in time), so it can be destroyed.
    """
    deadline = Deadline(timeout, f"{label} to be written to the disk")
    began, sent = time.monotonic(), 0
    with client_task(session, f"Import of {label}") as task:
        query = {"vdi": vdi, "format": "raw", "chunked": "1"}
        with Request(session, "PUT", "/import_raw_vdi", query, task, _most(disk_size)) as request:
            with _closed(extents):
                for extent in extents:
                    deadline.check()
                    for offset, data in _chunks(extent, disk_size, label):
                        deadline.check()
                        request.send(CHUNK_HEADER.pack(offset, len(data)))
                        request.send(data)
                        sent += len(data)
            request.send(CHUNK_HEADER.pack(0, 0))
            wait_for_task(session, task, timeout=deadline.left, what=deadline.what)
    return Transfer(sent, disk_size, time.monotonic() - began)


@contextmanager
def _closed(extents: Iterable[Extent]) -> Iterator[None]:
    """What extents are made of, as a temporary file, goes now: SIGTERM ends the process before an error lets go of them."""
    try:
        yield
    finally:
        if isinstance(extents, Generator):
            extents.close()


def _most(disk_size: int) -> int:
    """As if every sector were a chunk."""
    return (disk_size // SECTOR + 2) * (SECTOR + CHUNK_HEADER.size)


def _chunks(extent: Extent, disk_size: int, label: str) -> Iterator[tuple[int, bytes]]:
    offset, data = extent
    if offset % SECTOR:
        raise XenError(f"{label} has content at byte {offset}, which is no whole sector")
    data = data.ljust(len(data) + -len(data) % SECTOR, b"\0")
    if offset + len(data) > disk_size:
        raise XenError(f"{label} is larger than the disk of {disk_size} bytes; make the disk larger")
    for start in range(0, len(data), CHUNK):
        yield offset + start, data[start : start + CHUNK] if len(data) > CHUNK else data
