# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From one power state to another: which acts lead there, and how each is carried out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ._bad_volumes import DEAD_VOLUME, detach_bad_volumes
from ._errors import ApiError, TimedOut, XenError
from ._lookup import Record
from ._plan import Plan
from ._task import Session, run_task
from ._vm import word

# (what it is, what it shall be) → the acts between. A guest that has to be asked must run first.
TRANSITIONS = {
    ("Halted", "running"): ("start",),
    ("Paused", "running"): ("unpause",),
    ("Suspended", "running"): ("resume",),
    ("Running", "halted"): ("shut_down",),
    ("Paused", "halted"): ("unpause", "shut_down"),
    ("Suspended", "halted"): ("resume", "shut_down"),
    ("Running", "suspended"): ("suspend",),
    ("Paused", "suspended"): ("unpause", "suspend"),
    ("Running", "paused"): ("pause",),
    ("Halted", "paused"): ("start_paused",),
    ("Suspended", "paused"): ("resume_paused",),
    ("Halted", "rebooted"): ("start",),
    ("Running", "rebooted"): ("reboot",),
    ("Paused", "rebooted"): ("unpause", "reboot"),
    ("Suspended", "rebooted"): ("resume", "reboot"),
}
# With force, where it makes a difference: nobody asks the guest.
FORCED = {
    ("Running", "halted"): ("power_off",),
    ("Paused", "halted"): ("power_off",),
    ("Suspended", "halted"): ("power_off",),
    ("Running", "rebooted"): ("reset",),
    ("Paused", "rebooted"): ("reset",),
    ("Suspended", "rebooted"): ("resume", "reset"),
}
STARTS = {"start", "start_paused"}
# Acts after which the VM has another domain.
NEW_DOMAIN = {*STARTS, "resume", "resume_paused", "reboot", "reset"}
SUMMARIES = {
    "start": "start it",
    "start_paused": "start it paused",
    "unpause": "let it go on",
    "resume": "resume it",
    "resume_paused": "resume it paused",
    "shut_down": "shut it down",
    "power_off": "power it off",
    "suspend": "suspend it",
    "pause": "pause it",
    "reboot": "reboot it",
    "reset": "reset it",
}
SIMPLE = {
    "unpause": "VM.unpause",
    "power_off": "VM.hard_shutdown",
    "suspend": "VM.suspend",
    "pause": "VM.pause",
    "reset": "VM.hard_reboot",
}
HARD = {"VM.clean_shutdown": "VM.hard_shutdown", "VM.clean_reboot": "VM.hard_reboot"}
# What a wait for a call is a wait for, and how what the guest did not do is called.
AWAITED = {
    "VM.start": "start",
    "VM.start_on": "start",
    "VM.resume": "resume",
    "VM.resume_on": "resume",
    "VM.unpause": "go on",
    "VM.pause": "pause",
    "VM.suspend": "be suspended",
    "VM.clean_shutdown": "shut down",
    "VM.hard_shutdown": "be powered off",
    "VM.clean_reboot": "reboot",
    "VM.hard_reboot": "be reset",
}
DONE_HARD = {"VM.clean_shutdown": "was not shut down by its guest and was powered off", "VM.clean_reboot": "was not rebooted by its guest and was reset"}
# Refusals that the hard variant would meet as well.
ALSO_WHEN_HARD = {"OPERATION_BLOCKED", "VM_BAD_POWER_STATE", "HANDLE_INVALID", "RBAC_PERMISSION_DENIED"}


def acts(current: str, wanted: str, *, force: bool) -> tuple[str, ...]:
    """The acts from a power state to what is wanted; none when it is so already."""
    if word(current) == wanted:
        return ()
    found = (TRANSITIONS | FORCED if force else TRANSITIONS).get((current, wanted))
    if found is None:
        raise XenError(f"a {word(current)} VM cannot become {wanted}; bring it to running first")
    return found


@dataclass
class Acts:
    """How the acts are carried out on one VM. A hard way taken instead of a clean one ends up among the warnings."""

    session: Session
    ref: str
    record: Record
    params: dict[str, Any]
    host: str | None
    plan: Plan

    def step(self, act: str) -> Callable[[], Any]:
        """What the step of this act calls."""
        special = {
            "start": lambda: self._start(paused=False),
            "start_paused": lambda: self._start(paused=True),
            "resume": lambda: self._resume(paused=False),
            "resume_paused": lambda: self._resume(paused=True),
            "shut_down": self._shut_down,
            "reboot": self._reboot,
        }
        return special.get(act) or (lambda: self._run(SIMPLE[act]))

    def _run(self, method: str, *arguments: Any, timeout: float | None = None) -> None:
        what = f"VM {self.record['name_label']!r} to {AWAITED[method]}"
        run_task(self.session, method, self.ref, *arguments, timeout=timeout or self.params["timeout"], what=what)

    def _start(self, *, paused: bool) -> None:
        method, *where = ("VM.start_on", self.host) if self.host else ("VM.start",)
        try:
            self._run(method, *where, paused, False)
        except ApiError as error:
            if error.code != DEAD_VOLUME or not self.params["detach_bad_volumes"]:
                raise
            gone = detach_bad_volumes(self.session, self.ref, self.params["timeout"])
            self.plan.warnings.append(f"volumes of {self.record['name_label']!r} that cannot be reached were detached: devices {', '.join(gone)}")
            self._run(method, *where, paused, False)

    def _resume(self, *, paused: bool) -> None:
        method, *where = ("VM.resume_on", self.host) if self.host else ("VM.resume",)
        self._run(method, *where, paused, True)

    def _shut_down(self) -> None:
        try:
            self._clean_then_hard("VM.clean_shutdown")
        except ApiError as error:
            if not _is_halted(error):  # The guest was quicker.
                raise

    def _reboot(self) -> None:
        try:
            self._clean_then_hard("VM.clean_reboot")
        except ApiError as error:
            # It has gone off meanwhile, or a dead volume kept it from coming back.
            if not _is_halted(error) and not (error.code == DEAD_VOLUME and self.params["detach_bad_volumes"]):
                raise
            self._start(paused=False)

    def _clean_then_hard(self, method: str) -> None:
        """Ask the guest; with ``shutdown_timeout``, no longer than that and then without asking."""
        patience = self.params["shutdown_timeout"]
        try:
            self._run(method, timeout=patience)
        except (ApiError, TimedOut) as error:
            if patience is None or getattr(error, "code", "") in {*ALSO_WHEN_HARD, DEAD_VOLUME}:
                raise
            self._run(HARD[method])
            self.plan.warnings.append(f"VM {self.record['name_label']!r} {DONE_HARD[method]}: {error}")


def _is_halted(error: ApiError) -> bool:
    return error.code == "VM_BAD_POWER_STATE" and error.arguments[-1].lower() == "halted"
