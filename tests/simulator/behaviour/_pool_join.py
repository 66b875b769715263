# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host leaves its own pool of one and becomes a member of another pool of this process (X/xapi_pool.ml join_common)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ..engine import neighbours
from ..engine.behaviour import Behaviour
from ..engine.failure import Failure
from . import _pool_features
from ._pool_join_checks import objections
from ._pool_join_side import Side
from ._pool_welcome import Newcomer
from ._vm_export import Export

if TYPE_CHECKING:
    from ..engine.core import Engine

# Seconds until the host has restarted its toolstack as a member.
TRANSITION = 1.0
CLIENT = ("2.21", "xapi")  # version and originator of the login


class Joining(Behaviour):
    """The part of pool that a host which joins another one runs."""

    async def join(self, address: str, username: str, password: str) -> None:
        await self._join(address, username, password, force=False)

    async def join_force(self, address: str, username: str, password: str) -> None:
        """Different CPUs and builds are no reason not to."""
        await self._join(address, username, password, force=True)

    async def _join(self, address: str, username: str, password: str, *, force: bool) -> None:
        _pool_features.require(self.engine, "Pooling")
        found = neighbours.at(address, self.engine)
        if found is None:
            raise Failure("JOINING_HOST_CONNECTION_FAILED")
        pool, host = found
        session = await _there(pool, host, "session.login_with_password", username, password, *CLIENT)
        try:
            theirs = await neighbours.ask(pool, lambda: Side.of(pool))
            for refusal in objections(self.engine, theirs, force=force):
                raise refusal
        finally:
            await _there(pool, host, "session.logout", session)
        newcomer = self._newcomer()
        member = await neighbours.ask(pool, lambda: pool.behaviours["pool"].welcome(newcomer))
        for pbd in self.db.get("host", self.engine.coordinator, "PBDs"):
            self.db.set("PBD", pbd, "currently_attached", False)
        self.engine.later(TRANSITION, lambda: self._become_member(pool, member, newcomer.endpoint))

    def _newcomer(self) -> Newcomer:
        host = self.engine.coordinator
        guests = [ref for ref, row in self.db.items("VM") if not (row["is_control_domain"] or row["is_default_template"] or row["is_a_snapshot"])]
        return Newcomer(
            host=host,
            tables={cls: self._rows(cls, self.db.refs(cls)) for cls in Newcomer.CLASSES if cls in self.db.tables},
            control_domain=self._rows("VM", [self.db.get("host", host, "control_domain")]),
            guests=Export(self.engine, guests, snapshots=True, keep_state=True).objects,
            store=self.engine.store,
            endpoint=self.engine.endpoints.get(host, ""),
        )

    def _rows(self, cls: str, refs: Iterable[str]) -> dict[str, dict[str, Any]]:
        return {ref: self.db.record(cls, ref) for ref in refs if self.db.exists(cls, ref)}

    async def _become_member(self, pool: Engine, member: str, endpoint: str) -> None:
        """From now on the other pool's server answers at this host's address."""
        self.engine.retired_to = (pool, member)
        for close in self.engine.on_retired:
            await close()
        await neighbours.ask(pool, lambda: pool.behaviours["pool"].arrive(member, endpoint))
        self.engine.restart()


async def _there(pool: Engine, host: str, message: str, *params: Any) -> Any:
    """A call that the other pool's host serves like any other."""
    return await neighbours.ask(pool, lambda: pool.call(message, list(params), at=host, protocol="xmlrpc"))
