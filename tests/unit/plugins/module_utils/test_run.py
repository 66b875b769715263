# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.xapi.xenserver.plugins.module_utils._errors import XenError
from ansible_collections.xapi.xenserver.plugins.module_utils._run import RUN, TASK_RUN, is_of, mark_call, marked
from ansible_collections.xapi.xenserver.plugins.module_utils.xenapi_session import open_session
from simulator import Simulator

RECORD = {"name_label": "x", "other_config": {"a": "b"}}


@pytest.mark.parametrize("method", ["VM.create", "Async.VDI.create", "VBD.create", "VIF.create", "network.create"])
def test_what_is_created_is_marked_in_the_same_call(method: str) -> None:
    assert mark_call(method, [RECORD], "r1") == [{"name_label": "x", "other_config": {"a": "b", RUN: "r1"}}]
    assert RECORD["other_config"] == {"a": "b"}


def test_calls_with_other_forms() -> None:
    assert mark_call("VGPU.create", ["vm", "group", "0", {}, "type"], "r1") == ["vm", "group", "0", {RUN: "r1"}, "type"]
    assert mark_call("VDI.set_other_config", ["ref", {}], "r1") == ["ref", {}]
    assert mark_call("VM.create", [RECORD], None) == [RECORD]
    assert marked({"a": "b"}, None) == {"a": "b"}


@pytest.mark.parametrize("run_id", ["two words", "line\nbreak", "ü"])
def test_an_id_that_is_no_header_is_refused(run_id: str) -> None:
    params = {"hostname": "pool.example", "connect_timeout": 1.0, "request_timeout": 1.0, "validate_certs": True, "api_protocol": "jsonrpc"}
    with pytest.raises(XenError, match="no id of a run"), open_session({**params, "run_id": run_id}):
        pass


@pytest.mark.parametrize("protocol", ["jsonrpc", "xmlrpc"])
def test_tasks_are_marked_by_a_header(simulator: Simulator, tmp_path: Path, protocol: str) -> None:
    """Also when the client never hears of the task."""
    server = simulator.serve(directory=tmp_path)
    login = {"hostname": server.url, "ca_path": str(server.ca_path), "username": server.username, "password": server.password}
    options = {**login, "validate_certs": True, "api_protocol": protocol, "connect_timeout": 5.0, "request_timeout": 30.0}
    with open_session({**options, "run_id": "r1"}) as session:
        session.call("Async.pool.sync_database")
        session.call("task.create", "mine", "what for")
        tasks = list(session.call("task.get_all_records").values())
    assert sorted(task["name_label"] for task in tasks if is_of("r1", task)) == ["Async.pool.sync_database", "mine"]
    assert [task["other_config"].get(TASK_RUN) for task in tasks if task["name_label"] != "mine"] == ["r1"]
    assert not any(is_of("r2", task) for task in tasks)
