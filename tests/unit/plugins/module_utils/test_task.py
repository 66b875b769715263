# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from ansible_collections.xapi.xenserver.plugins.module_utils import _task
from ansible_collections.xapi.xenserver.plugins.module_utils._errors import ApiError, TimedOut, XenError
from ansible_collections.xapi.xenserver.plugins.module_utils._task import client_task, run_task, task_result, wait_for_task
from ansible_collections.xapi.xenserver.plugins.module_utils.xenapi_session import Session, open_session
from simulator import Rule, Simulator


@pytest.fixture
def session(simulator: Simulator, pool_in_memory: Any) -> Iterator[Session]:
    pool_in_memory(simulator)
    options = {"hostname": "pool.example", "username": simulator.username, "password": simulator.password, "validate_certs": True}
    with open_session({**options, "api_protocol": "jsonrpc", "connect_timeout": 5.0, "request_timeout": 30.0}) as opened:
        yield opened


@pytest.fixture(autouse=True)
def _short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_task, "CANCEL_GRACE", 0.1)


def network(**more: Any) -> dict[str, Any]:
    return {"name_label": "made by a task", "other_config": {}, **more}


def methods(simulator: Simulator) -> list[str]:
    return [call.method for call in simulator.calls if not call.method.startswith("session.")]


class TestRunTask:
    def test_returns_what_the_call_would_and_leaves_no_task(self, session: Session, simulator: Simulator) -> None:
        ref = run_task(session, "network.create", network(), timeout=5, what="the network")
        assert simulator.records("network")[ref]["name_label"] == "made by a task"
        assert simulator.records("task") == {}

    def test_void_is_empty_text(self, session: Session) -> None:
        ref = run_task(session, "network.create", network(), timeout=5, what="the network")
        assert run_task(session, "network.destroy", ref, timeout=5, what="its end") == ""

    def test_never_polls(self, session: Session, simulator: Simulator) -> None:
        simulator.faults.add(Rule("network.create", stall=0.5))
        run_task(session, "network.create", network(), timeout=5, what="the network")
        assert [method for method in methods(simulator) if "get_status" in method or "get_record" in method] == []
        assert methods(simulator).count("event.from") <= 4

    def test_a_refusal_inside_the_task_is_the_refusal_of_the_call(self, session: Session, simulator: Simulator) -> None:
        simulator.faults.add(Rule("network.create", error=("LICENCE_RESTRICTION", "networking")))
        with pytest.raises(ApiError) as caught:
            run_task(session, "network.create", network(), timeout=5, what="the network")
        assert caught.value.details == ["LICENCE_RESTRICTION", "networking"]
        assert simulator.records("task") == {}

    def test_leaves_no_task_when_its_removal_fails_once(self, session: Session, simulator: Simulator) -> None:
        simulator.faults.add(Rule("task.destroy", error=("INTERNAL_ERROR", "once"), times=1))
        run_task(session, "network.create", network(), timeout=5, what="the network")
        assert simulator.records("task") == {}

    def test_is_cancelled_at_the_deadline_and_destroyed(self, session: Session, simulator: Simulator) -> None:
        simulator.faults.add(Rule("network.create", stall=30))
        started = time.monotonic()
        with pytest.raises(TimedOut, match=r"gave up waiting for the network after 0.3 seconds; the task was cancelled"):
            run_task(session, "network.create", network(), timeout=0.3, what="the network")
        assert time.monotonic() - started < 5
        assert methods(simulator)[-1] == "task.destroy"
        assert "task.cancel" in methods(simulator)

    def test_is_cancelled_and_destroyed_when_the_module_is_ended(self, session: Session, simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
        simulator.faults.add(Rule("network.create", stall=30))

        class Ended(BaseException):
            pass

        def ended(*_unused: Any) -> None:
            raise Ended

        monkeypatch.setattr(_task._Watch, "_next", ended)
        with pytest.raises(Ended):
            run_task(session, "network.create", network(), timeout=5, what="the network")
        assert methods(simulator)[-2:] == ["task.cancel", "task.destroy"]


class TestClientTask:
    def test_is_there_for_the_transfer_and_gone_after(self, session: Session, simulator: Simulator) -> None:
        with client_task(session, "import of web1.raw", "8 GiB") as task:
            record = simulator.records("task")[task]
            assert (record["name_label"], record["name_description"], record["status"]) == ("import of web1.raw", "8 GiB", "pending")
            session.call("task.set_status", task, "success")
        assert simulator.records("task") == {}

    def test_waits_until_another_finishes_it(self, session: Session, simulator: Simulator) -> None:
        other = simulator.session()
        with client_task(session, "transfer") as task:
            threading.Timer(0.3, lambda: other.task.set_status(task, "success")).start()
            assert wait_for_task(session, task, timeout=5, what="the transfer") == ""

    def test_failing_block_cancels_and_destroys(self, session: Session, simulator: Simulator) -> None:
        with pytest.raises(ZeroDivisionError), client_task(session, "transfer"):
            raise ZeroDivisionError
        assert methods(simulator)[-2:] == ["task.cancel", "task.destroy"]

    def test_success_during_the_cancelling_is_success(self, session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
        """The deadline may pass just as the task ends; what it became counts."""
        with client_task(session, "transfer") as task:
            original = session.call

            def call(method: str, *arguments: Any) -> Any:
                return original("task.set_status", task, "success") if method == "task.cancel" else original(method, *arguments)

            monkeypatch.setattr(session, "call", call)
            assert wait_for_task(session, task, timeout=0.05, what="the transfer") == ""

    def test_a_task_that_is_gone(self, session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(_task, "LONGEST_WAIT", 0.1)
        with pytest.raises(ApiError, match="the task this task worked on is gone"):
            wait_for_task(session, "OpaqueRef:none", timeout=5, what="nothing")

    def test_a_task_that_a_restart_took_while_it_was_waited_for(self, session: Session, simulator: Simulator) -> None:
        """The toolstack forgets tasks and sessions; no event tells of either, and the session is opened anew."""
        task = session.call("task.create", "transfer", "")

        async def restart() -> None:
            simulator.engine.restart()

        def restart_when_listened() -> None:
            while [call.method for call in simulator.calls].count("event.from") < 1:  # the second one is blocked then, or about to be
                time.sleep(0.01)
            simulator.run(restart())

        restarting = threading.Thread(target=restart_when_listened)
        restarting.start()
        started = time.monotonic()
        with pytest.raises(ApiError, match="the task this task worked on is gone"):
            wait_for_task(session, task, timeout=60, what="the transfer")
        restarting.join()
        assert time.monotonic() - started < 10

    def test_a_task_that_vanishes_while_waited_for(self, session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
        task = session.call("task.create", "transfer", "")
        original = session.call

        def call(method: str, *arguments: Any) -> Any:
            answer = original(method, *arguments)
            if method == "event.from" and arguments[1]:  # xapi says so to a waiter that has a token (facts §1.9).
                answer["events"] = [{"class": "task", "operation": "del", "ref": task, "id": "1", "timestamp": "0.0"}]
            return answer

        monkeypatch.setattr(session, "call", call)
        with pytest.raises(XenError, match="somebody removed the task"):
            wait_for_task(session, task, timeout=0.1, what="the transfer")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", ""),
        ("<value></value>", ""),
        ("<value>OpaqueRef:1</value>", "OpaqueRef:1"),
        ("<value><array><data><value>OpaqueRef:1</value><value>OpaqueRef:2</value></data></array></value>", ["OpaqueRef:1", "OpaqueRef:2"]),
        ("<value><array><data></data></array></value>", []),
        ("<value><struct><member><name>a</name><value>b &amp; c</value></member></struct></value>", {"a": "b & c"}),
        ("<value><boolean>1</boolean></value>", True),
        ("<value><double>0.5</double></value>", 0.5),
    ],
)
def test_task_result(text: str, value: Any) -> None:
    assert task_result(text) == value
