# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Command line: ``python tests/conformance [DIRECTORY or FILE …]``, and ``python tests/conformance record --url … --out F SCRIPT``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

if not __package__:
    # Run as a folder: the package's parent has to be importable.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from conformance.command import pool_of, recorder_parser, replay_parser
from conformance.pool_target import COORDINATOR, OTHER, Pool, PoolTarget, Unreachable
from conformance.record import Recorder, level_of, start_of, write
from conformance.replay import replay
from conformance.report import FileResult, totals
from conformance.target import SimulatedTarget

RECORDINGS = Path(__file__).parent / "recordings"
# A recording whose start state lacks more on the pool says nothing about the pool.
SHOWN_MISSING = 8


def main(argv: list[str]) -> int:
    try:
        return record(argv[1:]) if argv[:1] == ["record"] else replay_all(argv)
    except (Unreachable, OSError, ValueError) as error:
        print(f"conformance: {error}", file=sys.stderr)
        return 2


def replay_all(argv: list[str]) -> int:
    arguments = replay_parser(RECORDINGS).parse_args(argv)
    wanted = set(filter(None, arguments.only.split(",")))
    paths = [path for source in arguments.recordings for path in (sorted(source.glob("*.json")) if source.is_dir() else [source])]
    paths = [path for path in paths if not wanted or path.stem in wanted]
    if not paths:
        print(f"no recordings in {', '.join(map(str, arguments.recordings))}", file=sys.stderr)
        return 2
    pool = pool_of(arguments) if arguments.url else None
    files = [run(path, None if arguments.verbose else 5, pool) for path in paths]
    print()
    for file in files:
        print(file.line())
    print(totals(files))
    return 0 if all(file.met for file in files) else 1


def run(path: Path, limit: int | None, pool: Pool | None) -> FileResult:
    with target_of(path, pool) as target:
        file = FileResult(path.stem, replay(path, target))
    for line in file.failures(limit):
        print(line)
    return file


def target_of(path: Path, pool: Pool | None) -> SimulatedTarget | PoolTarget:
    recording = json.loads(path.read_text(encoding="utf-8"))
    if pool is None:
        return SimulatedTarget(path, recording)
    return meet(pool, recording, path.stem)


def meet(pool: Pool, recording: dict[str, Any], name: str) -> PoolTarget:
    target = PoolTarget(pool, recording)
    if target.missing:
        more = f" and {len(target.missing) - SHOWN_MISSING} more" if len(target.missing) > SHOWN_MISSING else ""
        print(f"  {name}: the pool has nothing like {', '.join(target.missing[:SHOWN_MISSING])}{more} of the start state; steps that need it differ")
    return target


def record(argv: list[str]) -> int:
    arguments = recorder_parser().parse_args(argv)
    script = json.loads(arguments.script.read_text(encoding="utf-8"))
    pool = pool_of(arguments)
    schema = level_of(pool)
    worlds = {at: start_of(pool, at, schema) for at in (COORDINATOR, OTHER) if at in pool.urls}
    recorder = Recorder({**script, "name": arguments.name or arguments.out.stem}, meet(pool, script, arguments.script.stem), schema)
    recording = recorder.record(worlds, arguments.remark)
    write(arguments.out, recording)
    print(f"{arguments.out}: {sum('note' not in step for step in recording['steps'])} steps")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
