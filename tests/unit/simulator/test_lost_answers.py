# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fault rules for asynchronous calls: their answer is one thing, their work another."""

from __future__ import annotations

import pytest

from simulator import Failure, Rule, Simulator
from simulator.engine.faults import Disconnect

CALL = "Async.pool.sync_database"


def test_an_answer_can_be_lost() -> None:
    """The work is done, and its task stays for whoever finds it."""
    with Simulator("one_host") as simulator:
        session = simulator.session()
        simulator.faults.add(Rule(CALL, cut="after", times=1))
        with pytest.raises(Disconnect):
            session.call(CALL)
        (task,) = simulator.records("task").values()
        assert task["name_label"] == CALL


def test_a_call_can_be_refused_at_once() -> None:
    with Simulator("one_host") as simulator:
        session = simulator.session()
        simulator.faults.add(Rule(CALL, error=("HOST_OFFLINE", "x"), times=1))
        with pytest.raises(Failure):
            session.call(CALL)
        assert simulator.records("task") == {}


def test_a_rule_for_the_work_fails_the_task() -> None:
    with Simulator("one_host") as simulator:
        session = simulator.session()
        simulator.faults.add(Rule("pool.sync_database", error=("HOST_OFFLINE", "x"), times=1))
        task = session.call(CALL)
        while (record := simulator.records("task")[task])["status"] == "pending":
            pass
        assert (record["status"], record["error_info"]) == ("failure", ["HOST_OFFLINE", "x"])
