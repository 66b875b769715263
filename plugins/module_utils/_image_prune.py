# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Removing cached images that nothing shares blocks with any more (driver-operations §8.4). The planner of ``xen_image_cache``."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from ._errors import ApiError, XenError
from ._image_cache import BUSY, lock_name
from ._image_claim import is_uploading
from ._image_upload import CACHED_TIME, IMAGE_ID
from ._lock import locked_if_free
from ._lookup import Record, View
from ._plan import Plan, Values
from ._render_devices import CONTENT, UNFINISHED
from ._task import run_task
from ._vdi_find import sr_or_default

CACHE_OPTIONS: dict[str, dict[str, Any]] = {
    "sr": {"type": "str"},
    "all": {"type": "bool", "default": False},
    "keep_days": {"type": "int", "default": 0},
}
DAY = 24 * 60 * 60
PARENT = "vhd-parent"


class Pruning:
    """One run over the cached images of a storage repository."""

    def __init__(self, session: Any, params: dict[str, Any]) -> None:
        self.session, self.params = session, params
        self.view = View(session)
        self.sr_ref, self.sr = sr_or_default(session, self.view, params["sr"])
        self.now = time.time()

    def read(self) -> tuple[dict[str, Record], dict[str, Record]]:
        """The cached images, and everything on the repository by uuid (the hidden parents of chains included)."""
        records = self.view.load("VDI", {"SR": self.sr_ref})
        # A snapshot or copy of a cached image by somebody else is no cached image; its marks are only inherited.
        images = {ref: record for ref, record in records.items() if IMAGE_ID in record["other_config"] and not record["is_a_snapshot"]}
        return images, {record["uuid"]: record for record in records.values()}

    def state(self, record: Record, by_uuid: Mapping[str, Record], children: Counter[str]) -> str:
        """Why an image stays or goes."""
        if any(self.view.record("VBD", ref) for ref in record["VBDs"]):
            return "attached"
        if record["other_config"].get(CONTENT, "").startswith(UNFINISHED):
            return "uploading" if is_uploading(record, self.now - (_cached_time(record) or 0)) else "unfinished"
        if _is_shared(record, by_uuid, children):
            return "used"
        return "unused"

    def goes(self, record: Record, state: str) -> bool:
        if state in ("attached", "uploading"):
            return False
        if self.params["all"] or state == "unfinished":
            return True
        age = self.age_days(record)
        return state == "unused" and age is not None and age >= self.params["keep_days"]

    def age_days(self, record: Record) -> float | None:
        """Days since the image was cached; None when nothing says when."""
        cached = _cached_time(record)
        return None if cached is None else (self.now - cached) / DAY


def plan_prune(session: Any, params: dict[str, Any]) -> Plan:
    """Decide for each cached image; several of one image are several."""
    if params["keep_days"] < 0:
        raise XenError(f"keep_days must be 0 or more, not {params['keep_days']}")
    pruning = Pruning(session, params)
    images, by_uuid = pruning.read()
    children = Counter(record["sm_config"].get(PARENT, "") for record in by_uuid.values())
    states = {ref: pruning.state(record, by_uuid, children) for ref, record in images.items()}
    doomed = {ref: images[ref] for ref in sorted(images, key=lambda ref: str(images[ref]["uuid"])) if pruning.goes(images[ref], states[ref])}
    plan = Plan()
    pruned: list[str] = []
    for ref, record in doomed.items():
        plan.add(f"remove {record['name_label']!r}", _removal(pruning, plan, pruned, ref, record))
    left = {ref: record for ref, record in images.items() if ref not in doomed}
    plan.before, plan.after = {"images": _uuids(images)}, {"images": _uuids(left)}
    plan.result = {"pruned": _uuids(doomed), "images": _shown(left, states)}

    def read() -> Values:
        done = set(pruned)
        return {"pruned": sorted(done), "images": _shown({ref: record for ref, record in images.items() if record["uuid"] not in done}, states)}

    plan.read = read
    return plan


def _removal(pruning: Pruning, plan: Plan, pruned: list[str], ref: str, record: Record) -> Callable[[], None]:
    """An image that is in somebody's hands is left, and said so: the others go on."""
    name = record["name_label"]

    def remove() -> None:
        with locked_if_free(lock_name(pruning.sr, record["other_config"][IMAGE_ID])) as free:
            if not free:
                plan.warnings.append(f"{name!r} is being uploaded by another task; it was left")
                return
            try:
                run_task(pruning.session, "VDI.destroy", ref, timeout=float(pruning.params["timeout"]), what=f"{name!r} to be removed")
            except ApiError as error:
                if error.code == "HANDLE_INVALID":
                    pruned.append(record["uuid"])  # somebody else was faster
                elif error.code in BUSY:
                    plan.warnings.append(f"{name!r} could not be removed: {error}")
                else:
                    raise
            else:
                pruned.append(record["uuid"])

    return remove


def _is_shared(record: Record, by_uuid: Mapping[str, Record], children: Counter[str]) -> bool:
    """Whether other disks build on the same blocks: a long chain, or a parent with several children."""
    parent = by_uuid.get(record["sm_config"].get(PARENT, ""))
    if parent is None or parent is record:
        return False
    return bool(parent["sm_config"].get(PARENT)) or children[parent["uuid"]] > 1


def _cached_time(record: Record) -> int | None:
    text = record["other_config"].get(CACHED_TIME, "")
    try:
        return int(float(text))
    except (ValueError, OverflowError):
        return None


def _uuids(records: Mapping[str, Record]) -> list[str]:
    return sorted(record["uuid"] for record in records.values())


def _shown(records: Mapping[str, Record], states: Mapping[str, str]) -> list[Values]:
    shown = [
        {
            "uuid": record["uuid"],
            "name": record["name_label"],
            "image_id": record["other_config"][IMAGE_ID],
            "cached_time": _cached_time(record),
            "size": record["virtual_size"],
            "state": states[ref],
        }
        for ref, record in records.items()
    ]
    return sorted(shown, key=lambda item: (item["image_id"], item["uuid"]))
