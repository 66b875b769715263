# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Declared entities, by a small declaration over a class of the simulator."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.xapi.xenserver.plugins.module_utils._codec import INT, MAP, SET, TEXT
from ansible_collections.xapi.xenserver.plugins.module_utils._entity import Entity, Field
from ansible_collections.xapi.xenserver.plugins.module_utils._errors import Immutable, NotFound, XenError
from ansible_collections.xapi.xenserver.plugins.module_utils._plan import Plan
from simulator import Simulator
from simulator.transport.memory import MemorySession

ENTITY = Entity(
    xen_class="network",
    render=lambda record, _view: {
        "uuid": record["uuid"],
        "name": record["name_label"],
        "description": record["name_description"],
        "mtu": record["MTU"],
        "tags": sorted(record["tags"]),
        "merged": record["other_config"],
        "bridge": record["bridge"],
    },
    fields=(
        Field("description", "name_description", TEXT, initial=""),
        Field("mtu", "MTU", INT, initial=1500),
        Field("tags", "tags", SET, initial=[]),
        Field("merged", "other_config", MAP, initial={}, merge=True),
        Field("bridge", "bridge", TEXT, immutable=True),
    ),
)
REPLACING = Entity("network", (Field("whole", "other_config", MAP, initial={}),), lambda record, _view: {"whole": record["other_config"]})


@pytest.fixture
def session(simulator: Simulator) -> MemorySession:
    return simulator.session()


def plan(session: MemorySession, entity: Entity = ENTITY, **given: Any) -> Plan:
    unset: dict[str, Any] = dict.fromkeys([*entity.spec(), "name", "uuid", "new_name"])
    return entity.plan(session, {**unset, "state": "present", **given})


def apply(made: Plan) -> dict[str, Any]:
    for step in made.steps:
        step.apply()
    return made.read() if made.read else made.result


def summaries(made: Plan) -> list[str]:
    return [step.summary for step in made.steps]


def test_spec_follows_the_declaration() -> None:
    assert ENTITY.spec() == {
        "description": {"type": "str"},
        "mtu": {"type": "int"},
        "tags": {"type": "list", "elements": "str"},
        "merged": {"type": "dict"},
        "bridge": {"type": "str"},
    }


def test_create_predicts_all_but_what_the_pool_chooses(session: MemorySession) -> None:
    made = plan(session, name="n", mtu=9000)
    predicted = {"name": "n", "description": "", "mtu": 9000, "tags": [], "merged": {}}
    assert made.result == {"network": predicted}
    assert (made.before, made.after) == ({"state": "absent"}, {"state": "present", **predicted})
    result = apply(made)["network"]
    assert result.items() >= predicted.items()
    assert result["bridge"].startswith("xapi")


def test_create_is_undone_by_removing_what_it_made(session: MemorySession, simulator: Simulator) -> None:
    made = plan(session, name="n")
    before = simulator.records("network")
    made.steps[0].apply()
    assert made.steps[0].undo is not None
    made.steps[0].undo()
    assert simulator.records("network") == before


def test_only_what_differs_is_set(session: MemorySession) -> None:
    apply(plan(session, name="n", description="d", mtu=9000, tags=["b", "a"]))
    assert summaries(plan(session, name="n", description="d", mtu=9000, tags=["a", "b"])) == []
    made = plan(session, name="n", description="", mtu=9000, tags=["a"])
    assert summaries(made) == ["set description", "set tags"]
    assert made.before["tags"] == ["a", "b"]
    assert made.after["tags"] == ["a"]
    assert apply(made)["network"]["description"] == ""


def test_maps_merge_or_replace(session: MemorySession) -> None:
    apply(plan(session, name="n", merged={"a": 1, "b": 2}))
    assert apply(plan(session, name="n", merged={"b": None, "c": 3}))["network"]["merged"] == {"a": "1", "c": "3"}
    assert apply(plan(session, REPLACING, name="n", whole={"d": 4}))["network"]["whole"] == {"d": "4"}
    assert apply(plan(session, REPLACING, name="n", whole={}))["network"]["whole"] == {}


def test_immutable(session: MemorySession) -> None:
    apply(plan(session, name="n", bridge="mine"))
    assert summaries(plan(session, name="n", bridge="mine")) == []
    with pytest.raises(Immutable, match="bridge of network 'n' is 'mine' and cannot become 'yours' after creation"):
        plan(session, name="n", bridge="yours")


class TestRename:
    def test_by_name_and_again(self, session: MemorySession) -> None:
        apply(plan(session, name="old"))
        made = plan(session, name="old", new_name="new")
        assert summaries(made) == ["rename it to 'new'"]
        assert (made.before["name"], made.after["name"]) == ("old", "new")
        assert apply(made)["network"]["name"] == "new"
        assert summaries(plan(session, name="old", new_name="new")) == []

    def test_the_new_name_is_taken(self, session: MemorySession) -> None:
        for name in ("old", "new"):
            apply(plan(session, name=name))
        with pytest.raises(XenError, match="there is another network named 'new' already"):
            plan(session, name="old", new_name="new")

    def test_to_its_own_name(self, session: MemorySession) -> None:
        uuid = apply(plan(session, name="n"))["network"]["uuid"]
        assert summaries(plan(session, uuid=uuid, new_name="n")) == []

    def test_created_under_the_new_name(self, session: MemorySession) -> None:
        assert apply(plan(session, name="old", new_name="new"))["network"]["name"] == "new"


def test_uuid_that_is_not_there(session: MemorySession) -> None:
    with pytest.raises(NotFound, match="there is no network 'x' in this pool; a new one is created by name"):
        plan(session, uuid="x")
    assert plan(session, uuid="x", state="absent").steps == []


def test_absent(session: MemorySession, simulator: Simulator) -> None:
    apply(plan(session, name="n"))
    made = plan(session, name="n", state="absent")
    assert (made.before["state"], made.before["name"], made.after) == ("present", "n", {"state": "absent"})
    apply(made)
    assert "n" not in {record["name_label"] for record in simulator.records("network").values()}
    assert plan(session, name="n", state="absent").steps == []


def test_hooks_may_add_steps_and_refuse(session: MemorySession) -> None:
    def present(context: Any) -> None:
        context.plan.add("mark it", lambda: session.call("network.set_tags", context.ref.value, ["marked"]))

    def absent(context: Any) -> None:
        raise XenError(f"keep {context.record['name_label']}")

    hooked = Entity("network", ENTITY.fields, ENTITY.render, on_present=present, on_absent=absent)
    made = plan(session, hooked, name="n")
    assert summaries(made) == ["create network 'n'", "mark it"]
    assert apply(made)["network"]["tags"] == ["marked"]
    with pytest.raises(XenError, match="keep n"):
        plan(session, hooked, name="n", state="absent")


def test_references_are_named_and_shown_by_uuid(session: MemorySession, simulator: Simulator) -> None:
    """By VDI, whose SR is a reference; planned only, as creating one takes more than its fields."""
    disk = Entity("VDI", (Field("sr", "SR", TEXT, refers_to="SR", immutable=True),), lambda record, view: {"sr": view.uuid("SR", record["SR"])}, key="vdi")
    (uuid,) = {record["uuid"] for record in simulator.records("SR").values() if record["name_label"] == "Local storage"}
    assert plan(session, disk, name="d", sr="Local storage").result == {"vdi": {"name": "d", "sr": uuid}}
    assert plan(session, disk, name="d", sr=uuid).result == {"vdi": {"name": "d", "sr": uuid}}
    with pytest.raises(NotFound, match="there is no SR 'nowhere'"):
        plan(session, disk, name="d", sr="nowhere")
