# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The disk that was at a device before a generated one. The new one names it until it is gone, so a killed run leaves none behind."""

from __future__ import annotations

from collections.abc import Callable

from ._device_job import Job
from ._lookup import Found, Record
from ._render_devices import REPLACES
from ._task import run_task


def replacing(former: Found | None) -> dict[str, str]:
    """The key of a disk that takes the place of another."""
    return {REPLACES: former[1]["uuid"]} if former else {}


def is_on_its_way(record: Record) -> bool:
    """Whether the run that made the disk did not come to its end."""
    return REPLACES in record["other_config"]


def settled(found: Found) -> Found:
    """A disk as it is when nothing of the one before it is left."""
    ref, record = found
    return ref, {**record, "other_config": {key: value for key, value in record["other_config"].items() if key != REPLACES}}


def add_settling(job: Job, found: Found) -> None:
    """Remove what was at the place of a disk before, when an interrupted run did not."""
    if is_on_its_way(found[1]):
        add_destroy_former(job, found)
        add_mark_of_place(job, lambda: found[0], found[1]["name_label"])


def add_destroy_former(job: Job, found: Found) -> None:
    """Remove the disk that this one replaced, unless somebody has attached it again."""
    if not is_on_its_way(found[1]):
        return
    for ref, record in job.view.load("VDI", {"uuid": found[1]["other_config"][REPLACES]}).items():
        if not record["VBDs"]:
            add_destroy(job, ref, record)


def add_mark_of_place(job: Job, disk: Callable[[], str], name: str) -> None:
    job.plan.add(f"mark disk {name!r} as being in its place", lambda: job.session.call("VDI.remove_from_other_config", disk(), REPLACES))


def add_destroy(job: Job, ref: str, record: Record) -> None:
    name = record["name_label"]
    job.plan.add(
        f"remove disk {name!r}",
        lambda: run_task(job.session, "VDI.destroy", ref, timeout=job.params["timeout"], what=f"disk {name!r} to be removed"),
    )
