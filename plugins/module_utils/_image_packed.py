# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A packed image file: its unpacked bytes front to back, as often as they are needed, and how many there are."""

from __future__ import annotations

from contextlib import ExitStack
from typing import BinaryIO

from . import _vhd
from ._errors import XenError
from ._image_bytes import FOOTER, PIECE, Bytes
from ._transfer import Deadline
from ._unpack import ZSTD, unpacked_by_zstd, unpacker


class Packed:
    """What it opens is closed with the stack."""

    def __init__(self, stack: ExitStack, file: BinaryIO, packing: str, deadline: Deadline) -> None:
        self._stack, self._file, self._deadline = stack, file, deadline
        self.packing = packing

    def unpacked(self) -> Bytes:
        """From the beginning. What was unpacked before is of no use after that: there is one file."""
        self._file.seek(0)
        if self.packing == ZSTD.name:
            return Bytes(self._stack.enter_context(unpacked_by_zstd(self._file)))
        return Bytes(unpacker(self.packing, self._file.read))

    def measured(self) -> tuple[int, bytes]:
        """How many bytes there are, and the last 512 of them. A few megabytes may unpack to a terabyte, so the time is limited."""
        source, size, tail = self.unpacked(), 0, b""
        while data := source.read(PIECE):
            self._deadline.check()
            size += len(data)
            tail = (tail + data[-FOOTER:])[-FOOTER:]
            if size > _vhd.LARGEST + FOOTER:
                raise XenError(f"this image holds more than {_vhd.LARGEST} bytes, which is more than a disk can have")
        return size, tail
