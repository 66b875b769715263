# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who called, through which host, under which task: what a behaviour may ask about the call it serves."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from .failure import NULL


@dataclass
class Context:
    method: str = ""
    session: str = NULL
    host: str = NULL  # the host whose server was asked
    task: str = NULL
    role: str = "pool-admin"
    headers: dict[str, str] = field(default_factory=dict)
    is_work: bool = False  # the body of an asynchronous call, whose caller has its answer already
    unheard: bool = False  # a fault rule ends the connection instead of answering


CURRENT: ContextVar[Context] = ContextVar("current_call")


@dataclass
class Call:
    """One entry of the call log."""

    number: int
    method: str
    params: list[Any]
    session: str
    host: str
    started: float
    writes: bool
    protocol: str = ""
    ended: float | None = None
    result: Any = None  # of a transfer: how many bytes went. Answers of calls are not kept: a pool of 10,000 VMs fills memory with them
    error: list[str] | None = None

    @property
    def outcome(self) -> str:
        return "running" if self.ended is None else "refused" if self.error else "ok"
