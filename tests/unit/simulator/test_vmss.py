# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""VMSS: what a schedule may say (xapi_vmss.ml, map_check.ml)."""

from __future__ import annotations

from typing import Any

import pytest

from ._machines import machine, refusal

DAILY = {"hour": "3", "min": "15"}


def made(session: Any, frequency: str = "daily", schedule: dict[str, str] | None = None, **fields: Any) -> str:
    record = {"name_label": "nightly", "enabled": True, "type": "snapshot", "retained_snapshots": 3, "frequency": frequency}
    return str(session.VMSS.create({**record, "schedule": DAILY if schedule is None else schedule, **fields}))


@pytest.mark.parametrize(
    ("frequency", "schedule", "key", "value"),
    [
        # A key that another frequency has is none of this one's.
        ("daily", {**DAILY, "days": "Monday"}, "days", "Monday"),
        ("hourly", {"hour": "1"}, "hour", "1"),
        ("daily", {"hour": "24"}, "hour", "24"),
        ("daily", {"min": "7"}, "min", "7"),
        # From the last to the first.
        ("weekly", {"days": "Noday,Someday"}, "days", "Someday"),
        ("weekly", {"days": "Monday,monday"}, "days", "Monday,monday"),
    ],
)
def test_what_no_schedule_says(session: Any, frequency: str, schedule: dict[str, str], key: str, value: str) -> None:
    assert refusal(made, session, frequency, schedule) == ["INVALID_VALUE", f"schedule:{key}", value]


def test_what_is_said_is_kept_and_the_rest_filled_in(session: Any) -> None:
    # A number is any that OCaml reads; days get their own spelling.
    assert session.VMSS.get_schedule(made(session, "daily", {"hour": "0x10"})) == {"hour": "0x10", "min": "0"}
    weekly = made(session, "weekly", {"days": "sunday,TUESDAY"})
    assert session.VMSS.get_schedule(weekly) == {"hour": "0", "min": "0", "days": "Sunday,Tuesday"}
    session.VMSS.set_frequency(weekly, "hourly")
    assert session.VMSS.get_schedule(weekly) == {"min": "0"}


def test_changing_a_key(session: Any) -> None:
    schedule = made(session)
    # Nothing was removed before, so that there is nothing to go back to.
    assert refusal(session.VMSS.add_to_schedule, schedule, "hour", "4") == ["INTERNAL_ERROR", "Not_found"]
    session.VMSS.remove_from_schedule(schedule, "hour")
    assert refusal(session.VMSS.add_to_schedule, schedule, "hour", "40") == ["INVALID_VALUE", "schedule:hour", "40"]
    assert session.VMSS.get_schedule(schedule) == DAILY
    assert refusal(session.VMSS.add_to_schedule, schedule, "hour", "4") == ["MAP_DUPLICATE_KEY", "VMSS", "schedule", schedule, "hour"]
    session.VMSS.remove_from_schedule(schedule, "hour")
    session.VMSS.add_to_schedule(schedule, "hour", "4")
    assert session.VMSS.get_schedule(schedule) == {**DAILY, "hour": "4"}


def test_a_guest_that_cannot_hold_still(session: Any) -> None:
    vm = machine(session)
    schedule = made(session)
    session.VM.set_snapshot_schedule(vm, schedule)
    told = ["VM_SNAPSHOT_WITH_QUIESCE_NOT_SUPPORTED", vm]
    assert refusal(session.VMSS.set_type, schedule, "snapshot_with_quiesce") == told
    assert session.VMSS.get_type(schedule) == "snapshot"
    assert refusal(session.VM.set_snapshot_schedule, vm, made(session, type="snapshot_with_quiesce")) == told
