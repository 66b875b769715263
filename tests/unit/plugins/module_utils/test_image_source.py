# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every kind of image gives the disk that was put in, whatever it is packed in; broken ones end in a sentence."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import lzma
import os
import random
import shutil
import struct
import subprocess
import tarfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.xapi.xenserver.plugins.module_utils import _partition, _vhd, _vhd_writer
from ansible_collections.xapi.xenserver.plugins.module_utils._errors import TimedOut, XenError
from ansible_collections.xapi.xenserver.plugins.module_utils._image_bytes import Origin
from ansible_collections.xapi.xenserver.plugins.module_utils._image_source import opened
from ansible_collections.xapi.xenserver.plugins.module_utils._image_url import identity

MIB = 1024 * 1024
SIZE = 8 * MIB
QEMU, ZSTD, MKE2FS = (shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") for name in ("qemu-img", "zstd", "mke2fs"))
needs_qemu = pytest.mark.skipif(QEMU is None, reason="qemu-img is not installed (Debian package qemu-utils)")
needs_zstd = pytest.mark.skipif(ZSTD is None, reason="zstd is not installed (Debian package zstd)")
needs_mke2fs = pytest.mark.skipif(MKE2FS is None, reason="mke2fs is not installed (Debian package e2fsprogs)")


def partitioned() -> bytes:
    """A disk of 8 MiB: a partition table, some data in the middle and in the last sector."""
    disk = bytearray(SIZE)
    disk[:512] = _partition.mbr(SIZE, 0x83)
    disk[3 * MIB : 3 * MIB + 100_000] = random.Random(1).randbytes(100_000)
    disk[-512:] = b"e" * 512
    return bytes(disk)


DISK = partitioned()


def vhd_of(disk: bytes, identity_: uuid.UUID | None = None) -> bytes:
    used = [number for number in range(-(-len(disk) // _vhd.VHD_BLOCK)) if disk[number * _vhd.VHD_BLOCK :][: _vhd.VHD_BLOCK].strip(b"\0")]
    return b"".join(_vhd_writer.sparse_file(len(disk), used, lambda number: disk[number * _vhd.VHD_BLOCK :][: _vhd.VHD_BLOCK], identity=identity_))


def fixed_vhd_of(disk: bytes) -> bytes:
    return disk + _vhd.Footer(len(disk), _vhd.FIXED, 2**64 - 1, uuid.uuid4()).pack()


def difference(sectors: dict[int, bytes], size: int, identity_: uuid.UUID, parent: uuid.UUID) -> bytes:
    """A differencing VHD with single sectors, by the specification: the bitmap says which ones it holds."""
    blocks: dict[int, dict[int, bytes]] = {}
    for sector, written in sectors.items():
        blocks.setdefault(sector // 4096, {})[sector % 4096] = written
    entries = -(-size // _vhd.VHD_BLOCK)
    footer = _vhd.Footer(size, _vhd.DIFFERENCING, 512, identity_).pack()
    header = _vhd.Header(512 + 1024, entries, _vhd.VHD_BLOCK, parent).pack()
    table, body = [_vhd.UNUSED] * entries, b""
    start = (512 + 1024 + 512) // 512
    for number, inside in sorted(blocks.items()):
        table[number] = start + len(body) // 512
        bitmap, data = bytearray(512), bytearray(_vhd.VHD_BLOCK)
        for sector, written in inside.items():
            bitmap[sector // 8] |= 0x80 >> sector % 8
            data[sector * 512 : sector * 512 + 512] = written
        body += bytes(bitmap) + bytes(data)
    return footer + header + struct.pack(f">{entries}I", *table).ljust(512, b"\xff") + body + footer


def tar_of(*files: tuple[str, bytes], mode: Any = "w") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name, data in files:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def content(origin: Origin, format_: str = "auto") -> tuple[str, bytes]:
    with opened(origin, format_) as image:
        assert image.size is not None
        disk = bytearray(image.size)
        for offset, data in image.extents():
            assert not data or data.strip(b"\0"), "zeros were sent"
            assert offset + len(data) <= image.size
            disk[offset : offset + len(data)] = data
        return image.format, bytes(disk)


def write(tmp_path: Path, data: bytes, name: str = "image") -> Origin:
    (tmp_path / name).write_bytes(data)
    return Origin(str(tmp_path / name))


def zstd(data: bytes) -> bytes:
    assert ZSTD
    return subprocess.run([ZSTD, "-cq"], input=data, capture_output=True, check=True).stdout


def qcow2(data: bytes, *options: str) -> bytes:
    assert QEMU
    with subprocess.Popen(["mktemp", "-d"], stdout=subprocess.PIPE, text=True) as made:
        folder = Path(made.communicate()[0].strip())
    try:
        (folder / "raw").write_bytes(data)
        subprocess.run([QEMU, "convert", "-f", "raw", "-O", "qcow2", *options, folder / "raw", folder / "qcow2"], check=True, capture_output=True)
        return (folder / "qcow2").read_bytes()
    finally:
        shutil.rmtree(folder)


IMAGES: dict[str, tuple[str, Callable[[], bytes]]] = {
    "raw": ("raw", lambda: DISK),
    "gz": ("raw", lambda: gzip.compress(DISK)),
    "two gz in a row": ("raw", lambda: gzip.compress(DISK[:MIB]) + gzip.compress(DISK[MIB:]) + bytes(512)),
    "xz": ("raw", lambda: lzma.compress(DISK)),
    "tar": ("raw", lambda: tar_of(("disk.raw", DISK))),
    "tgz": ("raw", lambda: tar_of(("disk.raw", DISK), mode="w:gz")),
    "dynamic VHD": ("vhd", lambda: vhd_of(DISK)),
    "fixed VHD": ("vhd", lambda: fixed_vhd_of(DISK)),
    "VHD in tgz": ("vhd", lambda: tar_of(("0.vhd", vhd_of(DISK)), mode="w:gz")),
    "VHD in gz": ("vhd", lambda: gzip.compress(vhd_of(DISK))),
    "fixed VHD in gz": ("vhd", lambda: gzip.compress(fixed_vhd_of(DISK))),
}
WITH_TOOLS = [
    pytest.param("raw", lambda: zstd(DISK), id="zst", marks=needs_zstd),
    pytest.param("vhd", lambda: zstd(tar_of(("0.vhd", vhd_of(DISK)))), id="VHD in tar.zst", marks=[needs_zstd]),
    pytest.param("qcow2", lambda: qcow2(DISK), id="qcow2", marks=needs_qemu),
    pytest.param("qcow2", lambda: qcow2(DISK, "-c"), id="compressed qcow2", marks=needs_qemu),
    pytest.param("qcow2", lambda: qcow2(DISK, "-o", "compat=0.10"), id="qcow2 of version 2", marks=needs_qemu),
    pytest.param("qcow2", lambda: qcow2(DISK, "-o", "cluster_size=512"), id="qcow2 of small clusters", marks=needs_qemu),
    pytest.param("qcow2", lambda: qcow2(DISK, "-o", "cluster_size=2M"), id="qcow2 of large clusters", marks=needs_qemu),
]
EVERY = [*(pytest.param(kind, make, id=name) for name, (kind, make) in IMAGES.items()), *WITH_TOOLS]


@pytest.mark.parametrize(("kind", "make"), EVERY)
def test_the_disk_comes_out(kind: str, make: Callable[[], bytes], tmp_path: Path) -> None:
    data = make()
    assert content(write(tmp_path, data)) == (kind, DISK)


@pytest.mark.parametrize(("kind", "make"), EVERY)
def test_looking_tells_the_same_as_reading(kind: str, make: Callable[[], bytes], tmp_path: Path) -> None:
    origin = write(tmp_path, make())
    with opened(origin, "auto", look=True) as image:
        # A packed disk may turn out to be a fixed VHD only at its end.
        assert image.size in (SIZE, None)
        assert image.format == kind or image.size is None


@pytest.mark.parametrize(("kind", "make"), EVERY)
def test_the_right_checksum_is_accepted_and_another_one_refused(kind: str, make: Callable[[], bytes], tmp_path: Path) -> None:
    data = make()
    path = write(tmp_path, data).place
    assert content(Origin(path, f"sha256:{hashlib.sha256(data).hexdigest()}")) == (kind, DISK)
    with pytest.raises(XenError, match=f"has the checksum sha256:{hashlib.sha256(data).hexdigest()}"):
        content(Origin(path, "sha256:" + "0" * 64))


# AMI and ISO


@needs_mke2fs
def test_a_bare_filesystem_becomes_the_first_partition(tmp_path: Path) -> None:
    assert MKE2FS
    path = tmp_path / "ami"
    subprocess.run([MKE2FS, "-q", "-F", "-t", "ext4", path, "4M"], check=True, capture_output=True)
    kind, disk = content(Origin(str(path)))
    assert kind == "ami"
    (part,) = _partition.parse_mbr(disk[:512])
    assert (part.start, part.sectors, part.type) == (63, 4 * MIB // 512, 0x83)
    assert disk[63 * 512 :] == path.read_bytes()
    assert content(Origin(str(path)), "raw") == ("raw", path.read_bytes())


def test_a_bare_disk_with_a_table_is_no_ami(tmp_path: Path) -> None:
    with pytest.raises(XenError, match="partition table already"):
        content(write(tmp_path, DISK), "ami")


def test_an_iso_stays_as_it_is(tmp_path: Path) -> None:
    iso = bytearray(100 * 2048)
    iso[32768:32775] = b"\1CD001\1"
    iso[70_000:70_010] = b"x" * 10
    kind, disk = content(write(tmp_path, bytes(iso)))
    assert (kind, disk) == ("iso", bytes(iso))


# Chains


def chain() -> tuple[bytes, list[bytes]]:
    """The disk, and three layers: the newest hides a sector of the middle one with zeros, and one of the base."""
    base, middle, leaf = (uuid.UUID(int=number) for number in (1, 2, 3))
    old = bytearray(DISK)
    layers = [
        difference({6144: bytes(512), 0: b"L" * 512}, SIZE, leaf, middle),
        difference({6144: b"M" * 512, 6145: b"m" * 512, 9000: b"9" * 512}, SIZE, middle, base),
        vhd_of(bytes(old), base),
    ]
    old[6144 * 512 : 6145 * 512] = bytes(512)
    old[6145 * 512 : 6146 * 512] = b"m" * 512
    old[9000 * 512 : 9001 * 512] = b"9" * 512
    old[:512] = b"L" * 512
    return bytes(old), layers


def test_a_chain_in_an_archive_is_one_disk(tmp_path: Path) -> None:
    disk, layers = chain()
    archive = tar_of(*((f"{number}.vhd", layer) for number, layer in enumerate(layers)), mode="w:gz")
    assert content(write(tmp_path, archive)) == ("vhd", disk)


def test_nothing_of_a_chain_is_sent_twice(tmp_path: Path) -> None:
    _disk, layers = chain()
    archive = tar_of(*((f"{number}.vhd", layer) for number, layer in enumerate(layers)))
    seen: set[int] = set()
    with opened(write(tmp_path, archive), "auto") as image:
        for offset, data in image.extents():
            sectors = set(range(offset // 512, (offset + len(data)) // 512))
            assert not seen & sectors
            seen |= sectors


@pytest.mark.parametrize(
    ("order", "message"),
    [
        pytest.param([0, 1], "difference to .*0001, which is missing", id="no base"),
        pytest.param([0, 2, 1], "no chain", id="wrong order"),
        pytest.param([2, 1], "another VHD behind the base", id="base first"),
        pytest.param([1, 2, 2], "another VHD behind the base", id="something after the base"),
    ],
)
def test_an_archive_that_is_no_chain_is_refused(order: list[int], message: str, tmp_path: Path) -> None:
    _disk, layers = chain()
    with pytest.raises(XenError, match=message):
        content(write(tmp_path, tar_of(*((f"{number}.vhd", layers[index]) for number, index in enumerate(order)))))


def test_a_difference_alone_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(XenError, match="only the difference"), opened(write(tmp_path, chain()[1][0]), "auto", look=True):
        pass


# What cannot be read


@pytest.mark.parametrize(
    ("data", "format_", "message"),
    [
        pytest.param(b"", "auto", "is empty", id="empty"),
        pytest.param(b"KDMV" + bytes(1000), "auto", "is a VMDK; convert it with 'qemu-img", id="VMDK"),
        pytest.param(b"vhdxfile" + bytes(1000), "auto", "is a VHDX", id="VHDX"),
        pytest.param(b"BZh9" + bytes(1000), "auto", "bzip2", id="bzip2"),
        pytest.param(b"\n<!DOCTYPE html><html>404</html>", "auto", "page for browsers", id="error page"),
        pytest.param(DISK, "vhd", "looks like raw", id="raw said to be VHD"),
        pytest.param(DISK, "qcow2", "looks like raw", id="raw said to be qcow2"),
        pytest.param(vhd_of(DISK), "raw", "looks like vhd", id="VHD said to be raw"),
        pytest.param(vhd_of(DISK)[:-MIB], "auto", "in the middle", id="cut VHD"),
        pytest.param(gzip.compress(DISK)[:-20], "auto", "ends in the middle", id="cut gzip"),
        pytest.param(lzma.compress(DISK)[:-40], "auto", "ends in the middle|broken", id="cut xz"),
        pytest.param(gzip.compress(DISK)[:-8] + bytes(8), "auto", "gzip file is broken", id="gzip with wrong sum"),
        pytest.param(tar_of(("a", DISK), ("b", b"more")), "auto", "'b' beside 'a'", id="two files"),
        pytest.param(tar_of(("a.gz", gzip.compress(DISK))), "auto", "packed once more", id="packed twice"),
        pytest.param(tar_of(("0.vhd", fixed_vhd_of(DISK))), "auto", "fixed VHD '0.vhd'", id="fixed VHD in an archive"),
        pytest.param(tar_of(("a", DISK))[: 4 * MIB], "auto", "ends .* bytes before the end of a file", id="cut archive"),
        pytest.param(b"%PDF-1.7\n" + bytes(1015), "auto", "looks like a PDF and no disk; .* or set format to raw", id="PDF"),
        pytest.param(b"\x7fELF" + bytes(1020), "auto", "looks like a program", id="program"),
        pytest.param(b"Stra\xc3\x9fe\n" * 512, "auto", "looks like a text", id="text"),
        pytest.param(gzip.compress(b"a text\n" * 512), "auto", "looks like a text", id="packed text"),
        pytest.param(tar_of(("ova.xml", b"<value>" * 512)), "auto", "looks like a text", id="text in an archive"),
        pytest.param(bytes(511), "auto", "has 511 bytes, and a disk has sectors of 512; .* or set format to raw", id="less than a sector"),
        pytest.param(DISK[:-1], "auto", "fetch it anew if it was cut short", id="cut raw disk"),
        pytest.param(gzip.compress(DISK[:-1]), "auto", "fetch it anew if it was cut short", id="cut raw disk that was packed"),
        pytest.param(tar_of(("disk", DISK[:-1])), "auto", "fetch it anew if it was cut short", id="cut raw disk in an archive"),
        pytest.param(fixed_vhd_of(DISK)[MIB:], "auto", "fixed VHD is broken", id="cut fixed VHD"),
    ],
)
def test_what_cannot_be_read_is_refused(data: bytes, format_: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(XenError, match=message):
        content(write(tmp_path, data), format_)


@pytest.mark.parametrize("data", [b"%PDF-1.7\n" + bytes(1015), b"\x7fELF" + bytes(1020), b"a text\n" * 512, bytes(511), b"\1" * 513], ids=repr)
def test_whatever_is_said_to_be_raw_is(data: bytes, tmp_path: Path) -> None:
    assert content(write(tmp_path, data), "raw") == ("raw", data)


def test_a_fixed_vhd_may_begin_with_a_text(tmp_path: Path) -> None:
    disk = b"a text\n\n" * 4096
    assert content(write(tmp_path, fixed_vhd_of(disk))) == ("vhd", disk)


def test_places_that_are_no_image(tmp_path: Path) -> None:
    with pytest.raises(XenError, match="does not exist on the machine"):
        content(Origin(str(tmp_path / "missing")))
    with pytest.raises(XenError, match="cannot be read: Is a directory"):
        content(Origin(str(tmp_path)))
    with pytest.raises(XenError, match="no regular file"):
        content(Origin("/dev/null"))


@pytest.mark.parametrize("checksum", ["sha256", "sha256:12", "md5:" + "0" * 32, "sha256:" + "G" * 64])
def test_a_checksum_that_is_none_is_refused(checksum: str) -> None:
    with pytest.raises(XenError, match="is none; write sha256:"):
        Origin("/x", checksum)


@needs_zstd
def test_a_cut_zstd_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(XenError, match="zstd file is broken"):
        content(write(tmp_path, zstd(DISK)[:-10]))


def test_a_missing_zstd_is_named_with_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_args, **_options: None)
    with (
        pytest.raises(XenError, match="zstd is missing on the controller; install the package zstd"),
        opened(write(tmp_path, b"\x28\xb5\x2f\xfd" + bytes(100)), "auto", look=True),
    ):
        pass


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(0, 5000), kind=st.sampled_from(["dynamic VHD", "VHD in tgz", "gz", "xz", "tgz", "tar"]))
def test_an_image_cut_anywhere_near_its_beginning_ends_in_a_sentence(cut: int, kind: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    data = IMAGES[kind][1]()[:cut]
    tmp_path = tmp_path_factory.mktemp("cut")
    try:
        found, disk = content(write(tmp_path, data))
    except XenError:
        return
    # A few bytes of a cut file may look like a bare disk; they are never taken for the whole one.
    assert (found, len(disk)) == ("raw", cut)


@settings(max_examples=60, deadline=None)
@given(noise=st.lists(st.tuples(st.integers(0, 2047), st.integers(0, 255)), min_size=1, max_size=8), kind=st.sampled_from(["dynamic VHD", "tar", "tgz", "gz"]))
def test_a_damaged_head_never_crashes(noise: list[tuple[int, int]], kind: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    data = bytearray(IMAGES[kind][1]())
    for position, value in noise:
        data[position % len(data)] = value
    origin = write(tmp_path_factory.mktemp("noise"), bytes(data))
    try:
        with opened(origin, "auto") as image:
            assert sum(len(extent.data) for extent in image.extents()) <= (image.size or 0) + 512
    except XenError:
        pass


# URLs

# More than is needed to know what an image is.
LOOKED_AT = 3 * MIB // 2


class Handler(SimpleHTTPRequestHandler):
    """Serves files, with parts when asked; notes the requests."""

    requests: list[dict[str, str]] = []
    parts = True
    cut = 0
    port = 0
    # Set when a slow body may end. What is looked at first comes at once.
    drips: threading.Event | None = None

    def log_message(self, *_arguments: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.requests.append({"path": self.path, **{key.lower(): value for key, value in self.headers.items()}})
        if self.path.startswith("/elsewhere"):
            self.send_response(302)
            self.send_header("Location", f"http://localhost:{self.port}/image")
            self.end_headers()
            return
        data = Path(self.translate_path(self.path)).read_bytes() if Path(self.translate_path(self.path)).exists() else None
        if data is None:
            self.send_error(404)
            return
        wanted = self.headers.get("Range", "")
        if wanted.startswith("bytes=-") and self.parts:
            self._send(206, data[-int(wanted[7:]) :])
        else:
            self._send(200, data)

    def _send(self, status: int, data: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("ETag", f'"{hashlib.md5(data).hexdigest()}"')
        self.end_headers()
        if self.drips is None or self.command != "GET" or status == 206:
            self.wfile.write(data[: len(data) - self.cut])
            return
        with contextlib.suppress(OSError):
            self.wfile.write(data[:LOOKED_AT])
            for position in range(LOOKED_AT, len(data)):
                self.wfile.write(data[position : position + 1])
                if self.drips.wait(0.05):
                    return


@pytest.fixture
def web(tmp_path: Path) -> Iterator[tuple[str, type[Handler], Path]]:
    folder = tmp_path / "served"
    folder.mkdir()

    class OwnHandler(Handler):
        requests: list[dict[str, str]] = []

    handler = OwnHandler
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        handler.port = server.server_port
        yield f"http://127.0.0.1:{server.server_port}", handler, folder
        server.shutdown()


@pytest.mark.parametrize("parts", [True, False], ids=["with parts", "without parts"])
@pytest.mark.parametrize(("kind", "make"), EVERY)
def test_the_disk_comes_out_of_a_url(kind: str, make: Callable[[], bytes], parts: bool, web: Any) -> None:
    url, handler, folder = web
    handler.parts = parts
    data = make()
    (folder / "image").write_bytes(data)
    # Without parts nobody sees the end of a fixed VHD beforehand, so it has to be said.
    format_ = "vhd" if kind == "vhd" and not parts else "auto"
    origin = Origin(f"{url}/image", f"sha256:{hashlib.sha256(data).hexdigest()}")
    assert content(origin, format_) == (kind, DISK)
    with pytest.raises(XenError, match="has the checksum"):
        content(Origin(origin.place, "sha256:" + "0" * 64), format_)


def test_a_fixed_vhd_behind_a_url_may_begin_with_a_text(web: Any) -> None:
    disk = b"a text\n\n" * 4096
    (web[2] / "image").write_bytes(fixed_vhd_of(disk))
    assert content(Origin(f"{web[0]}/image")) == ("vhd", disk)


def test_a_fixed_vhd_that_shows_itself_only_at_its_end_is_refused(web: Any) -> None:
    url, handler, folder = web
    handler.parts = False
    (folder / "image").write_bytes(fixed_vhd_of(DISK))
    with pytest.raises(XenError, match="is a fixed VHD, as its end tells; set format to vhd"):
        content(Origin(f"{url}/image"))


@pytest.mark.parametrize(("kind", "make"), [pytest.param("raw", lambda: DISK, id="streamed"), pytest.param("raw", lambda: gzip.compress(DISK), id="fetched")])
def test_a_connection_that_breaks_is_an_error(kind: str, make: Callable[[], bytes], web: Any) -> None:
    url, handler, folder = web
    handler.cut = 100
    (folder / "image").write_bytes(make())
    with pytest.raises(XenError, match="broke off after"):
        content(Origin(f"{url}/image"))


def test_a_url_without_an_image(web: Any) -> None:
    with pytest.raises(XenError, match=r"/missing cannot be fetched: the server answered 404"):
        content(Origin(f"{web[0]}/missing?token=secret"))
    with pytest.raises(XenError, match="cannot be fetched: Connection refused; check the address, and that its server can be reached from here"):
        content(Origin("http://127.0.0.1:9/none"))
    with pytest.raises(XenError, match=r"image 'example.com/x' cannot be fetched by ftp; give an address of http or https, or a local path"):
        Origin("ftp://me:secret@example.com/x")
    with pytest.raises(XenError, match="holds a user name") as caught:
        Origin("http://me:secret@127.0.0.1/x")
    assert "secret" not in str(caught.value)


def test_headers_are_for_the_server_alone(web: Any) -> None:
    url, handler, folder = web
    (folder / "image").write_bytes(DISK)
    content(Origin(f"{url}/elsewhere", headers={"X-Auth-Token": "secret"}))
    first, second, *_unused = handler.requests
    assert first["x-auth-token"] == "secret"
    assert second["path"] == "/image"
    assert "x-auth-token" not in second


def test_a_qcow2_behind_a_url_leaves_nothing_behind(web: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url, _handler, folder = web
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    (folder / "image").write_bytes(gzip.compress(DISK))
    content(Origin(f"{url}/image"))
    assert list(temporary.iterdir()) == []


# Time


def test_a_small_file_that_unpacks_to_much_ends_in_time(tmp_path: Path) -> None:
    """4 MiB of zeros over and over, a hundredth of a second each: all of it would take ten seconds."""
    piece = gzip.compress(bytes(4 * MIB))
    with (tmp_path / "image.gz").open("wb") as file:
        for _number in range(800):
            file.write(piece)
    began = time.monotonic()
    with (
        pytest.raises(TimedOut, match=r"gave up waiting for image .*image.gz to be read after 0.3 seconds"),
        opened(Origin(str(tmp_path / "image.gz")), "auto", timeout=0.3),
    ):
        pass
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("pack", [pytest.param(bytes, id="streamed"), pytest.param(gzip.compress, id="fetched")])
def test_a_server_that_drips_is_given_up(pack: Callable[[bytes], bytes], web: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url, handler, folder = web
    handler.drips = threading.Event()
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    (folder / "image").write_bytes(pack(random.Random(2).randbytes(LOOKED_AT + 512)))
    try:
        with pytest.raises(TimedOut, match=f"gave up waiting for image {url}/image to be read after 0.3 seconds"):
            read_all(Origin(f"{url}/image"), timeout=0.3)
    finally:
        handler.drips.set()
    assert list(temporary.iterdir()) == []


def read_all(origin: Origin, timeout: float) -> None:
    with opened(origin, "auto", timeout=timeout) as image:
        for _extent in image.extents():
            pass


# Identity


def test_a_file_is_known_by_checksum_or_by_what_is_cheap_to_know(tmp_path: Path, web: Any) -> None:
    origin = write(tmp_path, DISK)
    checksum = "sha256:" + "a" * 64
    assert identity(Origin("/missing", checksum)) == checksum
    first = identity(origin)
    assert identity(origin) == first
    write(tmp_path, DISK[:-1] + b"x")
    assert identity(origin) != first
    (web[2] / "image").write_bytes(DISK)
    seen = identity(Origin(f"{web[0]}/image"))
    (web[2] / "image").write_bytes(DISK[::-1])
    assert identity(Origin(f"{web[0]}/image")) != seen
