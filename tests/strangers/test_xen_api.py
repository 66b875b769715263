# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The npm package `xen-api`, which Xen Orchestra is built on (client.mjs), over both of its transports and TLS."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from simulator import Simulator
from simulator.server import Server

from .install import NODE

CLIENT = Path(__file__).with_name("client.mjs")
NODE_OLDEST = 18  # what the package asks for


def node() -> str:
    """The program; the test is skipped where something is missing."""
    program = shutil.which("node")
    if program is None or shutil.which("npm") is None:
        pytest.skip("node or npm is not installed (Debian packages nodejs, npm)")
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.lstrip("v").partition(".")[0]) < NODE_OLDEST:
        pytest.skip(f"node {version} is older than {NODE_OLDEST}")
    if not NODE.with_suffix(".pinned").is_file():
        pytest.skip("xen-api is not installed: python3 tests/strangers/install.py, which `make test` calls, does it")
    return program


def disks(simulator: Simulator) -> set[str]:
    """Without base copies: a cloned disk leaves one behind until it is coalesced."""
    return {ref for ref, record in simulator.records("VDI").items() if record["managed"]}


@pytest.mark.parametrize("transport", ["json-rpc", "xml-rpc"])
def test_xen_api(simulator: Simulator, server: Server, transport: str) -> None:
    before = set(simulator.records("VM")), disks(simulator)
    command = [node(), str(CLIENT), str(NODE / "package.json"), server.url, transport]
    environment = {**os.environ, "NODE_EXTRA_CA_CERTS": str(server.ca_path), "XAPI_USER": server.username, "XAPI_PASSWORD": server.password}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    said: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]
    # The transport of JSON gives whole numbers, that of XML text.
    size: Any = 4 << 30 if transport == "json-rpc" else str(4 << 30)
    assert said == [
        {"objects": {"pool": "trio", "hosts": "xs1", "sr": "NFS storage", "size": size}},
        {"changed": {"description": 'seen <by> & "all"', "two": "2", "tags": ["strange"]}},
        {"power": ["Running", "Halted"]},
        {"refused": ["VM_BAD_POWER_STATE", "paused", "halted"]},
        {"disk": [True, True]},
        {"vhd": "conectix"},
        {"disk": [True, True]},
        {"vhd": "conectix"},
        {"warnings": []},
    ]
    assert (set(simulator.records("VM")), disks(simulator)) == before
