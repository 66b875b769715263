# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""task: made by clients for HTTP transfers, cancelled, destroyed (facts 1.8)."""

from __future__ import annotations

import uuid

from ..engine import access
from ..engine.behaviour import Behaviour
from ..engine.failure import Failure, internal_error


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

    # Since 25 anybody may note something at his own tasks (X/xapi_task.ml assert_can_modify_other_config); before, the right to it was all.

    def _require_mine(self, ref: str) -> None:
        if self.engine.schema.level == "26":
            self._require_own(ref)

    def set_other_config(self, ref: str, value: dict[str, str]) -> None:
        self._require_mine(ref)
        self.db.set("task", ref, "other_config", value)

    def add_to_other_config(self, ref: str, key: str, value: str) -> None:
        self._require_mine(ref)
        if not key:
            raise internal_error("Db_exn.Empty_key_in_map")
        if key in self.row(ref)["other_config"]:
            raise Failure("MAP_DUPLICATE_KEY", "task", "other_config", ref, key)
        self.db.put("task", ref, "other_config", key, value)

    def remove_from_other_config(self, ref: str, key: str) -> None:
        self._require_mine(ref)
        self.db.drop("task", ref, "other_config", key)

    def _set(self, ref: str, field: str, value: object) -> None:
        self._require_own(ref)
        self.db.set("task", ref, field, value)
