# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from conformance.bindings import Bindings, symbols

REAL = "OpaqueRef:11111111-2222-3333-4444-555555555555"
OTHER = "OpaqueRef:99999999-2222-3333-4444-555555555555"


def test_a_symbol_is_bound_once_and_then_only_agrees() -> None:
    bindings = Bindings()
    assert bindings.bind("@VM/1", REAL)
    assert bindings.bind("@VM/1", REAL)
    assert not bindings.bind("@VM/1", OTHER)
    assert bindings.real("@VM/1") == REAL


def test_two_symbols_never_share_a_value() -> None:
    bindings = Bindings({"@VM/1": REAL})
    assert not bindings.bind("@VM/2", REAL)
    assert bindings.real("@VM/2") is None


def test_params_get_real_values_also_inside_texts_and_keys() -> None:
    bindings = Bindings({"@VM/1": REAL, "%3": "the-uuid"})
    assert bindings.resolve({"@VM/1": ["<value>@VM/1</value>", "%3.img", 5]}) == {REAL: [f"<value>{REAL}</value>", "the-uuid.img", 5]}


def test_an_unknown_symbol_in_params_is_made_up_and_stays_the_same() -> None:
    bindings = Bindings()
    first = bindings.resolve("@ref/52")
    assert first.startswith("OpaqueRef:")
    assert bindings.resolve("@ref/52") == first
    assert not bindings.resolve("%9").startswith("OpaqueRef:")


@pytest.mark.parametrize(
    ("text", "found"),
    [("@VM/3", ["@VM/3"]), ("a @SR/1; %12.img", ["@SR/1", "%12"]), ("<time>", []), ("E5-2680 v4 @ 2.40GHz", []), ("root@example.com", [])],
)
def test_symbols_in_texts(text: str, found: list[str]) -> None:
    assert list(symbols(text)) == found


def test_an_address_is_no_symbol() -> None:
    assert Bindings().resolve("mail root@example.com, 100% sure") == "mail root@example.com, 100% sure"


def test_reports_speak_in_symbols() -> None:
    bindings = Bindings({"@VM/1": REAL})
    assert bindings.spoken({"a": ["CODE", REAL, f"<value>{OTHER}</value>"]}) == {"a": ["CODE", "@VM/1", f"<value>{OTHER}</value>"]}


def test_a_set_of_new_references_stays_open_until_something_tells() -> None:
    bindings = Bindings()
    assert bindings.restrict(["@VBD/1", "@VBD/2"], [REAL, OTHER])
    assert bindings.real("@VBD/1") is None
    assert not bindings.bind("@VBD/3", REAL)
    assert bindings.bind("@VBD/2", REAL)
    assert bindings.real("@VBD/1") == OTHER


def test_a_set_that_cannot_be_is_refused() -> None:
    bindings = Bindings()
    assert bindings.restrict(["@VBD/1", "@VBD/2"], [REAL, OTHER])
    assert not bindings.restrict(["@VBD/3"], [REAL])


def test_a_parameter_decides_by_the_chooser() -> None:
    bindings = Bindings()
    bindings.choose = lambda unbound, values: list(zip(unbound, reversed(values), strict=True))
    assert bindings.restrict(["@VBD/1", "@VBD/2"], [REAL, OTHER])
    assert bindings.resolve("@VBD/1") == OTHER
    assert bindings.real("@VBD/2") == REAL
