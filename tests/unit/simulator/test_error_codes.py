# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Codes of refusals are spelled as xapi spells them: its names for them in OCaml differ from what goes over the wire (facts 3.10)."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path

import simulator

ROOT = Path(simulator.__file__).parent
# In ocaml/xapi-consts/api_errors.ml of v24.19.2, and missing among the data model's declarations.
UNDECLARED = {
    *("HOST_CANNOT_SEE_SR", "POOL_SECRET_ROTATION_PENDING", "REVERT_ONLY_ALLOWED_ON_SNAPSHOT"),
    *("SUSPEND_VDI_REPLACEMENT_IS_NOT_IDENTICAL", "VDI_CONTENT_ID_MISSING", "VDI_IO_ERROR", "VDI_IS_SHARABLE", "VM_IS_SNAPSHOT"),
}
# What is no answer of xapi's: the simulator's own confession, and the literal that facts 0 tell of.
OWN = {"SIMULATOR_HAS_NO_BEHAVIOUR", "Fault"}


def raised() -> Iterator[tuple[str, str]]:
    """(code, place) of every refusal that the simulator's source spells out."""
    for path in sorted(ROOT.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Failure" and node.args:
                code = node.args[0]
                if isinstance(code, ast.Constant):
                    yield str(code.value), f"{path.relative_to(ROOT)}:{node.lineno}"


def test_every_code_is_one_of_xapis() -> None:
    declared = {name for name, *_rest in json.loads((ROOT / "datamodel" / "errors.json").read_text(encoding="utf-8"))["errors"]}
    found = list(raised())
    assert len(found) > 300, "the search has lost its way"
    assert [(code, place) for code, place in found if code not in declared | UNDECLARED | OWN] == []


def test_every_exception_is_still_needed() -> None:
    assert {code for code, _place in raised()} >= UNDECLARED | OWN
