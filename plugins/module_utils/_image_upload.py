# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images into disks: made, written, and marked as complete in the end; whatever fails on the way leaves nothing behind."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ._codec import format_bytes
from ._errors import XenError
from ._image_bytes import Origin
from ._image_types import image_type
from ._image_url import identity
from ._lookup import NULL, Found, Record, View
from ._plan import Plan
from ._render_devices import CONTENT, DISK_TYPE, UNFINISHED
from ._run import CACHED, CACHED_BY, marked, run_of
from ._storage_full import explained
from ._task import run_task

if TYPE_CHECKING:
    from ._image_extents import Image

# Marks of the old driver on a cached image (driver-operations §2), and its label.
IMAGE_ID, CACHED_TIME = "image-id", "cached-time"
LABEL = "Glance Image {}"
PROPERTY = "image_property:"
BLANK: Record = {"type": "user", "sharable": False, "read_only": False, "xenstore_data": {}, "sm_config": {}, "tags": []}


@dataclass
class ImageJob:
    """One disk on its way from an image. ``ref`` is the disk once it exists, ``image`` what its beginning told."""

    session: Any
    params: dict[str, Any]
    view: View
    origin: Origin
    plan: Plan = field(default_factory=Plan)
    sr: Found = ("", {})
    ref: str = ""
    cached: Found | None = None
    spares: list[Found] = field(default_factory=list)
    named: dict[str, dict[str, Record]] | None = None
    vbd: str = NULL
    transfer: dict[str, Any] | None = None
    image: Image | None = None
    _identity: str = ""

    @property
    def timeout(self) -> float:
        return float(self.params["timeout"])

    @property
    def fingerprint(self) -> str:
        """What a disk with this content is marked with. Another format makes another disk of the same file."""
        if not self._identity:
            self._identity = identity(self.origin)
        chosen = self.params["format"]
        return f"image {self._identity}" + (f" as {chosen}" if chosen != "auto" else "")

    @property
    def image_id(self) -> str:
        return str(self.params["image_id"] or self.fingerprint.removeprefix("image "))

    @property
    def disk_type(self) -> str:
        """The role of the disk; nova's texts (driver-operations §3.4)."""
        kind = image_type(self.image.format) if self.image else None
        return str(self.params["disk_type"] or (kind.role if kind else "root"))

    @property
    def properties(self) -> dict[str, str]:
        return {f"{PROPERTY}{key}": str(value) for key, value in (self.params["properties"] or {}).items()}

    def look(self) -> Image:
        """Refuse what is no image before anything is made, and know its size when its beginning tells."""
        if self.image is None:
            # The formats of images are compiled only where an image is read: most disks are made of the cached one.
            from ._image_source import opened

            with opened(self.origin, self.params["format"], look=True, timeout=self.timeout) as image:
                self.image = image
        return self.image


def refuse_smaller(job: ImageJob, size: int | None, wanted: int | None) -> None:
    """Refuse an image that does not fit on the disk that is asked for."""
    if size is not None and wanted is not None and size > wanted:
        raise XenError(
            f"image {job.origin.shown} holds a disk of {format_bytes(size)}, which does not fit into size {format_bytes(wanted)}; give a larger size"
        )


def upload(
    job: ImageJob,
    name: str,
    description: str,
    keys: Mapping[str, str],
    least: int | None = None,
    claim: Mapping[str, str] | None = None,
    admit: Callable[[str], None] | None = None,
) -> str:
    """Make a disk with the content of the image; its fingerprint is written last. Returns the reference.

    Until then it has the keys of ``claim`` as well. ``admit`` is given the empty disk and may raise, so that it goes again.
    """
    from ._disk_extents import import_extents
    from ._image_source import opened

    with opened(job.origin, job.params["format"], timeout=job.timeout) as image:
        job.image = image
        if image.size is None:
            raise XenError("the image does not say how large it is; unpack it first")
        refuse_smaller(job, image.size, least)
        size = max(image.size + -image.size % 512, least or 0)
        ref = create(job, name, description, size, {**keys, **(claim or {})})
        try:
            if admit:
                admit(ref)
            disk: Record = job.session.call("VDI.get_record", ref)
            with explained(job.session, job.sr[0], f"image {job.origin.shown}", disk["virtual_size"]):
                done = import_extents(job.session, ref, image.extents(), disk["virtual_size"], label=f"image {job.origin.name}", timeout=job.timeout)
            # In the same call as the rest: a cached image without its own uuid would not be found when its run is taken back.
            original = {CACHED: disk["uuid"]} if IMAGE_ID in keys else {}
            finish(job, ref, {**keys, **original, DISK_TYPE: job.disk_type})
        except BaseException:
            with suppress(XenError):
                run_task(job.session, "VDI.destroy", ref, timeout=job.timeout, what=f"the unfinished disk {name!r} to be removed")
            raise
    job.transfer = {"bytes_sent": done.bytes_sent, "bytes_total": image.size, "seconds": round(done.seconds, 3)}
    return ref


def create(job: ImageJob, name: str, description: str, size: int, keys: Mapping[str, str]) -> str:
    """An empty disk that says itself that it is unfinished."""
    record = {
        "name_label": name,
        "name_description": description,
        "SR": job.sr[0],
        "virtual_size": size,
        **BLANK,
        "other_config": {**keys, CONTENT: f"{UNFINISHED} {job.fingerprint}"},
    }
    return str(run_task(job.session, "VDI.create", record, timeout=job.timeout, what=f"disk {name!r} to be created"))


def finish(job: ImageJob, ref: str, keys: Mapping[str, str]) -> None:
    """The keys of a complete disk, all at once."""
    # A cached image is nobody's, and its clones would inherit the mark of the run.
    run_id = None if IMAGE_ID in keys else run_of(job.session)
    job.session.call("VDI.set_other_config", ref, {**marked(keys, run_id), CONTENT: job.fingerprint})


def cache_keys(job: ImageJob) -> dict[str, str]:
    """What a cached image is marked with beside its fingerprint."""
    run_id = run_of(job.session)
    by = {CACHED_BY: run_id} if run_id else {}
    return {**job.properties, **by, DISK_TYPE: job.disk_type, IMAGE_ID: job.image_id, CACHED_TIME: str(int(time.time()))}
