# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""QCOW2 and tar through the raw handlers: read by qemu-img and tarfile, and what they write is taken (facts 4.1, 4.2)."""

from __future__ import annotations

import hashlib
import http.client
import io
import json
import random
import shutil
import struct
import subprocess
import tarfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from simulator import Simulator
from simulator.server import Server

from ._asking import fixtures

MIB = 1024 * 1024
SIZE = 6 * MIB
CLUSTER = 64 * 1024
PATIENCE = 2.0
FAILED = ["failure", "VDI_IO_ERROR", "Device I/O errors"]


simulator, session = fixtures(lambda: Simulator("one_host", api="26"), "module")


@pytest.fixture(scope="module")
def server(simulator: Simulator) -> Server:
    return simulator.serve(tls=False, http=True)


@pytest.fixture
def disk(session: Any) -> str:
    return make(session)


def make(session: Any) -> str:
    sr = session.SR.get_by_name_label("Local storage")[0]
    kind = {"virtual_size": SIZE, "type": "user", "sharable": False, "read_only": False}
    return session.VDI.create({"name_label": "formats", "SR": sr, **kind, "other_config": {}})


def content(seed: int) -> bytes:
    """A disk with something here and there, also at its very end."""
    chance, data = random.Random(seed), bytearray(SIZE)
    for offset in (512, CLUSTER, 3 * MIB + 4096, SIZE - 512):
        data[offset : offset + 512] = chance.randbytes(512)
    return bytes(data)


def request(server: Server, verb: str, path: str, body: Any = None, **query: str) -> tuple[int, bytes]:
    parts = urlsplit(server.http_url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 0, timeout=PATIENCE)
    try:
        connection.request(verb, f"{path}?{urlencode(query)}", body)
        response = connection.getresponse()
        return response.status, response.read()
    except (ConnectionError, TimeoutError):
        return 0, b""  # reset, or waiting for more than there is
    finally:
        connection.close()


def put(session: Any, server: Server, body: bytes, **query: str) -> list[str]:
    task = session.task.create("upload", "")
    request(server, "PUT", "/import_raw_vdi", body, session_id=session.ref, task_id=task, **query)
    deadline = time.monotonic() + 10
    while session.task.get_status(task) == "pending" and time.monotonic() < deadline:
        time.sleep(0.02)
    return [session.task.get_status(task), *session.task.get_error_info(task)]


def get(session: Any, server: Server, disk: str, **query: str) -> bytes:
    status, body = request(server, "GET", "/export_raw_vdi", session_id=session.ref, vdi=disk, **query)
    assert status == 200
    return body


# QCOW2


@pytest.fixture(scope="module")
def qemu_img() -> str:
    return shutil.which("qemu-img") or pytest.skip("needs qemu-img")


def test_qemu_reads_what_is_exported(session: Any, server: Server, disk: str, qemu_img: str, tmp_path: Path) -> None:
    assert put(session, server, content(1), vdi=disk) == ["success"]
    image, raw = tmp_path / "disk.qcow2", tmp_path / "disk.raw"
    image.write_bytes(get(session, server, disk, format="qcow2"))
    subprocess.run([qemu_img, "check", "-q", "-f", "qcow2", image], check=True)
    subprocess.run([qemu_img, "convert", "-f", "qcow2", "-O", "raw", image, raw], check=True)
    assert raw.read_bytes() == content(1)
    # Header, two clusters of counts, L1, one L2, and one cluster for each of the four places that hold anything.
    assert image.stat().st_size == 9 * CLUSTER
    found = json.loads(subprocess.run([qemu_img, "info", "-f", "qcow2", "--output=json", image], check=True, capture_output=True).stdout)
    assert (found["virtual-size"], found["cluster-size"]) == (SIZE, CLUSTER)


def test_an_empty_disk_is_a_header_and_tables(session: Any, server: Server, disk: str, qemu_img: str, tmp_path: Path) -> None:
    image = tmp_path / "disk.qcow2"
    image.write_bytes(get(session, server, disk, format="qcow2"))
    assert image.stat().st_size == 4 * CLUSTER
    subprocess.run([qemu_img, "check", "-q", "-f", "qcow2", image], check=True)
    assert put(session, server, image.read_bytes(), vdi=make(session), format="qcow2") == ["success"]


def test_what_was_exported_is_taken_back(session: Any, server: Server, disk: str) -> None:
    put(session, server, content(2), vdi=disk)
    other = make(session)
    assert put(session, server, get(session, server, disk, format="qcow2"), vdi=other, format="qcow2") == ["success"]
    assert get(session, server, other) == content(2)


def test_a_delta_has_what_differs_from_the_base(session: Any, server: Server, disk: str) -> None:
    put(session, server, content(3), vdi=disk)
    base = session.VDI.snapshot(disk)
    changed = bytearray(content(3))
    changed[512:1024], changed[2 * MIB : 2 * MIB + 512] = bytes(512), b"new" * 170 + b"  "
    put(session, server, bytes(changed), vdi=disk)
    delta = get(session, server, disk, format="qcow2", base=base)
    assert len(delta) == 7 * CLUSTER  # two clusters differ, though all were written
    restored = session.VDI.copy(base, session.VDI.get_SR(disk))
    assert put(session, server, delta, vdi=restored, format="qcow2") == ["success"]
    assert get(session, server, restored) == bytes(changed)


def qemu_image(qemu_img: str, folder: Path, raw: bytes, *options: str) -> bytes:
    (folder / "raw").write_bytes(raw)
    subprocess.run([qemu_img, "convert", "-f", "raw", "-O", "qcow2", *options, folder / "raw", folder / "qcow2"], check=True)
    return (folder / "qcow2").read_bytes()


def test_packed_images_are_refused(session: Any, server: Server, disk: str, qemu_img: str, tmp_path: Path) -> None:
    assert put(session, server, qemu_image(qemu_img, tmp_path, content(4), "-c"), vdi=disk, format="qcow2") == FAILED


@pytest.mark.parametrize("body", [b"QFI\xfa" + bytes(CLUSTER), b"QFI\xfb" + bytes(CLUSTER)], ids=["magic", "version 0"])
def test_what_is_no_image_is_refused(session: Any, server: Server, disk: str, body: bytes) -> None:
    assert put(session, server, body, vdi=disk, format="qcow2") == FAILED


def test_an_image_that_ends_early_is_refused(session: Any, server: Server, disk: str) -> None:
    put(session, server, content(5), vdi=disk)
    image = get(session, server, disk, format="qcow2")
    assert put(session, server, image[:-1], vdi=make(session), format="qcow2") == FAILED


def test_clusters_must_come_in_order(session: Any, server: Server, disk: str) -> None:
    put(session, server, content(5), vdi=disk)
    image = bytearray(get(session, server, disk, format="qcow2"))
    (l1_at,) = struct.unpack_from(">Q", image, 40)
    (l2_at,) = struct.unpack_from(">Q", image, l1_at)
    l2_at &= ~(1 << 63)
    places = [at for at in range(l2_at, l2_at + CLUSTER, 8) if image[at : at + 8] != bytes(8)]
    image[places[0] : places[0] + 8] = image[places[1] : places[1] + 8]
    assert put(session, server, bytes(image), vdi=make(session), format="qcow2") == FAILED


def test_only_level_26_knows_qcow2() -> None:
    with Simulator("one_host", api="8.3") as simulator:
        server, session = simulator.serve(tls=False, http=True), simulator.session()
        disk = make(session)
        assert request(server, "GET", "/export_raw_vdi", session_id=session.ref, vdi=disk, format="qcow2")[0] == 404
        assert put(session, server, b"", vdi=disk, format="qcow2") == ["failure", "INTERNAL_ERROR", "Unknown format qcow2"]


@pytest.mark.parametrize(
    ("form", "sentence"),
    [("qcow2", "Importing a QCOW2 directly into an SR not yet supported"), ("tar", "Not enough info supplied to import")],
)
def test_only_raw_bytes_make_a_disk_of_their_own(session: Any, server: Server, form: str, sentence: str) -> None:
    sr = session.SR.get_by_name_label("Local storage")[0]
    assert put(session, server, b"x", sr_id=sr, format=form) == ["failure", "INTERNAL_ERROR", sentence]


# Tar


def members(archive: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {info.name: tar.extractfile(info).read() for info in tar}  # type: ignore[union-attr]


def packed(files: dict[str, bytes]) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return target.getvalue()


def sha1(data: bytes) -> bytes:
    return hashlib.sha1(data).hexdigest().encode()


def test_a_tar_has_the_chunks_that_hold_something(session: Any, server: Server, disk: str) -> None:
    put(session, server, content(6), vdi=disk)
    archive = get(session, server, disk, format="tar")
    files = members(archive)
    chunks = [name for name in files if not name.endswith(".xxhash")]
    assert chunks == ["vdi/00000000", "vdi/00000003", "vdi/00000005"]
    assert all(files[name] == content(6)[int(name[-1]) * MIB : (int(name[-1]) + 1) * MIB] for name in chunks)
    other = make(session)
    assert put(session, server, archive, vdi=other, format="tar") == ["success"]
    assert get(session, server, other) == content(6)


def test_an_older_checksum_will_do(session: Any, server: Server, disk: str) -> None:
    first, last = b"a" * MIB, b"z" * MIB
    files = {"vdi/00000000": first, "vdi/00000000.checksum": sha1(first), "vdi/00000005": last, "vdi/00000005.checksum": sha1(last)}
    assert put(session, server, packed(files), vdi=disk, format="tar") == ["success"]
    assert get(session, server, disk) == first + bytes(4 * MIB) + last


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        pytest.param({"other/00000000": b"a"}, 'Failure("Invalid XVA file")', id="another folder"),
        pytest.param({"vdi/first": b"a"}, 'Failure("int_of_string")', id="no number"),
        pytest.param({"vdi/00000000": b"a", "vdi/00000000.md5": b""}, 'Failure("Found unsupported checksum file: vdi/00000000.md5")', id="unknown sum"),
        pytest.param({}, "Tar.Header.End_of_stream", id="nothing"),
        pytest.param(
            {"vdi/00000000": b"a", "vdi/00000000.checksum": b"0"},
            f'Stream_vdi.Invalid_checksum("Block vdi/00000000 checksum failed: original = 0; recomputed = {sha1(b"a").decode()}")',
            id="wrong sum",
        ),
    ],
)
def test_an_archive_that_is_wrong_is_refused(session: Any, server: Server, disk: str, files: dict[str, bytes], sentence: str) -> None:
    assert put(session, server, packed(files), vdi=disk, format="tar") == ["failure", "INTERNAL_ERROR", sentence]


def test_a_tar_that_ends_early_is_refused(session: Any, server: Server, disk: str) -> None:
    archive = packed({"vdi/00000000": b"a" * MIB})[: 1024 * 100]
    assert put(session, server, archive, vdi=disk, format="tar") == ["failure", "INTERNAL_ERROR", "End_of_file"]
