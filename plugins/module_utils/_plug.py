# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plugging and unplugging devices of a running VM, which the guest may delay or refuse (driver-operations §5.4)."""

from __future__ import annotations

from ._errors import ApiError
from ._task import Session, run_task

# What may pass by itself: a guest that starts loads its drivers, and one that is busy lets a disk go later.
WORTH_A_RETRY = {"plug": {"VM_MISSING_PV_DRIVERS"}, "unplug": {"DEVICE_DETACH_REJECTED", "INTERNAL_ERROR", "VM_MISSING_PV_DRIVERS"}}
# What says that it is done.
SETTLED = {"plug": "DEVICE_ALREADY_ATTACHED", "unplug": "DEVICE_ALREADY_DETACHED"}
MOMENT = 1.0


def hotplug(session: Session, xen_class: str, verb: str, ref: str, vm: str, *, timeout: float, retries: int, what: str) -> None:
    """Plug or unplug a VBD or VIF, again up to ``retries`` times while the guest refuses; done already is success."""
    for left in range(retries, -1, -1):
        try:
            run_task(session, f"{xen_class}.{verb}", ref, timeout=timeout, what=what)
            return
        except ApiError as error:
            if error.code == SETTLED[verb]:
                return
            if error.code not in WORTH_A_RETRY[verb] or not left:
                raise
        wait_for_news(session, [f"{xen_class}/{ref}", f"VM/{vm}"], MOMENT)


def wait_for_news(session: Session, objects: list[str], seconds: float) -> None:
    """Return when one of the objects changes, or after some seconds."""
    # The first answer comes at once and tells how things are; the second when they change.
    token = session.call("event.from", objects, "", 0.0)["token"]
    session.call("event.from", objects, token, float(seconds))
