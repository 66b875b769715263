# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A playbook run as a user would run it, timed: the whole and each task."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


@dataclass
class Played:
    """``seconds`` of the whole run, ``tasks`` in the order in which they ended."""

    seconds: float
    output: str
    tasks: list[dict[str, Any]] = field(default_factory=list)

    @property
    def changed(self) -> int:
        return sum(task["outcome"] == "changed" for task in self.tasks)


def play(playbook: Path | str, folder: Path, environment: dict[str, str], *arguments: str) -> Played:
    """Run ansible-playbook with the settings of the repository; nothing of the user's own home is read or written."""
    times = folder / "times.jsonl"
    times.write_text("", encoding="utf-8")
    settings = {
        "ANSIBLE_CALLBACKS_ENABLED": "times",
        "ANSIBLE_CALLBACK_PLUGINS": str(HERE / "callback"),
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_HOME": str(folder / "ansible"),
        "ANSIBLE_LOCAL_TEMP": str(folder / "local"),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_REMOTE_TEMP": str(folder / "remote"),
        "LC_ALL": "C.UTF-8",
        "TIMES_FILE": str(times),
    }
    command = [str(Path(sys.executable).with_name("ansible-playbook")), "-e", f"ansible_python_interpreter={sys.executable}", *arguments, str(playbook)]
    began = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **settings, **environment}, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - began
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    return Played(seconds, done.stdout, [json.loads(line) for line in times.read_text(encoding="utf-8").splitlines()])
