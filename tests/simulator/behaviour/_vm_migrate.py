# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""VM: migration within the pool, disks stay where they are (facts 3.3, X/xapi_vm_migrate.ml)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ..engine.behaviour import locks_itself
from ..engine.failure import NULL, Failure
from . import _pool_features, _versions
from ._vm_template import Templates


class Migration(Templates):
    @asynccontextmanager
    async def operating(self, ref: str, op: str, *, forced: bool = False) -> AsyncIterator[None]:
        """The VM locked for `op`; `forced` makes the checks lenient (facts 3.2.9)."""
        task = self.context.task
        if forced:
            self._forced.add(task)
        try:
            async with self.engine.operations.hold("VM", ref, op):
                yield
        finally:
            self._forced.discard(task)

    @locks_itself
    async def pool_migrate(self, ref: str, host: str, options: dict[str, str]) -> None:
        source, forced = self.row(ref)["resident_on"], options.get("force") == "true"
        if not forced:
            self.require_compatible(ref, host)
        async with self.operating(ref, "pool_migrate", forced=forced):
            self.existing("host", host)
            await self.engine.pass_time("VM.pool_migrate")
            self._require_way_up(source, host)
            self.require_bootable(ref, host)
            _pool_features.require(self.engine, "Xen_motion")
            if "network" in options:
                self.other("host").require_address(options["network"], host)
            await self.engine.carry(self.row(ref)["memory_target"])
            await self.move_domain(ref, host)
        self.report_migrated(ref, source, host)

    def _require_way_up(self, source: str, host: str) -> None:
        """While the pool is being upgraded nothing goes back to an older host."""
        versions = (_versions.software(self.engine, one) for one in (source, host))
        if _versions.is_upgrading(self.engine) and not _versions.may_migrate(self.engine, *versions):
            raise Failure("NOT_SUPPORTED_DURING_UPGRADE")

    async def move_domain(self, ref: str, host: str) -> None:
        """The running VM goes on in a new domain, on this host."""
        async with self.reserved(ref, host, "vm_migrate"):
            self.db.set("VM", ref, "scheduled_to_be_resident_on", host)
            try:
                self.reserve_hardware(ref, host)
                self.other("network").attach_for_vm(host, ref)
                self._close_consoles(ref)
                self.build(ref, host, paused=False, fresh=False)
            finally:
                if self.db.exists("VM", ref):
                    self.db.set("VM", ref, "scheduled_to_be_resident_on", NULL)
                    self.drop_reservations(ref)

    def report_migrated(self, ref: str, source: str, host: str) -> None:
        old, new = self.db.row("host", source), self.db.row("host", host)
        names = f"from host '{old['name_label']}' (uuid: {old['uuid']}) to host '{new['name_label']}' (uuid: {new['uuid']})"
        self.report("VM_MIGRATED", ref, f"migrated {names}")

    async def restart_device_models(self, ref: str) -> None:
        row = self.row(ref)
        if row["power_state"] != "Running":
            raise Failure("VM_BAD_POWER_STATE", ref, "Running", row["power_state"])
        await self.pool_migrate(ref, row["resident_on"], {"live": "true"})
