# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""VHD files: what qemu-img makes is read, what we make qemu-img accepts, and broken ones end in a clear error."""

from __future__ import annotations

import io
import os
import random
import shutil
import struct
import subprocess
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.xapi.xenserver.plugins.module_utils import _vhd, _vhd_reader, _vhd_writer

MIB = 1024 * 1024
QEMU = shutil.which("qemu-img")
needs_qemu = pytest.mark.skipif(QEMU is None, reason="qemu-img is not installed (Debian package qemu-utils)")


def made(size: int, blocks: dict[int, bytes]) -> bytes:
    return b"".join(_vhd_writer.sparse_file(size, blocks, lambda number: blocks[number]))


def content(vhd: bytes) -> bytes:
    reader = _vhd_reader.SparseReader(io.BytesIO(vhd).read)
    disk = bytearray(reader.footer.size)
    for extent in reader.extents():
        disk[extent.offset : extent.offset + len(extent.data)] = extent.data
    return bytes(disk)


def qemu(*arguments: str | Path) -> None:
    assert QEMU
    subprocess.run([QEMU, *map(str, arguments)], check=True, capture_output=True)


@needs_qemu
def test_a_dynamic_vhd_of_qemu_img_is_read(tmp_path: Path) -> None:
    raw, vhd = tmp_path / "disk.raw", tmp_path / "disk.vhd"
    disk = bytearray(24 * MIB)
    disk[0:4096] = random.Random(1).randbytes(4096)
    disk[9 * MIB + 512 : 9 * MIB + 1024] = b"x" * 512
    raw.write_bytes(disk)
    qemu("convert", "-f", "raw", "-O", "vpc", "-o", "subformat=dynamic,force_size=on", raw, vhd)
    assert content(vhd.read_bytes()) == disk


@needs_qemu
def test_qemu_img_reads_what_we_write(tmp_path: Path) -> None:
    vhd, raw = tmp_path / "disk.vhd", tmp_path / "disk.raw"
    blocks = {0: os.urandom(2 * MIB), 3: b"three".ljust(2 * MIB, b"\0"), 6: os.urandom(2 * MIB)}
    vhd.write_bytes(made(14 * MIB, blocks))
    qemu("convert", "-f", "vpc", "-O", "raw", vhd, raw)
    disk = raw.read_bytes()[: 14 * MIB]
    assert disk == b"".join(blocks.get(number, bytes(2 * MIB)) for number in range(7))


@pytest.mark.parametrize("used", [0, 1, 3])
def test_size_is_known_before_writing(used: int) -> None:
    vhd = made(11 * MIB, dict.fromkeys(range(used), b"data"))
    assert len(vhd) == _vhd_writer.sparse_file_size(11 * MIB, used)


@given(st.dictionaries(st.integers(0, 4), st.binary(min_size=1, max_size=600), max_size=5), st.integers(1, 2 * 2048))
@settings(max_examples=25, deadline=None)
def test_round_trip(blocks: dict[int, bytes], last_sectors: int) -> None:
    size = 4 * _vhd.VHD_BLOCK + last_sectors * 512
    wanted = bytearray(size)
    for number, data in blocks.items():
        part = data[: size - number * _vhd.VHD_BLOCK]
        wanted[number * _vhd.VHD_BLOCK : number * _vhd.VHD_BLOCK + len(part)] = part
    assert content(made(size, blocks)) == wanted


# Broken files


def broken(change: object) -> str:
    """The error that a changed VHD ends in."""
    vhd = bytearray(made(8 * MIB, {1: b"one", 2: b"two"}))
    change(vhd)  # type: ignore[operator]
    with pytest.raises(_vhd.VhdError) as caught:
        content(bytes(vhd))
    return str(caught.value)


def sealed_header(vhd: bytearray, position: int, value: bytes) -> None:
    vhd[512 + position : 512 + position + len(value)] = value
    vhd[512 + 36 : 512 + 40] = struct.pack(">I", _vhd._checksum(bytes(vhd[512:1536]), 36))


def sealed_footer(vhd: bytearray, position: int, value: bytes) -> None:
    vhd[position : position + len(value)] = value
    vhd[64:68] = struct.pack(">I", _vhd._checksum(bytes(vhd[:512]), 64))


def test_truncation_is_an_error_not_a_hang() -> None:
    """At every byte of the headers and of the table, and in the blocks."""
    vhd = made(8 * MIB, {1: b"one", 2: b"two"})
    for length in (*range(2049), 2048 + 512, 2 * MIB, len(vhd) // 2, len(vhd) - 512 - 1):
        with pytest.raises(_vhd.VhdError, match=r"ends at byte|no VHD"):
            content(vhd[:length])


@given(st.lists(st.integers(0, 2**32 - 1), min_size=4, max_size=4))
@settings(max_examples=200, deadline=None)
def test_any_block_table_ends_in_a_disk_or_in_an_error(sectors: list[int]) -> None:
    vhd = bytearray(made(8 * MIB, {1: b"one", 2: b"two"}))
    vhd[1536:1552] = struct.pack(">4I", *sectors)
    try:
        assert len(content(bytes(vhd))) == 8 * MIB
    except _vhd.VhdError:
        return


@given(st.integers(0, 1535), st.integers(0, 255), st.booleans())
@settings(max_examples=300, deadline=None)
def test_any_header_ends_in_a_disk_or_in_an_error(position: int, value: int, seal: bool) -> None:
    """Sealed, so that the fields are believed: the checksum is no protection against somebody who means it."""
    vhd = bytearray(made(8 * MIB, {1: b"one", 2: b"two"}))
    vhd[position] = value
    if seal:
        (sealed_footer if position < 512 else sealed_header)(vhd, position % 512 if position < 512 else position - 512, bytes([value]))
    try:
        reader = _vhd_reader.SparseReader(io.BytesIO(vhd).read)
        assert sum(len(extent.data) for extent in reader.extents()) <= 8 * MIB
    except _vhd.VhdError:
        return


def test_absurd_sizes_take_little_memory() -> None:
    """The largest table there may be, and the largest blocks: nothing is kept but the table, and pieces of 2 MiB."""
    entries, sectors = _vhd.MOST_ENTRIES, _vhd.LARGEST // 512
    step = _vhd.VHD_BLOCK // 512 + 1
    first = (1536 + 4 * entries) // 512
    numbers = struct.pack(f">{entries}I", *range(first, first + 400 * entries, 400))
    headers = bytearray(made(8 * MIB, {}))[:1536]
    assert step > 400, "the blocks lie over each other"
    sealed_footer(headers, 48, struct.pack(">Q", sectors * 512))
    sealed_header(headers, 28, struct.pack(">I", entries))
    tracemalloc.start()
    with pytest.raises(_vhd.VhdError, match="lies over something else"):
        _vhd_reader.SparseReader(io.BytesIO(bytes(headers) + numbers).read)
    large = bytearray(made(8 * MIB, {}))[:1536]
    sealed_header(large, 32, struct.pack(">I", 256 * MIB))
    sealed_footer(large, 48, struct.pack(">Q", 4 * 256 * MIB))
    body = _Zeros(bytes(large) + struct.pack(">4I", 8, *[_vhd.UNUSED] * 3).ljust(2048 + 512, b"\0") + b"\xff" * 65536, 256 * MIB)
    assert sum(len(extent.data) for extent in _vhd_reader.SparseReader(body).extents()) == 256 * MIB
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 80 * MIB


class _Zeros:
    """Bytes, and then as many zeros: a large file that nobody has to keep."""

    def __init__(self, head: bytes, zeros: int) -> None:
        self._head, self._left = io.BytesIO(head), zeros

    def __call__(self, most: int) -> bytes:
        data = self._head.read(most)
        if data:
            return data
        count = min(most, self._left)
        self._left -= count
        return bytes(count)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda v: v.__setitem__(slice(0, 8), b"notavhd!"), "conectix"),
        (lambda v: v.__setitem__(20, v[20] ^ 1), "checksum of its footer"),
        (lambda v: v.__setitem__(600, v[600] ^ 1), "checksum of its second header"),
        (lambda v: sealed_footer(v, 48, struct.pack(">Q", 2**60)), "claims a disk of"),
        (lambda v: sealed_footer(v, 48, struct.pack(">Q", 0)), "claims a disk of 0"),
        (lambda v: sealed_footer(v, 60, struct.pack(">I", 7)), "type 7"),
        (lambda v: sealed_footer(v, 16, struct.pack(">Q", 2**40)), "second header at byte"),
        (lambda v: sealed_header(v, 32, struct.pack(">I", 0)), "blocks of 0 bytes"),
        (lambda v: sealed_header(v, 32, struct.pack(">I", 3 * MIB)), "blocks of 3145728 bytes"),
        (lambda v: sealed_header(v, 28, struct.pack(">I", 2**31)), "table of 2147483648 blocks"),
        (lambda v: sealed_header(v, 28, struct.pack(">I", 1)), "table of 1 blocks"),
        (lambda v: sealed_header(v, 16, struct.pack(">Q", 512)), "block table at byte 512"),
        (lambda v: v.__setitem__(slice(1536, 1540), struct.pack(">I", 1)), "over something else"),
        (lambda v: v.__setitem__(slice(1540, 1544), v[1544:1548]), "over something else"),
        (lambda v: v.__setitem__(slice(1536, 1540), struct.pack(">I", 2**31)), "ends at byte"),
    ],
)
def test_hostile_fields_are_named(change: object, words: str) -> None:
    assert words in broken(change)
