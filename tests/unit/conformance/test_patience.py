# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest
from conformance.patience import Patience


@pytest.mark.parametrize(
    ("call", "answer", "again"),
    [
        ("VM.get_record", {"result": {}}, True),
        ("VM.suspend", {"error": ["VM_LACKS_FEATURE", "x"]}, True),
        ("host.assert_can_evacuate", {"error": ["CANNOT_EVACUATE_HOST", "VM_LACKS_FEATURE,x"]}, True),
        ("VM.suspend", {"error": ["VM_BAD_POWER_STATE", "x"]}, False),
        ("VM.snapshot", {"result": "x"}, False),
        ("event.from", {"result": {}}, False),
    ],
)
def test_only_what_has_no_effect_is_asked_again(call: str, answer: dict[str, Any], again: bool) -> None:
    patience = Patience()
    assert not patience.again(call, answer), "no VM booted"
    patience.saw("VM.start")
    assert patience.again(call, answer) is again
