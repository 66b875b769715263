# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The arrows between the files of the collection: what may import what."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OURS = "ansible_collections.xapi.xenserver."
UTILS = f"{OURS}plugins.module_utils."

LEAVES = {"_errors", "_plan", "_codec", "_wire_types", "_run", "_run_id", "_sigterm"}
WIRE = {"xenapi_session", "_http", "_jsonrpc", "_xmlrpc"}
# A file of module_utils → the others it may import; one that is not named is a subject file.
ARROWS = {
    "_errors": set(),
    "_plan": set(),
    "_run": set(),
    "_run_id": set(),
    "_sigterm": set(),
    "_lock": {"_errors"},
    "_codec": {"_errors"},
    "_wire_types": {"_errors"},
    **dict.fromkeys(WIRE, LEAVES | WIRE - {"xenapi_session"}),
    "_options": LEAVES,
    "_lookup": LEAVES,
    "_task": LEAVES | {"_lookup"},
    "_entity": LEAVES | {"_lookup"},
    "_info": LEAVES | {"_lookup", "_render"},
    "_module": LEAVES | {"_lock", "xenapi_session", "_options", "_entity", "_info"},
}
# A subject file receives its session, and plans nothing by itself.
NOT_FOR_SUBJECTS = {"_module", "_entity", "_info", "xenapi_session", "_jsonrpc", "_xmlrpc"}

# What is neither Python's nor Ansible's is imported in one place.
LIBRARIES = {"xenapi_session": {"XenAPI"}, "_iso_image": {"pycdlib"}}

FILES = sorted([*ROOT.glob("plugins/**/*.py"), *ROOT.glob("tests/simulator/**/*.py")])


def imported(path: Path) -> set[str]:
    """The full names that a file imports, wherever in it but for the sake of its type hints."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    hints = {id(inner) for node in ast.walk(tree) if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING" for inner in ast.walk(node)}
    names = set()
    for node in ast.walk(tree):
        if id(node) in hints:
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = absolute(path, node)
            names |= {f"{base}.{alias.name}" for alias in node.names} | {base}
    return names


def absolute(path: Path, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    package = path.relative_to(ROOT).parts[: -node.level]
    prefix = OURS if package[0] == "plugins" else ""
    return prefix + ".".join([*package, *([node.module] if node.module else [])])


def utils_of(names: set[str]) -> set[str]:
    return {name.removeprefix(UTILS).partition(".")[0] for name in names if name.startswith(UTILS)}


def forbidden(path: Path, names: set[str]) -> set[str]:
    """The imports of a file that go against an arrow."""
    place = path.relative_to(ROOT).parts
    if place[:2] == ("tests", "simulator"):
        return {name for name in names if name.startswith(("ansible", f"{OURS}plugins"))}
    outside = {name for name in names if name.startswith((f"{OURS}tests", "tests", "simulator"))}
    if place[1] != "module_utils":
        return outside
    allowed_tops = sys.stdlib_module_names | {"ansible", "ansible_collections"} | LIBRARIES.get(path.stem, set())
    outside |= {name for name in names if name.partition(".")[0] not in allowed_tops}
    outside |= {name for name in names if name.startswith("ansible.") and not name.startswith("ansible.module_utils")} - {"ansible.module_utils"}
    utils = utils_of(names) - {path.stem}
    return outside | (utils - ARROWS[path.stem] if path.stem in ARROWS else utils & NOT_FOR_SUBJECTS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_follow_the_arrows(path: Path) -> None:
    assert forbidden(path, imported(path)) == set()


@pytest.mark.parametrize(
    ("place", "code"),
    [
        ("plugins/module_utils/_plan.py", "from ._errors import XenError"),
        ("plugins/module_utils/_power.py", f"from {UTILS}_module import run"),
        ("plugins/module_utils/_power.py", "import requests"),
        ("plugins/module_utils/_lookup.py", "import XenAPI"),
        ("plugins/module_utils/_lookup.py", "from ansible.errors import AnsibleError"),
        ("plugins/modules/xen_vm.py", "from simulator import Simulator"),
        ("tests/simulator/engine/tasks.py", f"from {OURS}plugins.module_utils import _task"),
    ],
)
def test_an_import_against_an_arrow_is_found(place: str, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_text", lambda *_args, **_options: code)
    assert forbidden(ROOT / place, imported(ROOT / place))


def test_only_the_runner_touches_ansible_module() -> None:
    users = {path.name for path in ROOT.glob("plugins/**/*.py") if any(name.endswith(".AnsibleModule") for name in imported(path))}
    assert users <= {"_module.py"}
