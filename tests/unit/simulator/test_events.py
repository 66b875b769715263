# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Events: what event.from tells, and when; event.next; alerts (facts 1.9; X/xapi_event.ml)."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from simulator import Simulator

from ._asking import fixtures, refusal, until

simulator, session = fixtures(lambda: Simulator("one_host"))


def create(session: Any, name: str = "net") -> str:
    return str(session.network.create({"name_label": name, "other_config": {}}))


def told(batch: Any) -> list[tuple[str, str, str]]:
    return [(event["class"], event["operation"], event["ref"]) for event in batch["events"]]


# Tokens and snapshots


def test_without_a_token_everything_is_new(session: Any) -> None:
    batch = session.event.from_(["network", "pool"], "", 0.0)
    expected = {("network", "add", ref) for ref in session.network.get_all()} | {("pool", "add", ref) for ref in session.pool.get_all()}
    assert set(told(batch)) == expected
    first = next(event for event in batch["events"] if event["class"] == "network")
    assert first["timestamp"] == "0.0"
    assert first["snapshot"] == session.network.get_record(first["ref"])
    assert set(first) == {"id", "timestamp", "class", "operation", "ref", "snapshot"}


def test_a_token_is_two_numbers_of_twenty_digits(session: Any) -> None:
    token = session.event.from_(["network"], "", 0.0)["token"]
    parts = token.split(",")
    assert [len(part) for part in parts] == [20, 20]
    assert all(part.isdigit() for part in parts)


@pytest.mark.parametrize("token", ["x", "1", "1,2,3", "a,b", ","])
def test_tokens_that_are_none(session: Any, token: str) -> None:
    assert refusal(session.event.from_, ["network"], token, 0.0) == ["EVENT_FROM_TOKEN_PARSE_FAILURE", token]


def test_since_a_token_only_what_changed(session: Any) -> None:
    kept = create(session, "kept")
    token = session.event.from_(["network"], "", 0.0)["token"]
    new = create(session, "new")
    session.network.set_name_label(kept, "renamed")
    session.network.set_name_description(new, "described")
    batch = session.event.from_(["network"], token, 1.0)
    assert told(batch) == [("network", "add", new), ("network", "mod", kept)]  # once each; what is new is new
    assert batch["events"][0]["snapshot"]["name_description"] == "described"


def test_what_goes_is_told_without_a_record(session: Any) -> None:
    gone = create(session)
    token = session.event.from_(["network"], "", 0.0)["token"]
    session.network.destroy(gone)
    (event,) = session.event.from_(["network"], token, 1.0)["events"]
    assert (event["operation"], event["ref"]) == ("del", gone)
    assert "snapshot" not in event


def test_what_came_and_went_is_not_told(session: Any) -> None:
    token = session.event.from_(["network"], "", 0.0)["token"]
    session.network.destroy(create(session))
    kept = create(session)
    assert told(session.event.from_(["network"], token, 1.0)) == [("network", "add", kept)]


def test_a_write_that_changes_nothing_is_none(session: Any) -> None:
    ref = create(session)
    token = session.event.from_(["network"], "", 0.0)["token"]
    session.network.set_name_label(ref, "net")
    assert told(session.event.from_(["network"], token, 0.2)) == []


def test_both_ends_of_a_relation_change(session: Any) -> None:
    sr = session.SR.get_by_name_label("Local storage")[0]
    token = session.event.from_(["SR"], "", 0.0)["token"]
    record = {"name_label": "d", "SR": sr, "virtual_size": 1 << 21, "type": "user", "sharable": False, "read_only": False, "other_config": {}}
    session.VDI.create(record)
    assert told(session.event.from_(["SR"], token, 1.0)) == [("sr", "mod", sr)]


def test_counts_of_all_classes_come_along(session: Any) -> None:
    counts = session.event.from_(["network"], "", 0.0)["valid_ref_counts"]
    assert counts["network"] == len(session.network.get_all())
    assert counts["vm"] == len(session.VM.get_all())
    assert counts["sr"] == len(session.SR.get_all())


# Subscriptions


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        (["network"], True),
        (["NETWORK"], True),
        (["*"], True),
        (["vm"], False),
        (["nothing"], False),
        ([""], False),
        (["network/"], False),
        (["a/b/c"], False),
        ([], False),
    ],
)
def test_who_hears_of_a_network(session: Any, classes: list[str], expected: bool) -> None:
    token = session.event.from_(["network"], "", 0.0)["token"]
    ref = create(session)
    assert (("network", "add", ref) in told(session.event.from_(classes, token, 0.2))) is expected


def test_one_object_alone(session: Any) -> None:
    first, second = create(session), create(session)
    token = session.event.from_(["network"], "", 0.0)["token"]
    for ref in (first, second):
        session.network.set_name_label(ref, "renamed")
    assert told(session.event.from_([f"network/{second}"], token, 1.0)) == [("network", "mod", second)]


@pytest.mark.parametrize("cls", ["session", "secret", "auth"])
def test_classes_that_nobody_hears_of(session: Any, cls: str) -> None:
    assert told(session.event.from_([cls], "", 0.2)) == []


# Waiting


def test_an_empty_wait_gives_a_token_to_go_on_with(session: Any) -> None:
    token = session.event.from_(["network"], "", 0.0)["token"]
    begun = time.monotonic()
    batch = session.event.from_(["network"], token, 0.5)
    assert 0.4 < time.monotonic() - begun < 2
    assert batch["events"] == []
    ref = create(session)
    assert told(session.event.from_(["network"], batch["token"], 1.0)) == [("network", "add", ref)]


def test_who_waits_hears_at_once(simulator: Simulator, session: Any) -> None:
    token = session.event.from_(["network"], "", 0.0)["token"]
    heard: list[Any] = []
    waiter = threading.Thread(target=lambda: heard.append(simulator.session().event.from_(["network"], token, 30.0)))
    waiter.start()
    time.sleep(0.3)
    begun = time.monotonic()
    ref = create(session)
    waiter.join(5)
    assert time.monotonic() - begun < 1
    assert told(heard[0]) == [("network", "add", ref)]


def test_logging_out_ends_the_wait(simulator: Simulator, session: Any) -> None:
    other = simulator.session()
    token = other.event.from_(["network"], "", 0.0)["token"]
    ended: list[list[str]] = []
    waiter = threading.Thread(target=lambda: ended.append(refusal(other.event.from_, ["network"], token, 30.0)))
    waiter.start()
    time.sleep(0.3)
    simulator.connect().call("session.logout", [other.ref])
    waiter.join(5)
    assert ended == [["SESSION_INVALID", other.ref]]


def test_inject_tells_of_an_object_that_did_not_change(session: Any) -> None:
    ref = create(session)
    token = session.event.inject("network", ref)
    assert told(session.event.from_(["network"], token, 1.0)) == [("network", "mod", ref)]
    assert refusal(session.event.inject, "network", "OpaqueRef:none")[0] == "HANDLE_INVALID"
    assert refusal(session.event.inject, "nothing", ref)[0] == "HANDLE_INVALID"


def test_deletions_beyond_the_memory_show_in_the_counts(session: Any) -> None:
    """A table remembers at most 512 deletions, and then the last 256 of them."""
    refs = [create(session) for _unused in range(520)]
    token = session.event.from_(["network"], "", 0.0)["token"]
    for ref in refs:
        session.network.destroy(ref)
    batch = session.event.from_(["network"], token, 1.0)
    assert 256 <= len(batch["events"]) < len(refs)
    assert batch["valid_ref_counts"]["network"] == len(session.network.get_all())


def test_a_token_survives_the_restart_of_the_toolstack(simulator: Simulator, session: Any) -> None:
    before = session.event.from_(["network"], "", 0.0)["token"]
    simulator.restart_toolstack()
    again = simulator.session()
    ref = create(again)
    assert ("network", "add", ref) in told(again.event.from_(["network"], before, 1.0))


# The older interface


def test_next_wants_a_subscription(session: Any) -> None:
    assert refusal(session.event.next)[0] == "SESSION_NOT_REGISTERED"


def test_next_tells_what_happens_from_now_on(session: Any) -> None:
    session.event.register(["network"])
    ref = create(session)
    events = session.event.next()
    assert [(event["class"], event["operation"], event["ref"]) for event in events] == [("network", "add", ref)]
    assert float(events[0]["timestamp"]) > 1e9
    session.event.unregister(["network"])


def test_who_wants_nothing_any_more_is_registered_still(simulator: Simulator, session: Any) -> None:
    # Next.assert_subscribed in xapi_event.ml asks whether there is a subscription, not what it is for: the call waits for nothing.
    session.event.register(["network"])
    session.event.unregister(["network"])
    answers: list[list[str]] = []
    waiting = threading.Thread(target=lambda: answers.append(refusal(session.event.next)))
    waiting.start()
    until(lambda: any(call.method == "event.next" for call in simulator.calls))
    session.session.logout()
    waiting.join(10)
    assert answers[0][0] == "SESSION_INVALID"


def test_an_event_is_numbered_by_what_it_tells(session: Any) -> None:
    token = session.event.from_(["network"], "", 0.0)["token"]
    create(session)
    (made,) = session.event.from_(["network"], token, 1.0)["events"]
    session.network.set_name_label(made["ref"], "renamed")
    (again,) = session.event.from_(["network"], token, 1.0)["events"]
    # from_inner in xapi_event.ml: an add has the number of the object's making, however it was changed since.
    assert (again["operation"], again["id"]) == ("add", made["id"])


# Alerts


def test_an_alert_is_told_as_message(session: Any) -> None:
    token = session.event.from_(["message"], "", 0.0)["token"]
    uuid = session.pool.get_all_records()[session.pool.get_all()[0]]["uuid"]
    ref = session.message.create("HELLO", 3, "Pool", uuid, "body")
    batch = session.event.from_(["message"], token, 1.0)
    assert told(batch) == [("message", "add", ref)]
    assert batch["token"].split(",")[1] > token.split(",")[1]
    session.message.destroy(ref)
    assert told(session.event.from_(["message"], batch["token"], 1.0)) == [("message", "del", ref)]


def test_an_alert_is_about_something(session: Any) -> None:
    wrong = "00000000-0000-0000-0000-000000000000"
    assert refusal(session.message.create, "HELLO", 3, "VM", wrong, "") == ["UUID_INVALID", "VM", wrong]
