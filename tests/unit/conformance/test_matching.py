# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest
from conformance.bindings import Bindings
from conformance.matching import Matcher

A = "OpaqueRef:aaaaaaaa-0000-0000-0000-000000000000"
B = "OpaqueRef:bbbbbbbb-0000-0000-0000-000000000000"
C = "OpaqueRef:cccccccc-0000-0000-0000-000000000000"
UUID = "dddddddd-0000-0000-0000-000000000000"


def agree(expected: Any, actual: Any, bound: dict[str, str] | None = None, path: str = "VM.x") -> bool:
    return not Matcher(Bindings(bound)).match(expected, actual, path)


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        pytest.param("a", "a", id="text"),
        pytest.param(1.5, 1.5, id="float"),
        pytest.param(["a", "b"], ["b", "a"], id="a list is a set"),
        pytest.param("<time>", "20261120T10:11:12Z", id="time"),
        pytest.param("<time>", "2026-11-20", id="date"),
        pytest.param("@VM/1", A, id="reference"),
        pytest.param("%1", UUID, id="uuid"),
        pytest.param("<value>@VDI/6</value>", f"<value>{A}</value>", id="symbol inside a text"),
        pytest.param({"@VM/1": {"uuid": "%1"}}, {A: {"uuid": UUID}}, id="map of records"),
        pytest.param(["@VM/1", "@VM/2"], [A, B], id="set of new references"),
        pytest.param([["vm", "mod", "@VM/1"], ["vm", "add", "@VM/2"]], [["vm", "add", B], ["vm", "mod", A]], id="set of lists"),
    ],
)
def test_what_agrees(expected: Any, actual: Any) -> None:
    assert agree(expected, actual)


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        pytest.param("a", "b", id="text"),
        pytest.param(1, True, id="a number is no boolean"),
        pytest.param(1.0, 1, id="a float is no integer"),
        pytest.param("1", 1, id="a text is no number"),
        pytest.param(["a"], ["a", "b"], id="something more in a set"),
        pytest.param(["a", "a"], ["a"], id="something less in a set"),
        pytest.param(["a", "a"], ["a", "b"], id="twice is not once"),
        pytest.param({"k": 1}, {"k": 1, "l": 2}, id="one more key"),
        pytest.param({"k": 1, "l": 2}, {"k": 1}, id="one key less"),
        pytest.param("<time>", "19700101T00:00:00Z", id="the epoch is no time"),
        pytest.param("<time>", "soon", id="a word is no time"),
        pytest.param("@VM/1", "OpaqueRef:NULL", id="null is no object"),
        pytest.param("OpaqueRef:NULL", A, id="an object is not null"),
        pytest.param("@VM/1", UUID, id="a uuid is no reference"),
        pytest.param("%1", A, id="a reference is no uuid"),
        pytest.param(["@VM/1", "@VM/2"], [A, A], id="two symbols are two objects"),
        pytest.param(["@VM/1", "@VM/1"], [A, B], id="one symbol is one object"),
        pytest.param({"@VM/1": {"n": 1}}, {A: {"n": 2}}, id="a field in a map of records"),
    ],
)
def test_what_does_not_agree(expected: Any, actual: Any) -> None:
    assert not agree(expected, actual)


def test_a_bound_symbol_must_stay_what_it_is() -> None:
    assert agree("@VM/1", A, {"@VM/1": A})
    assert not agree("@VM/1", B, {"@VM/1": A})
    assert not agree("@VM/2", A, {"@VM/1": A})


def test_a_known_reference_is_not_taken_by_an_unknown_symbol() -> None:
    matcher = Matcher(Bindings({"@VBD/2": B}))
    assert not matcher.match(["@VBD/3", "@VBD/2"], [B, C], "VM.VBDs")
    assert matcher.bindings.real("@VBD/3") == C


def test_what_agrees_is_bound_beside_what_does_not() -> None:
    matcher = Matcher(Bindings())
    differences = matcher.match({"uuid": "%1", "name_label": "a", "metrics": "@ref/1"}, {"uuid": UUID, "name_label": "b", "metrics": A}, "VM")
    assert [difference.path for difference in differences] == ["VM.name_label"]
    assert matcher.bindings.real("%1") == UUID
    assert matcher.bindings.real("@ref/1") == A


def test_the_order_of_an_error_counts() -> None:
    assert not agree(["CODE", "a", "b"], ["CODE", "b", "a"], path="error")
    assert agree(["CODE", "@VM/1"], ["CODE", A], {"@VM/1": A}, path="error")


def test_a_refusal_with_less_parameters_differs() -> None:
    assert not agree(["CODE", "a"], ["CODE"], path="error")


def test_a_volatile_field_keeps_its_form() -> None:
    assert agree(29098598400, 17, path="SR.physical_utilisation")
    assert not agree(29098598400, "17", path="SR.physical_utilisation")
    assert not agree(29098598400, None, path="SR.physical_utilisation")


def test_a_learned_field_stays_what_it_was() -> None:
    matcher = Matcher(Bindings())
    assert not matcher.match("6e:48:bd:07:00:c2", "5a:00:00:00:00:01", "VIF.MAC")
    assert not matcher.match("6e:48:bd:07:00:c2", "5a:00:00:00:00:01", "VIF.MAC")
    assert matcher.match("6e:48:bd:07:00:c2", "5a:00:00:00:00:02", "VIF.MAC")
    assert matcher.match("aa:aa:aa:aa:aa:aa", "5a:00:00:00:00:01", "VIF.MAC")


def test_what_an_internal_counter_adds_to_a_map_is_no_difference() -> None:
    expected = {"other_config": {"debug_info:cancel_points_seen": "9", "a": "b"}}
    assert agree(expected, {"other_config": {"a": "b"}}, path="task")
    assert not agree(expected, {"other_config": {}}, path="task")


def test_a_difference_names_its_place() -> None:
    [difference] = Matcher(Bindings()).match({"@VM/1": {"tags": {"k": "v"}}}, {A: {"tags": {"k": "w"}}}, "VM")
    assert (difference.path, difference.expected, difference.actual) == ("VM.tags.k", "v", "w")
