# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run ansible-test sanity on a copy of this work tree: `make sanity`, or `make sanity SANITY='--test validate-modules'`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / ".build" / "sanity"
# ansible-test refuses a collection whose real path is not this, so the link that serves everything else does not serve here.
COPY = BUILD / "ansible_collections" / "xapi" / "xenserver"
# A HOME of its own: the seeded cache and the virtual environments of the sanity tests stay inside the clone.
HOME = BUILD / "home"

GET_PIP = '''\
"""Stands in for the get-pip.py that ansible-test would download: pip comes from Python's own ensurepip."""
import ensurepip

ensurepip.bootstrap(default_pip=True)
'''


def copy_work_tree() -> None:
    """Copy what git tracks or would track: a leftover of an editor or a tool is not judged."""
    shutil.rmtree(COPY, ignore_errors=True)
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    for name in filter(None, listed.split("\0")):
        source = ROOT / name
        if source.is_file():  # tracked, but deleted in the work tree, is not there
            target = COPY / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target, follow_symlinks=False)
    # Without a repository of its own the copy counts as ignored (.build/ is), and ansible-test finds nothing to test.
    subprocess.run(["git", "init", "--quiet", str(COPY)], check=True)


def seed_pip() -> None:
    """Put the stand-in where ansible-test looks before it downloads, and hand over the settings of pip, which ansible-test drops with PIP_*."""
    from ansible_test._internal.python_requirements import get_venv_packages

    class Python:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"

    pip_version = get_venv_packages(Python)["pip"]
    cache = HOME / ".ansible" / "test" / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    (cache / f"get_pip_{pip_version.replace('.', '_')}.py").write_text(GET_PIP)

    listed = subprocess.run([sys.executable, "-m", "pip", "config", "list"], check=True, capture_output=True, text=True).stdout
    settings = {"quiet": "2"}
    for line in listed.splitlines():
        name, value = line.split("=", 1)
        settings[name.rpartition(".")[2]] = value.strip("'\"")
    config = HOME / ".config" / "pip" / "pip.conf"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.touch(mode=0o600)  # the address of an index may hold a password
    config.write_text("[global]\n" + "".join(f"{name} = {value}\n" for name, value in settings.items()))


def main() -> int:
    copy_work_tree()
    seed_pip()
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    command = ["ansible-test", "sanity", "--local", "--python", python, "--color", "no", *sys.argv[1:]]
    return subprocess.run(command, cwd=COPY, env={**os.environ, "HOME": str(HOME)}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
