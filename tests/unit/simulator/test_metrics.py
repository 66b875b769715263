# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measurements: data sources, and the round-robin archives over HTTP (facts 4, 4.4; recording rrds)."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
import xml.etree.ElementTree as ET
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from simulator import Simulator
from simulator.server import Server

from ._asking import fixtures, refusal

GIB = 1 << 30


simulator, session = fixtures(lambda: Simulator("one_host"), "module")


@pytest.fixture(scope="module")
def server(simulator: Simulator) -> Server:
    return simulator.serve(tls=False)


@pytest.fixture(scope="module")
def vm(session: Any) -> str:
    vm = session.VM.clone(session.VM.get_by_name_label("Other install media")[0], "measured")
    session.VM.provision(vm)
    session.VM.set_memory_limits(vm, GIB, GIB, GIB, GIB)
    session.VM.start(vm, False, False)
    return str(vm)


@pytest.fixture
def get(server: Server, session: Any) -> Callable[..., tuple[int, bytes]]:
    def fetch(path: str, *, authorised: bool = True, **query: Any) -> tuple[int, bytes]:
        query = {"session_id": session.ref, **query} if authorised else query
        text = "&".join(f"{name}={value}" for name, value in query.items())
        try:
            with urllib.request.urlopen(f"{server.url}{path}?{text}") as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    return fetch


# Data sources


def test_what_is_measured(session: Any, vm: str) -> None:
    host = session.host.get_all()[0]
    of_host = {source["name_label"]: source for source in session.host.get_data_sources(host)}
    assert {"cpu0", "cpu_avg", "loadavg", "memory_total_kib", "memory_free_kib", "pif_eth0_rx"} <= set(of_host)
    assert set(of_host["loadavg"]) == {"name_label", "name_description", "enabled", "standard", "units", "min", "max", "value"}
    assert {"cpu0", "memory", "memory_internal_free"} <= {source["name_label"] for source in session.VM.get_data_sources(vm)}


def test_values_are_plausible_and_move(session: Any, vm: str) -> None:
    host = session.host.get_all()[0]
    assert session.host.query_data_source(host, "memory_total_kib") == 64 * GIB / 1024
    assert 0 <= session.host.query_data_source(host, "cpu_avg") <= 1
    assert session.VM.query_data_source(vm, "memory") == GIB
    first = session.VM.query_data_source(vm, "cpu0")
    time.sleep(0.1)
    assert 0 <= first <= 1
    assert first != session.VM.query_data_source(vm, "cpu0")


def test_a_source_that_is_none(session: Any, vm: str) -> None:
    host = session.host.get_all()[0]
    for action, ref in ((session.host.query_data_source, host), (session.VM.query_data_source, vm)):
        assert refusal(action, ref, "warmth")[0] == "INTERNAL_ERROR"


# Archives


def test_the_recent_past(get: Callable[..., tuple[int, bytes]], session: Any, vm: str) -> None:
    start = int(time.time()) - 300
    status, body = get("/rrd_updates", start=start, host="true", cf="AVERAGE", interval=5)
    assert status == 200
    root = ET.fromstring(body)
    meta = {child.tag: child.text or "" for child in root.findall("meta/*")}
    legend = [entry.text for entry in root.findall("meta/legend/entry")]
    rows = root.findall("data/row")
    assert (int(meta["rows"]), int(meta["columns"])) == (len(rows), len(legend))
    uuid = session.VM.get_uuid(vm)
    assert f"AVERAGE:vm:{uuid}:memory" in legend
    times = [int(row.findtext("t", "")) for row in rows]
    assert times == sorted(times, reverse=True)  # the newest first
    assert {later - earlier for later, earlier in pairwise(times)} == {5}
    assert all(len(row.findall("v")) == len(legend) for row in rows)


def test_as_json_the_values_are_text(get: Callable[..., tuple[int, bytes]]) -> None:
    status, body = get("/rrd_updates", start=int(time.time()) - 60, host="true", json="true")
    answer = json.loads(body)
    assert status == 200
    assert set(answer) == {"meta", "data"}
    assert all(isinstance(value, str) for row in answer["data"] for value in row["values"])


def test_one_vm_alone(get: Callable[..., tuple[int, bytes]], session: Any, vm: str) -> None:
    uuid = session.VM.get_uuid(vm)
    _headers, body = get("/rrd_updates", start=int(time.time()) - 60, vm_uuid=uuid)
    legend = [entry.text or "" for entry in ET.fromstring(body).findall("meta/legend/entry")]
    assert {entry.split(":")[2] for entry in legend} == {uuid}


def test_whole_archives(get: Callable[..., tuple[int, bytes]], session: Any, vm: str) -> None:
    for path, query in (("/vm_rrd", {"uuid": session.VM.get_uuid(vm)}), ("/host_rrd", {})):
        status, body = get(path, **query)
        assert status == 200
        root = ET.fromstring(body)
        assert root.tag == "rrd"
        sizes = [(int(rra.findtext("pdp_per_row", "")), len(rra.findall("database/row"))) for rra in root.findall("rra")]
        assert sizes == [(1, 120), (12, 120), (720, 168), (17280, 366)]  # 10 minutes, 2 hours, a week, a year


@pytest.mark.parametrize(
    ("path", "query", "status"),
    # A uuid that is left out breaks xapi before it looks (recording http).
    [("/rrd_updates", {}, 400), ("/vm_rrd", {}, 500), ("/vm_rrd", {"uuid": "00000000-0000-0000-0000-000000000000"}, 500)],
)
def test_what_cannot_be_had(get: Callable[..., tuple[int, bytes]], path: str, query: dict[str, str], status: int) -> None:
    assert get(path, **query)[0] == status


def test_nobody_measures_without_a_session(get: Callable[..., tuple[int, bytes]]) -> None:
    assert get("/rrd_updates", authorised=False, start=0)[0] == 401
    assert get("/host_rrd", authorised=False, session_id="none")[0] == 401
