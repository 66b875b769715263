# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

from conformance.bindings import Bindings
from conformance.hints import Hints
from conformance.matching import best

A = "OpaqueRef:aaaaaaaa-0000-0000-0000-000000000000"
B = "OpaqueRef:bbbbbbbb-0000-0000-0000-000000000000"
VM = "OpaqueRef:eeeeeeee-0000-0000-0000-000000000000"

STEPS: list[dict[str, Any]] = [
    {"call": "VM.get_record", "params": ["@VM/1"], "result": {"VBDs": ["@VBD/1", "@VBD/2"]}},
    {"call": "VBD.get_record", "params": ["@VBD/1"], "result": {"userdevice": "4", "VM": "@VM/1", "metrics": "@ref/1"}},
    {"call": "VBD.get_all_records", "params": [], "result": {"@VBD/2": {"userdevice": "0", "VM": "@VM/1"}}},
]
SERVER = {A: {"userdevice": "0", "VM": VM, "metrics": VM}, B: {"userdevice": "4", "VM": VM, "metrics": VM}}


def test_two_new_references_are_told_apart_by_what_is_said_later() -> None:
    pairs = Hints(STEPS).choose(Bindings({"@VM/1": VM}), lambda _name, ref: SERVER[ref], 0, ["@VBD/1", "@VBD/2"], [A, B])
    assert sorted(pairs) == [("@VBD/1", B), ("@VBD/2", A)]


def test_without_a_hint_the_order_decides() -> None:
    pairs = Hints([]).choose(Bindings(), lambda _name, _ref: None, 0, ["@VBD/1", "@VBD/2"], [A, B])
    assert pairs == [("@VBD/1", A), ("@VBD/2", B)]


def test_a_record_from_before_says_nothing() -> None:
    assert Hints(STEPS).record("@VBD/1", 2) is None


def test_the_highest_score_goes_first() -> None:
    assert best([(3, 0, 0), (9, 0, 1), (5, 1, 1)]) == [(0, 1)]
    assert best([(3, 0, 0), (9, 0, 1), (5, 1, 0)]) == [(0, 1), (1, 0)]
