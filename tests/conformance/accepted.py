# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Steps that may differ, each with its name and its reason. Never a refusal that xapi gives and we do not."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Accepted:
    """A named difference: which steps of which recording, and why."""

    name: str
    recording: str
    steps: tuple[int, ...]
    reason: str


ACCEPTED: tuple[Accepted, ...] = (
    Accepted(
        "old_messages",
        "events",
        (12,),
        "The first event.from that asks for messages answers all that the recorded pool kept, most of them older than the start state.",
    ),
    Accepted(
        "delta_export",
        "http",
        (64,),
        "The recorded server could not compute differences because its tapdisk was replaced (recordings/README.md); here base= gives a delta.",
    ),
    Accepted(
        "processors_of_dom0",
        "rrds",
        (3, 4),
        "The hypervisor's stand-in told rrdd of four processors in a dom0 that has two in the pool's own records (recordings/README.md).",
    ),
)


def accepted(recording: str, step: int) -> Accepted | None:
    for entry in ACCEPTED:
        if entry.recording == recording and step in entry.steps:
            return entry
    return None
