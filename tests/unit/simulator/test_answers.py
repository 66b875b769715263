# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""An answer is what was so when it was given: it shares lists and maps with the database, which nobody changes in place."""

from __future__ import annotations

import copy
from typing import Any

from simulator import Simulator

from ._machines import add_disk, add_nic, machine


def test_later_changes_leave_an_answer_as_it_was(simulator: Simulator, session: Any) -> None:
    vm = machine(session, tags=["first"])
    (sr,) = session.SR.get_by_name_label("Local storage")
    # Past the client, which copies what it gets.
    records = simulator.run(simulator.engine.call("VM.get_all_records", [session.ref]))
    batch = simulator.run(simulator.engine.call("event.from", [session.ref, ["VM"], "", 0.0]))
    given = {"records": records, "events": batch["events"]}
    before = copy.deepcopy(given)
    session.VM.add_tags(vm, "second")
    session.VM.remove_tags(vm, "first")
    session.VM.add_to_other_config(vm, "second", "2")
    session.VM.set_memory_limits(vm, 1 << 28, 1 << 28, 1 << 28, 1 << 28)
    add_disk(session, vm, sr)
    add_nic(session, vm, session.network.get_all()[0], device="3")
    session.VM.remove_from_other_config(vm, "mac_seed")
    session.VM.add_to_blocked_operations(vm, "start", "no")
    session.VM.snapshot(vm, "snapshot")
    session.VM.remove_from_blocked_operations(vm, "start")
    session.VM.start(vm, False, False)
    session.VM.hard_shutdown(vm)
    session.VM.destroy(vm)
    assert given == before
