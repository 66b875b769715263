# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one exception by which xapi refuses, and the few refusals that every part of the engine needs."""

from __future__ import annotations

NULL = "OpaqueRef:NULL"
EPOCH = "19700101T00:00:00Z"


class Failure(Exception):
    """A refusal of xapi: `code` and its parameters, all of them text, exactly as they go over the wire."""

    def __init__(self, code: str, *params: str) -> None:
        super().__init__(code, *params)
        self.code = code
        self.params = list(params)

    @property
    def description(self) -> list[str]:
        return [self.code, *self.params]


class NotSimulated(Exception):
    """A declared message that this simulator has no behaviour for; it fails the test that caused it."""

    def __init__(self, method: str) -> None:
        super().__init__(f"{method} is declared by xapi, but this simulator has no behaviour for it")
        self.method = method


def handle_invalid(cls: str, ref: str) -> Failure:
    return Failure("HANDLE_INVALID", cls, ref)


def internal_error(text: str) -> Failure:
    return Failure("INTERNAL_ERROR", text)
