# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The base of all behaviours: one subclass per XenAPI class, its methods named as the messages of the API.

A method takes what the message takes, without the session: plain values, references as text. It returns the result, or None for void.
It may be `async`; the database is only ever touched on the engine's thread, so code between two `await`s is atomic.
`from` and other Python keywords get an underscore: `from_`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from .context import CURRENT, Context
from .failure import NULL, Failure

if TYPE_CHECKING:
    from .core import Engine
    from .registry import Registry, Row

F = TypeVar("F", bound=Callable[..., Any])


def operation(name: str, before: str = "") -> Callable[[F], F]:
    """Mark a message that locks its object (its first parameter): it must be allowed, and is visible in current_operations.

    While another operation is in the way the call waits, as xapi's do (facts 3.1).
    `before` names a method of the behaviour that gets the call's arguments before the lock: what xapi refuses first.
    """

    def mark(method: F) -> F:
        method.operation = name  # type: ignore[attr-defined]
        method.before = before  # type: ignore[attr-defined]
        return method

    return mark


def unchecked(method: F) -> F:
    """Mark a message that does not look its object up first, and so refuses an unknown one in its own way."""
    method.unchecked = True  # type: ignore[attr-defined]
    return method


def locks_itself(method: F) -> F:
    """Mark a message whose body locks its objects, and passes the time of `latency` under those locks, so that other bodies can call it."""
    method.own_locks = True  # type: ignore[attr-defined]
    return method


class Behaviour:
    """What a class does beyond storing fields."""

    cls: ClassVar[str]
    # Whether allowed_operations is computed from `allowed`; a class that writes the field by itself says no.
    keeps_operations: ClassVar[bool] = True
    # Whether any change of an object has that computed anew; a class whose operations xapi writes at certain moments only says no.
    follows_changes: ClassVar[bool] = True

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.db: Registry = engine.db

    @property
    def context(self) -> Context:
        """The call being served."""
        return CURRENT.get()

    def loaded(self, extra: Mapping[str, Any]) -> None:
        """Called once when the world is loaded; `extra` is what its records cannot say."""

    def restarted(self) -> None:
        """Called when the toolstack was restarted: what it kept in memory is gone."""

    # Operations; the defaults fit a class that has none.

    def advertised(self, ref: str) -> Iterable[str]:
        """Names of the operations that allowed_operations may list for this object."""
        return ()

    def check(self, ref: str, op: str) -> None:
        """Raise the refusal xapi gives when `op` is not allowed on `ref` now."""

    def shows(self, ref: str, op: str) -> bool:
        """Whether `op` stands in current_operations while it runs."""
        return True

    def affected(self, ref: str) -> Iterable[tuple[str, str]]:
        """Other objects (class, reference) whose allowed operations depend on this one."""
        return ()

    def allowed(self, ref: str) -> list[str]:
        """allowed_operations of `ref`: the advertised ones that pass `check`."""
        result = []
        for name in self.advertised(ref):
            try:
                self.check(ref, name)
            except Failure:
                continue
            result.append(name)
        return result

    # Small help for all behaviours

    def row(self, ref: str) -> Row:
        return self.db.row(self.cls, ref)

    def other(self, cls: str) -> Any:
        """The behaviour of another class."""
        return self.engine.behaviours[cls]

    def existing(self, cls: str, ref: str) -> str:
        """`ref`, or HANDLE_INVALID when it is no object of the class."""
        self.db.row(cls, ref)
        return ref

    def is_set(self, cls: str, ref: str) -> bool:
        """Whether `ref` names a live object (not NULL, not dangling)."""
        return ref != NULL and self.db.exists(cls, ref)

    def busy_with(self, ref: str) -> list[str]:
        """Operations now running on `ref`."""
        return list(self.row(ref)["current_operations"].values())
