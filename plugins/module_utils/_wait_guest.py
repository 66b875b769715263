# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting until a guest reports that it runs, or an address."""

from __future__ import annotations

from collections.abc import Callable

from ._errors import XenError
from ._guest import has_address, reported, tools_running
from ._lookup import Record, is_null
from ._task import Session
from ._wait import Records, wait_until

READY = {"tools": "the tools in the guest of VM {!r} to report", "address": "an address of VM {!r}"}


def readiness(kind: str, device: int | None = None, network: str | None = None) -> tuple[Callable[[Record | None], bool], str]:
    """Whether a guest is ready by its metrics, and what that is called. Device and network narrow which address is meant."""
    if kind == "tools":
        return tools_running, READY[kind]
    place = ("" if device is None else f" on interface {device}") + ("" if network is None else f" in {network}")
    return lambda metrics: has_address(metrics, device, network), f"{READY[kind]}{place}"


def wait_for_guest(session: Session, vm: str, name: str, ready_as: tuple[Callable[[Record | None], bool], str], timeout: float) -> None:
    """Until the guest is ready, in the sense of ``readiness``."""
    predicate, what = ready_as

    def metrics(records: Records) -> str:
        ref: str = records[vm]["guest_metrics"] if vm in records else ""
        return ref

    def subjects(records: Records) -> list[str]:
        known = metrics(records)
        return [f"VM/{vm}"] + ([] if is_null(known) else [f"VM_guest_metrics/{known}"])

    def ready(records: Records) -> bool:
        if vm in records and records[vm]["power_state"] == "Halted":
            raise XenError(f"VM {name!r} halted while it was waited for; look at its console")
        return predicate(records.get(metrics(records)))

    def hint(records: Records) -> str:
        return f"{reported(records.get(metrics(records)))}; look at its console, or raise the time-out if it only needs longer"

    wait_until(session, subjects, ready, timeout=timeout, what=what.format(name), hint=hint)
