# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is in an image, as extents of the disk: bare disks cut into pieces, a partition table before a bare filesystem."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from . import _partition, _vhd
from ._errors import XenError
from ._extent import Extent, trimmed
from ._image_bytes import FOOTER, PIECE, Bytes

AMI_OFFSET = _partition.AMI_START * _partition.SECTOR
Ended = Callable[[], None]


@dataclass(frozen=True)
class Image:
    """A disk in a file. ``size`` is None only when looked at and not known before all is unpacked."""

    format: str  # raw, vhd, qcow2, ami, iso
    size: int | None
    extents: Callable[[], Iterator[Extent]]


def bare(source: Bytes, kind: str, size: int, ended: Ended, tail: bytes = b"") -> Image:
    size = fixed_size(tail, size) if kind == "fixed" else size
    return made_of(kind, size, lambda: _read(source, size, refuse_footer=kind == "raw"), ended)


def fixed_size(tail: bytes, size: int) -> int:
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


def made_of(kind: str, size: int, extents: Callable[[], Iterator[Extent]], ended: Ended) -> Image:
    if size > _vhd.LARGEST:
        raise XenError(f"this image holds a disk of {size} bytes; {_vhd.LARGEST} is the most a disk can have")
    if kind == "ami":
        return Image(kind, AMI_OFFSET + size, lambda: _sparse(then(_with_mbr(extents(), size), ended)))
    return Image("vhd" if kind == "fixed" else kind, size, lambda: _sparse(then(extents(), ended)))


def _with_mbr(extents: Iterator[Extent], size: int) -> Iterator[Extent]:
    """A bare filesystem becomes the first partition of a disk."""
    sectors = -(-size // _partition.SECTOR) * _partition.SECTOR
    yield Extent(0, _partition.mbr(AMI_OFFSET + sectors, _partition.TYPES["linux"], start=_partition.AMI_START))
    for offset, data in extents:
        yield Extent(AMI_OFFSET + offset, data)


def then(extents: Iterator[Extent], ended: Ended) -> Iterator[Extent]:
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
