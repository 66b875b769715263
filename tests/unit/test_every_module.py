# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The promises that every module makes, checked over the folder: a new module that breaks one fails here."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.xapi.xenserver.plugins.module_utils import _module
from ansible_collections.xapi.xenserver.tests.unit.plugins.conftest import Outcome, pool_in_memory, run_on
from ansible_collections.xapi.xenserver.tests.unit.plugins.scenario import Do, Scenario
from simulator import Simulator

ROOT = Path(__file__).resolve().parents[2]
NAMES = sorted(path.stem for path in (ROOT / "plugins/modules").glob("*.py"))
PACKAGE = "ansible_collections.xapi.xenserver"
# Of an option, what documentation and argument spec both say; the value is what an option that says nothing means.
SAID_TWICE = {"type": "str", "default": None, "choices": None, "elements": None, "required": False}

__all__ = ["pool_in_memory"]


def scenario_of(name: str) -> Scenario:
    return importlib.import_module(f"{PACKAGE}.tests.unit.plugins.modules.test_{name}").SCENARIO


@pytest.mark.parametrize("name", NAMES)
def test_module_has_a_scenario(name: str) -> None:
    assert scenario_of(name).steps


@pytest.mark.parametrize("name", NAMES)
def test_promises(name: str, pool_in_memory: Any) -> None:
    scenario = scenario_of(name)
    with Simulator(scenario.world) as simulator:
        pool_in_memory(simulator)
        session = simulator.session()
        if scenario.prepare:
            scenario.prepare(session)
        for number, step in enumerate(scenario.steps, 1):
            params = step.params(session) if callable(step.params) else step.params
            three_times(simulator, name, step, params, f"step {number} {params}")
        assert simulator.problems == []


def three_times(simulator: Simulator, name: str, step: Do, params: dict[str, Any], where: str) -> None:
    """In check mode, for real, and again."""
    checked = run_on(simulator, name, params, check=True)
    assert not checked.failed, f"{where}: {checked.result}"
    assert checked.writes == [], f"{where}: check mode wrote to the pool"

    real = run_on(simulator, name, params)
    assert not real.failed, f"{where}: {real.result}"
    assert real.changed == step.changes, f"{where}: {real.result}"
    assert bool(real.writes) == step.changes, f"{where}: said changed={real.changed}, but wrote {real.writes}"
    assert_predicted(checked, real, where)
    assert_diff_tells(real, where)

    again = run_on(simulator, name, params)
    assert not again.failed, f"{where}, again: {again.result}"
    assert again.changed == step.again, f"{where}, again: {again.result}"
    assert bool(again.writes) == step.again, f"{where}, again: wrote {again.writes}"
    if not step.again:
        assert lasting(again, step) == lasting(real, step), f"{where}, again: another result"


def lasting(outcome: Outcome, step: Do) -> dict[str, Any]:
    """What the result says of how things are, not of what the run did."""
    return {key: value for key, value in outcome.result.items() if key not in ("changed", "diff", *step.told)}


def assert_predicted(checked: Outcome, real: Outcome, where: str) -> None:
    """Everything that check mode says comes true, and it leaves no key of the result out."""
    assert checked.changed == real.changed, f"{where}: check mode said changed={checked.changed}"
    assert_subset(checked.result, real.result, f"{where}: prediction")
    assert checked.result.keys() - {"warnings"} == real.result.keys() - {"warnings"}, f"{where}: other keys in check mode"


def assert_diff_tells(real: Outcome, where: str) -> None:
    """The diff shows a difference exactly when there was one; modules that only read have none."""
    diff = real.result.get("diff")
    assert (diff is not None and diff["before"] != diff["after"]) == real.changed, f"{where}: {diff}"


def assert_subset(part: Any, whole: Any, where: str) -> None:
    if isinstance(part, dict) and isinstance(whole, dict):
        assert part.keys() <= whole.keys(), f"{where}: {part.keys() - whole.keys()} did not come true"
        for key, value in part.items():
            assert_subset(value, whole[key], f"{where}.{key}")
    elif isinstance(part, list) and isinstance(whole, list):
        assert len(part) == len(whole), f"{where}: {part} became {whole}"
        for index, value in enumerate(part):
            assert_subset(value, whole[index], f"{where}[{index}]")
    else:
        assert part == whole, f"{where}: {part!r} became {whole!r}"


@pytest.mark.parametrize("name", NAMES)
def test_documentation_is_the_argument_spec(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    documented = documentation(name)
    assert said(argument_spec(name, monkeypatch)) == said(documented["options"])
    assert documented["attributes"].keys() >= {"check_mode", "diff_mode", "idempotent", "action_group"}


@pytest.mark.parametrize("name", NAMES)
def test_examples_and_results_are_documented(name: str) -> None:
    module = importlib.import_module(f"{PACKAGE}.plugins.modules.{name}")
    assert all(task.get("name") for task in yaml.safe_load(module.EXAMPLES))
    assert yaml.safe_load(module.RETURN)


def argument_spec(name: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the module hands to AnsibleModule, caught at the door."""
    caught: dict[str, Any] = {}

    def catch(**keywords: Any) -> None:
        caught.update(keywords)
        raise SystemExit

    monkeypatch.setattr(_module, "AnsibleModule", catch)
    with pytest.raises(SystemExit):
        importlib.import_module(f"{PACKAGE}.plugins.modules.{name}").main()
    assert caught["supports_check_mode"] is True
    spec: dict[str, Any] = caught["argument_spec"]
    return spec


def documentation(name: str) -> dict[str, Any]:
    """DOCUMENTATION with the options and attributes of its fragments."""
    own = yaml.safe_load(importlib.import_module(f"{PACKAGE}.plugins.modules.{name}").DOCUMENTATION)
    merged: dict[str, Any] = {"options": {}, "attributes": {}}
    for fragment in own["extends_documentation_fragment"]:
        file, _dot, part = fragment.removeprefix("xapi.xenserver.").partition(".")
        text = getattr(importlib.import_module(f"{PACKAGE}.plugins.doc_fragments.{file}").ModuleDocFragment, part.upper() or "DOCUMENTATION")
        add(merged, yaml.safe_load(text))
    add(merged, own)
    return merged


def add(merged: dict[str, Any], more: dict[str, Any]) -> None:
    for part in merged:
        for key, value in more.get(part, {}).items():
            merged[part][key] = {**merged[part].get(key, {}), **value}


def said(options: dict[str, Any]) -> dict[str, Any]:
    """The facts about options that have to agree, nested ones included."""
    facts = {}
    for name, option in options.items():
        nested = option.get("options") or option.get("suboptions")
        facts[name] = {key: option.get(key, unsaid) for key, unsaid in SAID_TWICE.items()}
        facts[name]["options"] = said(nested) if nested else None
    return facts
