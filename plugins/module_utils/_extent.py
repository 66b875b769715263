# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pieces of a disk that hold something, as all that makes contents hands them on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

PAGE = 4096
PIECE = 4 * 1024 * 1024


class Extent(NamedTuple):
    """Bytes at an offset of the disk."""

    offset: int
    data: bytes


def file_extents(path: Path | str, offset: int = 0, end: int | None = None) -> Iterator[Extent]:
    """What a sparse file holds up to ``end``, in pieces of 4 MiB at most, holes and zero pages left out; ``offset`` is added."""
    with open(path, "rb", buffering=0) as file:
        descriptor, end = file.fileno(), os.fstat(file.fileno()).st_size if end is None else end
        position = 0
        while position < end:
            try:
                first = os.lseek(descriptor, position, os.SEEK_DATA)
            except OSError:  # ENXIO: nothing but a hole up to the end
                return
            last = min(os.lseek(descriptor, first, os.SEEK_HOLE), end)
            first -= first % PAGE
            for start in range(first, last, PIECE):
                data = os.pread(descriptor, min(PIECE, last - start), start)
                yield from trimmed(offset + start, data)
            position = last


def trimmed(offset: int, data: bytes) -> Iterator[Extent]:
    """The runs of pages in ``data`` that are not all zero."""
    if not data.strip(b"\0"):
        return
    zero, start = bytes(PAGE), None
    if data.find(zero) < 0:  # Looking for a zero page anywhere is far cheaper than looking at every page.
        yield Extent(offset, data)
        return
    for position in range(0, len(data), PAGE):
        if data[position : position + PAGE] != zero[: len(data) - position]:
            start = position if start is None else start
        elif start is not None:
            yield Extent(offset + start, data[start:position])
            start = None
    if start is not None:
        yield Extent(offset + start, data[start:])
