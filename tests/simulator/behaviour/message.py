# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""message: alerts, which xapi keeps as files beside its database (facts 3.10)."""

from __future__ import annotations

from typing import Any

from ..engine.behaviour import Behaviour
from ..engine.failure import Failure
from ..engine.query import compiled

# The kinds of object that an alert can be about, where the name differs from the class.
CLASSES = {"Host": "host", "Pool": "pool"}
MOST = 10000  # xapi_globs.ml message_limit


class Message(Behaviour):
    cls = "message"

    def post(self, name: str, priority: int, cls: str, obj_uuid: str, body: str) -> str:
        """An alert of xapi's own."""
        values = {"name": name, "priority": priority, "cls": cls, "obj_uuid": obj_uuid, "body": body}
        ref = self.db.create("message", {**values, "timestamp": self.engine.clock.now()})
        self._reap()
        return ref

    def create(self, name: str, priority: int, cls: str, obj_uuid: str, body: str) -> str:
        self._require(cls, obj_uuid)
        return self.post(name, priority, cls, obj_uuid, body)

    def _require(self, cls: str, obj_uuid: str) -> None:
        table = self.db.tables.get(CLASSES.get(cls, cls))
        if table is None or obj_uuid not in table.by_uuid:
            raise Failure("UUID_INVALID", cls, obj_uuid)

    def _reap(self) -> None:
        for ref in self.db.refs("message")[: max(0, len(self.db.table("message").rows) - MOST)]:
            self.db.delete("message", ref)

    def destroy(self, ref: str) -> None:
        self.db.delete("message", ref)

    def destroy_many(self, messages: list[str]) -> None:
        for ref in messages:
            self.destroy(ref)

    def destroy_all(self, filters: dict[str, str]) -> None:
        for ref, row in self.db.items("message"):
            after, before, priority = filters.get("after", ""), filters.get("before", "9"), filters.get("priority", str(row["priority"]))
            if after.replace("-", "") < row["timestamp"] < before.replace("-", "") and int(priority) == row["priority"]:
                self.destroy(ref)

    def get(self, cls: str, obj_uuid: str, since: str) -> dict[str, Any]:
        try:
            self._require(cls, obj_uuid)
        except Failure:
            raise Failure("UUID_INVALID") from None  # without parameters here (X/xapi_message.ml)
        return {r: m for r, m in self.get_since(since).items() if (m["cls"], m["obj_uuid"]) == (cls, obj_uuid)}

    def get_since(self, since: str) -> dict[str, Any]:
        return {ref: record for ref, record in self.get_all_records().items() if record["timestamp"] > since}

    def get_all(self) -> list[str]:
        return self.db.refs("message")

    def get_record(self, ref: str) -> dict[str, Any]:
        return self.db.record("message", ref)

    def get_by_uuid(self, uuid: str) -> str:
        return self.db.by_uuid("message", uuid)

    def get_all_records(self) -> dict[str, Any]:
        return {ref: self.db.public("message", row) for ref, row in reversed(list(self.db.items("message")))}

    def get_all_records_where(self, expr: str) -> dict[str, Any]:
        """Only the newest xapi looks at the expression (X/xapi_message.ml of 24.19 and before ignore it)."""
        if self.engine.schema.level != "26":
            return self.get_all_records()
        test = compiled(expr, self.engine.schema.classes["message"])
        return {ref: record for ref, record in self.get_all_records().items() if test(record)}
