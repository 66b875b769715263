# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Replay one recording, step by step."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from . import events, http_steps
from .accepted import accepted
from .bindings import SESSION, Bindings
from .bodies import Disks
from .client import Answer, Client
from .forgotten import FORGOTTEN
from .hints import Hints, agreement
from .matching import Difference, Matcher, best
from .patience import Patience
from .report import StepResult
from .shapes import path_of, rewrite

RESTART_NOTE = "stopped and started here"
TOKEN = "<token>"
# A task whose request already went wrong is not worth the whole wait.
TASK_DEADLINE, LOST_TASK_DEADLINE = 20.0, 2.0
# A step that the recorder gave up on took its time-out; others get what a busy machine may need.
SILENT_AFTER, HTTP_TIMEOUT = 5.0, 20.0


class Target(Protocol):
    """The server under test."""

    def bindings(self) -> Bindings: ...
    def client(self, at: str) -> Client: ...
    def credentials(self, at: str) -> tuple[str, str]: ...
    def restart_toolstack(self) -> None: ...
    def outward(self, text: str) -> str: ...
    def inward(self, text: str) -> str: ...


def replay(path: Path, target: Target) -> list[StepResult]:
    """The results of all steps that ask the server something."""
    recording = json.loads(path.read_text(encoding="utf-8"))
    return Replay(recording, target).run()


class Replay:
    """The state of a replay: bindings, sessions, the last event token, what the disks hold."""

    def __init__(self, recording: Mapping[str, Any], target: Target) -> None:
        self.name: str = recording["name"]
        self.steps: Sequence[dict[str, Any]] = recording["steps"]
        self.target = target
        self.bindings = target.bindings()
        self.hints = Hints(self.steps)
        self.disks = Disks()
        self.clients: dict[str, Client] = {}
        self.sessions: dict[str, str] = {}
        self.token = ""
        self.number = 0
        # What the last step was answered: a call's envelope, a task's record, or an HTTP answer.
        self.answer: Any = None
        self.went_wrong = False
        self.patience = Patience(self.steps)
        # Task symbol → its name, which says what an upload tried.
        self.labels: dict[str, str] = {}
        # What an earlier step should have returned: not to be guessed again when it did not.
        self.promised: set[str] = set()

    def run(self) -> list[StepResult]:
        self.bindings.rebind(SESSION, self._session("coordinator"))
        results = [self._step(number, step) for number, step in enumerate(self.steps)]
        for client in self.clients.values():
            client.close()
        return [result for result in results if result is not None]

    def _step(self, number: int, step: dict[str, Any]) -> StepResult | None:
        self.number = number
        if "note" in step:
            if RESTART_NOTE in step["note"]:
                self._restart()
            return None
        kind = next(kind for kind in ("call", "task", "http") if kind in step)
        title = f"{step['http']} {step['path']}" if kind == "http" else str(step[kind])
        result = StepResult(number + 1, title)
        if forgotten := FORGOTTEN.get((self.name, number + 1)):
            self._ask(forgotten)
        try:
            result.differences = getattr(self, f"_{kind}")(step)
        except Exception as error:  # The runner goes on: one answer nobody foresaw is one failed step.
            result.differences = [Difference(kind, "an answer", f"{type(error).__name__}: {error}")]
        result.differences = [replace(item, actual=self.bindings.spoken(item.actual)) for item in result.differences]
        self.went_wrong = bool(result.differences)
        entry = accepted(self.name, number + 1) if result.differences else None
        result.accepted = entry.name if entry else None
        self.promised.update(self.bindings.unbound([step.get("result"), step.get("record")]))
        return result

    # Calls

    def _call(self, step: dict[str, Any]) -> list[Difference]:
        self.patience.before(step)
        while True:
            before = self.bindings.copy()
            self.answer = answer = self._ask(step)
            differences = self._compare(step, answer)
            if not differences or not self.patience.again(step["call"], answer):
                break
            self.bindings.take(before)
        if "result" in answer:
            self.patience.saw(step["call"])
        return differences

    def _compare(self, step: dict[str, Any], answer: dict[str, Any]) -> list[Difference]:
        matcher = Matcher(self.bindings)
        if "error" in step or "error" in answer:
            expected = step.get("error") or {"result": step.get("result", step.get("summary"))}
            actual = answer.get("error") or {"result": answer.get("result")}
            return matcher.match(expected, self._inward(actual), "error")
        if step["call"] == "task.create":
            self.labels[step["result"]] = step["params"][0]
        result = self._inward(answer["result"])
        if step["call"] == "event.from":
            self.token = answer["result"].get("token", self.token)
            return self._match_events(matcher, step, result)
        return matcher.match(step["result"], result, path_of(step["call"]))

    def _match_events(self, matcher: Matcher, step: dict[str, Any], result: dict[str, Any]) -> list[Difference]:
        expected = step["result"] if "result" in step else {key: step[key] for key in ("summary", "count")}
        return matcher.match(expected, events.summarise(step, result), "event.from")

    def _ask(self, step: dict[str, Any]) -> dict[str, Any]:
        at = step.get("at", "coordinator")
        self.bindings.choose = partial(self._choose, at)
        self._bind_by_record(step, at)
        params = self._outward([self.token if isinstance(item, str) and item.startswith(TOKEN[:-1]) else item for item in step["params"]])
        if not step.get("no_session"):
            params.insert(0, self._session_for(step, at))
        return self._client(at).call(step["call"], params)

    def _session_for(self, step: dict[str, Any], at: str) -> str:
        if step.get("error") == ["SESSION_INVALID", SESSION]:
            # The recorder had not noticed yet that its session was gone.
            return self.bindings.real(SESSION) or ""
        return self._session(at)

    def _session(self, at: str) -> str:
        if at not in self.sessions:
            user, password = self.target.credentials(at)
            answer = self._client(at).call("session.login_with_password", [user, password, "1.0", self.name])
            if "error" in answer:
                raise ConnectionRefusedError(f"no login as {user} at the {at}: {answer['error']}")
            self.sessions[at] = answer["result"]
        return self.sessions[at]

    def _client(self, at: str) -> Client:
        if at not in self.clients:
            self.clients[at] = self.target.client(at)
        return self.clients[at]

    def _restart(self) -> None:
        # The step after it uses a token from before, which some recordings never fetched.
        answer = self._client("coordinator").call("event.from", [self._session("coordinator"), ["vm"], self.token, 0.0])
        self.token = answer["result"]["token"]
        self.target.restart_toolstack()
        self.sessions.clear()

    # Tasks

    def _task(self, step: dict[str, Any]) -> list[Difference]:
        at = step.get("at", "coordinator")
        self.answer = record = self._final_record(self.bindings.resolve(step["task"]), at, may_be_pending=step["record"]["status"] == "pending")
        return Matcher(self.bindings).match(step["record"], self._inward(record), "task")

    def _final_record(self, task: str, at: str, *, may_be_pending: bool) -> dict[str, Any]:
        deadline = time.monotonic() + (LOST_TASK_DEADLINE if may_be_pending or self.went_wrong else TASK_DEADLINE)
        while True:
            answer = self._client(at).call("task.get_record", [self._session(at), task])
            if "error" in answer:
                raise LookupError(f"task.get_record: {answer['error']}")
            record: dict[str, Any] = answer["result"]
            if record["status"] != "pending" or time.monotonic() > deadline:
                return record
            time.sleep(0.02)

    # HTTP

    def _http(self, step: dict[str, Any]) -> list[Difference]:
        body = self.disks.request_body(step, self.labels.get(step["query"].get("task_id", ""), ""))
        if "request_text" in step and body is not None:
            body = self._outward(body.decode()).encode()
        timeout = SILENT_AFTER if step.get("broken") == "TimeoutError" else HTTP_TIMEOUT
        query = self._outward(step["query"])
        client = self._client(step.get("at", "coordinator"))
        self.answer = answer = client.http(step["http"], step["path"], query, step["request_headers"], body, timeout)
        return self._check_http(step, body, answer)

    def _check_http(self, step: dict[str, Any], body: bytes | None, answer: Answer) -> list[Difference]:
        if answer.headers:
            answer.headers = {key: self.target.inward(value) for key, value in answer.headers.items()}
        differences = http_steps.compare(Matcher(self.bindings), step, answer)
        if answer.status == 200 and step["path"] == "/import_raw_vdi" and body is not None:
            self.disks.imported(step, body)
        if answer.status == 200 and step["path"] in ("/export_raw_vdi", "/export") and "text" not in step:
            wrong = self.disks.exported(step, answer.body)
            differences += [Difference("http.body", "what was imported", wrong)] if wrong else []
        return differences

    # Symbols

    def _choose(self, at: str, unbound: Sequence[str], values: Sequence[str]) -> list[tuple[str, str]]:
        def read(name: str, reference: str) -> Mapping[str, Any] | None:
            answer = self._client(at).call(f"{name}.get_record", [self._session(at), reference])
            return self._inward(answer["result"]) if "result" in answer else None

        return self.hints.choose(self.bindings, read, self.number, unbound, values)

    def _bind_by_record(self, step: dict[str, Any], at: str) -> None:
        """A base copy that nothing returned before: find the object by the uuid that a child's vhd-parent names, or by its record."""
        name, _unused, verb = step["call"].partition(".")
        if verb != "get_record" or "result" not in step:
            return
        symbol = step["params"][0]
        if self.bindings.real(symbol) is not None or symbol in self.promised:
            return
        answer = self._client(at).call(f"{name}.get_all_records", [self._session(at)])
        free = {ref: record for ref, record in answer["result"].items() if self.bindings.symbol(ref) is None}
        uuid = self.bindings.real(step["result"].get("uuid", ""))
        exact = [ref for ref, record in free.items() if record.get("uuid") == uuid]
        scores = [(agreement(self.bindings, name, step["result"], self._inward(record)), 0, i) for i, record in enumerate(free.values())]
        chosen = exact or [list(free)[column] for _unused, column in best(scores)]
        if chosen:
            self.bindings.bind(symbol, chosen[0])

    def _outward(self, value: Any) -> Any:
        return rewrite(self.bindings.resolve(value), self.target.outward)

    def _inward(self, value: Any) -> Any:
        return rewrite(value, self.target.inward)
