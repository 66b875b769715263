# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the guides tell to write is right: names of options and variables, and plays that run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from ansible_collections.xapi.xenserver.plugins.module_utils import _options

ROOT = Path(__file__).resolve().parents[2]
CONNECTING = (ROOT / "docs" / "connecting.md").read_text(encoding="utf-8")
VARIABLES = {option["fallback"][1][0] for option in _options.connection().values()}


def blocks(text: str) -> list[Any]:
    return [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)]


def test_variables_of_the_guide_are_those_of_the_modules() -> None:
    named = set(re.findall(r"\bXENSERVER_\w+", CONNECTING))
    assert named
    assert named <= VARIABLES


def test_what_awx_injects_comes_from_fields_that_it_asks_for() -> None:
    asked, injected = (next(block for block in blocks(CONNECTING) if key in block) for key in ("fields", "env"))
    fields = {field["id"] for field in asked["fields"]}
    used = set(re.findall(r"{{ (\w+) }}", " ".join([*injected["env"].values(), *injected["file"].values()])))
    assert used == fields
    assert set(asked["required"]) <= fields
    assert set(injected["env"]) <= VARIABLES
    assert [field["id"] for field in asked["fields"] if field.get("secret")] == ["password"]


def test_options_of_the_guide_are_those_of_the_modules() -> None:
    (defaults,) = (block["module_defaults"] for block in blocks(CONNECTING) if "module_defaults" in block)
    assert set(defaults["group/xapi.xenserver.xenserver"]) <= set(_options.connection())
