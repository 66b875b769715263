# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What VMs show: /console, a VNC server (RFC 6143) behind a CONNECT, and /vncsnapshot (X/console.ml, X/xapi_vncsnapshot.ml)."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from simulator import Simulator
from simulator.guests import screen
from simulator.server import Server

from ._machines import machine

UNKNOWN = "5a0c1c3e-6d2b-4b1e-9a77-0f4d3c2b1a00"


@pytest.fixture(params=["8.3", "26"], scope="module")
def simulator(request: Any) -> Iterator[Simulator]:
    with Simulator("one_host", api=request.param) as simulator:
        yield simulator
        assert simulator.problems == []


@pytest.fixture(scope="module")
def server(simulator: Simulator) -> Server:
    return simulator.serve(tls=False, http=True)


@pytest.fixture(scope="module")
def session(simulator: Simulator) -> Any:
    return simulator.session()


@pytest.fixture(scope="module")
def vm(session: Any) -> str:
    return machine(session, "shown", start=True)


class Wire:
    """A connection of which exactly so many bytes are read."""

    def __init__(self, server: Server, verb: str, path: str, **query: str) -> None:
        parts = urlsplit(server.http_url)
        self._socket = socket.create_connection((parts.hostname or "", parts.port or 0), timeout=10)
        self._stream = self._socket.makefile("rb")
        self.send(f"{verb} {path}?{urlencode(query)} HTTP/1.1\r\nhost: {parts.hostname}\r\n\r\n".encode())
        self.status = int(self._stream.readline().split()[1])
        self.headers = {}
        while line := self._stream.readline().strip():
            name, _unused, value = line.decode().partition(":")
            self.headers[name.lower()] = value.strip()

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def read(self, size: int) -> bytes:
        data = self._stream.read(size)
        assert len(data) == size
        return data

    def rest(self) -> bytes:
        return self._stream.read()

    def close(self) -> None:
        self._stream.close()
        self._socket.close()


@pytest.fixture
def dial(server: Server, session: Any) -> Iterator[Any]:
    wires: list[Wire] = []

    def connect(verb: str = "CONNECT", path: str = "/console", **query: str) -> Wire:
        wires.append(Wire(server, verb, path, session_id=session.ref, **query))
        return wires[-1]

    yield connect
    for wire in wires:
        wire.close()


def greet(wire: Wire) -> tuple[int, int, str]:
    """Shake hands as RFB 3.8; width, height and name of the screen."""
    assert wire.status == 200
    assert wire.read(12) == b"RFB 003.008\n"
    wire.send(b"RFB 003.008\n")
    assert wire.read(2) == b"\x01\x01"
    wire.send(b"\x01")
    assert wire.read(4) == bytes(4)
    wire.send(b"\x01")
    width, height = struct.unpack(">HH", wire.read(4))
    wire.read(16)
    (length,) = struct.unpack(">I", wire.read(4))
    return width, height, wire.read(length).decode()


def ask(wire: Wire, *, incremental: bool = False) -> None:
    wire.send(struct.pack(">BBHHHH", 3, incremental, 0, 0, screen.WIDTH, screen.HEIGHT))


def frame(wire: Wire) -> bytes:
    """The whole screen as lit and dark pixels."""
    assert struct.unpack(">BxHHHHHi", wire.read(16)) == (0, 1, 0, 0, screen.WIDTH, screen.HEIGHT, 0)
    pixels = wire.read(4 * screen.WIDTH * screen.HEIGHT)
    return bytes(1 if pixels[at] else 0 for at in range(0, len(pixels), 4))


def test_the_screen_shows_the_name_and_the_state(session: Any, dial: Any, vm: str) -> None:
    wire = dial(uuid=session.VM.get_uuid(vm))
    assert greet(wire) == (screen.WIDTH, screen.HEIGHT, "shown")
    host = session.host.get_name_label(session.VM.get_resident_on(vm))
    ask(wire)
    assert frame(wire) == bytes(screen.draw(("shown", "", f"Running on {host}")))
    # An incremental question is answered when there is something new.
    ask(wire, incremental=True)
    session.VM.pause(vm)
    assert frame(wire) == bytes(screen.draw(("shown", "", f"Paused on {host}")))
    session.VM.unpause(vm)


def test_a_console_by_its_reference_and_the_serial_line(session: Any, dial: Any, vm: str) -> None:
    consoles = {session.console.get_protocol(ref): ref for ref in session.VM.get_consoles(vm)}
    assert greet(dial(ref=consoles["rfb"]))[2] == "shown"
    line = dial(ref=consoles["vt100"])
    assert line.read(7) == b"shown\r\n"
    # The address that a client finds in the record leads there.
    assert session.console.get_location(consoles["rfb"]).endswith(f"/console?uuid={session.console.get_uuid(consoles['rfb'])}")


@pytest.mark.parametrize("query", [{}, {"ref": "OpaqueRef:nobody"}, {"uuid": UNKNOWN}])
def test_what_has_no_console(dial: Any, query: dict[str, str]) -> None:
    assert dial(**query).status == 500


def test_only_what_runs_is_seen(session: Any, dial: Any) -> None:
    vm = machine(session, start=True)
    uuid = session.VM.get_uuid(vm)
    session.VM.pause(vm)
    assert dial(uuid=uuid).status == 500
    session.VM.unpause(vm)
    wire = dial(uuid=uuid)
    greet(wire)
    session.VM.hard_shutdown(vm)
    assert wire.rest() == b""
    assert dial(uuid=uuid).status == 500


def test_web_sockets_want_a_helper(session: Any, dial: Any, vm: str) -> None:
    assert dial("GET", uuid=session.VM.get_uuid(vm)).status == 501


def test_a_picture_of_it(session: Any, dial: Any, vm: str) -> None:
    wire = dial("GET", "/vncsnapshot", uuid=session.VM.get_uuid(vm))
    assert wire.status == 200
    picture = wire.read(int(wire.headers["content-length"]))
    assert (picture[:2], picture[-2:]) == (b"\xff\xd8", b"\xff\xd9")
    assert dial("GET", "/vncsnapshot", uuid=UNKNOWN).status == 500


def test_one_viewer_at_a_time(session: Any, dial: Any, vm: str) -> None:
    (pool,) = session.pool.get_all()
    if "limit_console_sessions" not in session.pool.get_record(pool):
        # The field is of 2026: before, anybody may look.
        for _unused in range(2):
            greet(dial(uuid=session.VM.get_uuid(vm)))
        return
    uuid, other = session.VM.get_uuid(vm), machine(session, start=True)
    first = dial(uuid=uuid)
    greet(first)
    session.pool.set_limit_console_sessions(pool, True)
    refused = dial(uuid=uuid)
    assert refused.status == 503
    assert b"No more connections are allowed when limit_console_sessions is enabled." in refused.rest()
    assert dial("GET", uuid=uuid).status == 503
    greet(dial(uuid=session.VM.get_uuid(other)))
    session.pool.set_limit_console_sessions(pool, False)
    greet(dial(uuid=uuid))
