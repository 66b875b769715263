# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clones of a cached image, of which none is lost and none is taken twice.

A clone looks like its source at first: it has its name and its keys, and its maker may be killed before it gives it
others. So a cached image carries its own uuid as a key, which a clone inherits and does not have. Whoever finds a clone
that nobody has claimed may claim it, for itself or to remove it: adding a key that is there already is refused, so one
of several wins. A maker who loses its clone to another makes another one.
"""

from __future__ import annotations

import secrets
from contextlib import suppress
from typing import Any

from ._errors import ApiError, XenError
from ._image_upload import IMAGE_ID, ImageJob
from ._lookup import Found, Record
from ._render_devices import DISK_TYPE
from ._run import CACHED, RUN, run_of
from ._run_id import subject_of

ATTEMPTS = 5
TAKEN = {"MAP_DUPLICATE_KEY", "HANDLE_INVALID"}


def is_original(record: Record) -> bool:
    """Whether this is the cached image itself. One that was cached without the key, by the old driver, counts as such."""
    keys = record["other_config"]
    return IMAGE_ID in keys and keys.get(CACHED, record["uuid"]) == record["uuid"]


def is_spare(record: Record, run_id: str | None) -> bool:
    """Whether this is a clone that its maker lost: claimed by nobody, or by an earlier run that built the same as this one."""
    if is_original(record) or record["VBDs"]:
        return False
    claim = record["other_config"].get(RUN)
    subject = subject_of(run_id)
    return claim is None or (claim != run_id and subject is not None and subject_of(claim) == subject)


def clone(job: ImageJob, source: Found, name: str, keys: dict[str, str]) -> None:
    """A clone of our own; ``job.ref`` is it, also when this fails later. It has its name, and the keys are the caller's to set."""
    claim = run_of(job.session) or f"once-{secrets.token_hex(8)}"
    mark_original(job, source)
    for _attempt in range(ATTEMPTS):
        spare = _spare(job)
        # Cloning is a call and no task: it only adds to a chain, whatever the size.
        ref = spare or str(job.session.call("VDI.clone", source[0], {}))
        job.ref = "" if spare else ref  # A spare may turn out to be somebody's.
        try:
            job.session.call("VDI.add_to_other_config", ref, RUN, claim)
            if spare and not _is_unused(job, ref):
                continue
        except ApiError as error:
            if error.code not in TAKEN:
                raise
            job.ref = ""
            continue
        job.ref = ref
        job.session.call("VDI.set_name_label", ref, name)
        if source[1]["name_description"] != keys.get(DISK_TYPE, ""):
            job.session.call("VDI.set_name_description", ref, keys.get(DISK_TYPE, ""))
        return
    raise XenError(f"other runs took every clone of image {job.origin.name} that this one made; run the task again")


def _spare(job: ImageJob) -> str:
    """A clone that lies there already and that nobody has claimed; empty when there is none."""
    while job.spares:
        ref, record = job.spares.pop()
        if RUN not in record["other_config"]:
            return ref
        with suppress(ApiError):  # Another run of the same subject is dead, or it would hold the lock of the subject.
            job.session.call("VDI.remove_from_other_config", ref, RUN)
            return ref
    return ""


def _is_unused(job: ImageJob, ref: str) -> bool:
    """Whether a clone that was claimed had no owner. One outside of a run lets go when it is done, and then its disk is no longer marked as an image."""
    unused = False
    try:
        unused = IMAGE_ID in job.session.call("VDI.get_other_config", ref)
    finally:
        if not unused:
            job.session.call("VDI.remove_from_other_config", ref, RUN)
    return unused


def mark_original(job: ImageJob, source: Found) -> None:
    """Once for each image: those of the old driver do not have the key yet."""
    ref, record = source
    if CACHED in record["other_config"]:
        return
    with suppress_duplicate():
        job.session.call("VDI.add_to_other_config", ref, CACHED, record["uuid"])
    record["other_config"] = {**record["other_config"], CACHED: record["uuid"]}


class suppress_duplicate(suppress):  # noqa: N801  # reads as a function
    """Goes on when somebody else added the key at the same time."""

    def __init__(self) -> None:
        super().__init__(ApiError)

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> bool:
        return isinstance(error, ApiError) and error.code == "MAP_DUPLICATE_KEY"
