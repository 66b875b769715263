# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.xapi.xenserver.plugins.module_utils._codec import BYTES, MAP, SET, TEXT, format_bytes, merged, parse_bytes, vocabulary
from ansible_collections.xapi.xenserver.plugins.module_utils._errors import XenError


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("8GiB", 8 * 2**30),
        ("8 gib", 8 * 2**30),
        ("1.5GiB", 3 * 2**29),
        ("512M", 512 * 2**20),
        ("1GB", 10**9),
        ("4096", 4096),
        (4096, 4096),
        ("0", 0),
        ("2TiB", 2 * 2**40),
        ("9007199254740993", 9007199254740993),
    ],
)
def test_sizes(text: Any, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "GiB", "8 apples", "-1", "8GiB8", "0x10", "1e9", None, True, "0.3B", "nan"])
def test_no_sizes(text: Any) -> None:
    with pytest.raises(XenError, match=r"memory .* is no "):
        parse_bytes(text, "memory")


@given(st.integers(min_value=0, max_value=2**62))
def test_a_formatted_size_means_the_same(size: int) -> None:
    assert parse_bytes(format_bytes(size)) == size


@pytest.mark.parametrize(("size", "text"), [(8 * 2**30, "8GiB"), (1536 * 2**20, "1536MiB"), (1000, "1000B"), (0, "0B")])
def test_format(size: int, text: str) -> None:
    assert format_bytes(size) == text


def test_sets_compare_without_order() -> None:
    assert not SET.differs(["b", "a"], SET.encode(["a", "b", "b"]))
    assert SET.differs(["a"], [])
    assert SET.decode(["b", "a"]) == ["a", "b"]


def test_maps_are_text() -> None:
    assert MAP.encode({"a": True, "b": 1, 3: None}) == {"a": "true", "b": "1", "3": ""}


def test_bytes_are_compared_as_bytes() -> None:
    assert not BYTES.differs(2**30, BYTES.encode("1GiB"))


def test_text_is_text() -> None:
    assert TEXT.differs("a", "A")


@pytest.mark.parametrize(
    ("wanted", "result"),
    [
        ({}, {"a": "1", "b": "2"}),
        ({"a": "9"}, {"a": "9", "b": "2"}),
        ({"a": None}, {"b": "2"}),
        ({"c": True}, {"a": "1", "b": "2", "c": "true"}),
        ({"a": ""}, {"a": "", "b": "2"}),
    ],
)
def test_merged(wanted: dict[str, Any], result: dict[str, str]) -> None:
    assert merged({"a": "1", "b": "2"}, wanted) == result


def test_vocabulary_translates_both_ways() -> None:
    power = vocabulary({"running": "Running", "halted": "Halted"})
    assert (power.encode("running"), power.decode("Halted"), power.decode("Crashed")) == ("Running", "halted", "Crashed")
    assert power.option["choices"] == ["running", "halted"]
