# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every integration target through Ansible, in one run of ansible-playbook: a second a target instead of five."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .conftest import CONFIG, ROOT

HERE = Path(__file__).parent
TARGETS = HERE / "targets"
NAMES = sorted(path.name for path in TARGETS.iterdir() if (path / "tasks" / "main.yml").is_file() and not (path / "aliases").is_file())


LONGEST = 900.0  # seconds, of all targets together


def run_playbook(names: list[str], environment: dict[str, str], folder: Path) -> tuple[list[dict[str, Any]], str]:
    """The tasks that ended, and what ansible-playbook printed."""
    steps = folder / "steps.jsonl"
    steps.touch()
    settings = {
        "ANSIBLE_CALLBACKS_ENABLED": "steps",
        "ANSIBLE_CALLBACK_PLUGINS": str(HERE / "callback"),
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".build"),
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_FORKS": str((os.cpu_count() or 1) + 1),
        "ANSIBLE_HOME": str(folder / "ansible"),
        "ANSIBLE_LOCAL_TEMP": str(folder / "local"),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_PIPELINING": "1",
        "ANSIBLE_REMOTE_TEMP": str(folder / "remote"),
        "ANSIBLE_ROLES_PATH": str(TARGETS),
        "LC_ALL": "C.UTF-8",
        "STEPS_FILE": str(steps),
    }
    playbook = str(Path(sys.executable).with_name("ansible-playbook"))
    command = [playbook, "-i", ",".join(names) + ",", str(HERE / "targets.yml"), *(["-e", f"@{CONFIG}"] if CONFIG.exists() else [])]
    done = subprocess.run(command, env={**os.environ, **environment, **settings}, capture_output=True, text=True, timeout=LONGEST, check=False)
    return [json.loads(line) for line in steps.read_text().splitlines()], done.stdout + done.stderr


@pytest.fixture(scope="session")
def played(request: pytest.FixtureRequest, connection: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> tuple[list[dict[str, Any]], str]:
    """One run for all targets that this session of pytest selected."""
    names = [str(item.callspec.params["target"]) for item in request.session.items if isinstance(item, pytest.Function) and item.originalname == "test_target"]
    return run_playbook(names, connection, tmp_path_factory.mktemp("targets"))


def recap(output: str, target: str) -> dict[str, int]:
    """The numbers of ansible-playbook's own summary; empty when the target never ran."""
    line = next((line for line in output.splitlines() if line.startswith(f"{target} ") and " failed=" in line), "")
    return {name: int(number) for name, number in (word.split("=") for word in line.split() if "=" in word)}


# The first of them waits for the play of all.
@pytest.mark.timeout(LONGEST + 100)
@pytest.mark.parametrize("target", NAMES)
def test_target(target: str, played: tuple[list[dict[str, Any]], str]) -> None:
    steps, output = played
    mine = [step for step in steps if step["target"] == target]
    story = "\n".join(f"{step['outcome']:>8}  {step['task']}" for step in mine)
    numbers = recap(output, target)
    assert numbers, f"ansible-playbook did not play {target}:\n{output}"
    # A failure that a rescue expects does not count in the summary; the last one is the reason when one does.
    failed = next((step for step in reversed(mine) if step["outcome"] == "failed"), None)
    assert (numbers["failed"], numbers["unreachable"]) == (0, 0), f"{story}\n{json.dumps(failed, indent=2)}"
    assert "changed" in {step["outcome"] for step in mine} or target.endswith("_info"), f"{target} changed nothing:\n{story}"


def test_every_target_folder_is_one() -> None:
    assert {path.name for path in TARGETS.iterdir() if path.is_dir()} - {"lifecycle"} == set(NAMES)
