# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/blob: who is asked for a session and when, and what is not there (X/xapi_blob.ml handler, I/datamodel.ml public_http_actions_with_no_rbac_check)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from simulator import Simulator

from ._hostile import Answer, Wire

UNKNOWN = b"Unknown reference\n"


@pytest.fixture(scope="module")
def wire() -> Iterator[Wire]:
    with Simulator("one_host") as simulator:
        yield Wire(simulator)
        assert simulator.problems == []


@pytest.fixture(scope="module")
def session(wire: Wire) -> Any:
    return wire.pool.session()


def bare(answer: Answer, status: int) -> bool:
    """A status line, two headers, nothing else."""
    return (answer.status, answer.body, set(answer.headers)) == (status, b"", {"connection", "cache-control"})


def test_the_handler_that_reads_asks_by_itself(wire: Wire, session: Any) -> None:
    blob = session.SR.create_new_blob(session.SR.get_all()[0], "n", "", False)
    for query in ({"ref": blob}, {"ref": "OpaqueRef:x"}, {"uuid": session.blob.get_uuid(blob)}, {"ref": blob, "session_id": "OpaqueRef:x"}):
        answer = wire.request("GET", "/blob", query=query)
        assert (answer.status, answer.headers["www-authenticate"]) == (401, 'Basic realm="Blob handler"')


def test_an_unknown_uuid_is_told_to_anybody(wire: Wire, session: Any) -> None:
    assert (wire.request("GET", "/blob", query={"uuid": "x"}).status, wire.request("GET", "/blob", query={"uuid": "x"}).body) == (404, UNKNOWN)
    answer = wire.request("GET", "/blob", query={"ref": "x", "session_id": session.ref})
    assert (answer.status, answer.body) == (404, UNKNOWN)


def test_who_writes_is_asked_first(wire: Wire, session: Any) -> None:
    for query in ({}, {"uuid": "x"}, {"ref": "x"}):
        answer = wire.request("PUT", "/blob", b"x", query)
        assert (answer.status, answer.headers["www-authenticate"]) == (401, 'Basic realm="put_blob"')
    assert bare(wire.request("PUT", "/blob", b"x", {"session_id": session.ref}), 400)
    answer = wire.request("PUT", "/blob", b"x", {"session_id": session.ref, "uuid": "x"})
    assert (answer.status, answer.body) == (404, UNKNOWN)


def test_bare_answers(wire: Wire, session: Any) -> None:
    blob = session.blob.create("text/plain", True)
    assert bare(wire.request("GET", "/blob"), 400)
    assert bare(wire.request("GET", "/blob", query={"ref": blob}), 404)  # nobody has put anything
