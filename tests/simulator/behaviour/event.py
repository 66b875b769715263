# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""event: from, inject, and the older register and next (facts 1.9)."""

from __future__ import annotations

import hashlib
from typing import Any

from ..engine.behaviour import Behaviour
from ..engine.events import Subscription
from ..engine.failure import Failure, handle_invalid


class Event(Behaviour):
    cls = "event"

    async def from_(self, classes: list[str], token: str, timeout: float) -> dict[str, Any]:
        subscription = Subscription.parse(classes)
        self.engine.events.since(token)
        return await self.engine.events.wait(subscription, token, timeout, self.context.session)

    def inject(self, class_: str, ref: str) -> str:
        if class_ not in self.db.tables or not self.db.exists(class_, ref):
            raise handle_invalid(class_, ref)
        before = self.engine.events.token()
        self.db.touch(class_, ref)
        return before

    def register(self, classes: list[str]) -> None:
        self.engine.events.queues.register(self.context.session, classes)

    def unregister(self, classes: list[str]) -> None:
        self.engine.events.queues.unregister(self.context.session, classes)

    async def next(self) -> list[dict[str, Any]]:
        session = self.context.session
        if not self.engine.events.queues.registered(session):
            raise Failure("SESSION_NOT_REGISTERED", f"trackid={hashlib.md5(session.encode(), usedforsecurity=False).hexdigest()}")
        return await self.engine.events.queues.next(session)

    def get_current_id(self) -> int:
        return 0
