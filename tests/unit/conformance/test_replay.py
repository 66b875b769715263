# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conformance.bindings import Bindings
from conformance.client import Answer
from conformance.http_steps import compare
from conformance.matching import Matcher
from conformance.replay import replay
from conformance.report import FileResult, totals
from conformance.shapes import path_of

VM = "OpaqueRef:aaaaaaaa-0000-0000-0000-000000000000"


class ScriptedClient:
    """Answers by method; remembers the calls."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers = answers
        self.calls: list[tuple[str, list[Any]]] = []

    def call(self, method: str, params: list[Any]) -> Any:
        self.calls.append((method, params))
        return self.answers[method]

    def close(self) -> None:
        pass


class ScriptedTarget:
    def __init__(self, answers: dict[str, Any]) -> None:
        self.only = ScriptedClient({"session.login_with_password": {"result": "OpaqueRef:session"}, **answers})

    def bindings(self) -> Bindings:
        return Bindings()

    def client(self, at: str) -> Any:
        return self.only

    def credentials(self, at: str) -> tuple[str, str]:
        return "root", "secret"

    def restart_toolstack(self) -> None:
        pass

    def outward(self, text: str) -> str:
        return text

    def inward(self, text: str) -> str:
        return text


def outcome(tmp_path: Path, steps: list[dict[str, Any]], answers: dict[str, Any]) -> list[bool]:
    path = tmp_path / "sample.json"
    path.write_text(json.dumps({"name": "sample", "world": {}, "steps": steps}))
    return [result.passed for result in replay(path, ScriptedTarget(answers))]


@pytest.mark.parametrize(
    ("step", "answer", "passed"),
    [
        ({"result": "@VM/1"}, {"result": VM}, True),
        ({"result": "@VM/1"}, {"error": ["CODE"]}, False),
        ({"error": ["CODE", "a"]}, {"error": ["CODE", "a"]}, True),
        ({"error": ["CODE", "a"]}, {"error": ["CODE", "b"]}, False),
        ({"error": ["CODE", "a"]}, {"result": ""}, False),
    ],
)
def test_a_step_passes_only_with_the_recorded_outcome(tmp_path: Path, step: dict[str, Any], answer: dict[str, Any], passed: bool) -> None:
    assert outcome(tmp_path, [{"call": "VM.create", "params": [{}], **step}], {"VM.create": answer}) == [passed]


def test_notes_are_no_steps_and_an_exception_is_a_failed_one(tmp_path: Path) -> None:
    assert outcome(tmp_path, [{"note": "x"}, {"call": "VM.unheard", "params": [], "result": ""}], {}) == [False]


def test_the_session_is_left_out_where_params_are_everything(tmp_path: Path) -> None:
    path = tmp_path / "sample.json"
    call = {"call": "VM.get_all", "params": ["@session"], "result": []}
    path.write_text(json.dumps({"name": "sample", "world": {}, "steps": [call, {**call, "no_session": True}]}))
    target = ScriptedTarget({"VM.get_all": {"result": []}})
    replay(path, target)
    assert [params for method, params in target.only.calls if method == "VM.get_all"] == [["OpaqueRef:session"] * 2, ["OpaqueRef:session"]]


def test_the_last_line_counts_steps() -> None:
    assert totals([FileResult("a", []), FileResult("b", [])]) == "0 passed, 0 failed"


def test_an_empty_replay_has_no_rate_to_be_proud_of() -> None:
    assert not FileResult("dispatch", []).met


@pytest.mark.parametrize(
    ("call", "path"),
    [("VM.get_record", "VM"), ("VM.get_all_records_where", "VM"), ("VIF.get_MAC", "VIF.MAC"), ("event.from", "event.from"), ("VM.snapshot", "VM.snapshot")],
)
def test_where_a_result_stands(call: str, path: str) -> None:
    assert path_of(call) == path


XML = '<?xml version="1.0"?><methodResponse><params><param><value>{}</value></param></params></methodResponse>'
REQUEST = "<methodCall><methodName>VM.get_tags</methodName></methodCall>"


@pytest.mark.parametrize(
    ("recorded", "got", "same"),
    [
        (XML.format("<boolean>0</boolean>"), XML.format("<boolean>0</boolean>"), True),
        (XML.format("<boolean>0</boolean>"), XML.format("0"), False),
        (XML.format("1"), XML.format("<int>1</int>"), False),
        (XML.format("@VM/1"), XML.format(VM), True),
        (XML.format("<dateTime.iso8601><time></dateTime.iso8601>"), XML.format("<dateTime.iso8601>20261120T00:00:00Z</dateTime.iso8601>"), True),
        (XML.format("1"), "no XML at all", False),
        ('{"result":2,"id":7}', '{"id":7,"result":2}', True),
        ('{"result":2,"id":7}', '{"result":"2","id":7}', False),
        ("<html>a</html>", "<html>b</html>", False),
    ],
)
def test_bodies_compare_by_structure(recorded: str, got: str, same: bool) -> None:
    step = {"path": "/", "status": 200, "headers": {}, "request_text": REQUEST, "text": recorded}
    assert (not compare(Matcher(Bindings()), step, Answer(200, {}, got.encode()))) is same


def test_status_and_headers_count() -> None:
    step = {"path": "/", "status": 200, "headers": {"connection": "close"}, "text": ""}
    assert not compare(Matcher(Bindings()), step, Answer(200, {"connection": "close", "x": "y"}))
    assert compare(Matcher(Bindings()), step, Answer(200, {"connection": "keep-alive"}))
    assert compare(Matcher(Bindings()), step, Answer(500, {"connection": "close"}))


def test_a_cut_connection_is_not_an_answer() -> None:
    step = {"path": "/", "broken": "ConnectionResetError"}
    assert not compare(Matcher(Bindings()), step, Answer(broken="cut"))
    assert compare(Matcher(Bindings()), step, Answer(broken="silent"))
    assert compare(Matcher(Bindings()), step, Answer(200, {}))
