# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""VM: recovery into the pool of another session, which sees the same storage (X/xapi_dr.ml)."""

from __future__ import annotations

from typing import Any

from ..engine import neighbours
from ..engine.context import Context
from ..engine.failure import NULL, Failure
from . import _pool_features
from ._vm_destination import pool_of_session
from ._vm_export import Export
from ._vm_import import Imports
from ._vm_import_objects import Wanted


class Recovery(Imports):
    def _required_srs(self, ref: str) -> list[str]:
        srs = dict.fromkeys(self.db.get("VDI", vdi, "SR") for vdi in self.hard_disks(ref))
        return [sr for sr in srs if self.db.get("SR", sr, "content_type") != "iso"]

    def _missing(self, ref: str, session_to: str) -> list[tuple[str, str]]:
        """SRs that the pool of that session would have to plug before it could recover the VM, and what they are there, if anything."""
        there = pool_of_session(self.engine, session_to).db
        missing = []
        for sr in self._required_srs(ref):
            twin = there.table("SR").by_uuid.get(self.db.get("SR", sr, "uuid"))
            if twin is None or not any(there.get("PBD", pbd, "currently_attached") for pbd in there.get("SR", twin, "PBDs")):
                missing.append((sr, twin or sr))
        return missing

    def get_SRs_required_for_recovery(self, ref: str, session_to: str) -> list[str]:
        return [sr for sr, _unused in self._missing(ref, session_to)]

    def assert_can_be_recovered(self, ref: str, session_to: str) -> None:
        for _unused, twin in self._missing(ref, session_to):
            raise Failure("VM_REQUIRES_SR", ref, twin)

    async def recover(self, ref: str, session_to: str, force: bool) -> None:
        self.require_recovery(session_to)
        self.assert_can_be_recovered(ref, session_to)
        await self.recover_all([ref], session_to, force=force)

    def require_recovery(self, session_to: str) -> None:
        _pool_features.require(pool_of_session(self.engine, session_to), "DR")

    async def recover_all(self, vms: list[str], session_to: str, *, force: bool) -> list[str]:
        """The VMs and their snapshots, restored there from their records; their disks are there already."""
        objects = Export(self.engine, vms, snapshots=True, keep_state=True).objects
        there = pool_of_session(self.engine, session_to)
        context = Context("VM.recover", session_to, there.coordinator)
        behaviour: Any = there.behaviours["VM"]
        return list(await neighbours.ask(there, lambda: behaviour.take_recovered(objects, force=force), context))

    async def take_recovered(self, objects: list[dict[str, Any]], *, force: bool) -> list[str]:
        task = self.context.task = self.engine.tasks.create("Importing VMs", host=self.engine.coordinator, session=self.context.session)
        try:
            done = await self.import_objects(objects, Wanted(restore=True, force=force, same_seeds=True))
            vms = self.finish_import(done)
        finally:
            self.db.delete("task", task)
        for vm in vms:
            for sr in self._required_srs(vm):
                # Whoever brought the SR in for a recovery may now forget that.
                self.db.set("SR", sr, "introduced_by", NULL)
        return vms
