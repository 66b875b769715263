# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks into image files: raw, VHD, qcow2, and a VHD in a packed archive as image services take it.

Input is always the sparse VHD that xapi streams, so zeros never travel, and a stream that is cut is noticed.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import tarfile
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from ._errors import XenError
from ._extent import PAGE, Extent, file_extents, trimmed
from ._private import write_at
from ._qcow2_file import write_image
from ._vhd import FOOTER, VhdError
from ._vhd_reader import SparseReader

PIECE = 4 * 1024 * 1024
USUAL_LEVEL = 6  # of gzip and of the old driver
MEMBER = "0.vhd"

Read = Callable[[int], bytes]
Write = Callable[[bytes], Any]


class ContentDigest:
    """A fingerprint of what is on a disk, however it is cut into extents: of its pages that are not zero, in order."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._page, self._buffer = -1, bytearray(PAGE)

    def add(self, offset: int, data: bytes) -> None:
        while data:
            page, inside = divmod(offset, PAGE)
            piece = data[: PAGE - inside]
            if page != self._page:
                self._flush()
                self._page = page
            self._buffer[inside : inside + len(piece)] = piece
            offset, data = offset + len(piece), data[len(piece) :]

    def _flush(self) -> None:
        if self._page >= 0 and self._buffer.strip(b"\0"):
            self._digest.update(self._page.to_bytes(8, "big") + self._buffer)
        self._buffer = bytearray(PAGE)

    def text(self, size: int) -> str:
        self._flush()
        self._page = -1
        self._digest.update(size.to_bytes(8, "big"))
        return f"pages:{self._digest.hexdigest()}"


def read_digest(read: Read, size: int) -> str:
    """The fingerprint of a disk as it comes from the pool."""
    digest = ContentDigest()
    for extent in _extents(_checked(read, size), digest):
        del extent
    return digest.text(size)


def file_digest(path: str, size: int) -> str:
    """The same of a raw file that holds the disk."""
    digest = ContentDigest()
    for offset, data in file_extents(path):
        digest.add(offset, data)
    return digest.text(size)


def write_file(read: Read, file: BinaryIO, form: str, size: int, level: int | None) -> str:
    """Write the disk into an empty file; returns the fingerprint of the disk."""
    digest = ContentDigest()
    if form in ("vhd", "tgz"):
        _write_vhd(read, file, size, digest, level if form == "tgz" else None, packed=form == "tgz")
    elif form == "qcow2":
        write_image(file.fileno(), size, _extents(_checked(read, size), digest), level)
    else:
        os.ftruncate(file.fileno(), size)
        patch(_extents(_checked(read, size), digest), file)
    return digest.text(size)


def patch(extents: Iterator[Extent], file: BinaryIO) -> None:
    """Write extents to their places."""
    for offset, data in extents:
        write_at(file.fileno(), data, offset)


def changes(read: Read, size: int) -> Iterator[Extent]:
    """What a stream of differences holds, zeros included: they may cover something older."""
    for offset, data in _checked(read, size, differences=True).extents():
        yield Extent(offset, data)


def checksum(path: str) -> str:
    """As sha256sum says."""
    digest = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        while data := file.read(PIECE):
            digest.update(data)
    return f"sha256:{digest.hexdigest()}"


def _checked(read: Read, size: int, *, differences: bool = False) -> SparseReader:
    reader = SparseReader(read)
    if reader.footer.size != size and not differences:
        raise VhdError(f"the pool sent a disk of {reader.footer.size} bytes, not of {size}")
    return reader


def _extents(reader: SparseReader, digest: ContentDigest) -> Iterator[Extent]:
    for offset, data in reader.extents():
        for extent in trimmed(offset, data):
            digest.add(extent.offset, extent.data)
            yield extent


# VHD: passed on as it comes, and read on the way


def _write_vhd(read: Read, file: BinaryIO, size: int, digest: ContentDigest, level: int | None, *, packed: bool) -> None:
    if not packed:
        _pass_on(read, file.write, size, digest)
        return
    with gzip.GzipFile(filename="", fileobj=file, mode="wb", compresslevel=level or USUAL_LEVEL, mtime=0) as archive:
        length = _pass_on(read, archive.write, size, digest, announce=lambda length: archive.write(_member(length)))
        archive.write(bytes(-length % tarfile.BLOCKSIZE + 2 * tarfile.BLOCKSIZE))


def _member(length: int) -> bytes:
    info = tarfile.TarInfo(MEMBER)
    info.size, info.mode = length, 0o600
    return info.tobuf(tarfile.GNU_FORMAT)


def _pass_on(read: Read, write: Write, size: int, digest: ContentDigest, announce: Callable[[int], Any] | None = None) -> int:
    """Copy a VHD; ``announce`` is told its length as soon as its block table is known, before a byte is written.

    Its footers are written anew: for a creator it does not know, as xapi's, qemu-img rounds the size to a geometry.
    """
    head: list[bytes] = []
    sink: list[Write] = [head.append]
    passed = 0

    def tee(most: int) -> bytes:
        nonlocal passed
        data = read(most)
        passed += len(data)
        sink[0](data)
        return data

    reader = _checked(tee, size)
    # Behind the last block the footer comes again.
    length, footer = reader.end + FOOTER.size, reader.footer.pack()
    if announce:
        announce(length)
    write(footer + b"".join(head)[len(footer) :])
    sink[0] = write
    for extent in _extents(reader, digest):
        del extent
    rest: list[bytes] = []
    sink[0] = rest.append
    while tee(PIECE):
        pass
    if passed != length:
        raise VhdError(f"the pool sent a VHD of {passed} bytes, but by its block table it has {length}")
    write(b"".join(rest)[: -len(footer)] + footer)
    return length


def refuse_level(form: str, level: int | None) -> None:
    """Levels are those of zlib, and only for what is packed."""
    if level is None:
        return
    if not 1 <= level <= 9:
        raise XenError(f"compression_level must be from 1 to 9, not {level}")
    if form not in ("tgz", "qcow2"):
        raise XenError(f"compression_level is for the formats tgz and qcow2; {form} is not compressed")
