# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Local contents into disks over HTTP, in xapi's chunked framing (facts §4.1). The other way is ``_disk_export``.

xapi answers 200 before it reads a byte, so the answer proves nothing: the task says how it ended. And the task says
success for a stream that is too short, so what is sent is counted here (recordings ``http`` and ``images``).
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import BinaryIO

from ._errors import XenError
from ._raw_file import BLOCK, RawFile, Span, read_at, refuse_changed
from ._task import client_task, wait_for_task
from ._transfer import CHUNK, CHUNK_HEADER, Deadline, Request, Session, Transfer


def import_raw(session: Session, vdi: str, raw: RawFile, disk_size: int, *, whole: bool, timeout: float) -> Transfer:
    """Write a raw file to a disk.

    A fresh disk reads as zeros, so only what is not zero is sent. With ``whole`` the zeros are sent too, up to the end
    of the disk: for a disk that holds something already.
    """
    spans = [Span(0, disk_size)] if whole else raw.spans
    chunks = [_aligned(chunk, disk_size) for span in spans for chunk in _cut(span)]
    length = sum(CHUNK_HEADER.size + chunk.length for chunk in chunks) + CHUNK_HEADER.size
    deadline = Deadline(timeout, f"{raw.path!r} to be written to the disk")
    began = time.monotonic()
    with client_task(session, f"Import of {os.path.basename(raw.path)}") as task:
        query = {"vdi": vdi, "format": "raw", "chunked": "1"}
        with _opened(raw) as file, Request(session, "PUT", "/import_raw_vdi", query, task, length) as request:
            for chunk in chunks:
                deadline.check()
                request.send(CHUNK_HEADER.pack(*chunk) + read_at(file, *chunk))
            request.send(CHUNK_HEADER.pack(0, 0))
            refuse_changed(raw)
            wait_for_task(session, task, timeout=deadline.left, what=deadline.what)
    return Transfer(sum(chunk.length for chunk in chunks), disk_size, time.monotonic() - began)


def _cut(span: Span) -> Iterator[Span]:
    """Chunks of a few MiB: xapi reads the length as a signed 32-bit number."""
    for offset in range(span.offset, span.offset + span.length, CHUNK):
        yield Span(offset, min(CHUNK, span.offset + span.length - offset))


def _aligned(chunk: Span, disk_size: int) -> Span:
    """Whole blocks, as the disk is written with direct I/O: a last odd byte fails the task (recording ``images``)."""
    end = min(chunk.offset + chunk.length + -chunk.length % BLOCK, disk_size)
    return Span(chunk.offset, end - chunk.offset)


class _opened:  # noqa: N801  # reads as a function
    """A raw file that is still the one that was scanned."""

    def __init__(self, raw: RawFile) -> None:
        refuse_changed(raw)
        self._path = raw.path

    def __enter__(self) -> BinaryIO:
        try:
            self._file = open(self._path, "rb")
        except OSError as error:
            raise XenError(f"{self._path!r} cannot be read: {error.strerror or error}") from error
        return self._file

    def __exit__(self, *_error: object) -> None:
        self._file.close()
