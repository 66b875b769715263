# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that are fields of a record, for classes that need more than an ``Entity``: what differs, what is fixed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

from ._codec import Codec
from ._errors import XenError
from ._lookup import Record


class Setting(Protocol):
    """What is needed of a ``Field`` of an entity."""

    @property
    def option(self) -> str: ...
    @property
    def field(self) -> str: ...
    @property
    def codec(self) -> Codec: ...
    @property
    def initial(self) -> Any: ...
    @property
    def immutable(self) -> bool: ...
    @property
    def spec(self) -> Mapping[str, Any]: ...
    def wire(self, session: Any, value: Any, current: Any = None) -> Any: ...


def spec_of(settings: Iterable[Setting]) -> dict[str, dict[str, Any]]:
    """The argument spec of the settings."""
    return {item.option: {**item.codec.option, **item.spec} for item in settings}


def first_values(settings: Iterable[Setting], session: Any, params: Mapping[str, Any]) -> Record:
    """The fields of a new object."""
    return {item.field: item.initial if params[item.option] is None else item.wire(session, params[item.option]) for item in settings}


def changes(settings: Iterable[Setting], session: Any, params: Mapping[str, Any], record: Record) -> Iterator[tuple[Setting, Any]]:
    """The settings whose option is given and means something else than the record, with the wanted wire value."""
    for item in settings:
        if params[item.option] is not None:
            wanted = item.wire(session, params[item.option], record[item.field])
            if item.codec.differs(record[item.field], wanted):
                yield item, wanted


def refuse_immutable(item: Setting, what: str, params: Mapping[str, Any], record: Record) -> None:
    """Refuse to change what can be said only at creation; ``what`` is as ``disk 'data'``."""
    if item.immutable:
        current, wanted = item.codec.decode(record[item.field]), params[item.option]
        remedy = f"leave {item.option} out, or remove it and create it again"
        raise XenError(f"{item.option} of {what} is {current!r} and cannot become {wanted!r} after creation; {remedy}")
