# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules of community.general that speak to XenServer: xenserver_guest, _info, _powerstate (guests.yml)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from simulator import Simulator
from simulator.server import Server

from .install import COLLECTIONS

ROOT = Path(__file__).resolve().parents[2]
PLAYBOOK = Path(__file__).with_name("guests.yml")


def test_guests(simulator: Simulator, server: Server, tmp_path: Path) -> None:
    if not COLLECTIONS.with_suffix(".pinned").is_file():
        pytest.skip("community.general is not installed: python3 tests/strangers/install.py, which `make test` calls, does it")
    vms, disks = vms_and_disks(simulator)
    environment = {
        "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_HOME": str(tmp_path / "ansible"),
        "ANSIBLE_LOCAL_TEMP": str(tmp_path / "local"),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_REMOTE_TEMP": str(tmp_path / "remote"),
        "LC_ALL": "C.UTF-8",
        "SSL_CERT_FILE": str(server.ca_path),
        "XENSERVER_HOST": server.url,
        "XENSERVER_USER": server.username,
        "XENSERVER_PASSWORD": server.password,
    }
    command = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", "pool,", "-c", "local"]
    command += ["-e", f"ansible_python_interpreter={sys.executable}", str(PLAYBOOK)]
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert vms_and_disks(simulator) == (vms, disks)
    originators = {call.params[3] for call in simulator.calls if call.method == "session.login_with_password" and call.error is None}
    assert "Ansible" in originators, "no module of theirs logged in here"


def vms_and_disks(simulator: Simulator) -> tuple[set[str], set[str]]:
    """Disks without base copies: a cloned disk leaves one behind until it is coalesced."""
    return set(simulator.records("VM")), {ref for ref, record in simulator.records("VDI").items() if record["managed"]}
