# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""VMSS: snapshot schedules (facts 3.10, X/xapi_vmss.ml). What runs them is a scheduler outside of xapi."""

from __future__ import annotations

from typing import Any

from ..engine.behaviour import Behaviour
from ..engine.failure import Failure
from . import _pool_features

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MINUTES = ("0", "15", "30", "45")
HOURS = tuple(str(hour) for hour in range(24))
# Key of the schedule → its values, and the one it gets when it is missing.
KEYS: dict[str, tuple[tuple[str, ...], str]] = {"min": (MINUTES, "0"), "hour": (HOURS, "0"), "days": (DAYS, "Monday")}
NEEDED: dict[str, tuple[str, ...]] = {"hourly": ("min",), "daily": ("hour", "min"), "weekly": ("hour", "min", "days")}
MOST_SNAPSHOTS = 10


def checked(key: str, value: str, known: tuple[str, ...] = tuple(KEYS)) -> str:
    """The value in its own spelling; INVALID_VALUE when the key or the value is none."""
    if key not in known:
        raise Failure("INVALID_VALUE", f"schedule:{key}", value)
    values = {one.lower(): one for one in KEYS[key][0]}
    parts = value.split(",") if key == "days" else [value]
    for part in parts:
        if part.lower() not in values:
            raise Failure("INVALID_VALUE", f"schedule:{key}", part)
    return ",".join(values[part.lower()] for part in parts)


class Schedules(Behaviour):
    cls = "VMSS"

    def _licensed(self) -> None:
        _pool_features.require(self.engine, "VMSS")

    def create(self, args: dict[str, Any]) -> str:
        self._licensed()
        schedule = self._complete(args["frequency"], args["schedule"])
        self._require_count(args["retained_snapshots"])
        return self.db.create("VMSS", {**args, "schedule": schedule})

    def _complete(self, frequency: str, schedule: dict[str, str]) -> dict[str, str]:
        needed = NEEDED[frequency]
        given = {key: checked(key, value, needed) for key, value in schedule.items() if key in needed}
        return {key: given.get(key, KEYS[key][1]) for key in needed}

    def _require_count(self, count: int) -> None:
        if not 1 <= count <= MOST_SNAPSHOTS:
            raise Failure("INVALID_VALUE", "retained_snapshots", str(count))

    def destroy(self, ref: str) -> None:
        self._licensed()
        row = self.row(ref)
        if row["VMs"]:
            raise Failure("VMSS_HAS_VM")
        for message in self.db.where("message", obj_uuid=row["uuid"]):
            self.db.delete("message", message)
        self.db.delete("VMSS", ref)

    def set_frequency(self, ref: str, value: str) -> None:
        self._licensed()
        schedule = self._complete(value, self.row(ref)["schedule"])
        self.db.update("VMSS", ref, frequency=value, schedule=schedule)

    def set_schedule(self, ref: str, value: dict[str, str]) -> None:
        self._licensed()
        merged = {**self.row(ref)["schedule"], **value}
        self.db.set("VMSS", ref, "schedule", {key: checked(key, text) for key, text in merged.items()})

    def add_to_schedule(self, ref: str, key: str, value: str) -> None:
        self._licensed()
        spelt = checked(key, value)
        if key in self.row(ref)["schedule"]:
            raise Failure("MAP_DUPLICATE_KEY", "VMSS", "schedule", ref, key)
        self.db.put("VMSS", ref, "schedule", key, spelt)

    def remove_from_schedule(self, ref: str, key: str) -> None:
        self._licensed()
        self.db.drop("VMSS", ref, "schedule", key)

    def set_retained_snapshots(self, ref: str, value: int) -> None:
        self._licensed()
        self._require_count(value)
        self.db.set("VMSS", ref, "retained_snapshots", value)

    def set_last_run_time(self, ref: str, value: str) -> None:
        self._licensed()
        self.db.set("VMSS", ref, "last_run_time", value)

    def set_type(self, ref: str, value: str) -> None:
        self._licensed()
        self.db.set("VMSS", ref, "type", value)

    async def snapshot_now(self, ref: str) -> str:
        """xapi runs dom0's plugin `vmss`."""
        self._licensed()
        coordinator = self.engine.coordinator
        answer = self.other("host").call_plugin(coordinator, "vmss", "snapshot_now", {"vmss_uuid": self.row(ref)["uuid"]})
        return str(await answer if hasattr(answer, "__await__") else answer)
