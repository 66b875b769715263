# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The refusal that makes a call wait: another operation is running on the object (facts 3.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..engine.failure import Failure

if TYPE_CHECKING:
    from ..engine.core import Engine


def other_operation(engine: Engine, cls: str, ref: str, running: dict[str, str]) -> Failure:
    """`running` is current_operations: task → operation. Since xapi 25.27 the task comes along."""
    task, op = next(iter(running.items()))
    extra = [task] if engine.schema.level == "26" else []
    return Failure("OTHER_OPERATION_IN_PROGRESS", cls, ref, op, *extra)
