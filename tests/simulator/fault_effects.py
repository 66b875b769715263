# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is done to a pool from outside: hosts stop, storage fills, sessions go. By fault rules when a call arrives, and by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .engine.context import Context
from .engine.failure import Failure
from .engine.faults import Disconnect, Rule

if TYPE_CHECKING:
    from .engine.core import Engine


class Unknown(ValueError):
    """No such host or SR; the message says which there are."""


def find(engine: Engine, cls: str, text: str) -> str:
    """The object of that reference, uuid or name."""
    ref = engine.db.by_uuid_or_ref(cls, text)
    named = [ref] if ref else engine.db.where(cls, name_label=text)
    if len(named) != 1:
        names = ", ".join(sorted(row["name_label"] for _unused, row in engine.db.items(cls)))
        raise Unknown(f"{len(named) or 'no'} {cls} named {text!r}; there are {names}")
    return named[0]


def host(engine: Engine, text: str, asked: str = "") -> str:
    """A host by reference, uuid or name; `coordinator`, or `here` for the one that was asked."""
    if text == "coordinator":
        return engine.coordinator
    return asked if text == "here" and asked else find(engine, "host", text)


def check(engine: Engine, rule: Rule) -> Rule:
    """`Unknown` when the rule names a host or an SR that is not there."""
    if rule.crash:
        host(engine, rule.crash, engine.coordinator)
    if rule.fill:
        find(engine, "SR", rule.fill)
    return rule


def strike(engine: Engine, rule: Rule, context: Context) -> None:
    """What the rule does to the pool; the call is cut off when its own host stops, refused when its session goes."""
    behaviours: Any = engine.behaviours
    if rule.fill:
        behaviours["SR"].fill(find(engine, "SR", rule.fill), rule.leave)
    if rule.crash:
        victim = host(engine, rule.crash, context.host)
        behaviours["host"].crash(victim)
        if victim == context.host:
            raise Disconnect(context.method)
    if rule.drop and engine.db.exists("session", context.session):
        engine.db.delete("session", context.session)
        raise Failure("SESSION_INVALID", context.session)


def crash(engine: Engine, name: str) -> None:
    """The machine stops without a word."""
    behaviours: Any = engine.behaviours
    behaviours["host"].crash(host(engine, name))


def boot(engine: Engine, name: str) -> None:
    """A machine that stopped comes back, its VMs do not."""
    behaviours: Any = engine.behaviours
    behaviours["host"].come_back(host(engine, name))


def cut(engine: Engine, name: str) -> None:
    """The host runs on, but nobody reaches it."""
    engine.set_down(host(engine, name), True)


def mend(engine: Engine, name: str) -> None:
    """The host is reached again."""
    engine.set_down(host(engine, name), False)


def fill(engine: Engine, name: str, leave: int = 0) -> None:
    """Only so many bytes are free in the SR from now on."""
    behaviours: Any = engine.behaviours
    behaviours["SR"].fill(find(engine, "SR", name), leave)


def drop_sessions(engine: Engine) -> None:
    """All sessions are gone, as after a long silence."""
    for ref in engine.db.refs("session"):
        engine.db.delete("session", ref)
