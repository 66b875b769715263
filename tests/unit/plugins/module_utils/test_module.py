# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The runner, with planners made for the test: what it promises whatever a module plans."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.xapi.xenserver.plugins.module_utils import _module, _options
from ansible_collections.xapi.xenserver.plugins.module_utils._errors import XenError
from ansible_collections.xapi.xenserver.plugins.module_utils._plan import Plan
from simulator import Simulator

Done = list[str]
Play = Callable[..., dict[str, Any]]


@pytest.fixture
def play(simulator: Simulator, pool_in_memory: Any) -> Play:
    """Run a planner to its exit; the result as Ansible would read it."""
    pool_in_memory(simulator)

    def run(planner: Callable[[Any, dict[str, Any]], Plan], *, check: bool = False, diff: bool = False, **params: Any) -> dict[str, Any]:
        login = {"hostname": "pool.example", "username": simulator.username, "password": simulator.password}
        printed = io.StringIO()
        with (
            patch_module_args({**login, **params, "_ansible_check_mode": check, "_ansible_diff": diff}),
            contextlib.redirect_stdout(printed),
            contextlib.suppress(SystemExit),
        ):
            _module.run(planner, {"name": {"type": "str"}})
        assert simulator.records("session") == {}, "the session was left open"
        result: dict[str, Any] = json.loads(printed.getvalue())
        return result

    return run


def fail(text: str = "no") -> None:
    raise XenError(text)


def plan_of(done: Done, *names: str, failing: str = "", undo_fails: str = "") -> Plan:
    """Steps that note what they do."""
    plan = Plan({"on": False}, {"on": True}, result={"thing": "predicted"})
    for name in names:
        apply = fail if name == failing else lambda name=name: done.append(name)
        undo = fail if name == undo_fails else lambda name=name: done.append(f"undo {name}")
        plan.add(name, apply, None if name == "final" else undo)
    plan.read = lambda: {"thing": "read"}
    return plan


def test_steps_run_in_order_and_the_truth_is_returned(play: Play) -> None:
    done: Done = []
    result = play(lambda *_unused: plan_of(done, "a", "b"))
    assert (done, result["changed"], result["thing"]) == (["a", "b"], True, "read")


def test_check_mode_runs_nothing_and_predicts(play: Play) -> None:
    done: Done = []
    result = play(lambda *_unused: plan_of(done, "a", "b"), check=True)
    assert (done, result["changed"], result["thing"]) == ([], True, "predicted")


def test_no_steps_are_no_change_and_no_reading_again(play: Play) -> None:
    result = play(lambda *_unused: plan_of([]))
    assert (result["changed"], result["thing"]) == (False, "predicted")


def test_diff_is_given_when_asked_for(play: Play) -> None:
    assert play(lambda *_unused: plan_of([], "a"), diff=True)["diff"] == {"before": {"on": False}, "after": {"on": True}}
    assert "diff" not in play(lambda *_unused: plan_of([], "a"))


def test_planner_gets_session_and_own_options(play: Play) -> None:
    def planner(session: Any, params: dict[str, Any]) -> Plan:
        return Plan(result={"pools": len(session.call("pool.get_all")), "name": params["name"]})

    result = play(planner, name="web1")
    assert (result["pools"], result["name"]) == (1, "web1")


def test_refusal_while_planning_fails_without_a_change(play: Play) -> None:
    def planner(session: Any, _params: dict[str, Any]) -> Plan:
        session.call("VM.get_record", "OpaqueRef:gone")
        raise AssertionError

    result = play(planner)
    assert result["failed"]
    assert result["xenapi_error"] == {"code": "HANDLE_INVALID", "arguments": ["VM", "OpaqueRef:gone"]}
    assert "steps_done" not in result
    assert "exception" not in result, "a user is offered a traceback"


def test_failing_step_undoes_those_before_it_last_first(play: Play) -> None:
    done: Done = []
    result = play(lambda *_unused: plan_of(done, "a", "b", "c", failing="c"))
    assert done == ["a", "b", "undo b", "undo a"]
    assert result["failed"]
    assert result["msg"] == "could not c: no"
    assert (result["steps_done"], result["undone"], result["changed"]) == (["a", "b"], ["b", "a"], False)


def test_what_cannot_be_undone_is_told_as_a_change(play: Play) -> None:
    done: Done = []
    result = play(lambda *_unused: plan_of(done, "a", "final", "c", failing="c"))
    assert (result["steps_done"], result["undone"], result["changed"]) == (["a", "final"], ["a"], True)


def test_failing_undo_stops_no_other_and_hides_nothing(play: Play) -> None:
    done: Done = []
    result = play(lambda *_unused: plan_of(done, "a", "b", "c", failing="c", undo_fails="b"))
    assert done == ["a", "b", "undo a"]
    assert (result["msg"], result["undone"], result["changed"]) == ("could not c: no", ["a"], True)


def test_a_defect_undoes_too_and_stays_a_defect(play: Play) -> None:
    done: Done = []

    def planner(*_unused: Any) -> Plan:
        plan = plan_of(done, "a")
        plan.add("b", lambda: 1 // 0)
        return plan

    with pytest.raises(ZeroDivisionError):
        play(planner)
    assert done == ["a", "undo a"]


class TestWait:
    def test_comes_after_the_steps_and_without_any(self, play: Play) -> None:
        for names, waited in ((["a"], ["a", "waited"]), ([], ["waited"])):
            done: Done = []
            plan = plan_of(done, *names)
            plan.wait = lambda done=done: done.append("waited")
            assert play(lambda *_unused, plan=plan: plan)["changed"] is bool(names)
            assert done == waited

    def test_is_left_out_in_check_mode(self, play: Play) -> None:
        done: Done = []
        plan = plan_of(done, "a")
        plan.wait = lambda: done.append("waited")
        play(lambda *_unused: plan, check=True)
        assert done == []

    def test_that_fails_undoes_nothing_and_tells_what_was_done(self, play: Play) -> None:
        done: Done = []
        plan = plan_of(done, "a")
        plan.wait = fail
        result = play(lambda *_unused: plan)
        assert (done, result["failed"], result["changed"]) == (["a"], True, True)
        assert (result["steps_done"], result["undone"]) == (["a"], [])


def test_warnings_reach_the_user(play: Play) -> None:
    assert "look out" in str(play(lambda *_unused: Plan(warnings=["look out"]))["warnings"])


def connection_options(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What a module without options of its own opens its session with."""
    seen: dict[str, Any] = {}

    @contextlib.contextmanager
    def note(params: dict[str, Any]) -> Any:
        seen.update(params)
        yield None

    monkeypatch.setattr(_module, "open_session", note)
    with patch_module_args({}), contextlib.redirect_stdout(io.StringIO()), pytest.raises(SystemExit):
        _module.run(lambda *_unused: Plan(), {})
    return seen


def test_an_empty_variable_counts_as_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    variables = {name: option["fallback"][1][0] for name, option in _options.connection().items()}
    for variable in variables.values():
        monkeypatch.delenv(variable, raising=False)
    without = connection_options(monkeypatch)
    for variable in variables.values():
        monkeypatch.setenv(variable, "")
    empty = connection_options(monkeypatch)
    assert {name: empty[name] for name in variables} == {name: without[name] for name in variables}


@pytest.mark.parametrize(
    ("variable", "option", "value"),
    [
        ("XENSERVER_HOST", "hostname", "xen1.invalid"),
        ("XENSERVER_USER", "username", "ops"),
        ("XENSERVER_CA_PATH", "ca_path", "/some/ca.pem"),
        ("XENSERVER_API_PROTOCOL", "api_protocol", "xmlrpc"),
        ("XENSERVER_VALIDATE_CERTS", "validate_certs", "false"),
        ("XENSERVER_FINGERPRINT", "fingerprint", "aa,bb"),
        ("XENSERVER_CONNECT_TIMEOUT", "connect_timeout", "2.5"),
        ("XENSERVER_REQUEST_TIMEOUT", "request_timeout", "7"),
        ("XENSERVER_PASSWORD", "password", "hush"),
        ("XENSERVER_SESSION_ID", "session_id", "OpaqueRef:x"),
    ],
)
def test_environment_stands_in_for_options(monkeypatch: pytest.MonkeyPatch, variable: str, option: str, value: str) -> None:
    monkeypatch.setenv(variable, value)
    seen = connection_options(monkeypatch)
    converted = {"validate_certs": False, "fingerprint": ["aa", "bb"], "connect_timeout": 2.5, "request_timeout": 7.0}
    assert seen[option] == converted.get(option, value)
