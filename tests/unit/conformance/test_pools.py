# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The runner on a pool that exists: here a simulator behind TLS, of which the runner knows no more than of a real one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conformance.__main__ import main
from conformance.naming import Names
from conformance.pool_target import moved
from conformance.trust import Trust

from simulator import Simulator
from simulator.engine.types import parse
from simulator.server import Server

RECORDINGS = Path(__file__).parents[2] / "conformance" / "recordings"
DISK = {"SR": "@SR/1", "virtual_size": 4194304, "type": "user", "sharable": False, "read_only": False, "other_config": {}, "name_label": "recorded"}
# What a person writes down: what to ask, and names for what later steps need.
SCRIPT: dict[str, Any] = {
    "name": "script",
    "world": {"SR": {"@SR/1": {"type": "ext"}}, "host": {"@host/1": {}}},
    "steps": [
        {"call": "VDI.create", "params": [DISK], "result": "@VDI/901"},
        {"call": "VDI.get_record", "params": ["@VDI/901"]},
        {"call": "VDI.snapshot", "params": ["@VDI/901", {}], "result": "@VDI/902"},
        {"call": "VDI.get_snapshots", "params": ["@VDI/901"]},
        {"call": "Async.VDI.resize", "params": ["@VDI/901", 1], "result": "@task/901"},
        {"task": "@task/901", "record": {"status": "failure"}},
        {"call": "VDI.get_record", "params": ["@VDI/999"]},
        {"call": "host.get_server_localtime", "params": ["@host/1"]},
        {"http": "GET", "path": "/export_raw_vdi", "query": {"session_id": "@session", "vdi": "@VDI/902", "format": "raw"}, "request_headers": {}},
        {"http": "GET", "path": "/export_raw_vdi", "query": {"session_id": "@session"}, "request_headers": {}},
        {"call": "event.from", "params": [["vdi"], "", 1.0]},
    ],
}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with Simulator("one_host") as pool:
        monkeypatch.setenv("XENSERVER_PASSWORD", pool.password)
        yield pool.serve()


def at(server: Server) -> list[str]:
    return ["--url", server.url, "--ca", str(server.ca_path)]


def written(path: Path, content: dict[str, Any]) -> str:
    path.write_text(json.dumps(content))
    return str(path)


def recorded(tmp_path: Path, server: Server) -> dict[str, Any]:
    assert main(["record", written(tmp_path / "script.json", SCRIPT), "--out", str(tmp_path / "new.json"), *at(server)]) == 0
    recording: dict[str, Any] = json.loads((tmp_path / "new.json").read_text())
    return recording


def test_what_was_recorded_replays_on_a_copy_of_that_pool(tmp_path: Path, server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    steps = recorded(tmp_path, server)["steps"]
    assert len(steps) == len(SCRIPT["steps"])
    assert main([str(tmp_path / "new.json")]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"{len(steps)} passed, 0 failed"


def test_a_recording_has_the_answers_in_symbols(tmp_path: Path, server: Server) -> None:
    create, record, snapshot, snapshots, _start, task, unknown, local, export, refused, events = recorded(tmp_path, server)["steps"]
    assert record["result"]["SR"] == create["params"][0]["SR"]
    assert record["params"] == [create["result"]]
    assert snapshots["result"] == [snapshot["result"]]
    assert (task["record"]["status"], task["record"]["created"]) == ("failure", "<time>")
    assert unknown["error"] == ["HANDLE_INVALID", "VDI", unknown["params"][0]]
    assert local["result"] == "<time>"
    assert (export["status"], export["body_bytes"]) == (200, 4194304)
    assert refused["status"] == 500
    assert "text" in refused
    assert ["vdi", "add", create["result"], ["class", "id", "operation", "ref", "snapshot", "timestamp"]] in events["result"]


def test_no_credential_and_no_address_is_in_a_recording(tmp_path: Path, server: Server) -> None:
    text = json.dumps(recorded(tmp_path, server))
    assert server.password not in text
    assert f":{server.port}" not in text


def test_a_recording_of_another_server_replays_on_a_pool_of_its_world(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    path = RECORDINGS / "vdis.json"
    with Simulator(path) as pool:
        monkeypatch.setenv("XENSERVER_PASSWORD", pool.password)
        assert main([str(path), *at(pool.serve())]) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith(" passed, 0 failed")


def test_what_the_pool_lacks_is_told(tmp_path: Path, server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    script = {"name": "lacking", "world": {"SR": {"@SR/7": {"type": "gfs2"}}}, "steps": [{"call": "SR.get_type", "params": ["@SR/7"], "result": "gfs2"}]}
    main([written(tmp_path / "lacking.json", script), *at(server)])
    assert "the pool has nothing like @SR/7" in capsys.readouterr().out


@pytest.mark.parametrize("step", [{"at": "member"}, {"at": "other"}])
def test_a_server_that_no_option_names_fails_its_steps_only(tmp_path: Path, server: Server, step: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    script: dict[str, Any] = {"name": "elsewhere", "world": {}, "steps": [{"call": "VM.get_all_records_where", "params": ["false"], "result": {}}] * 2}
    script["steps"] = [{**script["steps"][0], **step}, script["steps"][1]]
    main([written(tmp_path / "elsewhere.json", script), *at(server)])
    out = capsys.readouterr().out
    assert f"no --{step['at']} says where that is" in out
    assert out.splitlines()[-1] == "1 passed, 1 failed"


def test_the_right_fingerprint_is_enough(server: Server) -> None:
    assert main([str(RECORDINGS / "sessions.json"), "--url", server.url, "--fingerprint", server.fingerprint]) in (0, 1)


@pytest.mark.parametrize("options", [[], ["--fingerprint", "ab" * 32]], ids=["unknown authority", "another certificate"])
def test_nothing_is_said_to_a_stranger(server: Server, options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    calls = len(server.simulator.calls)
    assert main([str(RECORDINGS / "sessions.json"), "--url", server.url, *options]) == 2
    assert "certificate" in capsys.readouterr().err
    assert len(server.simulator.calls) == calls


def test_a_fingerprint_is_64_digits() -> None:
    assert Trust(fingerprint=":".join(["AB"] * 32)).fingerprint
    with pytest.raises(ValueError, match="no SHA-256 fingerprint"):
        Trust(fingerprint="ab:cd")


def test_a_wrong_password_is_told(server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("XENSERVER_PASSWORD", "wrong")
    assert main([str(RECORDINGS / "sessions.json"), *at(server)]) == 2
    assert "SESSION_AUTHENTICATION_FAILED" in capsys.readouterr().err


REFERENCE, UUID = "OpaqueRef:0f8fad5b-d9cb-469f-a165-70867728950e", "7c9e6679-7425-40de-944b-e07fc1f90ae7"


@pytest.mark.parametrize(
    ("real", "spoken"),
    [
        (REFERENCE, "@VM/1"),
        (f"<value>{REFERENCE}</value>", "<value>@VM/1</value>"),
        ({REFERENCE: [UUID, UUID]}, {"@VM/1": ["%1", "%1"]}),
        (REFERENCE.replace("0f", "1f"), "@ref/1"),
        ("OpaqueRef:NULL", "OpaqueRef:NULL"),
        ("20261121T13:09:49Z", "<time>"),
        ("20261121T13:09:49", "<time>"),
        ("2026-11-21T13:09:49Z", "<time>"),
        ("19700101T00:00:00Z", "19700101T00:00:00Z"),
        (12, 12),
    ],
)
def test_names(real: Any, spoken: Any) -> None:
    names = Names()
    names.knows({REFERENCE: "x"}, parse("(VM ref -> string) map"))
    assert names.spoken(real) == spoken


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("https://10.0.0.1:8443/x", "https://a/x"),
        ("10.0.0.1", "a"),
        ("10.0.0.12", "b"),
        ("110.0.0.1", "110.0.0.1"),
        ("10.0.0.1.5", "10.0.0.1.5"),
    ],
)
def test_addresses_move_whole(text: str, result: str) -> None:
    assert moved(text, [("a", "10.0.0.1:8443"), ("b", "10.0.0.12:8443")]) == result
