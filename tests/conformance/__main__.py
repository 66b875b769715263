# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Command line: ``python tests/conformance [DIRECTORY or FILE …]``."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

if not __package__:
    # Run as a folder: the package's parent has to be importable.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from conformance.replay import replay
from conformance.report import FileResult, totals
from conformance.target import SimulatedTarget

RECORDINGS = Path(__file__).parent / "recordings"


def main() -> int:
    parser = argparse.ArgumentParser(prog="conformance", description="Replay recordings of a real xapi against the simulator.")
    parser.add_argument("recordings", nargs="*", type=Path, default=[RECORDINGS], help="files or folders; the project's own by default")
    parser.add_argument("--only", default="", help="names of recordings, separated by commas")
    parser.add_argument("--verbose", action="store_true", help="show every failing step, not the first five of a file")
    arguments = parser.parse_args()
    wanted = set(filter(None, arguments.only.split(",")))
    paths = [path for source in arguments.recordings for path in (sorted(source.glob("*.json")) if source.is_dir() else [source])]
    paths = [path for path in paths if not wanted or path.stem in wanted]
    if not paths:
        print(f"no recordings in {', '.join(map(str, arguments.recordings))}", file=sys.stderr)
        return 2
    files = [run(path, None if arguments.verbose else 5) for path in paths]
    print()
    for file in files:
        print(file.line())
    print(totals(files))
    return 0 if all(file.met for file in files) else 1


def run(path: Path, limit: int | None) -> FileResult:
    with SimulatedTarget(path, json.loads(path.read_text(encoding="utf-8"))) as target:
        file = FileResult(path.stem, replay(path, target))
    for line in file.failures(limit):
        print(line)
    return file


if __name__ == "__main__":
    sys.exit(main())
