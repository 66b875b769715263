# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks into local raw files, over HTTP (facts §4.2).

The bytes travel as a VHD, which holds only the blocks that are used: a raw stream has every zero of a disk. What is
too large for a VHD travels raw. xapi sends no length, and says success also when it sent too little (recording
``http``): so the VHD is read to its end mark, and raw bytes are counted.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from typing import BinaryIO

from ._disk_read import exported
from ._errors import XenError
from ._raw_file import write_sparse
from ._transfer import Session, Transfer
from ._vhd import FOOTER, LARGEST, Footer
from ._vhd_reader import SparseReader

READ = 1024 * 1024
Read = Callable[[int], bytes]


def export_file(session: Session, vdi: str, disk_size: int, dest: str, *, timeout: float) -> Transfer:
    """Write what is on a disk to a raw file with holes. The file appears under its name only when it is complete."""
    began = time.monotonic()
    form, receive = ("vhd", _receive_vhd) if disk_size <= LARGEST else ("raw", _receive_raw)
    with _replacing(dest) as file:
        with exported(session, vdi, form, label=os.path.basename(dest), timeout=timeout) as read:
            counted = _Counted(read)
            receive(counted, file, disk_size)
        file.truncate(disk_size)
    return Transfer(counted.count, disk_size, time.monotonic() - began)


def _receive_vhd(read: Read, file: BinaryIO, disk_size: int) -> None:
    reader = SparseReader(read)
    if reader.footer.size != disk_size:
        raise XenError(f"the disk has {disk_size} bytes, but a disk of {reader.footer.size} arrived; run the task again")
    for offset, data in reader.extents():
        file.seek(offset)
        write_sparse(file, data)
    # The footer comes again at the end of every VHD: with it the last block is whole.
    Footer.parse(_take(read, FOOTER.size))


def _receive_raw(read: Read, file: BinaryIO, disk_size: int) -> None:
    received = 0
    while data := read(READ):
        received += len(data)
        write_sparse(file, data)
    if received != disk_size:
        raise XenError(f"the disk has {disk_size} bytes, but {received} arrived; look at the host, and run the task again")


def _take(read: Read, count: int) -> bytes:
    data = b""
    while len(data) < count and (part := read(count - len(data))):
        data += part
    return data


class _Counted:
    """A function ``read(most)`` that counts."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self.count = 0

    def __call__(self, most: int) -> bytes:
        data = self._read(most)
        self.count += len(data)
        return data


class _replacing:  # noqa: N801  # reads as a function
    """A new file beside ``dest`` that takes its place when the block succeeds. Readable by its owner only."""

    def __init__(self, dest: str) -> None:
        self._dest = dest

    def __enter__(self) -> BinaryIO:
        folder, name = os.path.split(os.path.abspath(self._dest))
        try:
            handle, self._path = tempfile.mkstemp(prefix=f".{name}.", dir=folder)
        except OSError as error:
            raise XenError(f"{self._dest!r} cannot be written: {error.strerror or error}") from error
        self._file = os.fdopen(handle, "wb")
        return self._file

    def __exit__(self, kind: object, *_error: object) -> None:
        try:
            self._file.close()
            if kind is None:
                os.replace(self._path, self._dest)
                return
        except OSError as error:
            if kind is None:
                self._discard()
                raise XenError(f"{self._dest!r} cannot be written: {error.strerror or error}") from error
        self._discard()

    def _discard(self) -> None:
        with suppress(OSError):
            os.unlink(self._path)
