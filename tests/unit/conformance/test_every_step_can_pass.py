# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Replay each recording against a server that answers exactly what was recorded, with other references and sets in another order.

Every step must pass, so that a failing step is never the runner's fault; and with one answer spoiled that step must fail.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conformance import patience
from conformance.bindings import Bindings, symbols
from conformance.client import Answer
from conformance.http_steps import BROKEN
from conformance.replay import Replay

from simulator.worlds.symbols import Namer

RECORDINGS = Path(__file__).parents[2] / "conformance" / "recordings"
NAMES = sorted(path.stem for path in RECORDINGS.glob("*.json"))
EVENT = {"timestamp": "0.0", "id": "1"}


class Parrot:
    """Target and client in one: it looks at the step that is being replayed."""

    def __init__(self, recording: dict[str, Any], spoil: int | None = None) -> None:
        self.recording = recording
        self.spoil = spoil
        self.namer = Namer(recording["name"])
        self.namer.records(recording["world"])
        self.namer.records(recording.get("other_world", {}))
        self.replay = Replay.__new__(Replay)
        self.sessions = 0

    # A target

    def bindings(self) -> Bindings:
        return Bindings(self.namer.bindings)

    def client(self, at: str) -> Any:
        return self

    def credentials(self, at: str) -> tuple[str, str]:
        return "root", "secret"

    def restart_toolstack(self) -> None:
        pass

    def outward(self, text: str) -> str:
        return text

    def inward(self, text: str) -> str:
        return text

    # A client

    def close(self) -> None:
        pass

    def call(self, method: str, params: list[Any]) -> Any:
        step = self.recording["steps"][self.replay.number]
        self.adopt(step)
        if method == "task.get_record" and "task" in step:
            return {"result": self.real(step["record"])}
        if method == "session.login_with_password" and params[-1] == self.recording["name"]:
            self.sessions += 1
            return {"result": f"OpaqueRef:{self.sessions:08}-0000-0000-0000-000000000000"}
        if method == step.get("call") and not self.hint(method, params, step):
            return {"error": self.real({"error_info": step["error"]})["error_info"]} if "error" in step else {"result": self.result(step)}
        if method.endswith("get_all_records"):
            return {"result": self.real({step["params"][0]: step["result"]})}
        if method == "event.from":
            return {"result": {"token": "before"}}
        if method.endswith("get_record"):
            return self.later(params[1])
        return {"error": ["NOT_RECORDED", method]}

    def adopt(self, step: dict[str, Any]) -> None:
        """What the caller made up, the server only repeats."""
        for symbol in symbols([step.get("params"), step.get("query")]):
            made_up = self.replay.bindings.real(symbol)
            if symbol not in self.namer.bindings and made_up is not None:
                self.namer.bindings[symbol] = made_up

    def hint(self, method: str, params: list[Any], step: dict[str, Any]) -> bool:
        """Whether the runner reads another object than the step does."""
        return method.endswith("get_record") and "result" in step and params[-1] != self.namer.bindings.get(step["params"][0], params[-1])

    def later(self, reference: str) -> Any:
        """A read that the runner does by itself, to tell new references apart: the object as the recording shows it next."""
        symbol = {real: symbol for symbol, real in self.namer.bindings.items()}.get(reference)
        shown = self.replay.hints.record(symbol, self.replay.number) if symbol else None
        return {"result": self.real(shown[1])} if shown else {"error": ["NOT_RECORDED", reference]}

    def result(self, step: dict[str, Any]) -> Any:
        if step["call"] != "event.from":
            return self.real(step["result"])
        if "summary" in step:
            return {"events": [{"operation": "add"}] * step["count"], "token": "t"}
        result = step["result"]
        if isinstance(result, dict) and "operations" in result:
            event = {**dict.fromkeys(result["keys"], ""), "timestamp": "0.0"}
            return {"events": [{**event, "operation": "add", "class": "vm"}], "token": "t", "valid_ref_counts": {"vm": 1}}
        if isinstance(result, dict):
            return self.real(result)
        return {"events": [{**dict.fromkeys(keys, ""), "class": name, "operation": op, "ref": self.real(ref)} for name, op, ref, keys in result]}

    def http(self, _verb: str, path: str, _query: Any, _headers: Any, _body: bytes | None, _timeout: float) -> Answer:
        step = self.recording["steps"][self.replay.number]
        if "status" not in step:
            return Answer(broken=BROKEN[step["broken"]])
        answer = Answer(step["status"], self.real(step["headers"]), broken=BROKEN.get(step.get("broken", "")))
        if "text" in step:
            answer.body = self.real(step["text"]).encode()
        else:
            length = step.get("body_bytes") or int(step.get("body", "0").split()[0])
            vhd = (b"conectix" + bytes(504) + b"cxsparse").ljust(length, b"\0")
            disk = self.replay.disks.contents.get(step["query"].get("vdi", ""))
            answer.body = vhd if step["query"].get("format") == "vhd" else bytes(disk or length)
        return answer

    def real(self, value: Any) -> Any:
        named = self.namer.value(self.session(value))
        return spoiled(named) if self.replay.number == self.spoil else turned(named)

    def session(self, value: Any) -> Any:
        text = json.dumps(value).replace("@session", self.replay.bindings.real("@session") or "")
        return json.loads(text)


def turned(value: Any) -> Any:
    """Sets and maps in another order; error codes stay as they are, they are lists of texts that begin with a code."""
    if isinstance(value, dict):
        return {key: item if key == "error_info" else turned(item) for key, item in reversed(value.items())}
    if isinstance(value, list) and not (value and isinstance(value[0], str) and value[0].isupper()):
        return [turned(item) for item in reversed(value)]
    return value


def spoiled(value: Any) -> Any:
    if isinstance(value, dict) and value:
        key = next(iter(value))
        return {**value, key: spoiled(value[key])}
    if isinstance(value, list):
        return [*value, "spoiled"]
    return "spoiled"


def replayed(name: str, spoil: int | None = None) -> dict[int, list[Any]]:
    recording = json.loads((RECORDINGS / f"{name}.json").read_text(encoding="utf-8"))
    parrot = Parrot(recording, spoil)
    parrot.replay.__init__(recording, parrot)  # type: ignore[misc]
    return {result.number: result.differences for result in parrot.replay.run()}


@pytest.fixture(autouse=True)
def no_guest_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was recorded is answered at once."""
    monkeypatch.setattr(patience, "REPORT_TIME", 0.0)


@pytest.mark.parametrize("name", NAMES)
def test_the_recorded_answers_pass(name: str) -> None:
    results = replayed(name)
    assert results
    assert {number: differences for number, differences in results.items() if differences} == {}


@pytest.mark.parametrize(("name", "number"), [("dispatch", 9), ("vdis", 2), ("vdis", 6), ("tasks", 3), ("wire", 4), ("vm_records", 5), ("events", 5)])
def test_a_spoiled_answer_fails(name: str, number: int) -> None:
    assert replayed(name, number - 1)[number]
