# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Play the steps of a script, or of a recording, on a pool, and write down what it answers in the recordings' format."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from simulator.engine.schema import LEVELS, Schema, load
from simulator.engine.types import Type
from simulator.saving import on_loopback, without_secrets
from simulator.worlds.validation import NOT_KEPT

from . import events
from .client import Answer
from .naming import Names
from .pool_target import COORDINATOR, WORLDS, Pool, PoolTarget, moved
from .replay import RESTART_NOTE, Replay
from .shapes import rewrite

# What a step asks; the rest is what it was answered.
ASKED = ("call", "params", "at", "no_session", "unordered", "http", "path", "query", "request_headers", "request_text", "request_body", "request_body_bytes")
# xapi makes these anew at each start, thousands of them, the same everywhere.
MADE_BY_XAPI = {"role"}
# A longer body is written down by its length.
LONGEST_TEXT = 64 * 1024
BROKEN = {"cut": "ConnectionResetError", "silent": "TimeoutError"}

Records = dict[str, dict[str, dict[str, Any]]]


class Recorder(Replay):
    """A replay whose expectations only say what the script calls things: an answer that differs is what is wanted."""

    def __init__(self, script: Mapping[str, Any], target: PoolTarget, schema: Schema) -> None:
        super().__init__({"name": "recording", **script}, target)
        self.target: PoolTarget = target
        self.schema = schema
        self.names = Names()
        # Address as written down → where the host is.
        self.places: list[tuple[str, str]] = []
        self.written: list[dict[str, Any]] = []

    def record(self, worlds: Mapping[str, Records], remark: str = "") -> dict[str, Any]:
        """The recording. `worlds`: the records of the pools before the first step, by the name of the server."""
        began = datetime.now(UTC).date().isoformat()
        start = {WORLDS[at]: self._world(at, records) for at, records in worlds.items()}
        self.run()
        server = "; ".join(filter(None, (self._version(worlds), remark, f"recorded {began}")))
        return {"name": self.name, "server": server, "api": self.schema.level, **start, "steps": self.written}

    def _world(self, at: str, records: Records) -> Records:
        fields = {name: self.schema.classes[name].fields for name in records}
        records = {name: {ref: {field: row[field] for field in fields[name] if field in row} for ref, row in rows.items()} for name, rows in records.items()}
        records = without_secrets(records, self.schema)
        prefix = f"{at}_" if at == "other" else ""
        for name, rows in records.items():
            for reference, row in rows.items():
                self.names.knows(reference, _reference_to(name), prefix)
                self._knows_record(name, row, prefix)
        # Where the hosts really are is nobody's business, and no place where a simulator could listen.
        real = {reference: host["address"] for reference, host in records.get("host", {}).items()}
        on_loopback(records)
        port = urlsplit(self.target.url(at)).port
        for reference, host in records.get("host", {}).items():
            self.places.append((host["address"], real[reference] + (f":{port}" if port else "")))
        spoken: Records = self.names.spoken(records)
        return spoken

    def _knows_record(self, name: str, row: Mapping[str, Any], prefix: str = "") -> None:
        for field, spec in self.schema.classes[name].fields.items():
            self.names.knows(row.get(field), spec.type, prefix)

    def _version(self, worlds: Mapping[str, Records]) -> str:
        (host, *_others) = worlds["coordinator"]["host"].values()
        software = host["software_version"]
        return f"{software.get('product_brand', '')} {software.get('product_version', '')}, xapi {software.get('xapi_build', '')}".strip()

    def _step(self, number: int, step: dict[str, Any]) -> Any:
        self.answer = None
        result = super()._step(number, step)
        for session in self.sessions.values():
            self.names.session(session)
        written = self._written(step)
        if written is not None:
            self.written.append(written)
        return result

    def _written(self, step: dict[str, Any]) -> dict[str, Any] | None:
        if "note" in step:
            # What a note of the script found was found elsewhere; that the toolstack restarted here is true here.
            return step if RESTART_NOTE in step["note"] else None
        if self.answer is None:
            return {"note": f"no answer to {step.get('call') or step.get('task') or step.get('path')}"}
        if "task" in step:
            self._knows_record("task", self.answer)
            return {"task": self._asked(step["task"]), "record": self._told(self.answer)} | {key: step[key] for key in ("at",) if key in step}
        asked = {key: self._asked(step[key]) for key in ASKED if key in step}
        return asked | (self._http_answer(self.answer) if "http" in step else self._call_answer(step, self.answer))

    def _asked(self, value: Any) -> Any:
        return self._told(self._outward(value))

    def _told(self, value: Any) -> Any:
        return self.names.spoken(rewrite(value, partial(moved, endpoints=self.places)))

    def _call_answer(self, step: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        if "error" in answer:
            return {"error": self._told(answer["error"])}
        result = answer["result"]
        if step["call"] == "event.from":
            summary = events.summarise({"result": [], **{key: step[key] for key in ("result", "summary") if key in step}}, result)
            return self._told(summary) if "summary" in step else {"result": self._told(summary)}
        self._knows_result(step, result)
        return {"result": self._told(result)}

    def _knows_result(self, step: dict[str, Any], result: Any) -> None:
        name = step["call"].removeprefix("Async.")
        message = self.schema.message(name)
        prefix = "other_" if step.get("at") == "other" else ""
        if name != step["call"]:
            self.names.knows(result, _reference_to("task"), prefix)
        elif message is not None and message.result is not None:
            self.names.knows(result, message.result, prefix)
            rows = result.values() if message.result.kind == "map" and isinstance(result, Mapping) else [result]
            inner = message.result.value if message.result.kind == "map" else message.result
            if inner is not None and inner.kind == "record":
                for row in rows:
                    self._knows_record(inner.name, row, prefix)

    def _http_answer(self, answer: Answer) -> dict[str, Any]:
        written: dict[str, Any] = {} if answer.status is None else {"status": answer.status, "headers": self._told(dict(answer.headers or {}))}
        if answer.broken or answer.status is None:
            return {**written, "broken": BROKEN[answer.broken or "cut"]}
        text = _text(answer.body)
        return {**written, "text": self._told(text)} if text is not None else {**written, "body_bytes": len(answer.body)}


def _text(body: bytes) -> str | None:
    """A body that people can read, and not too long for that."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return None
    return text if len(body) <= LONGEST_TEXT and "\0" not in text else None


def level_of(pool: Pool) -> Schema:
    """The data model that fits the pool: the newest that is not newer."""
    (host, *_others) = pool.records(COORDINATOR, ["host"])["host"].values()
    version = (int(host["API_version_major"]), int(host["API_version_minor"]))
    fitting = [schema for schema in map(load, LEVELS) if schema.version <= version]
    return max(fitting, key=lambda schema: schema.version, default=load(LEVELS[0]))


def start_of(pool: Pool, at: str, schema: Schema) -> Records:
    """What a recording's start state holds: the records of every class that keeps any."""
    kept = [spec.name for spec in schema.classes.values() if spec.name not in NOT_KEPT | MADE_BY_XAPI and spec.stored]
    return pool.records(at, kept)


def _reference_to(name: str) -> Type:
    return Type("ref", name)


def write(path: Path, recording: Mapping[str, Any]) -> None:
    """One step a line, as in the recordings that are there."""
    head = {key: value for key, value in recording.items() if key not in ("steps", *WORLDS.values())}
    parts = [f" {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in head.items()]
    for key in WORLDS.values():
        if key in recording:
            rows = ",\n".join(f"  {json.dumps(name)}: {json.dumps(rows, ensure_ascii=False)}" for name, rows in recording[key].items())
            parts.append(f" {json.dumps(key)}: {{\n{rows}\n }}")
    steps = ",\n".join(f"  {json.dumps(step, ensure_ascii=False)}" for step in recording["steps"])
    parts.append(f' "steps": [\n{steps}\n ]')
    path.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")
