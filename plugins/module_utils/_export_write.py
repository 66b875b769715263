# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file of an export: written whole, beside the one that is there, or only what changed, into it."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import Any

from ._errors import XenError
from ._export_job import Export
from ._export_record import mark_unfinished, replacing, write_record
from ._image_file import changes, checksum, file_digest, patch, write_file


def write(job: Export, base: str | None) -> None:
    began = time.monotonic()
    received = _write_changes(job, base) if base else None
    if received is None:
        received = _write_whole(job)
    job.transfer = {"bytes_sent": received, "bytes_total": job.size, "seconds": round(time.monotonic() - began, 3)}


def _write_whole(job: Export) -> int:
    with replacing(job.dest) as (file, path):
        with job.stream() as read:
            counted = Counted(read)
            content = write_file(counted, file, job.params["format"], job.size, job.params["compression_level"])
        file.flush()
        _remember(job, path, content)
    return counted.bytes


def _write_changes(job: Export, base: str) -> int | None:
    """Only what differs from the disk that the file holds; None when the pool cannot tell, and the whole has to be written."""
    mark_unfinished(job.dest)
    try:
        with open(job.dest, "r+b", buffering=0) as file, job.stream(base) as read:
            counted = Counted(read)
            patch(changes(counted, job.size), file)
            os.fsync(file.fileno())
    except OSError as error:
        raise XenError(f"dest {job.dest!r} cannot be written: {error.strerror or error}") from error
    except XenError:
        return None
    _remember(job, job.dest, file_digest(job.dest, job.size))
    return counted.bytes


def _remember(job: Export, path: str, content: str) -> None:
    facts = {**job.asked, **job.origin, "content": content, "checksum": checksum(path)}
    write_record(job.dest, path, facts)
    with suppress(OSError):
        status = os.stat(path)
        job.facts = {**facts, "file": [status.st_size, status.st_mtime_ns]}


class Counted:
    """A function that reads, and how much it read."""

    def __init__(self, read: Any) -> None:
        self._read, self.bytes = read, 0

    def __call__(self, most: int) -> bytes:
        data: bytes = self._read(most)
        self.bytes += len(data)
        return data
