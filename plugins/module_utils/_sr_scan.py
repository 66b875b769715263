# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Storage repositories scanned: what lies on the storage becomes known."""

from __future__ import annotations

from ._errors import ApiError, NotFound, XenError
from ._plan import Plan
from ._plug import wait_for_news
from ._render import sr
from ._sr_job import NOUN, SrJob, find_sr, read
from ._task import run_task

# The storage could not be scanned at this moment; again after as many seconds (driver-operations §5.6).
SCAN_FAILED = "SR_BACKEND_FAILURE_40"
PAUSES = (2.0, 4.0, 8.0)


class Refresh(Plan):
    """A plan whose steps only bring up to date what the pool knows: no change."""

    @property
    def changed(self) -> bool:
        return False


def plan_scanned(job: SrJob) -> None:
    found = find_sr(job)
    if found is None:
        raise NotFound(NOUN, job.params["name"] or job.params["uuid"], "see xen_sr_info for what there is")
    job.ref, record = found
    name = record["name_label"]
    if not any(pbd["currently_attached"] for pbd in job.connections(job.ref).values()):
        raise XenError(f"{NOUN} {name!r} is connected to no host and cannot be scanned; connect it by xen_sr with attached first")
    job.plan.add(f"scan {NOUN} {name!r}", lambda: _scan(job, name))
    volatile = {"size", "used", "free", "allocated", "vdi_count", "other_config"}
    job.plan.result = {"sr": {key: value for key, value in sr(record, job.view).items() if key not in volatile}}
    job.plan.read = lambda: read(job)


def _scan(job: SrJob, name: str) -> None:
    for pause in (*PAUSES, None):
        try:
            run_task(job.session, "SR.scan", job.ref, timeout=job.timeout, what=f"{NOUN} {name!r} to be scanned")
            return
        except ApiError as error:
            if error.code != SCAN_FAILED or pause is None:
                raise
        wait_for_news(job.session, [f"SR/{job.ref}"], pause)
