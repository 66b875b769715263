# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions and tasks: how long they live, how many there are, whose they are (facts 1.6, 1.8; recordings sessions, tasks)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from simulator import NULL, Simulator, VirtualClock

from ._asking import refusal, until
from ._consistency import StandingSimulator


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def simulator(clock: VirtualClock) -> Iterator[Simulator]:
    with Simulator("one_host", clock=clock) as simulator:
        yield simulator
        assert simulator.problems == []


@pytest.fixture
def session(simulator: Simulator) -> Any:
    return simulator.session()


@pytest.fixture
def wait(simulator: Simulator, clock: VirtualClock) -> Callable[[float], None]:
    def advance(seconds: float) -> None:
        async def pass_time() -> None:
            clock.advance(seconds)

        simulator.run(pass_time())

    return advance


def login(simulator: Simulator, originator: str = "") -> str:
    return str(simulator.connect().call("session.login_with_password", ["root", "simulated", "1.0", originator]))


# Sessions


def test_a_record_of_a_session(session: Any) -> None:
    record = session.session.get_record(session.ref)
    assert record["is_local_superuser"] is True
    assert record["originator"] == "simulator-tests"
    assert record["this_host"] == session.host.get_all()[0]
    assert record["this_user"] == NULL
    assert record["pool"] is False


@pytest.mark.parametrize(
    ("name", "password", "text"),
    [
        ("root", "wrong", "Authentication failure"),
        ("root", "", "Authentication failure"),
        ("nobody", "simulated", "User not known to the underlying authentication module"),
    ],
)
def test_who_does_not_come_in(simulator: Simulator, name: str, password: str, text: str) -> None:
    assert refusal(simulator.connect().call, "session.login_with_password", [name, password]) == ["SESSION_AUTHENTICATION_FAILED", name, text]


def test_after_logout_it_is_invalid(simulator: Simulator, session: Any) -> None:
    session.session.logout()
    assert refusal(session.VM.get_all) == ["SESSION_INVALID", session.ref]


def test_unused_for_a_day(simulator: Simulator, session: Any, wait: Callable[[float], None]) -> None:
    wait(86400 - 60)
    login(simulator)
    assert session.VM.get_all()  # used again: another day
    wait(86400 + 60)
    login(simulator)  # whoever comes next makes room
    assert refusal(session.VM.get_all) == ["SESSION_INVALID", session.ref]


def test_a_client_of_many_sessions_loses_its_oldest(simulator: Simulator, wait: Callable[[float], None]) -> None:
    """500 of one originator; those of others do not count."""
    other = login(simulator, "other")
    first = login(simulator, "many")
    wait(1)
    for _unused in range(500):
        login(simulator, "many")
    client = simulator.connect()
    assert refusal(client.call, "VM.get_all", [first]) == ["SESSION_INVALID", first]
    assert client.call("VM.get_all", [other])


@pytest.mark.parametrize(("api", "seconds"), [("8.3", 10), ("26", 600)])
def test_when_it_was_used_last(api: str, seconds: int) -> None:
    """session_check.ml writes it at every call, since 25 not within ten minutes of the last time."""
    clock = VirtualClock()
    with Simulator("one_host", api=api, clock=clock) as simulator:
        session, first = simulator.session(), clock.now()

        async def pass_time(duration: float) -> None:
            clock.advance(duration)

        simulator.run(pass_time(seconds))
        session.VM.get_all()
        later = simulator.records("session")[session.ref]["last_active"]
        assert (later > first) == (api == "8.3")
        simulator.run(pass_time(10))
        session.VM.get_all()
        assert simulator.records("session")[session.ref]["last_active"] > first


def test_users_are_counted_by_name(simulator: Simulator, wait: Callable[[float], None]) -> None:
    """timeout_sessions in db_gc_util.ml: 500 of a name that is not root's, whatever its originators."""
    simulator.engine.users["carol"] = ("secret", "pool-admin")

    def enter(originator: str) -> str:
        return str(simulator.connect().call("session.login_with_password", ["carol", "secret", "1.0", originator]))

    first = enter("one")
    wait(1)
    for number in range(500):
        enter(f"originator {number}")
    assert refusal(simulator.connect().call, "VM.get_all", [first]) == ["SESSION_INVALID", first]


def test_a_local_session_is_in_no_database(simulator: Simulator, session: Any) -> None:
    client = simulator.connect()
    local = client.call("session.slave_local_login_with_password", ["root", "simulated"])
    assert client.call("pool.is_slave", [local, session.host.get_all()[0]]) is False
    client.call("session.local_logout", [local])
    assert refusal(client.call, "pool.is_slave", [local, session.host.get_all()[0]]) == ["SESSION_INVALID", local]


def test_a_restart_ends_all_sessions(simulator: Simulator, session: Any) -> None:
    task = session.task.create("mine", "")
    simulator.restart_toolstack()
    assert refusal(session.VM.get_all) == ["SESSION_INVALID", session.ref]
    assert refusal(simulator.session().task.get_record, task)[0] == "HANDLE_INVALID"


# Tasks

WORK = 1.5


def slow(session: Any) -> str:
    """A task that takes a while: the simulator is told how long VM.clone takes."""
    return str(session.call("Async.VM.clone", session.VM.get_by_name_label("Other install media")[0], "copy"))


@pytest.fixture
def working() -> Iterator[StandingSimulator]:
    """On a clock that stands still until the test lets time pass."""
    with StandingSimulator("one_host", latency={"VM.clone": WORK}) as simulator:
        yield simulator
        assert simulator.problems == []


def test_a_task_from_beginning_to_end(working: StandingSimulator) -> None:
    session = working.session()
    task = slow(session)
    record = session.task.get_record(task)
    expected = {"name_label": "Async.VM.clone", "status": "pending", "progress": 0.0, "result": "", "error_info": [], "finished": "19700101T00:00:00Z"}
    assert {name: record[name] for name in expected} == expected
    working.let_pass(WORK / 2)
    assert session.task.get_status(task) == "pending"
    working.let_pass(WORK)
    record = session.task.get_record(task)
    copy = session.VM.get_by_name_label("copy")[0]
    assert (record["status"], record["progress"], record["result"]) == ("success", 1.0, f"<value>{copy}</value>")
    assert record["finished"] >= record["created"] > "19700101T00:00:00Z"


def test_a_plain_call_has_a_task_while_it_runs() -> None:
    with Simulator("one_host", latency={"VM.clone": WORK}) as simulator:
        session = simulator.session()
        template = session.VM.get_by_name_label("Other install media")[0]
        caller = threading.Thread(target=lambda: simulator.session().VM.clone(template, "copy"))
        caller.start()
        until(lambda: [row for row in session.task.get_all_records().values() if row["name_label"] == "VM.clone"])
        caller.join(10)
        assert [row for row in session.task.get_all_records().values() if row["name_label"] == "VM.clone"] == []
        assert simulator.problems == []


@pytest.mark.parametrize("api", ["8.2", "8.3", "26"])
def test_cancelled(api: str) -> None:
    """No error is left in the task. exec_with_context in xapi's server_helpers.ml (v1.249.42, v24.19.2 and e2ee48d alike) ends a cancelled call
    by TaskHelper.cancel, which writes the status and no error_info. TaskHelper.failed, which does, meets TASK_CANCELLED only in the handlers of
    /import_raw_vdi and /export_raw_vdi, which catch it themselves; and they ask for it with format=tar alone."""
    with Simulator("one_host", api=api) as simulator:
        simulator.engine.latency["VM.clone"] = 30.0
        session = simulator.session()
        task = slow(session)
        session.task.cancel(task)
        assert list(session.task.get_current_operations(task).values()) == ["cancel"]
        until(lambda: session.task.get_status(task) != "pending")
        record = session.task.get_record(task)
        assert (record["status"], record["error_info"], record["progress"]) == ("cancelled", [], 1.0)
        assert (record["result"], record["allowed_operations"]) == ("", [])
        assert session.VM.get_by_name_label("copy") == []


def test_a_status_that_its_client_set_stays(working: StandingSimulator) -> None:
    session = working.session()
    task = slow(session)
    session.task.set_status(task, "failure")
    working.let_pass(WORK)
    assert session.VM.get_by_name_label("copy") != []
    assert working.engine.tasks.running == {}
    # TaskHelper.complete looks whether it is pending still.
    assert (session.task.get_status(task), session.task.get_result(task)) == ("failure", "")


def test_destroying_what_runs_twice(working: StandingSimulator) -> None:
    session = working.session()
    task = slow(session)
    session.task.destroy(task)
    assert session.task.get_current_operations(task) == {"task": "destroy"}
    # Xapi_task.destroy adds to a map.
    assert refusal(session.task.destroy, task) == ["MAP_DUPLICATE_KEY", "task", "current_operations", task, "task"]
    working.let_pass(WORK)
    assert session.task.get_status(task) == "success"


def test_cancelling_what_is_done_does_nothing(session: Any) -> None:
    task = session.call("Async.VM.clone", session.VM.get_by_name_label("Other install media")[0], "copy")
    until(lambda: session.task.get_status(task) == "success")
    session.task.cancel(task)
    assert session.task.get_status(task) == "success"


def test_refused_in_the_task_or_at_once(session: Any) -> None:
    """What the call itself lacks is refused at once, what stands against the operation is in the task."""
    assert refusal(session.call, "Async.VM.start", "OpaqueRef:none") == ["MESSAGE_PARAMETER_COUNT_MISMATCH", "VM.start", "3", "1"]
    task = session.call("Async.VM.start", "OpaqueRef:none", False, False)
    until(lambda: session.task.get_status(task) == "failure")
    assert session.task.get_error_info(task) == ["HANDLE_INVALID", "VM", "OpaqueRef:none"]


def test_destroyed_while_it_runs(working: StandingSimulator) -> None:
    """It is marked, and goes a while after its end; the work goes on."""
    session = working.session()
    task = slow(session)
    session.task.destroy(task)
    assert session.task.get_current_operations(task) == {"task": "destroy"}
    working.let_pass(WORK)
    assert session.VM.get_by_name_label("copy")


def test_finished_long_ago(session: Any, wait: Callable[[float], None]) -> None:
    task = session.call("Async.VM.clone", session.VM.get_by_name_label("Other install media")[0], "copy")
    until(lambda: session.task.get_status(task) == "success")
    mine = session.task.create("mine", "")
    wait(3800)
    session.task.create("other", "")
    assert session.task.get_status(task) == "success"
    wait(200)
    session.task.create("another", "")
    assert refusal(session.task.get_status, task) == ["HANDLE_INVALID", "task", task]
    assert session.task.get_status(mine) == "pending"  # not finished at all


def test_pending_for_a_day(session: Any, wait: Callable[[float], None]) -> None:
    """What does not get on between two looks of the collector goes (timeout_tasks in db_gc_util.ml)."""
    stuck, moving = session.task.create("stuck", ""), session.task.create("moving", "")
    wait(86300)
    session.task.create("a look", "")
    wait(200)
    session.task.create("the first look at them", "")
    assert session.task.get_status(stuck) == "pending"
    session.task.set_progress(moving, 0.1)
    wait(31)
    session.task.create("the second", "")
    assert refusal(session.task.get_status, stuck) == ["HANDLE_INVALID", "task", stuck]
    assert session.task.get_status(moving) == "pending"


@pytest.mark.parametrize(("api", "role", "allowed"), [("8.3", "vm-operator", False), ("26", "vm-operator", True), ("8.3", "pool-operator", True)])
def test_notes_at_ones_own_task(api: str, role: str, allowed: bool) -> None:
    """Since 25 whoever may see tasks may write at his own (xapi_task.ml assert_can_modify_other_config); before it took a pool-operator."""
    with Simulator("one_host", api=api) as simulator:
        simulator.engine.users["carol"] = ("secret", role)
        client = simulator.connect()
        ref = client.call("session.login_with_password", ["carol", "secret"])
        task = client.call("task.create", [ref, "mine", ""])
        if not allowed:
            assert refusal(client.call, "task.add_to_other_config", [ref, task, "key", "value"])[0] == "RBAC_PERMISSION_DENIED"
            return
        client.call("task.add_to_other_config", [ref, task, "key", "value"])
        again = refusal(client.call, "task.add_to_other_config", [ref, task, "key", "value"])
        assert again == ["MAP_DUPLICATE_KEY", "task", "other_config", task, "key"]
        client.call("task.remove_from_other_config", [ref, task, "key"])
        client.call("task.set_other_config", [ref, task, {"all": "new"}])
        assert client.call("task.get_other_config", [ref, task]) == {"all": "new"}


def test_too_many(session: Any, wait: Callable[[float], None]) -> None:
    """The oldest that are done go first; 200 are kept."""
    tasks = [session.call("Async.network.create", {"name_label": f"net {number}", "other_config": {}}) for number in range(230)]
    until(lambda: all(session.task.get_status(task) == "success" for task in tasks))
    wait(60)  # the collector runs, and finds 30 too many
    since = [session.call("Async.network.create", {"name_label": f"late {number}", "other_config": {}}) for number in range(20)]
    until(lambda: all(session.task.get_status(task) == "success" for task in since))
    wait(60)
    session.task.create("one more", "")
    left = session.task.get_all()
    assert len(left) == 201
    assert set(since) < set(left)


def test_a_client_that_only_says_that_its_task_is_done(session: Any, wait: Callable[[float], None]) -> None:
    """It never finished, as far as xapi knows: it is as old as can be."""
    task = session.task.create("mine", "")
    session.task.set_status(task, "success")
    wait(60)
    session.task.create("one more", "")
    assert refusal(session.task.get_record, task) == ["HANDLE_INVALID", "task", task]


def test_a_clients_own_task(session: Any) -> None:
    task = session.task.create("mine", "for something")
    record = session.task.get_record(task)
    assert (record["name_label"], record["name_description"], record["status"], record["subtask_of"]) == ("mine", "for something", "pending", NULL)
    session.task.set_progress(task, 0.5)
    session.task.set_result(task, "half")
    assert (session.task.get_progress(task), session.task.get_result(task)) == (0.5, "half")
    session.task.set_status(task, "success")
    session.task.destroy(task)
    assert refusal(session.task.get_record, task) == ["HANDLE_INVALID", "task", task]
