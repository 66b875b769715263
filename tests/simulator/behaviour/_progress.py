# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The refusal that makes a call wait: another operation is running on the object (facts 3.1)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..engine.failure import Failure

if TYPE_CHECKING:
    from ..engine.core import Engine


def other_operation(engine: Engine, cls: str, ref: str, running: dict[str, str]) -> Failure:
    """`running` is current_operations: task → operation. Since xapi 25.27 the task comes along."""
    task, op = next(iter(running.items()))
    extra = [task] if engine.schema.level == "26" else []
    return Failure("OTHER_OPERATION_IN_PROGRESS", cls, ref, op, *extra)


def other_operation_on(engine: Engine, cls: str, ref: str, running: dict[str, str]) -> Failure:
    """The same from checks that did not say which operation it was before 25.27: those of VDI, VM_appliance and pool."""
    if engine.schema.level == "26":
        return other_operation(engine, cls, ref, running)
    return Failure("OTHER_OPERATION_IN_PROGRESS", cls, ref)


def other_operations(engine: Engine, cls: str, ref: str, running: dict[str, str]) -> Failure:
    """The same for devices that name all of them (X/xapi_vif_helpers.ml, X/xapi_vusb_helpers.ml)."""
    if engine.schema.level == "26":
        return Failure("OTHER_OPERATION_IN_PROGRESS", cls, ref, _listed(running.values()), _listed(running))
    return other_operation(engine, cls, ref, running)


def _listed(texts: Iterable[str]) -> str:
    return "{" + "; ".join(texts) + "}"
