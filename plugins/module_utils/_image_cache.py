# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images kept on a storage repository, so that a disk for a VM is only a clone (driver-operations §8.1).

A cached image is found by its name, and taken only when its fingerprint is that of the image: the fingerprint is
written last, and tells another version of the image under the same id. Forks that need the same image wait for the
first by a lock of their machine, other controllers by the claim that is its half-made image (``_image_claim``).
"""

from __future__ import annotations

import time
from contextlib import suppress

from ._errors import ApiError
from ._image_claim import GiveWay, claim_of, give_way, is_abandoned, wait_for_others
from ._image_clone import is_original, is_spare
from ._image_upload import LABEL, ImageJob, cache_keys, upload
from ._lock import locked
from ._lookup import Found, Record, View
from ._render_devices import CONTENT, UNFINISHED
from ._run import run_of
from ._task import run_task
from ._vdi_find import BY_NAME

# Somebody else has it in hands: another controller that uploads the same image.
BUSY = {"VDI_IN_USE", "OTHER_OPERATION_IN_PROGRESS", "HANDLE_INVALID"}


def find_cached(job: ImageJob) -> Found | None:
    """The image on the repository, complete and of this content. Of several any is right; the choice stays the same.

    On the way, clones of it that nobody took are found: they look the same but for a key.
    """
    found = _named(job, job.fingerprint)
    run_id = run_of(job.session)
    job.spares = [item for item in found if is_spare(item[1], run_id)]
    return next((item for item in found if is_original(item[1])), None)


def lock_name(sr: Record, image_id: str) -> str:
    return f"image {sr['uuid']} {image_id}"


def ensure_cached(job: ImageJob) -> None:
    """Upload the image unless another fork or controller has done so meanwhile; remove what an interrupted upload left."""
    what = f"another task to upload image {job.origin.name}"
    deadline = time.monotonic() + job.timeout
    with locked(lock_name(job.sr[1], job.image_id), timeout=job.timeout, what=what):
        while not _cached_now(job):
            others = _unfinished(job)
            if not others:
                with suppress(GiveWay):
                    _upload(job)
                    return
                continue
            for ref in wait_for_others(job, others, deadline):
                remove_leftover(job, ref)


def _cached_now(job: ImageJob) -> bool:
    """Look again, as it is a while since the task began."""
    job.view, job.named = View(job.session), None
    job.cached = find_cached(job)
    return job.cached is not None


def _unfinished(job: ImageJob) -> dict[str, Record]:
    """The claims of others on the image; what dead ones left is removed."""
    claims = dict(_named(job, f"{UNFINISHED} {job.fingerprint}"))
    abandoned = {ref for ref, record in claims.items() if is_abandoned(record)}
    for ref in abandoned:
        remove_leftover(job, ref)
    return {ref: record for ref, record in claims.items() if ref not in abandoned}


def _upload(job: ImageJob) -> None:
    def admit(ref: str) -> None:
        # Made in the meantime, or being made: our disk is the claim that others see, theirs may have been earlier.
        done = _cached_now(job)
        claims = dict(_named(job, f"{UNFINISHED} {job.fingerprint}"))
        own = claims.pop(ref, None)
        if done or own is None:
            raise GiveWay(f"image {job.origin.name} is in the hands of another controller; run the task again")
        give_way(job, own, {ref: record for ref, record in claims.items() if not is_abandoned(record)})

    job.look()
    ref = upload(job, LABEL.format(job.image_id), "root", cache_keys(job), claim=claim_of(job), admit=admit)
    job.cached = (ref, job.session.call("VDI.get_record", ref))


def _named(job: ImageJob, mark: str) -> list[Found]:
    found = [(ref, record) for ref, record in named(job, LABEL.format(job.image_id)).items() if record["other_config"].get(CONTENT) == mark]
    return sorted(found, key=lambda item: item[1]["uuid"])


def named(job: ImageJob, name: str) -> dict[str, Record]:
    """The disks of this name on the repository. Those that may be cached images are read along, by the same call."""
    names = [name, *([LABEL.format(job.image_id)] if job.params["cache"] else [])]
    if job.named is None or name not in job.named:
        job.named = {one: {} for one in names}
        for ref, record in job.view.load("VDI", {"name_label": names, "SR": job.sr[0], **BY_NAME}).items():
            job.named[record["name_label"]][ref] = record
    return job.named[name]


def remove_leftover(job: ImageJob, ref: str) -> None:
    """Remove an unfinished disk, unless it is being written at this moment."""
    with suppress_busy():
        run_task(job.session, "VDI.destroy", ref, timeout=job.timeout, what="an unfinished disk to be removed")


class suppress_busy(suppress):  # noqa: N801  # reads as a function
    """Goes on when the disk is in somebody's hands."""

    def __init__(self) -> None:
        super().__init__(ApiError)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        return isinstance(error, ApiError) and error.code in BUSY
