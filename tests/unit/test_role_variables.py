# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the roles document of their variables is what they and the modules take, and a name that they do not know is told."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.utils.display import Display

from ansible_collections.xapi.xenserver.plugins.lookup.xen_unknown_variables import LookupModule
from ansible_collections.xapi.xenserver.plugins.module_utils import _options
from ansible_collections.xapi.xenserver.plugins.modules import xen_configdrive, xen_guest_network, xen_image, xen_vm

ROOT = Path(__file__).resolve().parents[2]
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir())


def of(role: str, path: str) -> Any:
    return yaml.safe_load((ROOT / "roles" / role / path).read_text(encoding="utf-8"))


def documented(role: str) -> dict[str, Any]:
    options: dict[str, Any] = of(role, "meta/argument_specs.yml")["argument_specs"]["main"]["options"]
    return options


# Options that are dictionaries of options of a module


def spec_of(module: Any, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The argument spec that a module hands to the runner."""
    seen: dict[str, Any] = {}
    monkeypatch.setattr(module, "run", lambda _planner, options, **_rules: seen.update(options))
    module.main()
    return seen


def tasks_of(role: str) -> Iterator[Mapping[str, Any]]:
    todo = [task for path in (ROOT / "roles" / role / "tasks").glob("*.yml") for task in yaml.safe_load(path.read_text(encoding="utf-8"))]
    while todo:
        task = todo.pop()
        todo += [inner for part in ("block", "rescue", "always") for inner in task.get(part, [])]
        yield task


# What the role itself says, beside the options that its tasks give: where it connects, how long, and that the VM shall be there at its device.
SAID_BY_ROLE = {*_options.connection(), "timeout", "state", "vm", "vm_uuid", "uuid", "new_name", "userdevice"}
ONLY_TO_REMOVE = {"destroy_disks", "destroy_owned", "purge_networks"}
DOCUMENTATION = {"description", "version_added"}


def bare(options: Mapping[str, Any]) -> dict[str, Any]:
    """An argument spec without its documentation, and with lists only, as a spec in YAML is."""
    return {
        name: {key: shape(key, value) for key, value in option.items() if key not in DOCUMENTATION and not unsaid(key, value)}
        for name, option in options.items()
    }


def shape(key: str, value: Any) -> Any:
    if key == "options":
        return bare(value)
    return [list(row) for row in value] if key in ("mutually_exclusive", "required_one_of") else value


def unsaid(key: str, value: Any) -> bool:
    return key in ("required", "no_log") and value is False


@pytest.mark.parametrize(
    ("variable", "module", "name"),
    [
        ("spawn_vm_options", xen_vm, "xen_vm"),
        ("spawn_image_options", xen_image, "xen_image"),
        ("spawn_configdrive", xen_configdrive, "xen_configdrive"),
    ],
)
def test_dictionaries_of_options_are_those_of_the_module(variable: str, module: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {option for task in tasks_of("spawn") for option in task.get(f"xapi.xenserver.{name}", {})}
    left = SAID_BY_ROLE | given | (ONLY_TO_REMOVE | {"force"} if name == "xen_vm" else set())
    wanted = {option: value for option, value in spec_of(module, monkeypatch).items() if option not in left}
    assert bare(documented("spawn")[variable]["options"]) == bare(wanted)


def test_network_data_is_as_the_module_takes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = bare({"nics": spec_of(xen_guest_network, monkeypatch)["nics"]})["nics"]
    assert bare({"nics": documented("spawn")["spawn_network_data"]})["nics"] == {"default": [], **wanted}


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"spawn_configdrive": {"userdata": "x"}}, "spawn_configdrive.userdata. Supported"),
        ({"spawn_configdrive": {"files": [{"path": "/a", "contents": "x"}]}}, "spawn_configdrive.files.contents. Supported"),
        ({"spawn_configdrive": {"format": "iso"}}, "value of format must be one of"),
        ({"spawn_vm_options": {"secureboot": "enabled"}}, "spawn_vm_options.secureboot. Supported"),
        ({"spawn_vm_options": {"vcpu_weight": "much"}}, "vcpu_weight"),
        ({"spawn_vm_options": {"memory": "8GiB"}}, "spawn_vm_options.memory. Supported"),
        ({"spawn_image_options": {"check_sum": "x"}}, "spawn_image_options.check_sum. Supported"),
        ({"spawn_network_data": [{"device": 0, "subnet": []}]}, "spawn_network_data.subnet. Supported"),
        ({"spawn_network_data": [{"device": 0, "subnets": [{"addresses": [], "gw": "x"}]}]}, "spawn_network_data.subnets.gw. Supported"),
        ({"spawn_nics": [{"device": 0, "network": "a", "macc": "x"}]}, "spawn_nics.macc. Supported"),
        ({"spawn_disks": [{"device": 1, "siez": "1GiB"}]}, "spawn_disks.siez. Supported"),
    ],
)
def test_what_ansible_says_before_the_first_task(variables: dict[str, Any], message: str) -> None:
    result = ArgumentSpecValidator(documented("spawn")).validate({"spawn_name": "web1", **variables})
    assert message in "; ".join(result.error_messages)


# Names


def unknown(role: str, monkeypatch: pytest.MonkeyPatch, *names: str, **options: Any) -> tuple[list[str], list[str]]:
    """What the lookup returns and what it warns of, of these variables."""
    warnings: list[str] = []
    monkeypatch.setattr(Display, "warning", lambda _self, text, *_more, **_named: warnings.append(text))
    # Without the loader of plugins there is nothing that knows the options of this one.
    monkeypatch.setattr(LookupModule, "set_options", lambda *_unused, **_options: None)
    monkeypatch.setattr(LookupModule, "get_option", lambda _self, name: options.get(name, []))
    variables = {"role_path": str(ROOT / "roles" / role), **dict.fromkeys(names, 1)}
    return LookupModule().run([f"{role}_"], variables), warnings


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("spawn_memroy", "memory"),
        ("spawn_vcpu", "vcpus"),
        ("spawn_nic", "nics"),
        ("spawn_disk", "disks"),
        ("spawn_config_drive", "configdrive"),
        ("spawn_cpu", "vcpus"),
    ],
)
def test_a_mistyped_name_is_told_with_the_right_one(name: str, meant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    told, warnings = unknown("spawn", monkeypatch, "spawn_name", name)
    assert told == [f"{name} is no variable of the role; did you mean spawn_{meant}?"]
    assert warnings == []


def test_a_name_of_a_playbook_is_only_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    told, warnings = unknown("spawn", monkeypatch, "spawn_plan")
    assert told == []
    assert [text.partition(",")[0] for text in warnings] == ["spawn_plan is no variable of the role"]


def test_nothing_is_removed_when_a_name_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    told, warnings = unknown("destroy", monkeypatch, "destroy_keep", "destroy_diskz", strict=True)
    assert [text.partition("; ")[0] for text in told] == [f"{name} is no variable of the role" for name in ("destroy_diskz", "destroy_keep")]
    assert warnings == []


@pytest.mark.parametrize("role", ROLES)
def test_all_names_of_a_role_are_known_to_it(role: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are documented, have a default, are computed, registered or set: what a second run in the same play finds."""
    set_ = {name for task in tasks_of(role) for name in task.get("ansible.builtin.set_fact", {})}
    registered = {task["register"] for task in tasks_of(role) if "register" in task}
    names = {*documented(role), *of(role, "defaults/main.yml"), *of(role, "vars/main.yml"), *registered, *set_}
    assert len(registered) > 0
    assert {*of(role, "defaults/main.yml")} <= {*documented(role)}
    assert unknown(role, monkeypatch, *names) == ([], [])


def test_names_of_the_playbook_for_many_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    known = of("spawn", "vars/main.yml")["spawn_of_playbooks"]
    names = set(re.findall(r"spawn_many_\w+", (ROOT / "playbooks/spawn_many.yml").read_text(encoding="utf-8")))
    assert {*known} == names - {"spawn_many_failed"}  # a group
    assert unknown("spawn", monkeypatch, *known, options=known) == ([], [])
    told, _warnings = unknown("spawn", monkeypatch, "spawn_many_sesion", options=known)
    assert told == ["spawn_many_sesion is no variable of the role; did you mean spawn_many_session?"]


@pytest.mark.parametrize("role", ROLES)
def test_a_role_asks_before_its_first_step(role: str) -> None:
    first = yaml.safe_load((ROOT / "roles" / role / "tasks/main.yml").read_text(encoding="utf-8"))[0]
    assert f"{role}_problems" in first["when"]
    assert f"{role}_problems" in first["ansible.builtin.fail"]["msg"]
    asked = str(of(role, "vars/main.yml")[f"{role}_problems"])
    assert f"query('xapi.xenserver.xen_unknown_variables', '{role}_'" in asked
