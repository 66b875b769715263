# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Network volumes whose storage has died: a VM that has one does not start."""

from __future__ import annotations

from ._errors import ApiError
from ._lookup import Record, View, is_null, records_by_ref
from ._render_devices import VOLUME
from ._task import Session, run_task

# What starting a VM with a dead volume fails with, and what scanning its repository does (driver-operations §4, §11.7).
DEAD_VOLUME = "SR_BACKEND_FAILURE_46"
DEAD_REPOSITORY = "SR_BACKEND_FAILURE_40"


def detach_bad_volumes(session: Session, vm: str, timeout: float) -> list[str]:
    """Take the volumes that cannot be reached off the halted VM, and return their device numbers."""
    detached = []
    view = View(session)
    for ref, drive in records_by_ref(session, "VBD", {"VM": vm}).items():
        if VOLUME in drive["other_config"] and not is_null(drive["VDI"]) and not _reachable(session, view, drive, timeout):
            session.call("VBD.destroy", ref)
            detached.append(drive["userdevice"])
    return sorted(detached)


def _reachable(session: Session, view: View, drive: Record, timeout: float) -> bool:
    """Whether the repository of the volume can be scanned; a dead one takes xapi about two minutes to say no."""
    disk = view.record("VDI", drive["VDI"])
    if disk is None:
        return False
    try:
        run_task(session, "SR.scan", disk["SR"], timeout=timeout, what=f"the repository of device {drive['userdevice']} to answer")
    except ApiError as error:
        if error.code == DEAD_REPOSITORY:
            return False
        raise
    return True
