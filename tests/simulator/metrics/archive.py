# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Round-robin archives of data sources, and the two documents that clients read of them (xapi-rrd: rrd.ml, rrd_updates.ml)."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape

from .sources import DERIVE, Source

STEP = 5  # seconds
# (rows, steps a row): ten minutes, two hours, a week, a year (rrdd_shared.ml).
ARCHIVES = ((120, 1), (120, 12), (168, 720), (366, 17280))
HEARTBEAT = 300.0
AVERAGE = "AVERAGE"
OTHER_FUNCTIONS = ("MIN", "MAX", "LAST")  # not archived; a word that is none of them counts as none given
XML = '<?xml version="1.0" encoding="UTF-8"?>\n'


class Unavailable(Exception):
    """Nothing to export; the text is what rrdd's page says."""


def number(value: float) -> str:
    """A value as rrdd prints it: five digits."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return "0.0" if value == 0 else f"{value:.5g}"


@dataclass
class Rrd:
    """The archives of one owner. `prefix` is how its entries begin in a legend; there are no values from before `since`."""

    prefix: str
    sources: Sequence[Source]
    since: float
    until: float

    def value(self, source: Source, time: float, seconds: int) -> float:
        """The average over the row that ends at `time`; a rate needs a value before it."""
        first = self.since + (STEP if source.kind == DERIVE else 0)
        if time < first or time > self.until:
            return math.nan
        if seconds <= STEP:
            return source.value(time)
        begin = max(first, time - seconds)
        samples = [source.value(begin + (time - begin) * part / 4) for part in range(5)]
        return sum(samples) / len(samples)

    def last(self) -> int:
        return int(self.until) // STEP * STEP

    def rows(self, steps: int, count: int) -> list[list[float]]:
        """All rows of an archive, the oldest first."""
        width = steps * STEP
        last = int(self.until) // width * width
        return [[self.value(source, last - back * width, width) for source in self.sources] for back in range(count - 1, -1, -1)]

    def as_xml(self) -> str:
        parts = [XML, f"<rrd><version>0003</version><step>{STEP}</step><lastupdate>{int(self.until)}</lastupdate>"]
        parts += [_element("ds", _shown(source, self)) for source in self.sources]
        blank = _element("ds", {"primary_value": "0.0", "secondary_value": "0.0", "value": "0.0", "unknown_datapoints": "0"})
        for count, steps in ARCHIVES:
            head = f"<cf>{AVERAGE}</cf><pdp_per_row>{steps}</pdp_per_row><params><xff>0.5</xff></params>"
            rows = "".join("<row>" + "".join(f"<v>{number(v)}</v>" for v in row) + "</row>" for row in self.rows(steps, count))
            parts.append(f"<rra>{head}<cdp_prep>{blank * len(self.sources)}</cdp_prep><database>{rows}</database></rra>")
        return "".join([*parts, "</rrd>"])

    def as_json(self) -> str:
        blank = {"primary_value": "0.0", "secondary_value": "0.0", "value": "0.0", "unknown_datapoints": "0"}
        archives = [
            {
                "cf": AVERAGE,
                "pdp_per_row": str(steps),
                "params": {"xff": "0.5"},
                "cdp_prep": {"ds": [blank for _unused in self.sources]},
                "database": [[number(value) for value in row] for row in self.rows(steps, count)],
            }
            for count, steps in ARCHIVES
        ]
        head = {"version": "0003", "step": str(STEP), "lastupdate": number(self.until)}
        return _dump({**head, "ds": [_shown(source, self) for source in self.sources], "rra": archives})


def _shown(source: Source, rrd: Rrd) -> dict[str, str]:
    value = source.value(rrd.until)
    return {
        "name": source.name,
        "type": source.kind,
        "minimal_heartbeat": number(HEARTBEAT),
        "min": number(source.least),
        "max": number(source.most),
        "last_ds": f"{value:.6g}",
        "value": number(value * (rrd.until % STEP)),
        "unknown_sec": "0",
    }


def _element(tag: str, children: dict[str, str]) -> str:
    return f"<{tag}>" + "".join(f"<{name}>{escape(text)}</{name}>" for name, text in children.items()) + f"</{tag}>"


def updates(rrds: Sequence[Rrd], start: int, interval: int, function: str, *, as_json: bool) -> str:
    """The rows since `start`, the newest first; a negative start counts from the last update (Rrd_updates.export)."""
    if not rrds:
        raise Unavailable("Rrd.No_RRA_Available")
    if function in OTHER_FUNCTIONS:
        raise Unavailable("Rrd.No_RRA_Available")
    now = rrds[0].until
    start = int(now) + start if start < 0 else start
    count, steps = _archive(now, start, interval)
    width = steps * STEP
    last = int(now) // width * width
    first = start // width * width + width
    times = [last - back * width for back in range(count) if last - back * width >= start]
    legend = [f"{AVERAGE}:{rrd.prefix}{source.name}" for rrd in rrds for source in rrd.sources]
    rows = [(time, [number(rrd.value(source, time, width)) for rrd in rrds for source in rrd.sources]) for time in times]
    meta = {"start": str(first), "step": str(width), "end": str(last), "rows": str(len(rows)), "columns": str(len(legend))}
    if as_json:
        data = [{"t": str(time), "values": values} for time, values in rows]
        return _dump({"meta": {**meta, "legend": legend}, "data": data})
    head = "".join(f"<{name}>{text}</{name}>" for name, text in meta.items())
    entries = "".join(f"<entry>{escape(entry)}</entry>" for entry in legend)
    body = "".join(f"<row><t>{time}</t>" + "".join(f"<v>{value}</v>" for value in values) + "</row>" for time, values in rows)
    return f"{XML}<xport><meta>{head}<legend>{entries}</legend></meta><data>{body}</data></xport>"


def _archive(now: float, start: int, interval: int) -> tuple[int, int]:
    """The finest archive that is no finer than asked for and reaches back to `start`; else the coarsest."""
    wanted = interval // STEP
    for count, steps in ARCHIVES:
        if steps >= wanted and start > now // STEP * STEP - count * steps * STEP:
            return count, steps
    return ARCHIVES[-1]


def _dump(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
