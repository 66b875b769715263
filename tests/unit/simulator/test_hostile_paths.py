# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names that clients choose and that look like paths: nothing outside the simulator's own folders is read, written or removed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from simulator import Failure, Simulator
from simulator.storage import Store

from ._hostile import Wire, shaped
from ._machines import only, refusal

MIB = 1024 * 1024
RECORD = {"type": "user", "sharable": False, "read_only": False, "other_config": {}}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def outside(home: Path) -> Path:
    """What must not be touched: a folder with files, next to where the simulator keeps its own."""
    folder = home / "outside"
    (folder / "inner").mkdir(parents=True)
    (folder / "secret").write_text("not for clients", encoding="utf-8")
    (folder / "inner" / "kept").write_text("kept", encoding="utf-8")
    return folder


def fingerprint(folder: Path) -> dict[str, str]:
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "" for path in sorted(folder.rglob("*"))}


@pytest.fixture(scope="module")
def simulator(home: Path, outside: Path) -> Iterator[Simulator]:
    """One that keeps its disks beside the folder, so that a few dots lead there."""
    (home / "plugins").mkdir()
    with Simulator("one_host", state=home / "state", plugin_dir=home / "plugins") as simulator:
        yield simulator


@pytest.fixture
def pool(simulator: Simulator, home: Path, outside: Path) -> Iterator[Simulator]:
    before = fingerprint(outside)
    simulator.problems.clear()
    yield simulator
    assert simulator.problems == []
    assert fingerprint(outside) == before
    assert {path.name for path in home.iterdir()} == {"outside", "plugins", "state"}


def tricks(outside: Path) -> list[str]:
    return [str(outside), "../../outside", f"../../../../../../../../..{outside}", "..", ".", "", "blobs", "a/b", "~", "a\0b", "-rf", "x" * 4000, "ü" * 200]


def write_through(session: Any, sr: str) -> None:
    """Make storage of it with a disk in it, and wipe it."""
    host = only(session.host.get_all())
    pbd = session.PBD.create({"host": host, "SR": sr, "device_config": {"location": "/var/simulated"}, "other_config": {}})
    session.PBD.plug(pbd)
    vdi = session.VDI.create({**RECORD, "SR": sr, "virtual_size": 4 * MIB})
    session.VDI.copy(vdi, sr)
    session.VDI.snapshot(vdi)
    for disk in [one for one in session.SR.get_VDIs(sr) if session.VDI.get_managed(one)]:
        session.VDI.destroy(disk)
    session.PBD.unplug(pbd)
    session.SR.destroy(sr)


def test_an_sr_whose_uuid_is_a_path(pool: Simulator, outside: Path) -> None:
    session = pool.session()
    for uuid in tricks(outside):
        write_through(session, session.SR.introduce(uuid, "trick", "", "file", "user", False, {}))


def test_a_store_keeps_to_its_folder(tmp_path: Path, outside: Path) -> None:
    store, before = Store(tmp_path / "disks"), fingerprint(outside)
    for name in tricks(outside):
        volume = store.repository(name).add("disk", MIB)
        volume.write(0, b"x" * 65536)
        assert volume.layer.path.resolve().parent.parent == (tmp_path / "disks").resolve()
        assert store.blob(name).resolve().parent == (tmp_path / "disks" / "blobs").resolve()
        store.drop(name)
    assert fingerprint(outside) == before
    store.close()


def test_different_names_stay_different(tmp_path: Path) -> None:
    store = Store(tmp_path / "disks")
    names = ["a/b", "a_b", "../a", "a", "A"]
    assert len({store.repository(name).directory for name in names}) == len(names)
    assert store.repository("a/b") is store.repository("a/b")


def test_such_a_pool_is_taken_up_again(tmp_path: Path, outside: Path) -> None:
    state, uuid = tmp_path / "state", "../../outside/inner"
    with Simulator("one_host", state=state) as simulator:
        session = simulator.session()
        sr = session.SR.introduce(uuid, "trick", "", "file", "user", False, {})
        pbd = session.PBD.create({"host": only(session.host.get_all()), "SR": sr, "device_config": {"location": "/x"}, "other_config": {}})
        session.PBD.plug(pbd)
        session.VDI.create({**RECORD, "SR": sr, "virtual_size": 4 * MIB, "name_label": "survivor"})
    with Simulator("one_host", state=state) as simulator:
        assert len(simulator.session().VDI.get_by_name_label("survivor")) == 1
        assert simulator.problems == []
    assert (outside / "inner" / "kept").read_text(encoding="utf-8") == "kept"


def test_disks_whose_location_is_a_path(pool: Simulator, outside: Path) -> None:
    session = pool.session()
    for sr in session.SR.get_all():
        for trick in tricks(outside):
            names = ["n", "d", sr, "user", False, False, {}]
            with pytest.raises(Failure):
                session.VDI.introduce(trick, *names, trick, {}, {})


def test_names_of_plugins(pool: Simulator, home: Path, outside: Path) -> None:
    (home / "plugins" / "loop").symlink_to("loop")
    (home / "plugins" / "folder").mkdir()
    (home / "plugins" / "gone").symlink_to(outside / "nothing")
    session = pool.session()
    host = only(session.host.get_all())
    for name in [*tricks(outside), f"{outside}/secret", "../outside/secret", "./loop", "loop/../loop", "LOOP", "loop\n", "*", "%2e%2e"]:
        assert refusal(session.host.call_plugin, host, name, "fn", {}) == ["XENAPI_MISSING_PLUGIN", name]
    for name in ("loop", "folder", "gone"):
        assert refusal(session.host.call_plugin, host, name, "fn", {}) == ["XENAPI_PLUGIN_FAILURE", "non-zero exit", "", ""]


@pytest.mark.parametrize("verb", ["GET", "PUT", "POST", "OPTIONS"])
def test_paths_of_requests(pool: Simulator, outside: Path, verb: str) -> None:
    wire = Wire(pool)
    for trick in (f"{outside}/secret", "../../outside/secret", "..%2f..%2foutside%2fsecret", "%2e%2e/%2e%2e/outside/secret", "secret%00.html", "\\..\\secret"):
        for prefix in ("/", "//", "/blob/", "/export/", "/RPC2/", "/import/", "/./", "/console/"):
            answer = wire.send(f"{verb} {prefix}{trick} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".encode())
            assert shaped(answer), (prefix, trick, answer)
            assert b"not for clients" not in answer.body
            assert answer.status != 200 or verb == "OPTIONS"


@pytest.mark.parametrize("path", ["/blob", "/import", "/import_raw_vdi", "/import_metadata"])
@pytest.mark.parametrize("name", ["ref", "uuid", "vdi", "sr_id", "sr_uuid", "base", "task_id"])
def test_objects_of_requests(pool: Simulator, outside: Path, path: str, name: str) -> None:
    wire, session = Wire(pool), pool.session()
    for trick in tricks(outside):
        for verb in ("GET", "PUT"):
            answer = wire.request(verb, path, b"x" if verb == "PUT" else b"", {"session_id": session.ref, name: trick[:400]})
            assert b"not for clients" not in answer.body
            assert shaped(answer), (verb, trick, answer)


def test_a_blob_is_where_its_uuid_says(pool: Simulator, outside: Path) -> None:
    wire, session = Wire(pool), pool.session()
    blob = session.host.create_new_blob(only(session.host.get_all()), str(outside / "secret"), "text/html\r\nSet-Cookie: a=b", True)
    assert wire.request("PUT", "/blob", b"hello", {"session_id": session.ref, "ref": blob}).status == 200
    answer = wire.request("GET", "/blob", query={"ref": blob})
    assert (answer.status, answer.body) == (200, b"hello")
    assert "set-cookie" not in answer.headers
    session.blob.destroy(blob)


def test_an_archive_from_a_file_is_not_fetched(pool: Simulator, outside: Path) -> None:
    session = pool.session()
    for url in (
        f"file://{outside}/secret",
        f"{outside}/secret",
        "ftp://127.0.0.1/x",
        "gopher://127.0.0.1/x",
        "",
        "http://",
        "//",
        "javascript:1",
        "http://[::1",
    ):
        code = refusal(session.VM.import_, url, session.SR.get_all()[0], False, False)[0]
        assert code in ("INTERNAL_ERROR", "IMPORT_ERROR", "NO_HOSTS_AVAILABLE"), url
