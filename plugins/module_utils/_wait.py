# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting until objects of the pool are as they should be: by events, with a deadline, without polling.

::

    wait_until(session, lambda records: [f"VBD/{vbd}"], lambda records: records[vbd]["currently_attached"], timeout=30, what="the disk")
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from ._errors import TimedOut
from ._lookup import Record
from ._task import LONGEST_WAIT, Session

Records = dict[str, Record]


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
