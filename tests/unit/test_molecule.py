# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Molecule passes over what is not there: a missing playbook is a note, and a play for no host is a success. Here both are failures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
SCENARIOS = ROOT / "extensions" / "molecule"
NAMES = sorted(path.parent.name for path in SCENARIOS.glob("*/molecule.yml"))
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if path.is_dir())
# The pool is made once, by the scenario that all share.
SHARED = {"create", "destroy"}
# Molecule converges a second time for it.
WITHOUT_PLAYBOOK = {"idempotence"}


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def sequence(name: str) -> list[str]:
    """What `molecule test` does for a scenario."""
    own = load(SCENARIOS / name / "molecule.yml") or {}
    steps: list[str] = own.get("scenario", load(SCENARIOS / "config.yml")["scenario"])["test_sequence"]
    return steps


def test_every_role_has_a_scenario() -> None:
    assert sorted(["default", *ROLES]) == NAMES


@pytest.mark.parametrize("name", ROLES)
def test_a_role_is_converged_repeated_and_verified(name: str) -> None:
    steps = sequence(name)
    assert steps.index("converge") < steps.index("idempotence") < steps.index("verify")
    assert f"xapi.xenserver.{name}" in (SCENARIOS / name / "converge.yml").read_text(encoding="utf-8")
    assert "xapi.xenserver.xen_vm_info" in (SCENARIOS / name / "verify.yml").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_every_step_has_its_playbook(name: str) -> None:
    theirs = {step for step in sequence(name) if step not in WITHOUT_PLAYBOOK and (name == "default" or step not in SHARED)}
    there = {path.stem for path in (SCENARIOS / name).glob("*.yml")} - {"molecule"}
    # The step prepare is in every sequence; a scenario that needs nothing has no playbook for it.
    assert theirs - {"prepare"} <= there
    assert there <= theirs


@pytest.mark.parametrize("path", sorted(SCENARIOS.glob("*/*.yml")), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_play_has_its_host(path: Path) -> None:
    inventory = load(SCENARIOS / "config.yml")["provisioner"]["inventory"]["hosts"]
    if path.stem != "molecule":
        assert {play["hosts"] for play in load(path)} == set(inventory["all"]["hosts"])
