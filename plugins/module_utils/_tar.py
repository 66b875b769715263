# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tar archives front to back: the sizes and bytes of regular files, nothing else, in bounded memory.

POSIX.1-2017 pax and the GNU extensions for long names and large sizes. Records that only describe are capped, so that
an archive cannot claim a name of a gigabyte.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from ._errors import XenError

BLOCK = 512
MOST_DESCRIPTION = 1024 * 1024
REGULAR = {b"0", b"\0", b"7"}
DESCRIPTIONS = {b"x", b"g", b"L", b"K"}
SPARSE = b"S"
PIECE = 1024 * 1024

Read = Callable[[int], bytes]


class Member(NamedTuple):
    """A regular file of the archive; ``read`` gives its bytes until the next member is asked for."""

    name: str
    size: int
    read: Read


def members(read: Read) -> Iterator[Member]:
    """The regular files, one after the other."""
    size_in_pax: int | None = None
    while True:
        header = _exactly(read, BLOCK, "in a header")
        if not header.strip(b"\0"):
            return
        _verify(header)
        size, kind = _number(header[124:136]), header[156:157]
        if kind == SPARSE:
            raise XenError("this archive stores its files sparsely; make it without the option --sparse")
        if kind in DESCRIPTIONS:
            size_in_pax = _described(read, size, kind, size_in_pax)
            continue
        size, size_in_pax = size if size_in_pax is None else size_in_pax, None
        window = _Window(read, size)
        if kind in REGULAR:
            yield Member(header[:100].rstrip(b"\0").decode("utf-8", "replace"), size, window)
        window.skip()


class _Window:
    """The bytes of one member, and of the padding behind it."""

    def __init__(self, read: Read, size: int) -> None:
        self._read, self._left, self._padding = read, size, -size % BLOCK

    def __call__(self, most: int) -> bytes:
        if not self._left:
            return b""
        data = self._read(min(most, self._left))
        if not data:
            raise XenError(f"this archive ends {self._left} bytes before the end of a file in it")
        self._left -= len(data)
        return data

    def skip(self) -> None:
        while self(PIECE):
            pass
        _exactly(self._read, self._padding, "behind a file")


def _described(read: Read, size: int, kind: bytes, before: int | None) -> int | None:
    """The size that a pax header gives to the next member, or the one known before."""
    if size > MOST_DESCRIPTION:
        raise XenError(f"this archive is broken: a name or description in it has {size} bytes")
    text = _exactly(read, size + -size % BLOCK, "in a description")[:size]
    if kind != b"x":
        return before
    if b" GNU.sparse." in text:
        raise XenError("this archive stores its files sparsely; make it without the option --sparse")
    found = re.search(rb"(?:^|\n)\d+ size=(\d{1,20})\n", text)
    return int(found[1]) if found else before


def _verify(header: bytes) -> None:
    # The sum counts its own field as blanks.
    if sum(header) - sum(header[148:156]) + 8 * 0x20 != _number(header[148:156]):
        raise XenError("this archive is broken: the checksum of a header is wrong")


def _number(field: bytes) -> int:
    if field[0] & 0x80:  # GNU: a binary number
        return int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
    digits = field.rstrip(b" \0").lstrip()
    if digits and not re.fullmatch(rb"[0-7]+", digits):
        raise XenError("this archive is broken: a number in a header makes no sense")
    return int(digits or b"0", 8)


def _exactly(read: Read, count: int, where: str) -> bytes:
    data = b""
    while len(data) < count:
        piece = read(count - len(data))
        if not piece:
            raise XenError(f"this archive ends {where}")
        data += piece
    return data
