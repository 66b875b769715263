# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting until objects of the pool are as they should be: by events, with a deadline, without polling.

::

    wait_until(session, lambda records: [f"VBD/{vbd}"], lambda records: records[vbd]["currently_attached"], timeout=30, what="the disk")
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from ._errors import TimedOut, XenError
from ._guest import has_address, reported, tools_running
from ._lookup import Record, is_null
from ._task import LONGEST_WAIT, Session

Records = dict[str, Record]
READY = {"tools": "the tools in the guest of VM {!r} to report", "address": "an address of VM {!r}"}


def wait_until(
    session: Session,
    subjects: Callable[[Records], Iterable[str]],
    ready: Callable[[Records], bool],
    *,
    timeout: float,
    what: str,
    hint: Callable[[Records], str] = lambda _records: "",
) -> None:
    """Follow the objects that ``subjects`` names (``class/reference``) until ``ready`` is true of their records.

    Both are given what is known so far, by reference, so that one object can lead to the next; so is ``hint``, which says
    at the end of the time how things are and what to do.
    """
    deadline = time.monotonic() + timeout
    longest = min(LONGEST_WAIT, session.http.request_timeout / 2)
    records: Records = {}
    followed: list[str] = []
    token = ""
    while True:
        wanted = sorted(subjects(records))
        if wanted != followed:  # A new subscription first reports everything as it is.
            followed, token = wanted, ""
        left = deadline - time.monotonic()
        answer = session.call("event.from", followed, token, float(min(max(left, 0.0), longest)))
        token = answer["token"]
        for event in answer["events"]:
            if event["operation"] == "del":
                records.pop(event["ref"], None)
            else:
                records[event["ref"]] = event["snapshot"]
        if ready(records):
            return
        if left <= 0:
            raise TimedOut(what, timeout, hint(records))


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
