# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks and archives that no honest program writes: the task fails, little is held in memory, nothing is left behind (facts 4.1, 4.3)."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from simulator import NULL, Simulator
from simulator.storage import vhd
from simulator.transport.xxhash import xxh64

from ._hostile import Wire, bounded
from ._machines import machine, sr_named

MIB = 1 << 20
UNUSED = 0xFFFFFFFF


@pytest.fixture(scope="module")
def wire() -> Iterator[Wire]:
    with Simulator("three_hosts", api="26") as simulator:
        yield Wire(simulator)


@pytest.fixture
def session(wire: Wire, capfd: pytest.CaptureFixture[str]) -> Iterator[Any]:
    wire.pool.problems.clear()
    yield wire.pool.session()
    wire.check_alive()
    assert capfd.readouterr().err == ""


@pytest.fixture(scope="module")
def disk(wire: Wire) -> str:
    session = wire.pool.session()
    record = {"SR": sr_named(session, "NFS storage"), "virtual_size": 4 * MIB, "type": "user", "sharable": False, "read_only": False, "other_config": {}}
    return str(session.VDI.create(record))


Put = Callable[..., list[str]]


@pytest.fixture
def put(wire: Wire, session: Any) -> Put:
    """Upload under a task; how that ended: `success`, or the error. A client that says no more leaves."""

    def upload(path: str, body: bytes, **query: str) -> list[str]:
        task = session.task.create("upload", "")
        target = "&".join(f"{name}={value}" for name, value in {"session_id": session.ref, "task_id": task, **query}.items())
        head = f"PUT {path}?{target} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        with bounded(seconds=20, mebibytes=300):
            wire.send(head + body, patience=0.4)
            token = ""
            while session.task.get_status(task) == "pending":
                token = session.event.from_([f"task/{task}"], token, 5.0)["token"]
        return session.task.get_error_info(task) or [session.task.get_status(task)]

    return upload


# VHD


def image(
    *, table_at: int = 2048, entries: int = 2, block: int = 2 * MIB, header_at: int = 512, table: tuple[int, ...] = (UNUSED, UNUSED), tail: bytes = b""
) -> bytes:
    fields = (b"conectix", 2, 0x10000, header_at, 0, b"caml", 1, 0, 4 * MIB, 4 * MIB, 1, 1, 1, 3, 0, bytes(16), 0)
    footer = vhd.FOOTER.pack(*fields).ljust(512, b"\0")
    header = vhd.HEADER.pack(b"cxsparse", 2**64 - 1, table_at, 0x10000, entries, block, 0, bytes(16), 0, 0).ljust(1024, b"\0")
    numbers = struct.pack(f">{len(table)}I", *table)
    return footer + header + bytes(512) + numbers.ljust(-(-len(numbers) // 512) * 512, b"\xff") + tail + footer


IMAGES = {
    "nothing": b"",
    "a word": b"conectix",
    "no header": b"conectix" + bytes(4096),
    "four thousand million blocks": image(entries=2**32 - 1),
    "sixteen million blocks": image(entries=2**24, table=tuple(range(2**20))),
    "blocks of two gigabytes": image(block=2**31, table=(8, 12), tail=bytes(8 * MIB)),
    "blocks of nothing": image(block=0, table=(8, 12)),
    "blocks of no power": image(block=3 * MIB),
    "a header at the end of the world": image(header_at=2**64 - 1),
    "a header before the beginning": image(header_at=0),
    "a table before the beginning": image(table_at=0),
    "two blocks at one place": image(table=(5, 5), tail=bytes(2 * MIB + 1024)),
    "blocks that overlap": image(table=(5, 6), tail=bytes(4 * MIB + 1024)),
}


@pytest.mark.parametrize("body", IMAGES.values(), ids=IMAGES.keys())
def test_absurd_vhds(put: Put, disk: str, body: bytes) -> None:
    assert put("/import_raw_vdi", body, vdi=disk, format="vhd") == ["VDI_IO_ERROR", "Device I/O errors"]


def test_the_largest_table_that_is_read(put: Put, disk: str) -> None:
    """Two million blocks, all of them there by its word, need no gigabytes."""
    entries = vhd.ENTRIES_MOST
    assert put("/import_raw_vdi", image(entries=entries, table=tuple(range(2**32 - 2 - entries, 2**32 - 2))), vdi=disk, format="vhd")[0] == "VDI_IO_ERROR"


def test_an_honest_one_is_taken(put: Put, disk: str) -> None:
    assert put("/import_raw_vdi", image(), vdi=disk, format="vhd") == ["success"]


def qcow2(*, bits: int = 16, entries: int = 1, at: int = 1 << 16, version: int = 3, backing: int = 0) -> bytes:
    fields = (b"QFI\xfb", version, backing, 0, bits, 4 * MIB, 0, entries, at, 0, 0, 0, 0, 0, 0, 0, 4, 112)
    return struct.pack(">4sIQIIQIIQQIIQQQQII", *fields).ljust(1 << 16, b"\0") + b"\xff" * (1 << 17)


QCOW2S = {
    "clusters of four gigabytes": qcow2(bits=32),
    "clusters of a byte": qcow2(bits=0),
    "four thousand million tables": qcow2(entries=2**32 - 1),
    "a table at the end of the world": qcow2(at=2**63),
    "a table in the header": qcow2(at=0),
    "another version": qcow2(version=99),
    "entries that are all set": qcow2(),
    "nothing": b"QFI\xfb",
}


@pytest.mark.parametrize("body", QCOW2S.values(), ids=QCOW2S.keys())
def test_absurd_qcow2s(put: Put, disk: str, body: bytes) -> None:
    assert put("/import_raw_vdi", body, vdi=disk, format="qcow2") == ["VDI_IO_ERROR", "Device I/O errors"]


@pytest.mark.parametrize(
    "head", [struct.pack("<QI", 0, 2**32 - 512), struct.pack("<QI", 1, 512), b"\xff" * 12, b"\0" * 5], ids=["longer than sent", "odd", "all", "short"]
)
def test_absurd_chunks(put: Put, disk: str, head: bytes) -> None:
    assert put("/import_raw_vdi", head + b"x" * 512, vdi=disk, chunked="true") == ["VDI_IO_ERROR", "Device I/O errors"]


# Archives


def member(name: str, data: bytes = b"", *, size: int | None = None, kind: bytes = tarfile.REGTYPE) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = len(data) if size is None else size, kind, "../../../etc/passwd" if kind != tarfile.REGTYPE else ""
    return info.tobuf(tarfile.GNU_FORMAT) + data + bytes(-len(data) % 512)


END = bytes(1024)
CHUNK = b"a" * MIB


def checked(name: str, data: bytes = CHUNK) -> bytes:
    return member(name, data) + member(f"{name}.xxhash", xxh64(data).encode())


TARS = {
    "before the beginning": checked("vdi/-9"),
    "a number of another script": checked("vdi/²"),
    "digits of another script": checked("vdi/٣"),
    "beyond 64 bits": checked(f"vdi/{'9' * 80}"),
    "less than nothing": member("vdi/00000000", size=-512) + member("x"),
    "more than there is": member("vdi/00000000", size=2**60),
    "up and away": checked("vdi/../../../../outside"),
    "at the root": checked("/etc/passwd"),
    "a link": member("vdi/00000000", kind=tarfile.SYMTYPE),
    "no tar": bytes(range(256)) * 8,
}


@pytest.mark.parametrize("body", TARS.values(), ids=TARS.keys())
def test_absurd_tars(put: Put, disk: str, body: bytes) -> None:
    assert put("/import_raw_vdi", body + END, vdi=disk, format="tar")[0] in ("INTERNAL_ERROR", "IMPORT_ERROR", "VDI_IO_ERROR")


@pytest.fixture(scope="module")
def exported(wire: Wire) -> bytes:
    """An honest archive of a VM."""
    session = wire.pool.session()
    (template,) = session.VM.get_by_name_label("Debian 12 (cloud image)")
    vm = session.VM.clone(template, "exported")
    session.VM.provision(vm)
    answer = wire.request("GET", "/export", query={"session_id": session.ref, "ref": vm})
    session.VM.destroy(vm)
    return answer.body


@pytest.fixture(scope="module")
def ova(exported: bytes) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(exported)) as archive:
        file = archive.extractfile("ova.xml")
        assert file is not None
        return file.read()


def counts(session: Any) -> dict[str, int]:
    return {cls: len(session.call(f"{cls}.get_all")) for cls in ("VM", "VDI", "VBD", "VIF", "VM_metrics", "network")}


def import_(put: Put, session: Any, body: bytes, **query: str) -> list[str]:
    return put("/import", body, sr_id=sr_named(session, "NFS storage"), **query)


# What stands in ova.xml → what in its place.
MANGLED = {
    "no class": (b"<name>class</name><value>VM", b"<name>class</name><value><struct/>"),
    "no name": (b"<name>id</name><value>Ref:0", b"<name>id</name><value><array><data/></array>"),
    "no record": (b"<name>snapshot</name>", b"<name>snapsot</name>"),
    "a number that is none": (b"<name>memory_static_max</name><value>", b"<name>memory_static_max</name><value>x"),
    "a number beyond 64 bits": (b"<name>virtual_size</name><value>", b"<name>virtual_size</name><value>99999999999"),
    "a negative size": (b"<name>virtual_size</name><value>", b"<name>virtual_size</name><value>-"),
    "a state that is none": (b"<name>power_state</name><value>Halted", b"<name>power_state</name><value>Banana"),
    "a mode that is none": (b"<name>mode</name><value>RW", b"<name>mode</name><value>Zebra"),
    "a kind that nobody makes": (b"<name>type</name><value>user", b"<name>type</name><value>cbt_metadata"),
    "a device that is none": (b"<name>userdevice</name><value>", b"<name>userdevice</name><value>zz"),
    "a drive of nobody": (b"<name>VM</name><value>Ref", b"<name>VM</name><value>Raf"),
    "a NIC of no network": (b"<name>network</name><value>Ref", b"<name>network</name><value>Raf"),
    "a list for a map": (
        b"<name>other_config</name><value><struct>",
        b"<name>other_config</name><value><array><data/></array></value></member><member><name>a</name><value><struct>",
    ),
    "an entity": (b"<value>", b"<!DOCTYPE a [<!ENTITY b 'c'>]><value>"),
}


@pytest.mark.parametrize(("old", "new"), MANGLED.values(), ids=MANGLED.keys())
def test_descriptions_that_make_no_sense(put: Put, session: Any, exported: bytes, ova: bytes, old: bytes, new: bytes) -> None:
    assert old in ova
    padded = 512 + -(-len(ova) // 512) * 512
    before = counts(session)
    result = import_(put, session, member("ova.xml", ova.replace(old, new)) + exported[padded:])
    assert result[0] not in ("success", "TASK_CANCELLED"), result
    assert counts(session) == before


ARCHIVES = {
    "nothing": b"",
    "zeroes": END,
    "gzip that is none": b"\x1f\x8b" + b"junk" * 100,
    "gzip that expands without end": gzip.compress(member("ova.xml", size=8 << 30) + bytes(100 * MIB), 9),
    "a description of eight gigabytes": member("ova.xml", size=8 << 30) + bytes(MIB),
    "a description of less than nothing": member("ova.xml", size=-5) + bytes(MIB),
    "a description that is a link": member("ova.xml", kind=tarfile.SYMTYPE) + END,
    "a description of bytes": member("ova.xml", bytes(range(256))) + END,
    "a deep description": member("ova.xml", b"<value><array><data>" * 20_000 + b"</data></array></value>" * 20_000) + END,
    "another file first": member("../../outside", b"x") + END,
}


@pytest.mark.parametrize("body", ARCHIVES.values(), ids=ARCHIVES.keys())
def test_archives_that_are_none(put: Put, session: Any, body: bytes) -> None:
    before = counts(session)
    assert import_(put, session, body)[0].startswith(("IMPORT_ERROR", "INTERNAL_ERROR"))
    assert counts(session) == before


@pytest.mark.parametrize("name", ["../../outside", "/etc/passwd", "Ref:4/²", "Ref:4/99999999999999999999", "Ref:4/-1", "Ref:4/", "Ref:4/../Ref:4/0", "ova.xml"])
def test_chunks_of_no_disk(put: Put, session: Any, ova: bytes, name: str) -> None:
    before = counts(session)
    assert import_(put, session, member("ova.xml", ova) + member(name, b"x" * 512) + END) == ["IMPORT_ERROR", 'INTERNAL_ERROR: [ Failure("Invalid XVA file") ]']
    assert counts(session) == before


def test_an_honest_archive_is_taken(put: Put, session: Any, exported: bytes) -> None:
    assert import_(put, session, exported) == ["success"]
    assert import_(put, session, gzip.compress(exported)) == ["success"]
    assert machine(session) != NULL
