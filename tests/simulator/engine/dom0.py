# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The control domain of a simulated host, as far as scripts see it: a folder of its own and a small environment."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path


class Dom0:
    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="dom0-")
        self.root = Path(self._folder.name)
        for name in ("bin", "tmp", "home", "run"):
            (self.root / name).mkdir()
        self.variables: dict[str, str] = {}
        self.closers: list[Callable[[], None]] = []

    @property
    def environment(self) -> dict[str, str]:
        """Nothing of the simulator's own environment but where programs are found."""
        path = f"{self.root / 'bin'}:{os.environ.get('PATH', '/usr/bin:/bin')}"
        return {"PATH": path, "HOME": str(self.root / "home"), "TMPDIR": str(self.root / "tmp"), "LANG": "C.UTF-8", **self.variables}

    def close(self) -> None:
        for closer in self.closers:
            closer()
        self._folder.cleanup()
