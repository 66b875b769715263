# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which messages of an API level the simulator answers, and how: `python3 tests/simulator messages`.

*implicit*: the database alone answers. *behaviour*: rules of xapi stand behind it. *removed*: xapi itself refuses it by now.
*internal*: hosts of a pool call it on each other; xapi refuses it to clients, and so does the simulator.
*declared only*: xapi has it and the simulator has not; calling it is refused with SIMULATOR_HAS_NO_BEHAVIOUR, never answered.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator

from .behaviour import ALL
from .engine.clock import Clock
from .engine.core import Engine
from .engine.schema import LEVELS, load

KINDS = ("behaviour", "implicit", "declared only", "internal", "removed")
INTRODUCTION = """\
# Messages

What each message of XenAPI does in the simulator; made by `python3 tests/simulator messages --markdown`.

* **implicit**: getters, setters, `get_all_records` and the like, which the database alone answers.
* **behaviour**: rules of xapi stand behind it.
* **declared only**: xapi has it and the simulator has not. Calling it is refused with `SIMULATOR_HAS_NO_BEHAVIOUR`, never answered.
* **internal**: hosts of a pool call it on each other; xapi refuses it to clients, and so does the simulator.
* **removed**: xapi itself refuses it by now, with `MESSAGE_REMOVED`.
"""


def kinds(level: str) -> Iterator[tuple[str, str, str]]:
    """(class, message, kind) of every message that exists on the wire."""
    engine = Engine(load(level), ALL, Clock())
    for cls in engine.schema.classes.values():
        for spec in cls.messages.values():
            yield cls.name, spec.name, engine.kind_of(spec)


def markdown() -> str:
    """The table of all levels; names stand where there are few of a kind."""
    parts = [INTRODUCTION]
    for level in LEVELS:
        rows: dict[str, dict[str, list[str]]] = {}
        for cls, name, kind in kinds(level):
            rows.setdefault(cls, {kind: [] for kind in KINDS})[kind].append(name)
        totals = ", ".join(f"{sum(len(row[kind]) for row in rows.values())} {kind}" for kind in KINDS)
        parts.append(f"## API {level}\n\n{totals}.\n\n| class | implicit | behaviour | declared only | internal | removed |\n|---|---|---|---|---|---|")
        parts += [_line(cls, row) for cls, row in sorted(rows.items(), key=lambda item: item[0].lower())]
        parts.append("")
    return "\n".join(parts)


def _line(cls: str, row: dict[str, list[str]]) -> str:
    cells = [str(len(row["implicit"]) or "")]
    cells += [", ".join(f"`{name}`" for name in sorted(row[kind])) for kind in KINDS if kind != "implicit"]
    return f"| {cls} | " + " | ".join(cells) + " |"


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="simulator messages", description="Every message of the chosen API, and how the simulator answers it.")
    parser.add_argument("--api", default="8.3", choices=LEVELS, help="API level (default 8.3)")
    parser.add_argument("--kind", choices=KINDS, help="only messages of this kind")
    parser.add_argument("--markdown", action="store_true", help="all levels as the table of the documentation")
    arguments = parser.parse_args(argv)
    if arguments.markdown:
        print(markdown(), end="")
        return 0
    counts: Counter[str] = Counter()
    for cls, name, kind in kinds(arguments.api):
        counts[kind] += 1
        if arguments.kind in (None, kind):
            print(f"{kind:<14} {cls}.{name}")
    print(", ".join(f"{counts[kind]} {kind}" for kind in KINDS))
    return 0
