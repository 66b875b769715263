# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A simulator in a process of its own, for as long as something is measured."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

SIMULATOR = Path(__file__).resolve().parents[1] / "simulator"
# Compiled modules are kept, as Python does by default and many a container forbids.
BYTECODE = SIMULATOR.parents[1] / ".build" / "bytecode"
PATIENCE = 300.0


class Served:
    """`started_in` is the time from the command to the ready file."""

    def __init__(self, *arguments: str, log: bool = False) -> None:
        self._folder = TemporaryDirectory(prefix="bench-")
        ready = Path(self._folder.name, "ready")
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(BYTECODE), "PYTHONDONTWRITEBYTECODE": ""}
        self._log = Path(self._folder.name, "log")
        command = [sys.executable, str(SIMULATOR), "--port", "0", "--ready-file", str(ready), *(["--log", str(self._log)] if log else []), *arguments]
        began = time.monotonic()
        self._process = subprocess.Popen(command, env=environment)
        while not ready.exists():
            if self._process.poll() is not None or time.monotonic() > began + PATIENCE:
                raise SystemExit(f"the simulator did not start: {arguments}")
            time.sleep(0.005)
        self.started_in = time.monotonic() - began
        description: dict[str, Any] = json.loads(ready.read_text(encoding="utf-8"))
        self.url, self.http_url = description["url"], description["http_url"]
        self.username, self.password = description["username"], description["password"]
        self.ca_path = description["ca_path"]
        self.context = ssl.create_default_context(cafile=self.ca_path)

    @property
    def environment(self) -> dict[str, str]:
        """What leads the modules there."""
        login = {"XENSERVER_HOST": self.url, "XENSERVER_USER": self.username, "XENSERVER_PASSWORD": self.password}
        return {**login, "XENSERVER_CA_PATH": self.ca_path}

    def calls(self) -> list[dict[str, Any]]:
        """Every call so far, in the order in which they ended; needs ``log``."""
        return [json.loads(line) for line in self._log.read_text(encoding="utf-8").splitlines()]

    @property
    def memory(self) -> int:
        """Bytes of memory that the process has had at most."""
        status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="utf-8")
        return next(int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmHWM"))

    def __enter__(self) -> Served:
        return self

    def __exit__(self, *_unused: object) -> None:
        self._process.terminate()
        self._process.wait(30)
        self._folder.cleanup()
