# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must agree across the repository: modules, action group, tests, metadata, licence."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted(path.stem for path in ROOT.glob("plugins/modules/*.py"))
LICENCE = "# SPDX-License-Identifier: GPL-3.0-or-later"


def load(name: str) -> dict:
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def repository_files() -> list[Path]:
    """What git tracks or would track."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def test_the_action_group_is_the_folder_of_modules() -> None:
    assert sorted(load("meta/runtime.yml")["action_groups"]["xenserver"]) == MODULES


@pytest.mark.parametrize("module", MODULES)
def test_a_module_has_its_tests(module: str) -> None:
    assert (ROOT / f"tests/unit/plugins/modules/test_{module}.py").is_file()
    assert (ROOT / f"tests/integration/targets/{module}/tasks/main.yml").is_file()


def test_metadata_agrees() -> None:
    galaxy = load("galaxy.yml")
    assert (galaxy["namespace"], galaxy["name"]) == ("xapi", "xenserver")
    assert load("changelogs/config.yaml")["title"] == "xapi.xenserver"
    released = load("changelogs/changelog.yaml")["releases"]
    assert not released or galaxy["version"] in released
    needs = load("meta/execution-environment.yml")["dependencies"]
    for name in (galaxy["readme"], needs["python"], needs["system"], "LICENSE"):
        assert (ROOT / name).is_file(), name


def test_every_pin_is_exact() -> None:
    lines = (ROOT / "requirements/constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {line.partition("==")[0].lower() for line in lines if re.fullmatch(r"[\w.-]+==[\w.+]+", line)}
    assert len(pinned) == sum(1 for line in lines if not line.startswith("#"))
    for path in ROOT.glob("requirements/*.txt"):
        if path.name not in ("constraints.txt", "system.txt"):
            named = {line.lower() for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith(("#", "-"))}
            assert named <= pinned, path.name


@pytest.mark.parametrize("path", [path for path in repository_files() if path.suffix == ".py"], ids=lambda path: str(path.relative_to(ROOT)))
def test_a_python_file_carries_the_licence(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    if text.strip():
        assert LICENCE in text.splitlines()[:5]


def test_no_path_of_a_machine_is_in_the_repository() -> None:
    # Recordings and data of the model are what real hosts said; root's .ssh is a place inside a guest.
    machine = re.compile(r"(?<![\w.])/(?:work|root(?!/\.ssh\b)|home/\w+)/")
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in repository_files()
        if path.suffix in (".py", ".yml", ".yaml", ".md", ".toml", ".cfg", ".txt", "") and path != Path(__file__)
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        if machine.search(line)
    ]
    assert found == []
