# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Command line: `python tests/simulator --world one_host --port 0 --ready-file F`."""

from __future__ import annotations

import sys
from pathlib import Path

if __package__ in (None, ""):
    # Started by its path: make the folder above importable, so that this file is part of its package.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from simulator.command import main

if __name__ == "__main__":
    sys.exit(main())
