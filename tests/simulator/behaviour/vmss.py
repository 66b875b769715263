# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""VMSS: snapshot schedules (facts 3.10, X/xapi_vmss.ml). What runs them is a scheduler outside of xapi."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..engine.behaviour import Behaviour
from ..engine.failure import Failure, internal_error
from . import _pool_features
from ._device_names import number

if TYPE_CHECKING:
    from ..engine.core import Engine

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MINUTES = ("0", "15", "30", "45")
LAST_HOUR = 23
# Key of the schedule → the value it gets when it is missing.
KEYS = {"min": "0", "hour": "0", "days": "Monday"}
NEEDED: dict[str, tuple[str, ...]] = {"hourly": ("min",), "daily": ("hour", "min"), "weekly": ("hour", "min", "days")}
MOST_SNAPSHOTS = 10
QUIESCED = "snapshot_with_quiesce"


def checked(key: str, value: str, known: tuple[str, ...] = tuple(KEYS)) -> str:
    """The value in its own spelling; INVALID_VALUE when the key or the value is none (X/map_check.ml)."""
    if key not in known:
        raise Failure("INVALID_VALUE", f"schedule:{key}", value)
    if key == "hour":
        hour = number(value)
        if hour is None or not 0 <= hour <= LAST_HOUR:
            raise Failure("INVALID_VALUE", "schedule:hour", value)
        return value
    if key == "min":
        return _spelt("min", value, MINUTES)
    return _days(value)


def _spelt(key: str, value: str, known: tuple[str, ...]) -> str:
    for one in known:
        if one.lower() == value.lower():
            return one
    raise Failure("INVALID_VALUE", f"schedule:{key}", value)


def _days(value: str) -> str:
    """Days with commas between; looked at from the last to the first, none of them twice."""
    days: list[str] = []
    for part in reversed(value.split(",")):
        day = _spelt("days", part, DAYS)
        if day in days:
            raise Failure("INVALID_VALUE", "schedule:days", value)
        days.insert(0, day)
    return ",".join(days)


class Schedules(Behaviour):
    cls = "VMSS"

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        # What the schedule that lost a key last was before: clients that change a key remove it first.
        self._before: dict[str, str] = {}

    def restarted(self) -> None:
        self._before = {}

    def _licensed(self) -> None:
        _pool_features.require(self.engine, "VMSS")

    def create(self, args: dict[str, Any]) -> str:
        self._licensed()
        if args["type"] == QUIESCED:
            _pool_features.require(self.engine, "VSS")
        for key, value in args["schedule"].items():
            checked(key, value, NEEDED[args["frequency"]])
        schedule = self._complete(args["frequency"], args["schedule"])
        self._require_count(args["retained_snapshots"])
        return self.db.create("VMSS", {**args, "schedule": schedule})

    def _complete(self, frequency: str, schedule: dict[str, str]) -> dict[str, str]:
        needed = NEEDED[frequency]
        given = {key: checked(key, value, needed) for key, value in schedule.items() if key in needed}
        return {key: given.get(key, KEYS[key]) for key in needed}

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
        """A value that is refused is followed by the one of before, and where there was none xapi stumbles over that."""
        self._licensed()
        try:
            self._add(ref, key, checked(key, value))
        except Failure:
            if key not in self._before:
                raise internal_error("Not_found") from None
            self._add(ref, key, self._before[key])
            raise

    def _add(self, ref: str, key: str, value: str) -> None:
        if key in self.row(ref)["schedule"]:
            raise Failure("MAP_DUPLICATE_KEY", "VMSS", "schedule", ref, key)
        self.db.put("VMSS", ref, "schedule", key, value)

    def remove_from_schedule(self, ref: str, key: str) -> None:
        self._licensed()
        self._before = dict(self.row(ref)["schedule"])
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
        if value == QUIESCED:
            _pool_features.require(self.engine, "VSS")
            for vm in self.row(ref)["VMs"]:
                self.other("VM").require_quiescent(vm)
        self.db.set("VMSS", ref, "type", value)

    async def snapshot_now(self, ref: str) -> str:
        """xapi runs dom0's plugin `vmss`."""
        self._licensed()
        coordinator = self.engine.coordinator
        answer = self.other("host").call_plugin(coordinator, "vmss", "snapshot_now", {"vmss_uuid": self.row(ref)["uuid"]})
        return str(await answer if hasattr(answer, "__await__") else answer)
