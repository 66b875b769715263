# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls that the coordinator hands to the host they are about (X/message_forwarding.ml)."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from ..engine.behaviour import unchecked
from ..engine.failure import Failure

F = TypeVar("F", bound=Callable[..., Any])


def at_host(method: F) -> F:
    """Mark a message that is forwarded before anything looks at the host: an unknown one is as good as an offline one."""

    @functools.wraps(method)
    def forwarded(self: Any, host: str, *arguments: Any) -> Any:
        if not self.db.exists("host", host):
            raise Failure("HOST_OFFLINE", host)
        self.reach(host)
        return method(self, host, *arguments)

    return unchecked(forwarded)  # type: ignore[return-value]
