# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The disk that was at a device before one from an image. The new one names it until it is gone, as in ``_disk_former``."""

from __future__ import annotations

from ._image_absent import is_unfinished, plan_destroy
from ._image_cache import named
from ._image_place import Target
from ._image_upload import ImageJob
from ._lookup import Found, Record
from ._render_devices import CONTENT, REPLACES, UNFINISHED


def add_note(job: ImageJob, target: Target, former: Found | None) -> None:
    """Before anything is detached: what is replaced. What an earlier run made for the same place, and never put there, goes."""
    if former is None or is_unfinished(former[1]):
        return
    uuid = former[1]["uuid"]
    if target.vm is not None:
        for ref, record in named(job, target.name).items():
            keys = record["other_config"]
            of_ours = keys.get(REPLACES) == uuid or keys.get(CONTENT) == f"{UNFINISHED} {job.fingerprint}"
            if of_ours and not record["VBDs"] and ref != former[0]:
                plan_destroy(job, ref, record)
    job.plan.add(f"note what disk {target.name!r} replaces", lambda: job.session.call("VDI.add_to_other_config", job.ref, REPLACES, uuid), lambda: None)


def add_removal(job: ImageJob, target: Target, former: Found | None) -> None:
    """When the new disk is in its place."""
    if former is None:
        return
    plan_destroy(job, *former)
    if not is_unfinished(former[1]):
        _add_drop(job, target.name)


def settle(job: ImageJob, record: Record) -> bool:
    """Of a disk that is right: remove what it replaced when an interrupted run did not. Whether there was something to do."""
    uuid = record["other_config"].get(REPLACES)
    if uuid is None:
        return False
    for ref, former in job.view.load("VDI", {"uuid": uuid}).items():
        if not former["VBDs"]:
            plan_destroy(job, ref, former)
    _add_drop(job, record["name_label"])
    return True


def _add_drop(job: ImageJob, name: str) -> None:
    job.plan.add(f"mark disk {name!r} as being in its place", lambda: job.session.call("VDI.remove_from_other_config", job.ref, REPLACES))
