# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disk contents in local raw files: what is in them, where it is not zero, and files with holes written.

A fingerprint is the SHA-256 of the blocks that are not zero, of where they are, and of the size. It is the same however
the file is stored, and takes no time for what is empty: hashing the zeros of 20 GiB would take longer than to send the rest.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO, NamedTuple

from ._errors import XenError

# The unit in which zeros are looked for; disks are written with direct I/O, which wants such pieces too.
BLOCK = 4096
WINDOW = 1024 * 1024
ZEROS = bytes(WINDOW)
FINGERPRINT = "sparse-sha256"


class Span(NamedTuple):
    """A stretch of the disk that is not all zero."""

    offset: int
    length: int


class RawFile(NamedTuple):
    """A local raw file as it was when it was looked at."""

    path: str
    size: int
    fingerprint: str
    spans: list[Span]
    stamp: tuple[int, ...]

    @property
    def data_size(self) -> int:
        """Bytes that are not in holes: what has to be sent, and what a thin disk takes."""
        return sum(span.length for span in self.spans)


def scan(path: str, option: str) -> RawFile:
    """Read a file once: its fingerprint, and the spans that are not zero. Holes are not even read."""
    try:
        status = os.stat(path)
        _refuse_no_content(path, option, status)
        with open(path, "rb") as file:
            digest = hashlib.sha256()
            spans = list(_joined(_non_zero(file, status.st_size, digest)))
            for number in (number for span in spans for number in span):
                digest.update(number.to_bytes(8, "little"))
            digest.update(status.st_size.to_bytes(8, "little"))
            raw = RawFile(path, status.st_size, f"{FINGERPRINT}:{digest.hexdigest()}", spans, _stamp(status))
    except FileNotFoundError:
        raise XenError(f"{option} {path!r} does not exist on the machine where the module runs; check the path, or copy it there") from None
    except OSError as error:
        raise XenError(f"{option} {path!r} cannot be read: {error.strerror or error}") from error
    refuse_changed(raw)
    return raw


def _refuse_no_content(path: str, option: str, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise XenError(f"{option} {path!r} is no file")
    if status.st_size == 0:
        raise XenError(f"{option} {path!r} is empty; give the raw image of a disk")


def _stamp(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def refuse_changed(raw: RawFile) -> None:
    """Refuse when the file is no longer what was looked at: its fingerprint would be a lie."""
    try:
        same = _stamp(os.stat(raw.path)) == raw.stamp
    except OSError:
        same = False
    if not same:
        raise XenError(f"{raw.path!r} changed while it was read; run the task again when nobody writes to it")


def _non_zero(file: BinaryIO, size: int, digest: Any) -> Iterator[Span]:
    """The stretches that are not zero, some of them neighbours; the digest gets their bytes."""
    for start, end in _data_ranges(file, size):
        file.seek(start)
        position = start
        while position < end:
            window = file.read(min(WINDOW, end - position))
            if not window:
                break
            for span in _joined(_blocks_of(window)):
                digest.update(window[span.offset : span.offset + span.length])
                yield Span(position + span.offset, span.length)
            position += len(window)


def _data_ranges(file: BinaryIO, size: int) -> Iterator[tuple[int, int]]:
    """The parts of a file that are no holes, widened to whole blocks; all of it where the file system cannot tell."""
    position = 0
    while position < size:
        try:
            start = os.lseek(file.fileno(), position, os.SEEK_DATA)
            end = os.lseek(file.fileno(), start, os.SEEK_HOLE)
        except OSError as error:
            if error.errno != errno.ENXIO:  # ENXIO: only a hole is left. Anything else: holes are unknown here.
                yield position, size
            return
        start = max(start - start % BLOCK, position)
        end = min(end + -end % BLOCK, size)
        yield start, end
        position = end


def _blocks_of(window: bytes) -> Iterator[Span]:
    """The blocks of a window that are not zero."""
    if window == ZEROS[: len(window)]:
        return
    for index in range(0, len(window), BLOCK):
        block = window[index : index + BLOCK]
        if block != ZEROS[: len(block)]:
            yield Span(index, len(block))


def _joined(spans: Iterable[Span]) -> Iterator[Span]:
    """Neighbours as one."""
    last: Span | None = None
    for span in spans:
        if last and last.offset + last.length == span.offset:
            last = Span(last.offset, last.length + span.length)
            continue
        if last:
            yield last
        last = span
    if last:
        yield last


def read_at(file: BinaryIO, offset: int, length: int) -> bytes:
    """Bytes of a disk whose beginning is the file; what lies behind the file is zero."""
    try:
        file.seek(offset)
        data = file.read(length)
    except OSError as error:
        raise XenError(f"{file.name!r} cannot be read: {error.strerror or error}") from error
    return data + bytes(length - len(data))


def write_sparse(file: BinaryIO, data: bytes) -> None:
    """Append, leaving holes where there are zeros. The file has to be truncated to its size at the end."""
    try:
        if data == ZEROS[: len(data)]:
            file.seek(len(data), os.SEEK_CUR)
            return
        for index in range(0, len(data), BLOCK):
            block = data[index : index + BLOCK]
            if block == ZEROS[: len(block)]:
                file.seek(len(block), os.SEEK_CUR)
            else:
                file.write(block)
    except OSError as error:
        raise XenError(f"{file.name!r} cannot be written: {error.strerror or error}; free space, or choose another place") from error
