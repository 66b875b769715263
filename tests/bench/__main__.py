# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`make bench`: every measurement of this folder, or those that are named: `python tests/bench round_trips`."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

if __package__ in (None, ""):
    # Started by its path: make the folder above importable, so that this file is part of its package.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

HERE = Path(__file__).parent


def names() -> list[str]:
    """A measurement is a file `measure_<name>.py` with a function `main`, which prints a table and returns whether all is within bounds."""
    return sorted(path.stem.removeprefix("measure_") for path in HERE.glob("measure_*.py"))


def main(wanted: list[str]) -> int:
    unknown = set(wanted) - set(names())
    if unknown:
        print(f"there is no measurement {', '.join(sorted(unknown))}; there are {', '.join(names())}", file=sys.stderr)
        return 2
    good = True
    for name in wanted or names():
        print(f"\n── {name}", flush=True)
        good &= importlib.import_module(f"bench.measure_{name}").main()
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
