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
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from io import BytesIO

from . import _qcow2, _tar, _vhd
from ._errors import XenError
from ._extent import file_extents
from ._image_bytes import FOOTER, Bytes, Comparison, Origin, opened_file
from ._image_extents import Ended, Image, bare, fixed_size, made_of, then
from ._image_kind import HEAD, kind_of, looks_bare
from ._image_packed import Packed
from ._image_url import last_bytes, opened_url, spooled
from ._tool import find_tool
from ._transfer import Deadline
from ._unpack import ZSTD, packed_as, unpacker
from ._vhd_chain import Chain

# Packed bytes that surely hold HEAD unpacked ones.
PACKED_HEAD = 1024 * 1024


@contextmanager
def opened(origin: Origin, format_: str, *, look: bool = False, timeout: float = 3600.0) -> Iterator[Image]:
    """The image at a place. With ``look`` only what can be known from its beginning, without fetching or unpacking it."""
    deadline = Deadline(timeout, f"image {origin.shown} to be read")
    with ExitStack() as stack:
        if not origin.is_url:
            yield _local(stack, origin.place, origin, format_, look, deadline)
            return
        source, ended = stack.enter_context(opened_url(origin, deadline))
        image = _streamed(stack, source, ended, origin, format_, look)
        if image is None:
            path = stack.enter_context(spooled(origin, source, ended))
            image = _local(stack, path, Origin(path), format_, look, deadline)
        yield image


def _local(stack: ExitStack, path: str, origin: Origin, format_: str, look: bool, deadline: Deadline) -> Image:
    file = stack.enter_context(opened_file(path))
    size = os.fstat(file.fileno()).st_size
    comparison = Comparison(path, None if look else origin.checksum)
    stack.callback(comparison.stop)
    packing = packed_as(os.pread(file.fileno(), HEAD, 0))
    if packing:
        return _unpacked(Packed(stack, file, packing, deadline), comparison.end, format_, look)
    kind = kind_of(os.pread(file.fileno(), HEAD, 0), format_, os.pread(file.fileno(), FOOTER, max(size - FOOTER, 0)), size)
    if kind == "qcow2":
        reader = _qcow2.Reader(lambda count, offset: os.pread(file.fileno(), count, offset), size)
        return made_of(kind, reader.header.size, reader.extents, comparison.end)
    if kind in ("tar", "vhd"):
        return _front_to_back(Bytes(file.read, size), kind, comparison.end, format_)
    size = fixed_size(os.pread(file.fileno(), FOOTER, size - FOOTER), size) if kind == "fixed" else size
    return made_of(kind, size, lambda: file_extents(path, end=size), comparison.end)


def _unpacked(packed: Packed, ended: Ended, format_: str, look: bool) -> Image:
    """A packed file: of a bare disk inside, the size is found by unpacking it once before."""
    source = packed.unpacked()
    head = source.peek(HEAD)
    kind = kind_of(head, format_)
    if kind in ("tar", "vhd"):
        return _front_to_back(source, kind, ended, format_)
    if kind == "qcow2":
        raise XenError(f"this is a qcow2 image packed with {packed.packing}, which cannot be read in parts; unpack it first, qcow2 compresses by itself")
    if look:
        return _unknown(kind)
    size, tail = packed.measured()
    return bare(packed.unpacked(), kind_of(head, format_, tail, size), size, ended, tail)


def _streamed(stack: ExitStack, source: Bytes, ended: Ended, origin: Origin, format_: str, look: bool) -> Image | None:
    """An image that can be sent on while it is fetched; None for one that has to be fetched first."""
    packing = packed_as(source.peek(HEAD))
    if packing == ZSTD.name:
        find_tool(ZSTD)  # Before all of it is fetched.
        return _unknown("raw") if look else None
    # Looked at apart, as what was unpacked cannot be put back: the whole may have to be fetched first.
    head = Bytes(unpacker(packing, BytesIO(source.peek(PACKED_HEAD)).read)).peek(HEAD) if packing else source.peek(HEAD)
    tail = b"" if packing else _tail(head, origin, format_)
    kind = kind_of(head, format_, tail, None if packing else source.size)
    if kind in ("tar", "vhd"):
        return _front_to_back(Bytes(unpacker(packing, source.read)) if packing else source, kind, ended, format_)
    if kind == "qcow2" and look and not packing:
        return Image(kind, _qcow2.Header.parse(head).size, lambda: iter(()))
    if kind == "qcow2" or packing or source.size is None or (kind == "fixed" and not tail):
        return _unknown(kind) if look else None
    return bare(source, kind, source.size, ended, tail)


def _unknown(kind: str) -> Image:
    """An image of which its beginning does not tell the size."""
    return Image("vhd" if kind == "fixed" else kind, None, lambda: iter(()))


def _tail(head: bytes, origin: Origin, format_: str) -> bytes:
    """Asked for only where a footer may be: behind what looks like a bare disk."""
    bare = format_ in ("auto", "vhd") and looks_bare(head)
    return last_bytes(origin) if bare else b""


def _front_to_back(source: Bytes, kind: str, ended: Ended, format_: str) -> Image:
    """A sparse VHD, or an archive: its first file is a disk, or the newest VHD of a chain."""
    if kind == "vhd":
        chain = Chain(source.read)
        if not chain.is_whole:
            raise _vhd.VhdError("this VHD is only the difference to another one; give the whole chain in a tarball, the newest first, or coalesce it")
        return made_of("vhd", chain.size, lambda: then(chain.extents(iter(())), source.drain), ended)
    members = _tar.members(source.read)
    first = next(members, None)
    if first is None:
        raise XenError("this archive holds no file; it has to hold a disk, or the VHDs of a chain")
    inside = Bytes(first.read, first.size)
    head = inside.peek(HEAD)
    packed = packed_as(head)
    inner = packed or kind_of(head, format_, size=first.size)
    if inner == "vhd":
        chain = Chain(inside.read)
        return made_of("vhd", chain.size, lambda: then(chain.extents(member.read for member in members), source.drain), ended)
    if packed or inner in ("tar", "qcow2"):
        raise XenError(f"this archive holds {first.name!r}, which is packed once more; a bare disk or VHDs can be read from an archive")
    if inner == "fixed" or first.name.endswith(".vhd"):
        raise XenError(f"this archive holds the fixed VHD {first.name!r}; only sparse ones can be read from an archive")

    def alone() -> None:
        another = next(members, None)
        if another is not None:
            raise XenError(f"this archive holds {another.name!r} beside {first.name!r}; a bare disk has to be alone in it")
        source.drain()
        ended()

    return bare(inside, inner, first.size, alone)
