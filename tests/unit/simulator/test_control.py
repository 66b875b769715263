# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The control endpoint, fault rules that do something to the pool, and calls as a file."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import stat
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from simulator import Failure, Rule, Simulator
from simulator.call_file import CallFile
from simulator.control import Control
from simulator.engine.faults import Disconnect, parsed
from simulator.engine.log import masked
from simulator.transport.tls import Authority


@pytest.fixture
def pool() -> Iterator[Simulator]:
    with Simulator("three_hosts") as simulator:
        yield simulator
        assert simulator.problems == []


class Client:
    def __init__(self, control: Control) -> None:
        self.url, self.token = control.url, control.token

    def __call__(self, method: str, path: str, body: Any = None, token: str | None = None) -> tuple[int, Any]:
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"authorization": f"Bearer {self.token if token is None else token}"}
        try:
            with urllib.request.urlopen(urllib.request.Request(self.url + path, data, headers, method=method)) as answer:
                text = answer.read()
                return answer.status, json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())


@pytest.fixture
def client(pool: Simulator) -> Iterator[Client]:
    control = Control([pool])
    control.open()
    yield Client(control)
    control.close()


# Who may ask


@pytest.mark.parametrize("token", ["", "wrong", "ä"])
def test_nobody_without_the_token(client: Client, token: str) -> None:
    status, answer = client("GET", "/faults", token=token.encode().decode("latin-1"))
    assert status == 401
    assert "ready file" in answer["error"]


def test_it_listens_on_loopback_alone(client: Client) -> None:
    assert client.url.startswith("http://127.0.0.1:")


# Rules


def test_a_rule_is_added_listed_and_taken_away(client: Client, pool: Simulator) -> None:
    status, rule = client("POST", "/faults", {"method": "VM.get_all", "error": ["SR_FULL", "1", "2"], "nth": 2})
    assert (status, rule["number"]) == (201, 1)
    session = pool.session()
    session.VM.get_all()
    with pytest.raises(Failure, match="SR_FULL"):
        session.VM.get_all()
    session.VM.get_all()
    (listed,) = client("GET", "/faults")[1]
    assert (listed["seen"], listed["struck"]) == (3, 1)
    assert client("DELETE", "/faults/7")[0] == 404
    assert client("DELETE", "/faults/1")[0] == 204
    assert client("GET", "/faults") == (200, [])


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"method": "VM.start"}, "does nothing without one of error, cut, stall, drop, fill, crash"),
        ({"error": "X"}, "needs a 'method'"),
        ({"method": "VM.start", "eror": "X"}, "no 'eror'"),
        ({"method": "VM.start", "error": []}, "does nothing"),
        ({"method": "VM.start", "error": [1]}, "all text"),
        ({"method": "VM.start", "cut": "sideways"}, "'before' or 'after'"),
        ({"method": "VM.start", "stall": True}, "'stall' cannot be True"),
        ({"method": "VM.start", "crash": "xs9"}, "no host named 'xs9'; there are xs1, xs2, xs3"),
        ({"method": "VM.start", "fill": "tape"}, "no SR named 'tape'"),
        ({"method": "VM.start", "stall": float("nan")}, "'stall' cannot be nan"),
        ({"method": "VM.start", "stall": float("inf")}, "'stall' cannot be inf"),
        ([], "is an object"),
        (b"{", "not JSON"),
    ],
)
def test_rules_that_nobody_understands(client: Client, body: Any, words: str) -> None:
    status, answer = client("POST", "/faults", body)
    assert status == 400
    assert words in answer["error"]


def test_text_alone_is_a_code() -> None:
    assert parsed({"method": "VM.start", "error": "HOST_OFFLINE"}).error == ("HOST_OFFLINE",)


# What rules do to the pool


def test_a_session_is_dropped_when_the_call_arrives(pool: Simulator) -> None:
    session = pool.session()
    pool.faults.add(Rule("VM.get_all", drop=True, times=1))
    with pytest.raises(Failure, match="SESSION_INVALID"):
        session.VM.get_all()
    with pytest.raises(Failure, match="SESSION_INVALID"):
        session.SR.get_all()
    assert pool.session().VM.get_all()


def test_an_sr_is_full_when_the_second_call_arrives(pool: Simulator) -> None:
    session = pool.session()
    (sr,) = session.SR.get_by_name_label("NFS storage")
    disk = {"name_label": "", "name_description": "", "SR": sr, "virtual_size": 1 << 30, "type": "user", "sharable": False, "read_only": False}
    pool.faults.add(Rule("VDI.create", fill="NFS storage", nth=2))
    session.VDI.create({**disk, "other_config": {}})
    with pytest.raises(Failure, match="SR_BACKEND_FAILURE_44"):
        session.VDI.create({**disk, "other_config": {}})


def test_a_host_crashes_when_the_call_arrives(pool: Simulator) -> None:
    session = pool.session()
    (member,) = session.host.get_by_name_label("xs2")
    pool.faults.add(Rule("VM.get_all", crash="xs2", nth=1))
    session.host.disable(member)
    assert session.VM.get_all()
    with pytest.raises(Failure, match="CANNOT_CONTACT_HOST"):
        session.host.reboot(member)


def test_the_host_that_was_called_crashes(pool: Simulator) -> None:
    session = pool.session()
    pool.faults.add(Rule("VM.get_all", crash="here"))
    with pytest.raises(Disconnect):
        session.VM.get_all()


# By hand


def test_network_of_a_host_is_cut_and_mended(client: Client, pool: Simulator) -> None:
    server = pool.serve(tls=False)
    host, _unused, port = server.urls["xs2"].removeprefix("http://").rpartition(":")
    assert answers(host, int(port))
    assert client("POST", "/actions", {"do": "cut", "name": "xs2"})[0] == 204
    assert until(lambda: not answers(host, int(port)))
    assert client("POST", "/actions", {"do": "mend", "name": "xs2"})[0] == 204
    assert until(lambda: answers(host, int(port)))


def answers(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=2):
            return True
    except ConnectionRefusedError:
        return False


def until(met: Callable[[], bool]) -> bool:
    end = time.monotonic() + 5
    while not met() and time.monotonic() < end:
        time.sleep(0.02)
    return met()


def test_the_toolstack_restarts(client: Client, pool: Simulator) -> None:
    session = pool.session()
    assert client("POST", "/actions", {"do": "restart"})[0] == 204
    with pytest.raises(Failure, match="SESSION_INVALID"):
        session.VM.get_all()


NO_ACTIONS: list[Any] = [{"do": "explode"}, {"do": "crash"}, {"do": "crash", "name": "xs9"}, {"do": "boot", "name": "xs1", "when": 1}, "crash", None]
NO_ACTIONS += [{"do": ["crash"]}, {"do": "crash", "name": 5}, {"do": "fill", "name": "NFS storage", "leave": "a"}, b"\xff", b"[" * 100_000]


@pytest.mark.parametrize("body", NO_ACTIONS, ids=lambda body: str(body)[:40])
def test_actions_that_nobody_understands(client: Client, body: Any) -> None:
    assert client("POST", "/actions", body)[0] == 400


def test_a_pool_that_is_not_there(client: Client) -> None:
    assert client("GET", "/faults?pool=1")[0] == 400
    assert client("GET", "/pools")[1][0]["world"] == "three_hosts"


# Calls


def test_calls_are_queried(client: Client, pool: Simulator) -> None:
    session = pool.session()
    session.VM.get_all()
    with pytest.raises(Failure, match="HANDLE_INVALID"):
        session.VM.get_uuid("OpaqueRef:nothing")
    session.network.create({"name_label": "n", "name_description": "", "other_config": {}, "MTU": 1500, "bridge": "", "managed": True, "tags": []})
    everything = client("GET", "/calls")[1]
    assert [call["method"] for call in everything] == ["session.login_with_password", "VM.get_all", "VM.get_uuid", "network.create"]
    assert everything[0]["params"][:2] == ["root", "***"]
    assert everything[2]["error"] == ["HANDLE_INVALID", "VM", "OpaqueRef:nothing"]
    assert [call["number"] for call in client("GET", "/calls?method=VM.*")[1]] == [2, 3]
    assert [call["number"] for call in client("GET", "/calls?outcome=refused")[1]] == [3]
    assert [call["number"] for call in client("GET", "/calls?writes=true&since=1")[1]] == [4]
    assert [call["number"] for call in client("GET", f"/calls?session={session.ref}&since=3")[1]] == [4]
    assert client("GET", "/calls?colour=red")[0] == 400
    assert client("GET", "/calls?since=now")[0] == 400


def test_the_log_as_a_file(pool: Simulator, tmp_path: Path) -> None:
    path = tmp_path / "calls"
    with contextlib.closing(CallFile(path)) as file:
        pool.engine.log.on_end.append(partial(file.write, "three_hosts"))
        session = pool.session()
        session.secret.create({"value": "treasure", "other_config": {}})
        with contextlib.suppress(Failure):
            session.SR.probe(pool.engine.coordinator, {"server": "s", "cifspassword": "treasure", "password_secret": "a uuid"}, "smb", {})
    text = path.read_text(encoding="utf-8")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "treasure" not in text
    assert pool.password not in text
    lines = [json.loads(line) for line in text.splitlines()]
    assert [line["method"] for line in lines] == ["session.login_with_password", "secret.create", "SR.probe"]
    assert lines[2]["session"] == session.ref
    assert lines[2]["params"][1]["password_secret"] == "a uuid"


def test_what_is_secret_in_maps() -> None:
    assert masked({"chappassword": "x", "user": "u", "inner": [{"auth-pwd": "x"}]}) == {"chappassword": "***", "user": "u", "inner": [{"auth-pwd": "***"}]}


# Certificates


@pytest.mark.parametrize(("fault", "words"), [("expired", "certificate has expired"), ("wrong-name", "IP address mismatch|doesn't match")])
def test_certificates_that_clients_must_not_accept(fault: str, words: str) -> None:
    with Simulator() as simulator:
        server = simulator.serve(authority=Authority(fault))
        context = ssl.create_default_context(cafile=server.ca_path)
        with pytest.raises(urllib.error.URLError, match=words):
            urllib.request.urlopen(server.url, context=context)


def test_an_unknown_fault_of_certificates() -> None:
    with pytest.raises(ValueError, match="expired, wrong-name"):
        Authority("stolen")
