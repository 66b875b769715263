# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The calls that the role spawn makes for one VM: the first from an image, one from the cached image, and its repeat."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from simulator import Call, Simulator

ROOT = Path(__file__).resolve().parents[2]
PLAY = """
- hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - name: VM is built
      ansible.builtin.include_role:
        name: xapi.xenserver.spawn
      vars:
        spawn_name: {name}
        spawn_image: {image}
        spawn_root_size: 64MiB
        spawn_memory: 512MiB
        spawn_swap: 64MiB
        spawn_nics: [{{device: 0, network: Pool-wide network associated with eth0}}]
        spawn_session: {session}
"""
# A spawn from a cached image with swap and one NIC, over the whole role with one session, and its repeat.
SPAWN_MOST, REPEAT_MOST, OLD_DRIVER = 45, 20, 66
SESSION = ("session.login_with_password", "session.logout")


def play(playbook: Path, environment: dict[str, str]) -> None:
    command = [str(Path(sys.executable).with_name("ansible-playbook")), str(playbook)]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)


def describe(title: str, calls: list[Call]) -> tuple[int, int]:
    """Print the log of a run; returns how many calls there were, and how many of them can change the pool."""
    writes = [call for call in calls if call.writes and not call.method.startswith(("session.", "task."))]
    sessions = sum(call.method in SESSION for call in calls)
    print(f"\n{title}: {len(calls)} round trips, {sessions} of them login and logout; {len(writes)} writes")
    for method, count in Counter(call.method for call in calls).most_common():
        mark = "w" if any(call.method == method for call in writes) else " "
        print(f"  {count:>3} {mark} {method}")
    return len(calls), len(writes)


def main() -> bool:
    with TemporaryDirectory() as folder, Simulator("three_hosts") as simulator:
        server = simulator.serve()
        environment = {"XENSERVER_HOST": server.url, "XENSERVER_USER": server.username, "XENSERVER_PASSWORD": server.password}
        environment["XENSERVER_CA_PATH"] = str(server.ca_path)
        image, playbook = Path(folder, "disk.raw"), Path(folder, "play.yml")
        image.write_bytes(os.urandom(1 << 20))

        def measured(title: str, name: str, *, session: bool = False, **more: str) -> tuple[int, int]:
            playbook.write_text(PLAY.format(image=image, name=name, session=session), encoding="utf-8")
            before = len(simulator.calls)
            play(playbook, {**environment, **more})
            return describe(title, simulator.calls[before:])

        measured("First spawn, which uploads the image", "web1", session=True)
        shared = {"XENSERVER_SESSION_ID": simulator.session().ref}
        first, _unused = measured("Spawn from the cached image, with one session for all", "web2", **shared)
        repeat, writes = measured("Repeat, with one session for all", "web2", **shared)
        print(f"\nspawn {first} (at most {SPAWN_MOST}; the old driver took {OLD_DRIVER})")
        print(f"repeat {repeat} (at most {REPEAT_MOST}), {writes} writes in it (none)")
        return first <= SPAWN_MOST and repeat <= REPEAT_MOST and writes == 0
