# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""task: made by clients for HTTP transfers, cancelled, destroyed (facts 1.8)."""

from __future__ import annotations

import uuid

from ..engine import access
from ..engine.behaviour import Behaviour


class Task(Behaviour):
    cls = "task"
    keeps_operations = False

    def create(self, label: str, description: str) -> str:
        context = self.context
        return self.engine.tasks.create(label, description=description, host=context.host, session=context.session)

    def _require_own(self, ref: str) -> None:
        """A task of the same user, or the right to deal with anybody's (X/taskHelper.ml assert_op_valid)."""
        sessions = self.db.tables["session"].rows
        owner, caller = sessions.get(self.row(ref)["session"]), sessions.get(self.context.session)
        if owner is None or caller is None or owner["auth_user_sid"] != caller["auth_user_sid"]:
            access.require(self.context.role, "task.destroy/any", "pool-operator")

    def destroy(self, ref: str) -> None:
        self._require_own(ref)
        self.engine.tasks.destroy(ref)

    def cancel(self, ref: str) -> None:
        """The mark names the task of this very call, which has none: a dummy, as xapi writes them."""
        self._require_own(ref)
        self.db.set("task", ref, "current_operations", {f"DummyRef:|{uuid.uuid4()}|task.cancel": "cancel"})
        self.engine.tasks.cancel(ref)

    def set_status(self, ref: str, value: str) -> None:
        self._set(ref, "status", value)

    def set_progress(self, ref: str, value: float) -> None:
        self._set(ref, "progress", value)

    def set_result(self, ref: str, value: str) -> None:
        self._set(ref, "result", value)

    def set_error_info(self, ref: str, value: list[str]) -> None:
        self._set(ref, "error_info", value)

    def set_resident_on(self, ref: str, value: str) -> None:
        self._set(ref, "resident_on", value)

    def _set(self, ref: str, field: str, value: object) -> None:
        self._require_own(ref)
        self.db.set("task", ref, field, value)
