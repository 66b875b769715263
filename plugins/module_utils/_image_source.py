# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images: what they are, by their content, and the extents of the disk they hold (driver-operations §3.4, §8.2).

```
with opened(Origin("https://example.com/debian.qcow2"), "auto") as image:
    image.size, image.extents()
```

Nothing is held in memory but a few pieces, and no image is unpacked to the disk. What is wrong with an image is raised at
the latest at the end of its extents (a checksum, a missing layer), so a disk is good only when they ended.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO

from . import _partition, _qcow2, _tar, _vhd
from ._disk_build import Extent, file_extents, find_tool, trimmed
from ._errors import XenError
from ._image_bytes import FOOTER, PIECE, Bytes, Comparison, Origin, opened_file
from ._image_kind import BARE, HEAD, kind_of
from ._image_url import last_bytes, opened_url, spooled
from ._unpack import ZSTD, packed_as, unpacked_by_zstd, unpacker
from ._vhd_chain import Chain

# Packed bytes that surely hold HEAD unpacked ones.
PACKED_HEAD = 1024 * 1024
AMI_OFFSET = _partition.AMI_START * _partition.SECTOR


@dataclass(frozen=True)
class Image:
    """A disk in a file. ``size`` is None only when looked at and not known before all is unpacked."""

    format: str  # raw, vhd, qcow2, ami, iso
    size: int | None
    extents: Callable[[], Iterator[Extent]]


Ended = Callable[[], None]


@contextmanager
def opened(origin: Origin, format_: str, *, look: bool = False) -> Iterator[Image]:
    """The image at a place. With ``look`` only what can be known from its beginning, without fetching or unpacking it."""
    with ExitStack() as stack:
        if not origin.is_url:
            yield _local(stack, origin.place, origin, format_, look)
            return
        source, ended = stack.enter_context(opened_url(origin))
        image = _streamed(stack, source, ended, origin, format_, look)
        if image is None:
            path = stack.enter_context(spooled(origin, source, ended))
            image = _local(stack, path, Origin(path), format_, look)
        yield image


def _local(stack: ExitStack, path: str, origin: Origin, format_: str, look: bool) -> Image:
    file = stack.enter_context(opened_file(path))
    size = os.fstat(file.fileno()).st_size
    comparison = Comparison(path, None if look else origin.checksum)
    stack.callback(comparison.stop)
    packing = packed_as(os.pread(file.fileno(), HEAD, 0))
    if packing:
        return _unpacked(stack, file, packing, comparison.end, format_, look)
    kind = kind_of(os.pread(file.fileno(), HEAD, 0), format_, os.pread(file.fileno(), FOOTER, max(size - FOOTER, 0)))
    if kind == "qcow2":
        reader = _qcow2.Reader(lambda count, offset: os.pread(file.fileno(), count, offset), size)
        return _image(kind, reader.header.size, reader.extents, comparison.end)
    if kind in ("tar", "vhd"):
        return _front_to_back(Bytes(file.read, size), kind, comparison.end, format_)
    size = _fixed_size(os.pread(file.fileno(), FOOTER, size - FOOTER), size) if kind == "fixed" else size
    return _image(kind, size, lambda: file_extents(path, end=size), comparison.end)


def _unpacked(stack: ExitStack, file: BinaryIO, packing: str, ended: Ended, format_: str, look: bool) -> Image:
    """A packed file: of a bare disk inside, the size is found by unpacking it once before."""
    source = _unpacked_bytes(stack, file, packing)
    kind = kind_of(source.peek(HEAD), format_)
    if kind in ("tar", "vhd"):
        return _front_to_back(source, kind, ended, format_)
    if kind == "qcow2":
        raise XenError(f"this is a qcow2 image packed with {packing}, which cannot be read in parts; unpack it first, qcow2 compresses by itself")
    if look:
        return _unknown(kind)
    size, tail = _measured(source)
    kind = kind_of(_head(stack, file, packing), format_, tail)
    file.seek(0)
    return _bare(_unpacked_bytes(stack, file, packing), kind, size, ended, tail)


def _unpacked_bytes(stack: ExitStack, file: BinaryIO, packing: str) -> Bytes:
    file.seek(0)
    if packing == "zstd":
        return Bytes(stack.enter_context(unpacked_by_zstd(file)))
    return Bytes(unpacker(packing, file.read))


def _head(stack: ExitStack, file: BinaryIO, packing: str) -> bytes:
    return _unpacked_bytes(stack, file, packing).peek(HEAD)


def _measured(source: Bytes) -> tuple[int, bytes]:
    """How many bytes there are, and the last 512 of them."""
    size, tail = 0, b""
    while data := source.read(PIECE):
        size += len(data)
        tail = (tail + data[-FOOTER:])[-FOOTER:]
        if size > _vhd.LARGEST + FOOTER:
            raise XenError(f"this image holds more than {_vhd.LARGEST} bytes, which is more than a disk can have")
    return size, tail


def _streamed(stack: ExitStack, source: Bytes, ended: Ended, origin: Origin, format_: str, look: bool) -> Image | None:
    """An image that can be sent on while it is fetched; None for one that has to be fetched first."""
    packing = packed_as(source.peek(HEAD))
    if packing == ZSTD.name:
        find_tool(ZSTD)  # Before all of it is fetched.
        return _unknown("raw") if look else None
    # Looked at apart, as what was unpacked cannot be put back: the whole may have to be fetched first.
    head = Bytes(unpacker(packing, BytesIO(source.peek(PACKED_HEAD)).read)).peek(HEAD) if packing else source.peek(HEAD)
    tail = b"" if packing else _tail(head, origin, format_)
    kind = kind_of(head, format_, tail)
    if kind in ("tar", "vhd"):
        return _front_to_back(Bytes(unpacker(packing, source.read)) if packing else source, kind, ended, format_)
    if kind == "qcow2" and look and not packing:
        return Image(kind, _qcow2.Header.parse(head).size, lambda: iter(()))
    if kind == "qcow2" or packing or source.size is None or (kind == "fixed" and not tail):
        return _unknown(kind) if look else None
    return _bare(source, kind, source.size, ended, tail)


def _unknown(kind: str) -> Image:
    """An image of which its beginning does not tell the size."""
    return Image("vhd" if kind == "fixed" else kind, None, lambda: iter(()))


def _tail(head: bytes, origin: Origin, format_: str) -> bytes:
    """Asked for only where a footer may be: behind what looks like a bare disk."""
    bare = format_ in ("auto", "vhd") and kind_of(head, "auto") in BARE
    return last_bytes(origin) if bare else b""


def _front_to_back(source: Bytes, kind: str, ended: Ended, format_: str) -> Image:
    """A sparse VHD, or an archive: its first file is a disk, or the newest VHD of a chain."""
    if kind == "vhd":
        chain = Chain(source.read)
        if not chain.is_whole:
            raise _vhd.VhdError("this VHD is only the difference to another one; give the whole chain in a tarball, the newest first, or coalesce it")
        return _image("vhd", chain.size, lambda: _then(chain.extents(iter(())), source.drain), ended)
    members = _tar.members(source.read)
    first = next(members, None)
    if first is None:
        raise XenError("this archive holds no file; it has to hold a disk, or the VHDs of a chain")
    inside = Bytes(first.read, first.size)
    inner = kind_of(inside.peek(HEAD), format_)
    if inner == "vhd":
        chain = Chain(inside.read)
        return _image("vhd", chain.size, lambda: _then(chain.extents(member.read for member in members), source.drain), ended)
    if inner in ("tar", "qcow2") or packed_as(inside.peek(HEAD)):
        raise XenError(f"this archive holds {first.name!r}, which is packed once more; a bare disk or VHDs can be read from an archive")
    if inner == "fixed" or first.name.endswith(".vhd"):
        raise XenError(f"this archive holds the fixed VHD {first.name!r}; only sparse ones can be read from an archive")

    def alone() -> None:
        another = next(members, None)
        if another is not None:
            raise XenError(f"this archive holds {another.name!r} beside {first.name!r}; a bare disk has to be alone in it")
        source.drain()
        ended()

    return _bare(inside, inner, first.size, alone)


def _bare(source: Bytes, kind: str, size: int, ended: Ended, tail: bytes = b"") -> Image:
    size = _fixed_size(tail, size) if kind == "fixed" else size
    return _image(kind, size, lambda: _read(source, size, refuse_footer=kind == "raw"), ended)


def _fixed_size(tail: bytes, size: int) -> int:
    footer = _vhd.Footer.parse(tail)
    if footer.type != _vhd.FIXED or footer.size > size - FOOTER:
        raise _vhd.VhdError(f"this fixed VHD is broken: it has {size} bytes, its footer tells of a disk of {footer.size} bytes")
    return footer.size


def _read(source: Bytes, size: int, *, refuse_footer: bool) -> Iterator[Extent]:
    offset, data = 0, b""
    while offset < size:
        data = source.fill(min(PIECE, size - offset))
        if not data:
            raise XenError(f"this image ends at byte {offset}, not at {size}")
        yield Extent(offset, data)
        offset += len(data)
    if refuse_footer and data[-FOOTER:].startswith(b"conectix"):
        raise XenError("this image is a fixed VHD, as its end tells; set format to vhd")
    source.drain()


def _image(kind: str, size: int, extents: Callable[[], Iterator[Extent]], ended: Ended) -> Image:
    if size > _vhd.LARGEST:
        raise XenError(f"this image holds a disk of {size} bytes; {_vhd.LARGEST} is the most a disk can have")
    if kind == "ami":
        return Image(kind, AMI_OFFSET + size, lambda: _sparse(_then(_with_mbr(extents(), size), ended)))
    return Image("vhd" if kind == "fixed" else kind, size, lambda: _sparse(_then(extents(), ended)))


def _with_mbr(extents: Iterator[Extent], size: int) -> Iterator[Extent]:
    """A bare filesystem becomes the first partition of a disk."""
    sectors = -(-size // _partition.SECTOR) * _partition.SECTOR
    yield Extent(0, _partition.mbr(AMI_OFFSET + sectors, _partition.TYPES["linux"], start=_partition.AMI_START))
    for offset, data in extents:
        yield Extent(AMI_OFFSET + offset, data)


def _then(extents: Iterator[Extent], ended: Ended) -> Iterator[Extent]:
    yield from extents
    ended()


def _sparse(extents: Iterator[Extent]) -> Iterator[Extent]:
    try:
        for offset, data in extents:
            yield from trimmed(offset, data)
            # A sign of life: of a gigabyte of zeros nothing is sent, and its time is limited all the same.
            yield Extent(offset, b"")
    except OSError as error:
        raise XenError(f"the image cannot be read: {error.strerror or error}") from error
