# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two controllers that need the same image: one uploads it to the cache, the other waits for it.

The half-made cached image is the claim: it says what it becomes and which process makes it, and the pool shows it to
everybody. Whoever finds one waits by events until it is complete or gone. A claim of a process that is known to be dead
counts for nothing; one whose process cannot be seen from here is removed once nothing has happened to it for a while,
unless the pool refuses that because it is being written.

The pool lets two claims be made at the same time. So each controller makes its claim and then looks for others: as with
VMs of one name (``_vm_rivals``), whoever sees another one gives way, and of two that see each other the one with the
lower uuid waits for the other to do so.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from ._errors import TimedOut, XenError
from ._image_upload import ImageJob
from ._lookup import Record
from ._render_devices import CONTENT
from ._run_id import machine, new_id, parse, state_of
from ._wait import Records, wait_until

# In other_config of a half-made cached image: the process that makes it, in the form of the id of a run.
UPLOADER = "xen_ansible:uploader"
# Seconds without any change after which a claim of another machine is taken for abandoned. Between two calls of a
# controller that is alive lies at most what it takes to answer one, and while bytes go the disk is in use.
IDLE = 60.0
# Seconds that another controller is given to see our claim and to take its own back.
PATIENCE = 5.0


class GiveWay(XenError):
    """Another controller uploads the image: our claim is taken back, and we wait for it."""


def claim_of(job: ImageJob) -> dict[str, str]:
    """What our half-made image says of us."""
    return {UPLOADER: new_id(job.image_id, os.getpid())}


def is_abandoned(record: Record) -> bool:
    """Whether a claim is known to be nobody's. The caller holds the lock of this machine, so one of this process is an earlier one."""
    uploader = parse(record["other_config"].get(UPLOADER, ""))
    if uploader is None:
        return True
    mine = uploader.machine == machine() and uploader.process == str(os.getpid())
    return mine or state_of(str(uploader), own="") == "dead"


def is_uploading(record: Record, seconds: float) -> bool:
    """Whether somebody seems to upload a half-made image that was begun so many seconds ago: its process is alive, or it is too early to tell."""
    uploader = parse(record["other_config"].get(UPLOADER, ""))
    if uploader is None:
        return False
    state = state_of(str(uploader), own="")
    return state == "alive" or (state == "unknown" and seconds < IDLE)


def give_way(job: ImageJob, own: Record, others: Records) -> None:
    """Raise ``GiveWay`` unless ours is the only claim, now or when the others have given way."""
    if others and all(own["uuid"] < other["uuid"] for other in others.values()):
        try:
            _wait(job, others, PATIENCE, lambda known: not known)
        except TimedOut:
            pass
        else:
            return
    if others:
        raise GiveWay(f"another controller uploads image {job.origin.name} at this moment; run the task again when it has")


def wait_for_others(job: ImageJob, others: Records, deadline: float) -> Records:
    """Wait until one of the claims is complete or gone. Returns those that nobody has touched for long instead."""
    left = deadline - time.monotonic()
    if left <= 0:
        what = f"another controller to upload image {job.origin.name}"
        raise TimedOut(what, job.timeout, "look at the tasks of the pool, or raise the time-out if it only needs longer")
    answers: list[Records] = []

    def settled(known: Records) -> bool:
        answers.append(dict(known))
        return len(known) < len(others) or any(record["other_config"].get(CONTENT) == job.fingerprint for record in known.values())

    try:
        _wait(job, others, min(IDLE, left), settled)
    except TimedOut:
        return {ref: record for ref, record in answers[-1].items() if left > IDLE and record == answers[0][ref]}
    return {}


def _wait(job: ImageJob, disks: Records, seconds: float, ready: Callable[[Records], bool]) -> None:
    wait_until(job.session, lambda _known: [f"VDI/{ref}" for ref in disks], ready, timeout=seconds, what="another controller")
