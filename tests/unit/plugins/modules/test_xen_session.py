# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from simulator import Simulator

from ..conftest import Run
from ..scenario import Do, Scenario


def open_session(session: object) -> dict[str, str]:
    return {"session_id": session.ref}  # type: ignore[attr-defined]


SCENARIO = Scenario(Do(open_session, changes=False))


def works(simulator: Simulator, ref: str) -> bool:
    return ref in simulator.records("session")


def test_session_is_left_open_and_used_by_others(run_module: Run, simulator: Simulator) -> None:
    login = run_module("xen_session")
    assert login["url"] == "https://pool.example"
    assert not login.changed
    assert works(simulator, login["session_id"])
    used = run_module("xen_network", name="storage", session_id=login["session_id"], password=None)
    assert used.changed
    assert [call.method for call in used.calls if call.method.startswith("session.")] == []
    assert works(simulator, login["session_id"])


def test_absent_ends_it(run_module: Run, simulator: Simulator) -> None:
    ref = run_module("xen_session")["session_id"]
    ended = run_module("xen_session", state="absent", session_id=ref)
    assert not ended.changed
    assert not works(simulator, ref)
    assert not run_module("xen_session", state="absent", session_id=ref).failed


def test_a_session_that_works_is_returned(run_module: Run, simulator: Simulator) -> None:
    ref = run_module("xen_session")["session_id"]
    again = run_module("xen_session", session_id=ref)
    assert "session.login_with_password" not in [call.method for call in again.calls]
    assert again["opened"] is False
    assert works(simulator, ref)


def test_a_session_that_has_ended_is_replaced(run_module: Run, simulator: Simulator) -> None:
    replaced = run_module("xen_session", session_id="OpaqueRef:ended-long-ago")
    assert works(simulator, replaced["session_id"])
    assert replaced["opened"] is True


def test_check_mode_opens_a_session_that_works(run_module: Run, simulator: Simulator) -> None:
    assert works(simulator, run_module("xen_session", check=True)["session_id"])


def test_neither_password_nor_session_is_in_a_result(run_module: Run, simulator: Simulator) -> None:
    ref = run_module("xen_session")["session_id"]
    for outcome in (run_module("xen_session", session_id=ref), run_module("xen_network", name="x", session_id=ref)):
        assert simulator.password not in str(outcome.result)
        assert ref not in str(outcome.result)


def test_absent_needs_a_session(run_module: Run) -> None:
    outcome = run_module("xen_session", state="absent")
    assert outcome.failed
    assert "session_id" in outcome.msg


def test_wrong_password(run_module: Run, simulator: Simulator) -> None:
    outcome = run_module("xen_session", password="not-the-password")
    assert outcome.failed
    assert outcome.msg.startswith("pool.example: wrong user name or password for 'root'; check username and password")
    assert outcome["xenapi_error"]["code"] == "SESSION_AUTHENTICATION_FAILED"
    assert simulator.records("session") == {}
