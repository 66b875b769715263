# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.xapi.xenserver.plugins.module_utils._errors import Ambiguous, ApiError, NotFound
from ansible_collections.xapi.xenserver.plugins.module_utils._lookup import (
    View,
    default_sr,
    find,
    get,
    get_by_name_or_uuid,
    iso_srs,
    looks_like_uuid,
    record_or_none,
    where,
)
from simulator import Simulator
from simulator.transport.memory import MemorySession


@pytest.fixture
def session(simulator: Simulator) -> MemorySession:
    return simulator.session()


def make(session: MemorySession, *names: str) -> list[str]:
    return [session.network.create({"name_label": name, "other_config": {}}) for name in names]


@pytest.mark.parametrize(
    ("only", "text"),
    [
        ({"name_label": "web 1"}, 'field "name__label" = "web 1"'),
        ({"is_a_template": False, "uuid": "u"}, 'field "is_a_template" = "false" and field "uuid" = "u"'),
        ({"VLAN": -1}, 'field "VLAN" = "-1"'),
    ],
)
def test_where(only: dict[str, Any], text: str) -> None:
    assert where(only) == text


@pytest.mark.parametrize("name", ["plain", "with 'single'", 'with "double"', "back\\slash", "ünï", "percent % and {braces}"])
def test_finds_by_any_name_in_few_calls(session: MemorySession, simulator: Simulator, name: str) -> None:
    (ref,) = make(session, name)
    before = len(simulator.calls)
    found = find(session, "network", name=name)
    assert found is not None
    assert (found[0], found[1]["name_label"]) == (ref, name)
    assert len(simulator.calls) - before <= 2


def test_none_one_many(session: MemorySession) -> None:
    make(session, "one", "twin", "twin")
    assert find(session, "network", name="none") is None
    assert find(session, "network", name="one") is not None
    with pytest.raises(Ambiguous, match="2 networks are named 'twin'; select one by uuid"):
        find(session, "network", name="twin")
    with pytest.raises(NotFound, match="there is no bridge 'none' in this pool; look again"):
        get(session, "network", name="none", noun="bridge", hint="look again")


def test_conditions_narrow(session: MemorySession) -> None:
    (name,) = {record["name_label"] for record in session.call("VM.get_all_records").values() if record["is_control_domain"]}
    assert find(session, "VM", name=name, only={"is_control_domain": True}) is not None
    assert find(session, "VM", name=name, only={"is_control_domain": False}) is None


def test_conditions_narrow_a_name_with_quotes(session: MemorySession) -> None:
    make(session, 'a "b"')
    assert find(session, "network", name='a "b"', only={"managed": True}) is not None
    assert find(session, "network", name='a "b"', only={"managed": False}) is None


def test_by_name_or_uuid(session: MemorySession) -> None:
    (ref,) = make(session, "one")
    uuid = session.network.get_uuid(ref)
    (named,) = make(session, "00000000-0000-0000-0000-000000000000")
    assert get_by_name_or_uuid(session, "network", uuid)[0] == ref
    assert get_by_name_or_uuid(session, "network", "one")[0] == ref
    assert get_by_name_or_uuid(session, "network", "00000000-0000-0000-0000-000000000000")[0] == named


@pytest.mark.parametrize(("text", "is_one"), [("9a1c5c1f-5e0a-4d2b-8b3e-2f6a7a0c9d11", True), ("storage", False), ("a-b-c-d-e", False)])
def test_uuid_form(text: str, is_one: bool) -> None:
    assert looks_like_uuid(text) is is_one


@pytest.mark.parametrize("ref", ["OpaqueRef:NULL", ""])
def test_null_is_not_even_asked_for(session: MemorySession, simulator: Simulator, ref: str) -> None:
    before = len(simulator.calls)
    assert record_or_none(session, "network", ref) is None
    assert len(simulator.calls) == before


@pytest.mark.parametrize(("code", "is_gone"), [("HANDLE_INVALID", True), ("SESSION_INVALID", False)])
def test_only_what_is_gone_has_no_record(code: str, is_gone: bool) -> None:
    class Refusing:
        def call(self, _method: str, *_arguments: Any) -> Any:
            raise ApiError([code, "network", "OpaqueRef:1"])

    if is_gone:
        assert record_or_none(Refusing(), "network", "OpaqueRef:1") is None
    else:
        with pytest.raises(ApiError):
            record_or_none(Refusing(), "network", "OpaqueRef:1")


class TestDefaultSr:
    def test_is_the_pools(self, session: MemorySession, simulator: Simulator) -> None:
        (pool,) = simulator.records("pool").values()
        assert default_sr(session)[0] == pool["default_SR"]

    def test_null_is_missing(self, session: MemorySession, simulator: Simulator) -> None:
        (pool,) = simulator.records("pool")
        session.pool.set_default_SR(pool, "OpaqueRef:NULL")
        with pytest.raises(NotFound, match="name one, or set the pool's default SR"):
            default_sr(session)

    def test_iso_repositories(self, session: MemorySession) -> None:
        assert {record["content_type"] for record in iso_srs(session).values()} == {"iso"}


class TestView:
    def test_reads_a_record_once(self, session: MemorySession, simulator: Simulator) -> None:
        (ref,) = make(session, "one")
        before, view = len(simulator.calls), View(session)
        for _unused in range(3):
            assert view.uuid("network", ref)
        assert len(simulator.calls) - before == 1

    def test_reads_a_class_at_once(self, session: MemorySession, simulator: Simulator) -> None:
        refs = make(session, "one", "two")
        before, view = len(simulator.calls), View(session)
        view.load("network")
        assert all(view.uuid("network", ref) for ref in refs)
        assert len(simulator.calls) - before == 1

    def test_null_has_no_uuid(self, session: MemorySession) -> None:
        assert View(session).uuid("host", "OpaqueRef:NULL") is None

    def test_forgets(self, session: MemorySession) -> None:
        (ref,) = make(session, "one")
        view = View(session)
        view.record("network", ref)
        session.network.set_name_label(ref, "two")
        view.forget()
        record = view.record("network", ref)
        assert record is not None
        assert record["name_label"] == "two"


def test_records_of_several_classes_come_in_one_call(session: MemorySession, simulator: Simulator) -> None:
    hosts, srs = simulator.records("host"), simulator.records("SR")
    view, before = View(session), len(simulator.calls)
    view.fetch({"host": [*hosts, "OpaqueRef:NULL"], "SR": [*srs, "OpaqueRef:gone"]})
    assert [call.method for call in simulator.calls[before:]] == ["event.from"]
    assert {ref: view.record("SR", ref) for ref in srs} == {ref: session.call("SR.get_record", ref) for ref in srs}
    before = len(simulator.calls)
    assert view.record("SR", "OpaqueRef:gone") is None
    view.fetch({"host": hosts, "SR": srs})
    assert simulator.calls[before:] == []
