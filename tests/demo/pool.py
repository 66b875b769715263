# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A simulated pool for the demo: started, looked at as a stranger's client would, and stopped."""

from __future__ import annotations

import itertools
import json
import os
import ssl
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

# What must be as before when the VM is gone. Sessions are counted beside: our own is there while we look.
CLASSES = ("VM", "VDI", "VBD", "VIF", "SR", "PBD", "network", "task", "host", "VM_metrics", "VM_guest_metrics", "console")
START_MOST = 30.0  # seconds


class Pool:
    """`with Pool(directory, root) as pool:`; `environment` makes the modules talk to it."""

    def __init__(self, directory: Path, root: Path) -> None:
        self._ready = directory / "ready.json"
        self._root = root
        self._numbers = itertools.count(1)

    def __enter__(self) -> Pool:
        command = [sys.executable, "tests/simulator", "--world", "three_hosts", "--port", "0", "--ready-file", str(self._ready)]
        self._process = subprocess.Popen(command, cwd=self._root)
        deadline = time.monotonic() + START_MOST
        while not self._ready.exists():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the simulator did not start")
            time.sleep(0.05)
        self._facts: dict[str, Any] = json.loads(self._ready.read_text(encoding="utf-8"))
        self.url: str = self._facts["url"]
        self._context = ssl.create_default_context(cafile=self._facts["ca_path"])
        return self

    def __exit__(self, *_exception: object) -> None:
        self._process.terminate()
        self._process.wait(10)

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "XENSERVER_HOST": self.url,
            "XENSERVER_USER": self._facts["username"],
            "XENSERVER_PASSWORD": self._facts["password"],
            "XENSERVER_CA_PATH": self._facts["ca_path"],
            "ANSIBLE_CALLBACK_RESULT_FORMAT": "yaml",
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "ANSIBLE_FORCE_COLOR": "true" if sys.stdout.isatty() else "false",
        }

    def call(self, method: str, *params: Any) -> Any:
        body = json.dumps({"jsonrpc": "2.0", "method": method, "params": params, "id": next(self._numbers)})
        request = urllib.request.Request(self.url + "/jsonrpc", body.encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, context=self._context, timeout=30) as response:
            answer = json.load(response)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def objects(self) -> dict[str, set[str]]:
        """The uuids of everything, by class, and how many sessions others have."""
        session = self.call("session.login_with_password", self._facts["username"], self._facts["password"], "1.0", "demo")
        try:
            found = {name: {record["uuid"] for record in self._records(name, session)} for name in CLASSES}
            counts = self.call("event.from", session, ["nothing"], "", 0.0)["valid_ref_counts"]
            return {**found, "session": {str(number) for number in range(counts["session"] - 1)}}
        finally:
            self.call("session.logout", session)

    def _records(self, name: str, session: str) -> list[dict[str, Any]]:
        records = self.call(f"{name}.get_all_records", session).values()
        # Reading a disk in use leaves a "base copy" behind that storage collects by itself after a while; nobody manages it.
        return [record for record in records if record.get("managed", True)]

    def difference(self, before: dict[str, set[str]]) -> list[str]:
        """What is more or less than before, in words."""
        now = self.objects()
        more = [f"{len(now[name] - uuids)} {name} more" for name, uuids in before.items() if now[name] - uuids]
        less = [f"{len(uuids - now[name])} {name} less" for name, uuids in before.items() if uuids - now[name]]
        return more + less
