# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pool that the targets run against: a simulator over TLS, or what integration_config.yml names."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
CONFIG = Path(__file__).with_name("integration_config.yml")
START_SECONDS = 30


def start_simulator(world: str, folder: Path) -> tuple[subprocess.Popen[str], dict[str, Any]]:
    """The process and the content of its ready file."""
    ready = folder / "ready.json"
    output = folder / "simulator.log"
    command = [sys.executable, str(ROOT / "tests" / "simulator"), "--world", world, "--port", "0", "--ready-file", str(ready)]
    with output.open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, text=True)
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            return process, json.loads(ready.read_text())
        except (FileNotFoundError, json.JSONDecodeError):  # not there, or not whole yet
            time.sleep(0.05)
    process.kill()
    raise RuntimeError(f"the simulator did not get ready within {START_SECONDS} s (exit status {process.wait()}):\n{output.read_text()}")


@pytest.fixture(scope="session")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment that leads the modules to the pool; empty when integration_config.yml does."""
    if CONFIG.exists():
        yield {}
        return
    process, ready = start_simulator("three_hosts", tmp_path_factory.mktemp("simulator"))
    names = {"XENSERVER_HOST": "url", "XENSERVER_USER": "username", "XENSERVER_PASSWORD": "password", "XENSERVER_CA_PATH": "ca_path"}
    yield {name: ready[key] for name, key in names.items()}
    process.terminate()
    assert process.wait(timeout=10) == 0, "the simulator did not end cleanly on SIGTERM"


def pytest_report_header() -> str:
    return f"integration targets run against {f'the pool of {CONFIG.relative_to(ROOT)}' if CONFIG.exists() else 'a simulator over TLS'}"
