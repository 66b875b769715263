# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/simulator.md says what the simulator has: every option, key and action, and examples that are taken."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from simulator import command, control
from simulator.engine.faults import SAID, parsed

GUIDE = (Path(__file__).parents[3] / "docs" / "simulator.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("option", [option for action in command.parser()._actions for option in action.option_strings if option not in ("-h", "--help")])
def test_every_option_is_in_the_table(option: str) -> None:
    assert re.search(rf"^\|.*`{option}[ `]", GUIDE, re.MULTILINE)


@pytest.mark.parametrize("key", SAID)
def test_every_key_of_a_rule_is_in_the_table(key: str) -> None:
    assert re.search(rf"^\|.*`{key}`.*\|", GUIDE, re.MULTILINE)


@pytest.mark.parametrize("action", control.ACTIONS)
def test_every_action_is_named(action: str) -> None:
    assert f'"{action}"' in GUIDE or f"`{action}`" in GUIDE


def test_the_example_rules_are_rules() -> None:
    (example,) = [block for block in re.findall(r"```json\n(.*?)```", GUIDE, re.DOTALL) if block.startswith("[")]
    assert len([parsed(rule) for rule in json.loads(example)]) == 3
