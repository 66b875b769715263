# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A role played on many pools by one ansible-playbook."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
NAME = "web1"
DONE = "Role has succeeded"
FORKS = 4
LONGEST = 600.0  # seconds, of one ansible-playbook
IMAGE_BYTES = 1 << 20

# Everything that the role can do for a VM of an image.
SPAWN = {
    "spawn_name": NAME,
    "spawn_root_size": "4MiB",
    "spawn_memory": "256MiB",
    # The tools of the simulated guest report at once.
    "spawn_vm_options": {"other_config": {"simulator-guest": '{"after": 0}'}},
    "spawn_swap": "4MiB",
    "spawn_ephemeral": "8MiB",
    "spawn_configdrive": {},
    "spawn_disks": [{"device": 1, "size": "8MiB"}],
    "spawn_nics": [{"device": 0, "network": "Pool-wide network associated with eth0"}, {"device": 1, "port_id": "0f3a5b7c9d1e"}],
    "spawn_cd": "guest-tools.iso",
    "spawn_metadata": {"role": "web"},
    "spawn_hostname": NAME,
    "spawn_auto_disk_config": False,
    "spawn_network_data": [{"mac": "aa:bb:cc:00:11:22", "label": "public"}],
    "spawn_pci_devices": ["0000:87:00.0"],
    "spawn_vgpu": "GRID T4-2Q",
    "spawn_while_paused": str(HERE / "while_paused.yml"),
    "spawn_wait_for": "address",
    "spawn_wait_network": "10.0.0.0/8",
    "spawn_timeout": 60,
    "spawn_transfer_timeout": 60,
}
# A clone has no mark of its run in the call that makes it.
CLONE = {
    "spawn_name": NAME,
    "spawn_template": "Debian 12 (cloud image)",
    "spawn_root_size": "5GiB",
    "spawn_memory": "256MiB",
    "spawn_disks": [{"device": 1, "size": "8MiB"}],
    "spawn_timeout": 60,
}
DESTROY = {"destroy_name": NAME, "destroy_timeout": 60}
VARIABLES = {"spawn": SPAWN, "clone": CLONE, "destroy": DESTROY}
# What is played is a role, or another way to play one.
ROLES = {"spawn": "spawn", "clone": "spawn", "destroy": "destroy"}


@dataclass
class Outcome:
    """How the role ended on one pool; `message` is what it said when it failed."""

    succeeded: bool
    message: str
    changed: int


@cache
def steps(role: str) -> frozenset[str]:
    """The names of the tasks of a role."""

    def named(tasks: list[dict[str, Any]]) -> Iterator[str]:
        for task in tasks:
            yield task["name"]
            for section in ("block", "rescue", "always"):
                yield from named(task.get(section, []))

    files = (ROOT / "roles" / ROLES[role] / "tasks").glob("*.yml")
    return frozenset(name for path in files for name in named(yaml.safe_load(path.read_text(encoding="utf-8"))))


def image(folder: Path) -> Path:
    """A disk image, the same one each time."""
    path = folder / "disk.raw"
    if not path.exists():
        path.write_bytes(b"".join(number.to_bytes(8, "big") for number in range(IMAGE_BYTES // 8)))
    return path


def command(role: str, pools: Mapping[str, Mapping[str, Any]], folder: Path, disk: Path | None = None) -> list[str]:
    """The command that plays a role; `pools` are the variables of each, `disk` the image when it is not the folder's own."""
    everyone = {"sweep_role": ROLES[role], **VARIABLES[role]}
    if role == "spawn":
        everyone["spawn_image"] = str(disk or image(folder))
    inventory = folder / "inventory.json"
    inventory.write_text(json.dumps({"all": {"hosts": dict(pools), "vars": everyone}}), encoding="utf-8")
    return [str(Path(sys.executable).with_name("ansible-playbook")), "-i", str(inventory), str(HERE / "play.yml")]


def environment(folder: Path, *, in_process: bool = True, **more: str) -> dict[str, str]:
    callbacks = ["steps", "in_process"] if in_process else ["steps"]
    settings = {
        "ANSIBLE_CALLBACKS_ENABLED": ",".join(callbacks),
        "ANSIBLE_CALLBACK_PLUGINS": f"{HERE / 'callback'}:{HERE.parent / 'integration' / 'callback'}",
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".build"),
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_FORKS": str(FORKS),
        "ANSIBLE_HOME": str(folder / "ansible"),
        "ANSIBLE_INVENTORY_ENABLED": "yaml",
        "ANSIBLE_LOCAL_TEMP": str(folder / "local"),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_PIPELINING": "1",
        "ANSIBLE_REMOTE_TEMP": str(folder / "remote"),
        "LC_ALL": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "",
        "PYTHONPYCACHEPREFIX": str(ROOT / ".build" / "bytecode"),
        "STEPS_FILE": str(folder / "steps.jsonl"),
        "TMPDIR": str(folder),
        **more,
    }
    return {**os.environ, **settings}


def play(
    role: str,
    pools: Mapping[str, Mapping[str, Any]],
    folder: Path,
    *,
    in_process: bool = True,
    disk: Path | None = None,
    settings: Mapping[str, str] | None = None,
) -> dict[str, Outcome]:
    """Play a role on all pools and return how it ended on each."""
    (folder / "steps.jsonl").write_text("", encoding="utf-8")
    done = subprocess.run(
        command(role, pools, folder, disk),
        env=environment(folder, in_process=in_process, **(settings or {})),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=LONGEST,
        check=False,
    )
    found = outcomes(folder, list(pools))
    for name, outcome in found.items():
        if not outcome.succeeded and not outcome.message:
            outcome.message = f"ansible-playbook ended with {done.returncode} and no word of {name}: {(done.stdout + done.stderr)[-2000:]}"
    return found


def outcomes(folder: Path, names: list[str]) -> dict[str, Outcome]:
    """What the steps that were written tell."""
    found = {name: Outcome(False, "", 0) for name in names}
    for line in (folder / "steps.jsonl").read_text(encoding="utf-8").splitlines():
        step = json.loads(line)
        outcome = found[step["target"]]
        outcome.changed += step["outcome"] == "changed"
        if step["outcome"] == "failed":
            outcome.message = str(step["shown"].get("msg", step["shown"]))
        outcome.succeeded |= step["task"] == DONE
    return found


@contextmanager
def started(argv: list[str], settings: dict[str, str], output: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process group of its own, so that it can be killed whole."""
    with output.open("wb") as log, subprocess.Popen(argv, env=settings, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, start_new_session=True) as process:
        yield process
