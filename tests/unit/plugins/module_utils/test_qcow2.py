# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""qcow2 images: what qemu-img makes is read, what we write it accepts, and broken or foreign ones end in a sentence."""

from __future__ import annotations

import os
import random
import shutil
import struct
import subprocess
import tracemalloc
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.xapi.xenserver.plugins.module_utils import _qcow2_file
from ansible_collections.xapi.xenserver.plugins.module_utils._errors import XenError
from ansible_collections.xapi.xenserver.plugins.module_utils._extent import Extent
from ansible_collections.xapi.xenserver.plugins.module_utils._qcow2 import Header, Qcow2Error, Reader
from ansible_collections.xapi.xenserver.plugins.module_utils._qcow2_file import write_image

MIB = 1024 * 1024
QEMU = shutil.which("qemu-img")
needs_qemu = pytest.mark.skipif(QEMU is None, reason="qemu-img is not installed (Debian package qemu-utils)")
DISK = bytearray(16 * MIB)
DISK[100:200_000] = random.Random(1).randbytes(199_900)
DISK[5 * MIB : 5 * MIB + 300_000] = b"ab" * 150_000
DISK[-1:] = b"e"


def qemu(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    assert QEMU
    return subprocess.run([QEMU, *map(str, arguments)], check=True, capture_output=True, text=True)


def made(path: Path, extents: Iterable[Extent], size: int, level: int | None = None) -> bytes:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    try:
        write_image(descriptor, size, iter(extents), level)
    finally:
        os.close(descriptor)
    return path.read_bytes()


def content(image: bytes) -> bytes:
    reader = Reader(lambda count, offset: image[offset : offset + count], len(image))
    disk = bytearray(reader.header.size)
    for offset, data in reader.extents():
        disk[offset : offset + len(data)] = data
    return bytes(disk)


def sparse(disk: bytearray, page: int = 4096) -> list[Extent]:
    pages = (Extent(offset, bytes(disk[offset : offset + page])) for offset in range(0, len(disk), page))
    return [extent for extent in pages if extent.data.strip(b"\0")]


@needs_qemu
@pytest.mark.parametrize("level", [None, 1, 9])
def test_qemu_img_accepts_and_reads_what_we_write(level: int | None, tmp_path: Path) -> None:
    raw, image = tmp_path / "raw", tmp_path / "image.qcow2"
    raw.write_bytes(DISK)
    made(image, sparse(DISK), len(DISK), level)
    assert "No errors were found" in qemu("check", image).stdout
    assert "Images are identical" in qemu("compare", raw, image).stdout


@needs_qemu
@pytest.mark.parametrize("clusters", [250, 255, 256, 16_500])
def test_a_full_image_has_counters_for_its_own_counters(clusters: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With clusters of 512 bytes one block of counters covers 256 of them, and one table 64 blocks."""
    monkeypatch.setattr(_qcow2_file, "SMALL_CLUSTER", 9)
    image = tmp_path / "image.qcow2"
    made(image, [Extent(0, random.Random(1).randbytes(clusters * 512))], clusters * 512)
    assert "No errors were found" in qemu("check", image).stdout


@pytest.mark.parametrize("level", [None, 6])
def test_what_we_write_we_read(level: int | None, tmp_path: Path) -> None:
    image = made(tmp_path / "image", sparse(DISK), len(DISK), level)
    assert content(image) == DISK
    assert len(image) < len(DISK) / 4
    assert level is None or len(image) < 3 * 65536 + 200_000 + 6 * 65536


def test_an_unfinished_file_is_no_image(tmp_path: Path) -> None:
    def broken() -> Iterator[Extent]:
        yield Extent(0, b"x" * 4096)
        raise XenError("the stream broke")

    with pytest.raises(XenError, match="the stream broke"):
        made(tmp_path / "image", broken(), MIB)
    with pytest.raises(Qcow2Error, match="no qcow2"):
        Header.parse((tmp_path / "image").read_bytes())


@needs_qemu
@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param(
            ["-c", "-o", "compression_type=zstd"], "compressed with zstd; convert it with 'qemu-img convert -O qcow2 -o compression_type=zlib'", id="zstd"
        ),
        pytest.param(["-o", "extended_l2=on"], "extended table entries", id="subclusters"),
        pytest.param(["-o", "data_file={folder}/data,data_file_raw=off"], "keeps its data in another file", id="external data"),
        pytest.param(["-o", "encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10", "--object", "secret,id=s,data=x"], "is encrypted", id="encrypted"),
    ],
)
def test_what_cannot_be_read_says_what_to_do(options: list[str], message: str, tmp_path: Path) -> None:
    raw, image = tmp_path / "raw", tmp_path / "image"
    raw.write_bytes(DISK)
    try:
        qemu("convert", "-f", "raw", "-O", "qcow2", *(option.format(folder=tmp_path) for option in options), raw, image)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"this qemu-img cannot make one: {error.stderr.strip()}")
    with pytest.raises(Qcow2Error, match=message):
        content(image.read_bytes())


@needs_qemu
def test_a_backing_file_is_refused(tmp_path: Path) -> None:
    base, image = tmp_path / "base", tmp_path / "image"
    qemu("create", "-f", "qcow2", base, "16M")
    qemu("create", "-f", "qcow2", "-b", base, "-F", "qcow2", image)
    with pytest.raises(Qcow2Error, match="difference to a backing file"):
        content(image.read_bytes())


@needs_qemu
def test_clusters_marked_as_zero_hold_nothing(tmp_path: Path) -> None:
    if not shutil.which("qemu-io"):
        pytest.skip("qemu-io is not installed (Debian package qemu-utils)")
    raw, image = tmp_path / "raw", tmp_path / "image"
    raw.write_bytes(DISK)
    qemu("convert", "-f", "raw", "-O", "qcow2", raw, image)
    subprocess.run(["qemu-io", "-c", "write -z 0 1M", str(image)], check=True, capture_output=True)
    expected = bytes(MIB) + bytes(DISK[MIB:])
    assert content(image.read_bytes()) == expected


IMAGE_CLUSTERS = [b"x" * 65536, b"y" * 65536]


def image_of_ours() -> bytes:
    """Header, two clusters of data, tables; made once."""
    path = Path(os.environ.get("TMPDIR", "/tmp")) / f"qcow2-{os.getpid()}"
    try:
        return made(path, [Extent(0, IMAGE_CLUSTERS[0]), Extent(MIB, IMAGE_CLUSTERS[1])], 2 * MIB)
    finally:
        path.unlink()


OURS = image_of_ours()


@settings(max_examples=200, deadline=None)
@given(cut=st.integers(0, len(OURS) - 1))
def test_a_cut_image_ends_in_a_sentence_or_misses_only_counters(cut: int) -> None:
    try:
        disk = content(OURS[:cut])
    except Qcow2Error:
        return
    assert disk[:65536] == IMAGE_CLUSTERS[0]
    assert disk[MIB : MIB + 65536] == IMAGE_CLUSTERS[1]


@settings(max_examples=300, deadline=None)
@given(position=st.integers(0, 103), value=st.integers(0, 255))
def test_a_damaged_header_never_crashes_nor_takes_memory(position: int, value: int) -> None:
    image = bytearray(OURS)
    image[position] = value
    tracemalloc.start()
    try:
        reader = Reader(lambda count, offset: bytes(image[offset : offset + count]), len(image))
        for number, extent in enumerate(reader.extents()):
            assert extent.offset + len(extent.data) <= reader.header.size
            if number > 100:
                break
    except Qcow2Error:
        pass
    finally:
        _now, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 80 * MIB


@pytest.mark.parametrize(
    ("field", "form", "value", "message"),
    [
        pytest.param(4, ">I", 4, "version 4", id="version"),
        pytest.param(20, ">I", 60, "2\\^60", id="cluster size"),
        pytest.param(24, ">Q", 2**62, "claims a disk of", id="size"),
        pytest.param(36, ">I", 2**31, "entries for a disk", id="table too large"),
        pytest.param(36, ">I", 0, "entries for a disk", id="table too small"),
        pytest.param(40, ">Q", 2**40, "lies outside", id="table outside"),
        pytest.param(72, ">Q", 2, "marked as corrupt", id="corrupt"),
        pytest.param(72, ">Q", 2**20, "features of a newer QEMU", id="newer"),
    ],
)
def test_a_header_that_lies_is_refused(field: int, form: str, value: int, message: str) -> None:
    image = bytearray(OURS)
    struct.pack_into(form, image, field, value)
    with pytest.raises(Qcow2Error, match=message):
        content(bytes(image))


def test_data_outside_of_the_file_is_refused() -> None:
    image = bytearray(OURS)
    (table,) = struct.unpack_from(">Q", image, 40)
    (inner,) = struct.unpack_from(">Q", image, table)
    struct.pack_into(">Q", image, inner & 0x00FFFFFFFFFFFE00, 2**40)
    with pytest.raises(Qcow2Error, match=f"ends at byte {len(OURS)}, before its data"):
        content(bytes(image))


def test_a_file_that_names_its_data_over_and_over_is_refused() -> None:
    """A few bytes that claim to be a disk of terabytes."""
    image = bytearray(OURS)
    (table,) = struct.unpack_from(">Q", image, 40)
    (inner,) = struct.unpack_from(">Q", image, table)
    inner &= 0x00FFFFFFFFFFFE00
    (entry,) = struct.unpack_from(">Q", image, inner)
    for number in range(32):
        struct.pack_into(">Q", image, inner + 8 * number, entry)
    with pytest.raises(Qcow2Error, match="its tables name more data than"):
        content(bytes(image))


def test_compressed_data_that_is_none_is_refused() -> None:
    image = bytearray(OURS)
    (table,) = struct.unpack_from(">Q", image, 40)
    (inner,) = struct.unpack_from(">Q", image, table)
    struct.pack_into(">Q", image, inner & 0x00FFFFFFFFFFFE00, 1 << 62 | 65536)
    with pytest.raises(Qcow2Error, match="the compressed data at byte 65536 cannot be read"):
        content(bytes(image))
