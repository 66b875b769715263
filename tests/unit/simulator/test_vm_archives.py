# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/import, /import_metadata and /export of VMs over sockets: archives that are not quite right (facts 4, X/import.ml, X/stream_vdi.ml)."""

from __future__ import annotations

import http.client
import io
import tarfile
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from simulator import NULL, Simulator
from simulator.server import Server

from ._asking import fixtures
from ._machines import MIB, add_disk, attach, disks, machine, sr_named

Files = dict[str, bytes]


simulator, session = fixtures(lambda: Simulator("one_host"), "module")


@pytest.fixture(scope="module")
def server(simulator: Simulator) -> Server:
    return simulator.serve(tls=False, http=True)


def ask(server: Server, verb: str, path: str, body: bytes | None = None, **query: str) -> bytes:
    parts = urlsplit(server.http_url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 0, timeout=20)
    try:
        connection.request(verb, f"{path}?{urlencode(query)}", body)
        response = connection.getresponse()
        assert response.status == 200
        return response.read()
    except (ConnectionResetError, BrokenPipeError):
        # The server closes when it has seen enough; how it ended is in the task.
        return b""
    finally:
        connection.close()


@pytest.fixture
def vm(session: Any) -> str:
    vm = machine(session)
    disk = disks(session, vm)[0]
    session.VBD.destroy(session.VDI.get_VBDs(disk)[0])
    session.VDI.destroy(disk)
    add_disk(session, vm, sr_named(session, "NFS storage"), size=4 * MIB, device="0")
    return vm


@pytest.fixture
def files(session: Any, server: Server, vm: str) -> Files:
    """What is in the archive of a VM with a disk of four MiB."""
    archive = ask(server, "GET", "/export", session_id=session.ref, uuid=session.VM.get_uuid(vm))
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]


@pytest.fixture
def put(session: Any, server: Server) -> Callable[..., Any]:
    """Import these files; the new VMs, or how the task failed."""

    def run(files: Files, path: str = "/import", **query: str) -> Any:
        target = io.BytesIO()
        with tarfile.open(fileobj=target, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            for name, data in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
        task = session.task.create("import", "")
        ask(server, "PUT", path, target.getvalue(), session_id=session.ref, task_id=task, **query)
        record = session.task.get_record(task)
        session.task.destroy(task)
        return record["error_info"] or record["result"]

    return run


def count(session: Any) -> tuple[int, int]:
    return len(session.VM.get_all()), len(session.VDI.get_all())


def test_a_wrong_checksum(session: Any, files: Files, put: Callable[..., Any]) -> None:
    name = next(name for name in files if name.endswith(".xxhash"))
    files[name] = b"0" * 16
    before = count(session)
    assert put(files) == ["IMPORT_ERROR_SOME_CHECKSUMS_FAILED"]
    assert count(session) == before
    # `force` looks away.
    assert put(files, force="true").startswith("<value><array>")
    assert count(session) == (before[0] + 1, before[1] + 1)


def test_an_archive_of_a_newer_xapi(session: Any, files: Files, put: Callable[..., Any]) -> None:
    major = session.host.get_software_version(session.host.get_all()[0])["xapi"].partition(".")[0]
    told = f"<member><name>xapi_major</name><value>{major}</value>".encode()
    assert told in files["ova.xml"]
    newer = {**files, "ova.xml": files["ova.xml"].replace(told, b"<member><name>xapi_major</name><value>99</value>")}
    assert put(newer) == ["IMPORT_INCOMPATIBLE_VERSION"]
    older = {**files, "ova.xml": files["ova.xml"].replace(told, b"<member><name>xapi_major</name><value>1</value>")}
    assert put(older).startswith("<value><array>")


def test_flags_of_import_metadata(session: Any, server: Server, vm: str, put: Callable[..., Any]) -> None:
    archive = ask(server, "GET", "/export_metadata", session_id=session.ref, ref=vm)
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        files = {"ova.xml": tar.extractfile("ova.xml").read()}  # type: ignore[union-attr]
    before = count(session)
    assert put(files, "/import_metadata", dry_run="true") == "<value><array><data></data></array></value>"
    assert count(session) == before
    disk = session.VDI.get_uuid(disks(session, vm)[0])
    other = add_disk(session, machine(session), sr_named(session, "NFS storage"))
    known = set(session.VM.get_all())
    put(files, "/import_metadata", **{f"vdi:{disk}": session.VDI.get_uuid(other)})
    (new,) = set(session.VM.get_all()) - known
    assert disks(session, new) == [other]


@pytest.mark.parametrize("how", ["foreign", "backwards"])
def test_chunks_that_are_not_the_next_one(session: Any, files: Files, put: Callable[..., Any], how: str) -> None:
    """xapi reads disk after disk, chunk after chunk (recv_all_vdi)."""
    (first,) = (name for name in files if name.endswith("/00000000"))
    disk = first.partition("/")[0]
    names = ["Ref:99999/00000000"] if how == "foreign" else [f"{disk}/00000001", f"{disk}/00000000"]
    bad = {"ova.xml": files["ova.xml"]}
    for name in names:
        bad |= {name: files[first], f"{name}.xxhash": files[f"{first}.xxhash"]}
    before = count(session)
    assert put(bad) == ["IMPORT_ERROR", 'INTERNAL_ERROR: [ Failure("Invalid XVA file") ]']
    assert count(session) == before


def test_an_archive_that_ends_before_its_disk(session: Any, files: Files, put: Callable[..., Any]) -> None:
    kept = {name: data for name, data in files.items() if not name.rpartition("/")[2].startswith("00000003")}
    assert len(kept) == len(files) - 2
    before = count(session)
    assert put(kept) == ["IMPORT_ERROR", "INTERNAL_ERROR: [ Tar.Header.End_of_stream ]"]
    assert count(session) == before


def test_a_disk_that_is_rounded_up_ends_where_it_ended(session: Any, files: Files, put: Callable[..., Any]) -> None:
    told = f"<member><name>virtual_size</name><value>{4 * MIB}</value>".encode()
    assert told in files["ova.xml"]
    files["ova.xml"] = files["ova.xml"].replace(told, f"<member><name>virtual_size</name><value>{3 * MIB}</value>".encode())
    smaller = {name.replace("00000003", "00000002"): data for name, data in files.items()}
    known = set(session.VDI.get_all())
    assert put(smaller).startswith("<value><array>")
    assert {session.VDI.get_virtual_size(vdi) for vdi in set(session.VDI.get_all()) - known if session.VDI.get_managed(vdi)} == {4 * MIB}


def test_two_disks(session: Any, server: Server, vm: str, put: Callable[..., Any]) -> None:
    add_disk(session, vm, sr_named(session, "NFS storage"), size=2 * MIB, device="1")
    archive = ask(server, "GET", "/export", session_id=session.ref, uuid=session.VM.get_uuid(vm))
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        files = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
    assert put(files).startswith("<value><array>")


def test_an_image_that_is_used_as_a_disk_is_not_awaited(session: Any, server: Server, vm: str, put: Callable[..., Any]) -> None:
    (iso,) = session.VDI.get_by_name_label("debian-12.iso")
    attach(session, vm, iso, device="4", mode="RO")
    archive = ask(server, "GET", "/export", session_id=session.ref, uuid=session.VM.get_uuid(vm))
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        files = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
    known = set(session.VM.get_all())
    put(files)
    (new,) = set(session.VM.get_all()) - known
    assert iso in disks(session, new)
    assert NULL not in disks(session, new)
