# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""List, filter, render: the body of all info modules.

::

    NETWORKS = Info("network", "networks", render.network, preload=("PIF", "host"))
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ._lookup import Caller, Record, View
from ._plan import Plan

Select = Callable[[View, dict[str, Any], dict[str, Record]], dict[str, Record]]


@dataclass(frozen=True)
class Info:
    """An info module: ``key`` is the plural under which the list is returned.

    ``only`` are conditions that always hold, ``options`` further options, and ``select`` narrows the records by them.
    ``preload`` are classes that the renderer needs for nearly every object: each is read in one call, unless one object
    is asked for, whose few neighbours are read one by one.
    """

    xen_class: str
    key: str
    render: Callable[[Record, View], dict[str, Any]]
    preload: tuple[str, ...] = ()
    only: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    select: Select | None = None

    @property
    def rules(self) -> dict[str, Any]:
        return {"mutually_exclusive": [("name", "uuid")]}

    def spec(self) -> dict[str, dict[str, Any]]:
        """The argument spec of the declaration; ``run_info`` adds name and uuid."""
        return dict(self.options)

    def plan(self, session: Caller, params: dict[str, Any]) -> Plan:
        """A plan without steps. No match is an empty list and no error."""
        view = View(session)
        asked = {"uuid": params["uuid"], "name_label": params["name"]}
        narrowed = {name: value for name, value in asked.items() if value is not None}
        records = view.load(self.xen_class, {**narrowed, **self.only})
        if self.select is not None:
            records = self.select(view, params, records)
        if len(records) > 1:
            for xen_class in self.preload:
                view.load(xen_class)
        rendered = [self.render(record, view) for record in records.values()]
        return Plan(result={self.key: sorted(rendered, key=lambda item: (item.get("name") or "", item["uuid"]))})
