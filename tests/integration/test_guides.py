# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plays that the README and the guides print, played as a reader would; only the address of the pool is another one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from simulator import Simulator

from .conftest import ROOT

GUIDES = ("README.md", "docs/connecting.md")
CONNECTION = "group/xapi.xenserver.xenserver"


def plays(path: str) -> list[Any]:
    found = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", (ROOT / path).read_text(encoding="utf-8"), re.DOTALL)]
    return [block for block in found if isinstance(block, list) and "hosts" in block[0]]


@pytest.fixture
def pool() -> Iterator[Simulator]:
    with Simulator("three_hosts") as simulator:
        yield simulator
        assert simulator.problems == []


@pytest.mark.parametrize("guide", GUIDES)
def test_plays_of_a_guide_run_and_repeat(guide: str, pool: Simulator, tmp_path: Path) -> None:
    server, printed = pool.serve(), plays(guide)
    assert printed
    for play in [play for block in printed for play in block]:
        play.get("module_defaults", {}).pop(CONNECTION, None)  # the environment has the connection, as the README says of a simulated pool
    environment = {
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_HOME": str(tmp_path / "ansible"),
        "ANSIBLE_LOCAL_TEMP": str(tmp_path / "local"),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_REMOTE_TEMP": str(tmp_path / "remote"),
        "LC_ALL": "C.UTF-8",
        "XENSERVER_HOST": server.url,
        "XENSERVER_USER": server.username,
        "XENSERVER_PASSWORD": server.password,
        "XENSERVER_CA_PATH": str(server.ca_path),
    }
    playbook = tmp_path / "site.yml"
    playbook.write_text(yaml.safe_dump([play for block in printed for play in block]), encoding="utf-8")
    command = [str(Path(sys.executable).with_name("ansible-playbook")), "-e", f"ansible_python_interpreter={sys.executable}", str(playbook)]
    for expected in ("changed=[1-9]", "changed=0"):
        done = subprocess.run(command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert re.search(expected, done.stdout), done.stdout
    # Every session that was opened was closed.
    methods = [call.method for call in pool.calls if call.outcome == "ok"]
    assert methods.count("session.login_with_password") == methods.count("session.logout")
