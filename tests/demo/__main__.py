# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`make demo`: a VM is built from a real disk image by `playbooks/spawn.yml`, on a simulated pool, and taken away again."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

if __package__ in (None, ""):
    # Started by its path: make the folder above importable, so that this file is part of its package.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from demo import image
from demo.pool import Pool

ROOT = Path(__file__).resolve().parents[2]
NAME = "web1"
BOLD, PLAIN = ("\033[1m", "\033[0m") if sys.stdout.isatty() else ("", "")


class DemoFailed(Exception):
    """Something is not as the story tells; the text says what."""


def say(title: str, text: str = "") -> None:
    print(f"\n{BOLD}── {title}{PLAIN}", flush=True)
    if text:
        print(f"   {text}", flush=True)


def run(*command: str, environment: dict[str, str]) -> str:
    """Run a command of Ansible, show what it says, and return that."""
    shown = " ".join(Path(part).name if part.startswith(str(ROOT / ".venv")) else part for part in command)
    print(f"   $ {shown}\n", flush=True)
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    lines = []
    assert process.stdout
    for line in process.stdout:
        lines.append(line)
        if line.strip():
            print("   " + line.rstrip(), flush=True)
    if process.wait():
        raise DemoFailed(f"`{shown}` failed")
    return "".join(lines)


def changes(output: str) -> int:
    """How many tasks of a play changed something, by its recap."""
    recap = next(line for line in reversed(output.splitlines()) if "changed=" in line)
    return int(recap.split("changed=")[1].split()[0])


def checksum(path: Path, size: int) -> str:
    """SHA-256 of the first `size` bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while size > 0 and (chunk := stream.read(min(size, 1 << 20))):
            digest.update(chunk)
            size -= len(chunk)
    return digest.hexdigest()


def variables(disk: Path) -> dict[str, object]:
    """What `playbooks/spawn.yml` is told."""
    return {
        "spawn_name": NAME,
        "spawn_description": "Built by make demo",
        "spawn_image": str(disk),
        "spawn_memory": "512MiB",
        "spawn_vcpus": 2,
        "spawn_root_size": "1GiB",
        "spawn_disks": [{"device": 1, "size": "2GiB", "name": f"{NAME} data"}],
        "spawn_nics": [{"device": 0, "network": "Pool-wide network associated with eth0"}],
        "spawn_cd": "guest-tools.iso",
        # A kept copy of the image would be one disk more at the end.
        "spawn_image_options": {"cache": False},
    }


def story(directory: Path) -> None:
    disk = directory / "web1.raw"
    say("A disk image", "a partition table and an ext4 filesystem with files in it, made without root")
    image.build(disk)
    print(f"   {disk.name}: {disk.stat().st_size >> 20} MiB, {disk.stat().st_blocks * 512 >> 20} MiB of them data")

    say("A pool", "the simulator: three hosts, local and shared storage, templates, networks; XenAPI over TLS")
    with Pool(directory, ROOT) as pool:
        print(f"   {pool.url}")
        before = pool.objects()
        facts = directory / "spawn.json"
        facts.write_text(json.dumps(variables(disk)), encoding="utf-8")
        playbook = [str(ROOT / ".venv/bin/ansible-playbook"), "playbooks/spawn.yml", "-e", f"@{facts}"]

        say("Spawn", "image streamed in, disks, NIC, CD, power on")
        run(*playbook, environment=pool.environment)

        say("The VM as the pool sees it")
        run(str(ROOT / ".venv/bin/ansible"), "localhost", "-m", "xapi.xenserver.xen_vm_info", "-a", f"name={NAME}", environment=pool.environment)

        say("Is the disk what the image was?")
        exported = directory / "exported.raw"
        export = f"name='{NAME}' state=exported dest={exported}"
        run(str(ROOT / ".venv/bin/ansible"), "localhost", "-m", "xapi.xenserver.xen_vdi", "-a", export, environment=pool.environment)
        size = disk.stat().st_size
        sums = checksum(disk, size), checksum(exported, size)
        print(f"   image    sha256 {sums[0]}\n   exported sha256 {sums[1]}")
        if sums[0] != sums[1]:
            raise DemoFailed("the exported disk differs from the image")

        say("The same play again", "nothing is left to do")
        again = changes(run(*playbook, environment=pool.environment))
        if again:
            raise DemoFailed(f"the repeated play changed {again} things")

        say("Destroy")
        run(*[str(ROOT / ".venv/bin/ansible-playbook"), "playbooks/destroy.yml", "-e", f"destroy_name={NAME}"], environment=pool.environment)
        left = pool.difference(before)
        if left:
            raise DemoFailed("the pool is not as before: " + "; ".join(left))
        print(f"   the pool is as before: {sum(len(uuids) for uuids in before.values())} objects, no task, no session left")


def main() -> int:
    started = time.monotonic()
    try:
        with TemporaryDirectory(prefix="xenserver-demo-") as directory:
            story(Path(directory))
    except (DemoFailed, image.ToolMissing) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    say(f"Done in {time.monotonic() - started:.0f} seconds", "What to try next:")
    print("   make simulator                 a pool to play with; it prints the variables to export")
    print("   playbooks/spawn.yml            what was run; roles/spawn/README.md has all its variables")
    print("   make test                      the proof")
    return 0


if __name__ == "__main__":
    os.environ.setdefault("LC_ALL", "C.UTF-8")
    sys.exit(main())
