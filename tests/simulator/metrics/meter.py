# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who has archives, since when, and which sources are in them: the part of xcp-rrdd that remembers something."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..engine.failure import NULL, internal_error
from .archive import Rrd
from .sources import Source, Sources

if TYPE_CHECKING:
    from ..engine.core import Engine
    from ..engine.failure import Failure

# A pool that is loaded has been running for a while.
BEFORE_LOADING = 3600.0


class Meter:
    def __init__(self, engine: Engine, *, idle: bool) -> None:
        self.engine = engine
        self.db = engine.db
        self.sources = Sources(engine, idle=idle)
        self.began = engine.clock.time() - BEFORE_LOADING
        self.since: dict[str, float] = {}  # VM → when it was seen running first
        self.asked: dict[str, set[str]] = {}  # owner → sources that are archived because somebody asked for it
        self.forgotten: dict[str, set[str]] = {}
        for vm in self.db.refs("VM"):
            if self.runs(vm):
                self.since[vm] = self.began
        self.db.watchers.append(self._changed)

    def runs(self, vm: str) -> bool:
        row = self.db.row("VM", vm)
        return bool(row["resident_on"] != NULL and row["power_state"] in ("Running", "Paused"))

    def _changed(self, cls: str, ref: str) -> None:
        if cls != "VM":
            return
        if not self.db.exists("VM", ref) or not self.runs(ref):
            self.since.pop(ref, None)
        else:
            self.since.setdefault(ref, self.engine.clock.time())

    def all_of(self, cls: str, ref: str) -> list[Source]:
        return self.sources.of_host(ref) if cls == "host" else self.sources.of_vm(ref)

    def is_archived(self, ref: str, source: Source) -> bool:
        if source.name in self.forgotten.get(ref, ()):
            return False
        return source.standard or source.name in self.asked.get(ref, ())

    def archive(self, cls: str, ref: str) -> Rrd:
        """The archives of a host or of a running VM."""
        uuid = self.db.get(cls, ref, "uuid")
        chosen = [source for source in self.all_of(cls, ref) if self.is_archived(ref, source)]
        return Rrd(f"{cls.lower()}:{uuid}:", chosen, self.since.get(ref, self.began), self.engine.clock.time())

    def archives_on(self, host: str, vms: str = "all") -> list[Rrd]:
        """Those of the VMs on a host; `vms` may name one by uuid, or be "none"."""
        residents = [vm for vm in self.db.get("host", host, "resident_VMs") if self.runs(vm)]
        wanted = [vm for vm in residents if vms in ("all", self.db.get("VM", vm, "uuid"))]
        return [self.archive("VM", vm) for vm in wanted]

    # What the messages of host and VM ask

    def describe(self, cls: str, ref: str) -> list[dict[str, object]]:
        return [source.record(enabled=self.is_archived(ref, source)) for source in self.all_of(cls, ref)]

    def query(self, cls: str, ref: str, name: str) -> float:
        return self._find(cls, ref, name).value(self.engine.clock.time())

    def record(self, cls: str, ref: str, name: str) -> None:
        source = self._find(cls, ref, name)
        self.asked.setdefault(ref, set()).add(source.name)
        self.forgotten.get(ref, set()).discard(source.name)

    def forget(self, cls: str, ref: str, name: str) -> None:
        source = self._find(cls, ref, name)
        self.asked.get(ref, set()).discard(source.name)
        self.forgotten.setdefault(ref, set()).add(source.name)

    def _find(self, cls: str, ref: str, name: str) -> Source:
        for source in self.all_of(cls, ref):
            if source.name == name:
                return source
        raise _no_source(name)


def _no_source(name: str) -> Failure:
    """rrdd's refusal as it comes through xapi (recording rrds)."""
    return internal_error(f'IDL Error: [S(Rrdd_internal_error);S(Rrd.Invalid_data_source("{name}"))]')
