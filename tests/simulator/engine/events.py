# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What changed since a token: event.from, and the queues behind event.next (facts 1.9)."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .failure import Failure
from .registry import Row

if TYPE_CHECKING:
    from .core import Engine

# Seconds that xapi lets changes gather before it answers; none before for a client that watches tasks alone.
GATHER = 0.05
LONGEST = 86400.0
# Classes in the model that never have events although they are in the database.
ALERTS = "message"  # not in xapi's database: their place in a token is their own
SILENT = {"session", "secret", "user", "auth", "event"}


@dataclass(frozen=True)
class Subscription:
    """What a client watches: everything, classes, single objects. Any text is one of them; unknown ones match nothing."""

    everything: bool
    classes: frozenset[str]  # lower case
    objects: frozenset[tuple[str, str]]

    @classmethod
    def parse(cls, texts: list[str]) -> Subscription:
        classes, objects, everything = set(), set(), False
        for text in texts:
            name, slash, ref = text.partition("/")
            if text == "*":
                everything = True
            elif slash:
                objects.add((name.lower(), ref))
            else:
                classes.add(name.lower())
        return cls(everything, frozenset(classes), frozenset(objects))

    def includes(self, cls: str, ref: str) -> bool:
        return self.everything or cls in self.classes or (cls, ref) in self.objects

    def watches(self, cls: str) -> bool:
        return self.everything or cls in self.classes or any(name == cls for name, _unused in self.objects)

    @property
    def tasks_only(self) -> bool:
        watched = self.classes | {name for name, _unused in self.objects}
        return not self.everything and watched <= {"task"}


class Events:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.db = engine.db
        self.queues = Queues(self)
        self._floor = 0  # tokens up to this generation are from before a restart
        self._waiters: dict[asyncio.Future[None], tuple[Subscription, str]] = {}
        self.db.watchers.append(self._changed)

    def token(self, generation: int | None = None, alerts: int = 0) -> str:
        """`generation` of the database, and of the alerts that it does not hold."""
        return f"{self.db.generation if generation is None else generation:020d},{alerts:020d}"

    def since(self, token: str) -> tuple[int, int]:
        """The two generations of a token; the empty one, and one from before a restart, is from before everything."""
        if token == "":
            return 0, 0
        parts = token.split(",")
        if len(parts) != 2 or not all(part.isdigit() for part in parts):
            raise Failure("EVENT_FROM_TOKEN_PARSE_FAILURE", token)
        generation, alerts = (int(part) for part in parts)
        return (generation if generation > self._floor else 0), alerts

    def restarted(self) -> None:
        """A token from before is answered with every object as `add` (recording `restart`)."""
        self._floor = self.db.generation
        self.db.generation += 1
        self.queues.clear()

    async def wait(self, subscription: Subscription, token: str, seconds: float, session: str) -> dict[str, Any]:
        """One batch: at once when there is something, else at the next change, else empty after `seconds`."""
        start = self.since(token)
        # Neither more nor less than anything: no moment at which the loop could wake.
        deadline = self.engine.clock.time() + (LONGEST if math.isnan(seconds) else min(seconds, LONGEST))
        while True:
            if not self.db.exists("session", session):
                raise Failure("SESSION_INVALID", session)
            self.engine.operations.refresh()
            events, reached = self.collect(subscription, *start)
            left = deadline - self.engine.clock.time()
            if events or left <= 0:
                return {"events": events, "valid_ref_counts": self.counts(), "token": self.token(*reached)}
            start = reached
            await self._next_change(subscription, session, left)
            if not subscription.tasks_only:
                await self.engine.clock.sleep(GATHER)

    async def _next_change(self, subscription: Subscription, session: str, seconds: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters[future] = (subscription, session)
        try:
            await self.engine.clock.wait(future, seconds)
        finally:
            self._waiters.pop(future, None)

    def _changed(self, cls: str, ref: str) -> None:
        lower = cls.lower()
        for future, (subscription, session) in list(self._waiters.items()):
            if not future.done() and (subscription.includes(lower, ref) or (cls == "session" and ref == session)):
                # Later on the loop, after the behaviour that made the change has run to its next pause.
                future.set_result(None)

    def collect(self, subscription: Subscription, start: int, alerts: int) -> tuple[list[Row], tuple[int, int]]:
        """Events after a token, and the token's generations after them: those of the newest object that was watched.

        One event an object, alerts before adds before changes before deletions; the snapshot is the state now.
        """
        groups: dict[str, list[tuple[int, Row]]] = {"alert": [], "add": [], "mod": [], "del": []}
        for name, table in self.db.tables.items():
            lower = name.lower()
            if name in SILENT or not table.spec.events or not subscription.watches(lower):
                continue
            first = alerts if name == ALERTS else start
            for ref in self._changed_refs(table.modified, first):
                if subscription.includes(lower, ref):
                    kind = "add" if table.created[ref] > first else "mod"
                    generation = table.modified[ref]
                    number = table.created[ref] if kind == "add" else generation
                    event = _event(lower, kind, ref, number, self.db.public(name, table.rows[ref]))
                    groups["alert" if name == ALERTS else kind].append((generation, event))
            for ref, created, deleted in reversed(table.deleted):
                if deleted <= first:
                    break
                if first >= created and first and subscription.includes(lower, ref):
                    groups["alert" if name == ALERTS else "del"].append((deleted, _event(lower, "del", ref, deleted, None)))
        newest = {kind: max((generation for generation, _unused in pairs), default=0) for kind, pairs in groups.items()}
        reached = max(start, newest["add"], newest["mod"], newest["del"])
        reached_alerts = max(alerts, newest["alert"]) if subscription.watches(ALERTS) else 0
        events = [event for pairs in groups.values() for _unused, event in sorted(pairs, key=lambda pair: pair[0])]
        return events, (reached, reached_alerts)

    @staticmethod
    def _changed_refs(modified: dict[str, int], start: int) -> list[str]:
        refs = []
        for ref in reversed(modified):
            if modified[ref] <= start:
                break
            refs.append(ref)
        return refs

    def counts(self) -> dict[str, int]:
        """How many rows every class has: the check against lost deletions."""
        counts = {name.lower(): 0 for name in self.engine.schema.classes}
        counts.update({name.lower(): len(table.rows) for name, table in self.db.tables.items() if name != ALERTS})
        return counts


class Queues:
    """What event.next serves: a subscription a session, and how far it has read."""

    def __init__(self, events: Events) -> None:
        self.events = events
        self._sessions: dict[str, tuple[set[str], str]] = {}

    def clear(self) -> None:
        self._sessions.clear()

    def register(self, session: str, classes: list[str]) -> None:
        known, position = self._sessions.get(session, (set(), self.events.token(alerts=self.events.db.generation)))
        self._sessions[session] = (known | {name.lower() for name in classes}, position)

    def unregister(self, session: str, classes: list[str]) -> None:
        known, position = self._sessions.get(session, (set(), self.events.token(alerts=self.events.db.generation)))
        # Who wants nothing any more is registered still: what comes next is nothing, not a refusal.
        self._sessions[session] = (known - {name.lower() for name in classes}, position)

    def registered(self, session: str) -> bool:
        return session in self._sessions

    async def next(self, session: str) -> list[Row]:
        """The events since the last call; blocks until there is one."""
        classes, position = self._sessions[session]
        batch = await self.events.wait(Subscription.parse(sorted(classes)), position, LONGEST, session)
        self._sessions[session] = (classes, batch["token"])
        now = f"{self.events.engine.clock.time():.0f}.0"
        return [{**event, "timestamp": now} for event in batch["events"]]


def _event(cls: str, operation: str, ref: str, generation: int, snapshot: Row | None) -> Row:
    event: Row = {"id": "0" if cls == ALERTS else str(generation), "timestamp": "0.0", "class": cls, "operation": operation, "ref": ref}
    if snapshot is not None:
        event["snapshot"] = snapshot
    return event
