# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every message with arguments of the declared types and of senseless values: refused or done, but no behaviour breaks.

How to try many more is in README.md beside this file.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator import NULL, Failure
from simulator.engine import schema
from simulator.engine.specs import MessageSpec
from simulator.engine.types import Type

from ._consistency import StandingSimulator
from ._hostile import few

# What ends the pool or the caller, waits without end, calls another machine, or reads a whole disk.
LEFT_OUT = {"event.next", "session.logout", "session.local_logout", "VM.import", "pool.join", "pool.join_force", "pool.eject", "host.destroy", "VDI.checksum"}
TEXTS = [
    "",
    "x",
    "../../etc/passwd",
    "/",
    "\0",
    "a\r\nb: c",
    "é" * 50,
    "x" * 5000,
    "-1",
    "0",
    "9" * 30,
    "1.5",
    "true",
    "{}",
    "[]",
    "<a>",
    "%s",
    "::",
    "0-0,3",
    "OpaqueRef:NULL",
]
TEXTS += [
    "autodetect",
    "xvda",
    "hda",
    "10.0.0.1",
    "fe80::1/200",
    "1.2.3.4.5",
    "ff:ff:ff:ff:ff:ff",
    "00:16:3e:00:00:01",
    "Halted",
    "hvm",
    "uefi",
    "nfs",
    "iscsi",
    "ext",
    "raw",
]
KEYS = [
    "",
    "x",
    "device-model",
    "device_id",
    "disks",
    "server",
    "serverpath",
    "target",
    "location",
    "type",
    "order",
    "weight",
    "cap",
    "mask",
    "hour",
    "min",
    "days",
]
NUMBERS = [-(2**63), -1, 0, 1, 2, 7, 100, 4096, 2**20, 2**31, 2**40, 2**63 - 1]
FLOATS = [float("nan"), float("inf"), -float("inf"), -1.0, 0.0, 0.5, 1e300]
TIMES = ["19700101T00:00:00Z", "20260101T00:00:00Z", "99991231T23:59:59Z", "00010101T00:00:00Z", "20261399T99:99:99Z", "2026-01-01T00:00:00+01:00"]
STEPS = 12
Reference = tuple[str, int]  # of which class, and which of them


@cache
def values(kind: Type, level: str) -> st.SearchStrategy[Any]:
    """Values of a declared type; a reference is a pair until the pool is there."""
    simple: dict[str, st.SearchStrategy[Any]] = {
        "string": st.one_of(st.sampled_from(TEXTS), st.text(max_size=8), st.tuples(st.just("uuid of"), st.integers(0, 30))),
        "int": st.sampled_from(NUMBERS),
        "float": st.sampled_from(FLOATS),
        "bool": st.booleans(),
        "datetime": st.sampled_from(TIMES),
    }
    if kind.kind in simple:
        return simple[kind.kind]
    if kind.kind == "enum":
        return st.sampled_from(schema.load(level).enums.get(kind.name) or [""])
    if kind.kind == "ref":
        return st.tuples(st.just(kind.name), st.integers(0, 30))
    if kind.kind == "option":
        return values(kind.value or kind, level)
    if kind.kind == "set":
        return st.lists(values(kind.value or kind, level), max_size=3)
    if kind.kind == "map":
        assert kind.value is not None
        keys = st.sampled_from(KEYS) if kind.key is not None and kind.key.kind == "string" else values(kind.key or kind, level)
        return st.lists(st.tuples(keys, values(kind.value, level)), max_size=3).map(dict)
    return record(kind.name, level)


@cache
def record(cls: str, level: str) -> st.SearchStrategy[Any]:
    """What an automatic constructor takes."""
    spec = schema.load(level).classes.get(cls)
    fields = {field.name: values(field.type, level) for field in spec.fields.values() if field.create} if spec else {}
    return st.fixed_dictionaries(fields)


def messages(level: str) -> list[MessageSpec]:
    found = [spec for cls in schema.load(level).classes.values() for spec in cls.messages.values()]
    return [
        spec for spec in found if spec.kind in ("custom", "create", "destroy", "set", "map_add", "set_add") and spec.wire not in LEFT_OUT and spec.needs_session
    ]


@st.composite
def calls(draw: st.DrawFn, level: str) -> list[tuple[MessageSpec, list[Any]]]:
    chosen = draw(st.lists(st.sampled_from(messages(level)), min_size=1, max_size=STEPS))
    return [(spec, [draw(record(spec.cls, level) if spec.kind == "create" else values(p.type, level)) for p in spec.params]) for spec in chosen]


class Caller:
    def __init__(self, level: str) -> None:
        self.pool = StandingSimulator("three_hosts", api=level)
        self.session = self.pool.session()
        (template,) = self.session.VM.get_by_name_label("Debian 12 (cloud image)")
        for number in range(2):
            vm = self.session.VM.clone(template, f"vm {number}")
            self.session.VM.provision(vm)
            self.session.VM.snapshot(vm, "snapshot")
            self.session.VM.start(vm, bool(number), False)

    def there(self, value: Any) -> Any:
        """With references to what the pool has, or to nothing."""
        if isinstance(value, tuple):
            cls, number = value
            tables = self.pool.engine.db.tables
            if cls == "uuid of":
                cls = ("VM", "VDI", "SR", "host", "network")[number % 5]
                rows = [str(row["uuid"]) for row in tables[cls].rows.values()] if cls in tables else []
            else:
                rows = list(tables[cls].rows) if cls in tables else []
            return rows[number % len(rows)] if rows and number < 28 else (NULL, "", "OpaqueRef:x")[number % 3]
        if isinstance(value, list):
            return [self.there(one) for one in value]
        return {self.there(key): self.there(one) for key, one in value.items()} if isinstance(value, dict) else value

    def send(self, spec: MessageSpec, arguments: list[Any]) -> None:
        filled = [self.there(argument) for argument in arguments]
        refusal: list[Any] = []
        try:
            self.session.call(spec.wire, *filled)
        except Failure as failure:
            refusal = failure.description
        assert all(isinstance(part, str) for part in refusal), (spec.wire, filled, refusal)
        if refusal[:1] == ["SESSION_INVALID"]:
            self.session = self.pool.session()
        # What has no behaviour says so, and that is another test's subject.
        self.pool.engine.problems[:] = [problem for problem in self.pool.engine.problems if "has no behaviour" not in problem]
        assert self.pool.problems == [], (spec.wire, filled)


@pytest.mark.parametrize("level", ["8.2", "8.3", "26"])
def test_no_behaviour_breaks(level: str) -> None:
    @few(15)
    @given(calls(level))
    def run(sequence: list[tuple[MessageSpec, list[Any]]]) -> None:
        caller = Caller(level)
        try:
            for spec, arguments in sequence:
                caller.send(spec, arguments)
            caller.pool.let_pass(60.0)
            assert caller.pool.problems == []
        finally:
            caller.pool.close()

    run()
