# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ansible_collections.xapi.xenserver.plugins.module_utils import _errors
from ansible_collections.xapi.xenserver.plugins.module_utils._errors import Ambiguous, ApiError, Immutable, NotFound, TimedOut
from simulator.engine import schema

RECORDINGS = sorted(Path(__file__).parents[3].glob("conformance/recordings/*.json"))


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (NotFound("network", "storage"), "there is no network 'storage' in this pool; see xen_network_info for what there is"),
        (NotFound("host", "xs9"), "there is no host 'xs9' in this pool; check the name; capitals count"),
        (NotFound("SR", "default", "name one"), "there is no SR 'default' in this pool; name one"),
        (Ambiguous("network", "twin", ["b", "a"]), "2 networks are named 'twin'; select one by uuid (a, b)"),
        (Ambiguous("storage repository", "s", ["a", "b"]), "2 storage repositories are named 's'; select one by uuid (a, b)"),
        (TimedOut("the VM to start", 2.5), "gave up waiting for the VM to start after 2.5 seconds"),
        (
            Immutable("network", "n", "bridge", "xapi1", "br7"),
            "bridge of network 'n' is 'xapi1' and cannot become 'br7' after creation; leave bridge out, or remove the network and create it again",
        ),
    ],
)
def test_messages(error: Exception, text: str) -> None:
    assert str(error) == text


@pytest.mark.parametrize(
    ("details", "text"),
    [
        (["VM_BAD_POWER_STATE", "ref", "halted", "running"], "the VM must be halted for this, but it is running; use xen_power first [VM_BAD_POWER_STATE]"),
        (["SR_BACKEND_FAILURE_44", "", "", "no space"], "free space or choose another (no space) [SR_BACKEND_FAILURE_44]"),
        (
            ["SR_BACKEND_FAILURE_79", "", "VDI Invalid size", ""],
            "the storage refused: VDI Invalid size; see /var/log/SMlog on the host [SR_BACKEND_FAILURE_79]",
        ),
        (["UNHEARD_OF", "a", "b"], "the pool refused with UNHEARD_OF (a, b)"),
        (["UNHEARD_OF"], "the pool refused with UNHEARD_OF"),
        (["HOST_NOT_ENOUGH_FREE_MEMORY"], "too little free memory: ? needed, ? available"),
        ([], "internal error"),
    ],
)
def test_sentences(details: list[str], text: str) -> None:
    assert text in str(ApiError(details))


def test_facts_carry_the_raw_code() -> None:
    assert ApiError(["INVALID_VALUE", "bridge", "xapi9"]).facts() == {"xenapi_error": {"code": "INVALID_VALUE", "arguments": ["bridge", "xapi9"]}}


def test_every_row_of_the_table_can_be_said_with_and_without_arguments() -> None:
    for code in _errors.SENTENCES:
        assert f"[{code}]" in str(ApiError([code]))
        assert f"[{code}]" in str(ApiError([code, "{}", "{0}", "%s", "d", "e"]))


def test_every_row_is_a_code_that_xapi_declares_or_was_recorded_saying() -> None:
    """A misspelt code would never be met. Storage managers and the licence daemon have codes of their own."""
    declared = set(schema.load("26").errors) | set(schema.load("8.2").errors)
    recorded = {code for text in (path.read_text() for path in RECORDINGS) for code in re.findall(r'"error(?:_info)?":\s*\["(\w+)"', text)}
    elsewhere = {code for code in _errors.SENTENCES if code.startswith("SR_BACKEND_FAILURE")} | {"LICENSE_RESTRICTION"}
    assert set(_errors.SENTENCES) - declared - recorded - elsewhere == set()
