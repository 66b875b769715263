# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts that misbehave while a disk is transferred: the calls go to the simulator, the stream to a scripted peer."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ansible_collections.xapi.xenserver.plugins.module_utils import _disk_export, _task, _transfer
from ansible_collections.xapi.xenserver.plugins.module_utils._vhd_writer import sparse_file
from simulator import Simulator

from ..conftest import Run
from .machines import MACHINES, MIB, named, new_disk, the

pytestmark = pytest.mark.world(MACHINES)
OK = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: application/octet-stream\r\n\r\n"
Script = Callable[[socket.socket], None]


@contextmanager
def peer(script: Script) -> Iterator[str]:
    """A server that reads the head of each request and then does as told; yields its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _address = listener.accept()
                except OSError:
                    return
                with connection:
                    head = b""
                    while b"\r\n\r\n" not in head and (data := connection.recv(65536)):
                        head += data
                    if head:
                        script(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(5)
    assert not thread.is_alive(), "whoever was served did not hang up"


@pytest.fixture(autouse=True)
def short_graces(monkeypatch: pytest.MonkeyPatch) -> None:
    """The peer never ends the task, so nobody need wait for its reason."""
    monkeypatch.setattr(_transfer, "REASON_GRACE", 0.05)
    monkeypatch.setattr(_task, "CANCEL_GRACE", 0.05)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image.raw"
    path.write_bytes(b"x" * (6 * MIB))
    return path


def vhd(size: int) -> bytes:
    """A whole VHD with one used block."""
    return b"".join(sparse_file(size, [0], lambda _number: b"x" * (2 * MIB)))


def say(data: bytes) -> Script:
    return lambda connection: connection.sendall(data)


def hang(connection: socket.socket) -> None:
    connection.recv(1)


def reset(connection: socket.socket) -> None:
    """200, and then the connection is gone, as when vhd-tool dies."""
    connection.sendall(OK)
    connection.recv(65536)


class TestExport:
    @pytest.fixture(autouse=True)
    def small(self, simulator: Simulator) -> None:
        new_disk(simulator.session(), the(simulator, "SR", "NFS storage")["ref"], "small", 2 * MIB)

    @pytest.mark.parametrize("length", [0, MIB, 2 * MIB - 1, 2 * MIB + 1, 3 * MIB])
    def test_wrong_length_is_no_success(self, run_module: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, length: int) -> None:
        """Of raw bytes, as a disk that no VHD can hold has them. xapi ends both in success (recordings http and images)."""
        monkeypatch.setattr(_disk_export, "LARGEST", 0)
        with peer(say(OK + b"x" * length)) as url:
            outcome = run_module("xen_vdi", hostname=url, name="small", state="exported", dest=str(tmp_path / "out.raw"))
        assert outcome.failed
        assert f"the disk has {2 * MIB} bytes, but {length} arrived" in outcome.msg
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        ("stream", "message"),
        [
            pytest.param(b"", "this VHD ends at byte 0, in the middle", id="nothing"),
            pytest.param(b"x" * 4096, "this is no VHD: its footer does not begin with 'conectix'", id="no VHD"),
            pytest.param(vhd(2 * MIB)[: MIB + 512], f"this VHD ends at byte {MIB + 512}, in the middle", id="cut in a block"),
            pytest.param(vhd(2 * MIB)[:-512], "this is no VHD: its footer does not begin with 'conectix'", id="cut before its end"),
            pytest.param(vhd(4 * MIB), f"the disk has {2 * MIB} bytes, but a disk of {4 * MIB} arrived", id="another disk"),
        ],
    )
    def test_broken_stream_is_no_success(self, run_module: Run, tmp_path: Path, stream: bytes, message: str) -> None:
        with peer(say(OK + stream)) as url:
            outcome = run_module("xen_vdi", hostname=url, name="small", state="exported", dest=str(tmp_path / "out.raw"))
        assert outcome.failed
        assert message in outcome.msg
        assert list(tmp_path.iterdir()) == []

    def test_time_is_limited(self, run_module: Run, tmp_path: Path) -> None:
        def drip(connection: socket.socket) -> None:
            connection.sendall(OK)
            for byte in vhd(2 * MIB):
                connection.sendall(bytes([byte]))
                threading.Event().wait(0.02)

        with peer(swallowing(drip)) as url:
            outcome = run_module("xen_vdi", hostname=url, name="small", state="exported", dest=str(tmp_path / "out.raw"), timeout=0.3)
        assert outcome.failed
        assert "gave up waiting for out.raw to be read after 0.3 seconds; raise the time-out" in outcome.msg
        assert list(tmp_path.iterdir()) == []


def swallowing(script: Script) -> Script:
    """The script, whose client may leave."""

    def run(connection: socket.socket) -> None:
        try:
            script(connection)
        except OSError:
            return

    return run


class TestImport:
    @pytest.mark.parametrize(
        ("script", "message"),
        [
            pytest.param(say(b"HTTP/1.1 401 Unauthorised\r\ncontent-length: 0\r\n\r\n"), "answered 401 Unauthorised", id="401"),
            pytest.param(say(b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\n\r\n"), "127.0.0.1:1 refused the connection", id="302 to nowhere"),
            pytest.param(say(b""), "the connection broke: Remote end closed connection without response", id="no answer"),
            pytest.param(say(b"SSH-2.0-OpenSSH_9.2\r\n"), "the connection broke: SSH-2.0-OpenSSH_9.2", id="no HTTP"),
            pytest.param(swallowing(reset), "the connection broke: ", id="reset"),
            pytest.param(hang, "the connection broke: nothing moved for 0.3 seconds", id="silence"),
        ],
    )
    def test_failing_transfer_is_explained_and_undone(self, run_module: Run, simulator: Simulator, image: Path, script: Script, message: str) -> None:
        with peer(script) as url:
            outcome = run_module("xen_vdi", hostname=url, name="root", content=str(image), request_timeout=0.3)
        assert outcome.failed
        assert message in outcome.msg
        assert outcome["undone"] == ["create disk 'root' on 'NFS storage'"]
        assert named(simulator, "VDI", "root") == []

    def test_redirects_end(self, run_module: Run, image: Path) -> None:
        where: list[str] = []
        with peer(lambda connection: connection.sendall(f"HTTP/1.1 302 Found\r\nlocation: {where[0]}/\r\n\r\n".encode())) as url:
            where.append(url)
            outcome = run_module("xen_vdi", hostname=url, name="root", content=str(image))
        assert outcome.failed
        assert "answered 302 Found" in outcome.msg

    def test_success_without_a_task_that_says_so_is_none(self, run_module: Run, simulator: Simulator, image: Path) -> None:
        """The 200 comes before anything is read and proves nothing (facts §4.1)."""

        def swallow(connection: socket.socket) -> None:
            connection.sendall(OK)
            while connection.recv(65536):
                pass

        with peer(swallowing(swallow)) as url:
            outcome = run_module("xen_vdi", hostname=url, name="root", content=str(image), timeout=1)
        assert outcome.failed
        assert f"gave up waiting for '{image}' to be written to the disk after " in outcome.msg
        assert named(simulator, "VDI", "root") == []
