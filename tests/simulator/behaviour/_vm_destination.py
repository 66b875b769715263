# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where VM.migrate_send sends a VM: a host of this pool, or of another pool of this process.

`dest` is what host.migrate_receive of the other side answered. The pools of one process know each other here, so that a migration
between them needs no wire; a pool elsewhere cannot be contacted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..engine import neighbours
from ..engine.context import Context
from ..engine.failure import Failure, internal_error

if TYPE_CHECKING:
    from ..engine.core import Engine

# In the order in which xapi looks for them; a missing one is `List.assoc`'s exception.
KEYS = ("master", "xenops", "session_id", "host", "SM")


def pool_of_session(here: Engine, session: str) -> Engine:
    """The pool that knows the session; this one when none does."""
    known = (engine for engine in list(neighbours.POOLS) if engine.db.exists("session", session))
    return next(known, here)


class Destination:
    """The host that receives, and a way to ask its pool."""

    def __init__(self, source: Engine, dest: Mapping[str, str]) -> None:
        for key in KEYS:
            if key not in dest:
                raise internal_error("Not_found")
        self.host = dest["host"]
        self.session = dest["session_id"]
        self.address = urlsplit(dest["xenops"]).hostname or ""
        self.is_local = source.db.exists("host", self.host)
        self._source = source
        self.engine = source if self.is_local else self._find()

    def _find(self) -> Engine:
        for engine in list(neighbours.POOLS):
            if engine.db.exists("session", self.session) and engine.db.exists("host", self.host):
                return engine
        raise Failure("CANNOT_CONTACT_HOST", self.address)

    @property
    def vms(self) -> Any:
        """The VM behaviour of the receiving pool."""
        return self.engine.behaviours["VM"]

    async def ask(self, question: Callable[[], Any]) -> Any:
        """Run `question` where the destination's database lives, as the session that migrate_receive made."""
        return await neighbours.ask(self.engine, question, Context("VM.migrate_send", self.session, self.host))
