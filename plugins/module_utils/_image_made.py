# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the content of an image comes onto a new disk: cloned or copied from the cached image, or written directly."""

from __future__ import annotations

from collections.abc import Mapping

from ._codec import format_bytes
from ._errors import XenError
from ._image_cache import ensure_cached, remove_leftover
from ._image_clone import clone
from ._image_place import Target
from ._image_upload import CACHED_TIME, IMAGE_ID, ImageJob, create, finish, upload
from ._lookup import NULL, Found
from ._render_devices import CONTENT, DISK_TYPE, OWNER, REPLACES
from ._run import CACHED, CACHED_BY
from ._storage_full import explained
from ._task import run_task


def keys_of(job: ImageJob, current: Mapping[str, str]) -> dict[str, str]:
    """The keys of the disk: what it has, but for the marks of a cached image, and what is asked for."""
    params = job.params
    asked = {DISK_TYPE: params["disk_type"], OWNER: params["owner"], **job.properties}
    kept = {key: value for key, value in current.items() if key not in (IMAGE_ID, CACHED_TIME, CACHED, CACHED_BY, REPLACES)}
    return {**kept, **{key: value for key, value in asked.items() if value is not None}}


def plan_from_cache(job: ImageJob, target: Target) -> dict[str, str]:
    """Upload the image to the cache when it is not there, then clone or copy it. A cached image stays when a later step fails."""
    where = f"storage repository {job.sr[1]['name_label']!r}"
    if job.cached is None:
        job.plan.add(f"upload image {job.origin.name!r} to the cache on {where}", lambda: ensure_cached(job))
    verb = _copy if job.params["full_copy"] else _clone
    job.plan.add(f"make disk {target.name!r} of the cached image", lambda: verb(job, target), lambda: job.session.call("VDI.destroy", job.ref))
    if target.size is not None and (job.cached is None or job.cached[1]["virtual_size"] < target.size):
        plan_growth(job, target.name, target.size)
    return keys_of(job, job.cached[1]["other_config"] if job.cached else {**job.properties, DISK_TYPE: job.disk_type})


def _clone(job: ImageJob, target: Target) -> None:
    source, record = _cached(job)
    keys = keys_of(job, record["other_config"])
    try:
        clone(job, (source, record), target.name, keys)
        finish(job, job.ref, keys)
    except BaseException:
        if job.ref:
            remove_leftover(job, job.ref)
        raise


def _copy(job: ImageJob, target: Target) -> None:
    """Into a disk that says it is unfinished: a copy made by xapi looks like its source before it is complete."""
    source, record = _cached(job)
    keys = keys_of(job, record["other_config"])
    job.ref = create(job, target.name, keys.get(DISK_TYPE, ""), record["virtual_size"], {key: value for key, value in keys.items() if key != CONTENT})
    try:
        with explained(job.session, job.sr[0], f"disk {target.name!r}", record["virtual_size"]):
            run_task(job.session, "VDI.copy", source, NULL, NULL, job.ref, timeout=job.timeout, what=f"a copy of image {job.origin.name}")
    except BaseException:
        remove_leftover(job, job.ref)
        raise
    finish(job, job.ref, keys)


def _cached(job: ImageJob) -> Found:
    if job.cached is None:
        raise XenError("the cached image is gone; run the task again")
    return job.cached


def plan_upload(job: ImageJob, target: Target) -> dict[str, str]:
    keys = {**keys_of(job, {}), DISK_TYPE: job.disk_type}

    def write() -> None:
        job.ref = upload(job, target.name, job.disk_type, keys, target.size)

    job.plan.add(f"write image {job.origin.name!r} to disk {target.name!r}", write, lambda: job.session.call("VDI.destroy", job.ref))
    return keys


def plan_growth(job: ImageJob, name: str, size: int) -> None:
    def grow() -> None:
        # A disk that was written directly has its size; a clone has that of the image.
        current = job.cached[1]["virtual_size"] if job.cached else job.session.call("VDI.get_virtual_size", job.ref)
        if current < size:
            job.session.call("VDI.resize", job.ref, size)

    job.plan.add(f"grow disk {name!r} to {format_bytes(size)}", grow)
