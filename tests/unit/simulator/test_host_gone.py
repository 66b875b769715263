# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What clients on the wire see of a host that stops, and of one that comes back: never silence."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Callable, Iterator

import pytest

from simulator import Simulator, VirtualClock, fault_effects
from simulator.server import Server

# Seconds: far less than the 60 after which asyncio itself gives up a TLS handshake.
SOON = 10.0


@pytest.fixture
def pool() -> Iterator[Simulator]:
    with Simulator("three_hosts", clock=VirtualClock()) as simulator:
        yield simulator
        assert simulator.problems == []


def place(server: Server, name: str) -> tuple[str, int]:
    host, _unused, port = server.urls[name].rpartition("/")[2].rpartition(":")
    return host, int(port)


def act(pool: Simulator, action: Callable[..., None], name: str) -> None:
    async def run() -> None:
        action(pool.engine, name)

    pool.run(run())


@pytest.mark.parametrize("tls", [True, False])
@pytest.mark.parametrize("wait", [0.0, 0.1], ids=["not yet accepted", "accepted"])
def test_who_connects_as_a_host_crashes_is_cut_off(pool: Simulator, tls: bool, wait: float) -> None:
    where = place(pool.serve(tls=tls), "xs2")
    with contextlib.ExitStack() as stack:
        # They have said nothing yet: with TLS the handshake has not begun.
        clients = [stack.enter_context(socket.create_connection(where, timeout=SOON)) for _unused in range(20)]
        # Not a wait for something to happen: either order must do, and this makes both likely.
        time.sleep(wait)
        act(pool, fault_effects.crash, "xs2")
        for client in clients:
            with contextlib.suppress(ConnectionResetError):
                assert client.recv(1) == b""


def test_a_request_that_is_read_after_the_crash_is_not_answered(pool: Simulator) -> None:
    with socket.create_connection(place(pool.serve(tls=False), "xs2"), timeout=SOON) as client:
        pool.engine.down.add(pool.session().host.get_by_name_label("xs2")[0])
        with contextlib.suppress(ConnectionResetError):
            client.sendall(b"OPTIONS / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert client.recv(1) == b""


@pytest.mark.parametrize("name", ["xs1", "xs2"], ids=["the coordinator", "a member"])
def test_a_host_that_comes_back_answers(pool: Simulator, name: str) -> None:
    """Also the coordinator, whose toolstack starts and ends all work that is under way."""
    server = pool.serve()
    host, port = place(server, name)
    trusted = ssl.create_default_context(cafile=str(server.ca_path))
    act(pool, fault_effects.crash, name)
    act(pool, fault_effects.boot, name)
    end = time.monotonic() + SOON
    while True:
        try:
            with trusted.wrap_socket(socket.create_connection((host, port), timeout=SOON), server_hostname=host) as client:
                client.sendall(b"OPTIONS / HTTP/1.1\r\nHost: x\r\n\r\n")
                assert client.recv(12) == b"HTTP/1.1 200"
                return
        except (ConnectionRefusedError, ConnectionResetError):
            assert time.monotonic() < end, f"{name} does not answer"
