# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a task costs that has nothing to do, login and logout included, against `ansible.builtin.ping`, in one play and in turn."""

from __future__ import annotations

import statistics
from pathlib import Path
from tempfile import TemporaryDirectory

from .played import play
from .served import Served

ROUNDS = 30
WARM = 3  # The first of each kind pack their module; the rest finds it packed.
BOUND = 1.5
PLAY = """
- hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - name: VM is there
      xapi.xenserver.xen_vm: {name: web1, memory: 512MiB}
    - name: VM is known
      xapi.xenserver.xen_vm_info: {name: web1}
"""
PAIR = """
    - name: ping
      ansible.builtin.ping:
    - name: xen_vm
      xapi.xenserver.xen_vm: {name: web1, memory: 512MiB}
    - name: xen_vm_info
      xapi.xenserver.xen_vm_info: {name: web1}
"""


def main() -> bool:
    with TemporaryDirectory(prefix="bench-") as folder, Served("--world", "one_host") as served:
        playbook = Path(folder, "play.yml")
        playbook.write_text(PLAY + PAIR * (ROUNDS + WARM), encoding="utf-8")
        done = play(playbook, Path(folder), served.environment)
    seconds = {name: [task["seconds"] for task in done.tasks if task["task"] == name][WARM:] for name in ("ping", "xen_vm", "xen_vm_info")}
    ping = statistics.median(seconds["ping"])
    good = True
    print(f"{ROUNDS} rounds, median{'':<20}{'ms':>8}{'x ping':>8}   (at most {BOUND})")
    for name, values in seconds.items():
        middle = statistics.median(values)
        good &= middle <= BOUND * ping
        print(f"  {name:<36}{1000 * middle:>8.0f}{middle / ping:>8.2f}")
    return good
