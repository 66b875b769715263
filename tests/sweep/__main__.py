# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`make sweep`: the whole sweep with a table. `python tests/sweep fault cut --sample 10`: some of it."""

from __future__ import annotations

import sys
from pathlib import Path

if __package__ in (None, ""):
    # Started by its path: make the folder above importable, so that this file is part of its package.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from sweep.command import main

if __name__ == "__main__":
    sys.exit(main())
