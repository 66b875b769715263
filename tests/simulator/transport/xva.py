# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The archive of a VM: a tar of ova.xml and of the disks in chunks with checksums (facts 4.3, ocaml/xapi/stream_vdi.ml)."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from ..engine.failure import Failure
from ..storage import Volume
from . import rpc
from .xxhash import xxh64

OVA = "ova.xml"
CHUNK = 1 << 20
RECORD = 512
# A file of an archive is held in memory as a whole: ova.xml, or a chunk.
LARGEST = 64 * 1024 * 1024
CHECKSUM = ".xxhash"
# How a chunk is summed up, by the ending of the file that says so; the second is that of xapi before 2020.
DIGESTS: dict[str, Callable[[bytes], str]] = {CHECKSUM: xxh64, ".checksum": lambda data: hashlib.sha1(data, usedforsecurity=False).hexdigest()}
END = bytes(2 * RECORD)
Read = Callable[[int], Awaitable[bytes]]


# Out


def member(name: str, data: bytes, modified: float) -> bytes:
    """A file of the archive."""
    info = tarfile.TarInfo(name)
    info.size, info.mtime, info.mode = len(data), int(modified), 0o400
    return info.tobuf(tarfile.USTAR_FORMAT) + data + bytes(-len(data) % RECORD)


def ova_xml(version: dict[str, str], objects: list[dict[str, Any]]) -> bytes:
    return rpc.xml_value({"version": version, "objects": objects}).encode()


def disk_members(name: str, volume: Volume, modified: float) -> Iterator[bytes]:
    """The chunks of a disk that hold something, and always the first and the last; each with its checksum."""
    last = (volume.size - 1) // CHUNK
    for number in range(last + 1):
        offset = number * CHUNK
        size = min(CHUNK, volume.size - offset)
        if number not in (0, last) and all(layer is None for _unused, _unused, layer in volume.runs(offset, size)):
            continue
        data = volume.read(offset, size)
        if number in (0, last) or any(data):
            path = f"{name}/{number:08d}"
            yield member(path, data, modified) + member(path + CHECKSUM, xxh64(data).encode(), modified)


# In


@dataclass(frozen=True)
class Entry:
    name: str
    size: int


class Archive:
    """An archive being read from front to back; `read` gives exactly as many bytes as asked for, or raises."""

    def __init__(self, read: Read) -> None:
        self._read = read

    async def next(self) -> Entry | None:
        """The next file; its bytes come with `data`. Nothing at the end."""
        header = await self._read(RECORD)
        if not any(header):
            return None
        try:
            info = tarfile.TarInfo.frombuf(header, "utf-8", "strict")
        except tarfile.HeaderError as error:
            raise Failure("IMPORT_ERROR", f"not a tar archive: {error}") from None
        if info.size < 0:
            raise Failure("IMPORT_ERROR", f"{info.name} has {info.size} bytes")
        return Entry(info.name, info.size)

    async def data(self, entry: Entry) -> bytes:
        if entry.size > LARGEST:
            raise Failure("IMPORT_ERROR", f"{entry.name} has {entry.size} bytes, more than {LARGEST}")
        padded = await self._read(entry.size + -entry.size % RECORD)
        return padded[: entry.size]


def made_by(version: dict[str, str]) -> tuple[int, int]:
    """The version of the xapi that made an archive; what says nothing is older than all."""
    try:
        return int(version["xapi_major"]), int(version["xapi_minor"].partition(".")[0] or 0)
    except (LookupError, TypeError, ValueError):
        return 0, 0


def read_ova_xml(text: bytes) -> tuple[dict[str, str], list[dict[str, Any]]]:
    """What made an ova.xml, and its objects."""
    if b"<!DOCTYPE" in text or b"<!ENTITY" in text:
        raise Failure("IMPORT_ERROR", "ova.xml declares entities")
    try:
        header = _value(ElementTree.fromstring(text.decode()))
        return header["version"], [_object(one) for one in header["objects"]]
    except (ElementTree.ParseError, LookupError, TypeError, ValueError, RecursionError) as error:
        raise Failure("IMPORT_ERROR", f"ova.xml cannot be understood: {error!r}") from None


def _object(one: Any) -> dict[str, Any]:
    if not (isinstance(one["class"], str) and isinstance(one["id"], str) and isinstance(one["snapshot"], dict)):
        raise TypeError("an object is a class, a name and a record")
    return {name: one[name] for name in ("class", "id", "snapshot")}


def _value(node: ElementTree.Element) -> Any:
    if len(node) == 0:
        return node.text or ""
    inner = node[0]
    if inner.tag == "struct":
        return {one[0].text or "": _value(one[1]) for one in inner}
    if inner.tag == "array":
        return [_value(one) for one in inner[0]]
    if inner.tag == "boolean":
        return inner.text == "1"
    return float(inner.text or 0) if inner.tag == "double" else inner.text or ""
