# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pools saved as worlds, and which worlds are taken."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from simulator import Failure, Simulator
from simulator.engine.schema import LEVELS, load
from simulator.saving import Client, Refused, SaveError, world_of
from simulator.worlds import WorldError
from simulator.worlds.validation import problems

SIMULATOR = Path(__file__).parents[2] / "simulator"
PASSWORD = "hunter2-of-the-filer"


@pytest.fixture(scope="module")
def pool() -> Iterator[Simulator]:
    """Three hosts with a VM that runs and has a snapshot, secrets, and addresses of a real network."""
    with Simulator("three_hosts") as simulator:
        session = simulator.session()
        (template,) = session.VM.get_by_name_label("Debian 12 (cloud image)")
        vm = session.VM.clone(template, "web1")
        session.VM.provision(vm)
        session.VM.start(vm, False, False)
        session.VM.snapshot(vm, "before")
        session.secret.create({"value": PASSWORD, "other_config": {}})
        (host,) = session.host.get_by_name_label("xs2")
        (sr,) = session.SR.get_by_name_label("NFS storage")
        config = {"server": "filer", "cifspassword": PASSWORD}
        with_secret = session.SR.introduce("", "filer", "", "smb", "iso", True, {})
        session.PBD.create({"host": host, "SR": with_secret, "device_config": config, "other_config": {"chap_password": PASSWORD}})
        session.SR.add_to_other_config(sr, "note", "kept")

        async def move() -> None:
            engine = simulator.engine
            for number, (ref, row) in enumerate(engine.db.items("host"), start=1):
                old, new = row["address"], f"10.20.30.{number}"
                for pif in row["PIFs"]:
                    if engine.db.get("PIF", pif, "IP") == old:
                        engine.db.set("PIF", pif, "IP", new)
                engine.db.set("host", ref, "address", new)

        simulator.run(move())
        yield simulator
        assert simulator.problems == []


def asking(pool: Simulator) -> Callable[..., Any]:
    """The pool as saving asks it."""
    session = pool.session()

    def call(method: str, *params: Any) -> Any:
        try:
            return session.call(method, *params)
        except Failure as failure:
            raise Refused(method, failure.code, failure.params) from None

    return call


@pytest.fixture(scope="module")
def world(pool: Simulator) -> dict[str, Any]:
    return json.loads(json.dumps(world_of(asking(pool), "copy")))


# What is saved


def test_the_copy_answers_as_the_pool_does(pool: Simulator, world: dict[str, Any]) -> None:
    with Simulator(world) as copy:
        again = world_of(asking(copy), "copy")
        assert copy.problems == []
    assert {cls: set(rows) for cls, rows in again["records"].items()} == {cls: set(rows) for cls, rows in world["records"].items()}
    for cls in ("VM", "VBD", "VIF", "VDI", "SR", "network", "PIF", "pool", "secret"):
        for ref, row in world["records"][cls].items():
            assert comparable(again["records"][cls][ref]) == comparable(row), (cls, ref)


def comparable(row: dict[str, Any]) -> dict[str, Any]:
    """Sets have no order, and what is allowed is computed anew when a toolstack starts."""
    return {name: sorted(value, key=str) if isinstance(value, list) else value for name, value in row.items() if name != "allowed_operations"}


def test_the_copy_is_a_pool_to_work_with(world: dict[str, Any]) -> None:
    with Simulator(world) as copy:
        session = copy.session()
        (vm,) = session.VM.get_by_name_label("web1")
        assert session.VM.get_power_state(vm) == "Running"
        (snapshot,) = session.VM.get_snapshots(vm)
        session.VM.hard_shutdown(vm)
        session.VM.revert(snapshot)
        session.VM.start(vm, False, False)
        with pytest.raises(Failure, match="VM_BAD_POWER_STATE"):
            session.VM.start(vm, False, False)
        assert copy.problems == []


def test_no_secret_is_in_it(world: dict[str, Any]) -> None:
    assert PASSWORD not in json.dumps(world)
    assert {row["value"] for row in world["records"]["secret"].values()} == {""}
    (pbd,) = [row for row in world["records"]["PBD"].values() if row["device_config"].get("server") == "filer"]
    assert "cifspassword" not in pbd["device_config"]
    assert pbd["other_config"] == {}
    assert not {"session", "task"} & set(world["records"])


def test_what_a_driver_wants_to_know_is_no_secret(world: dict[str, Any]) -> None:
    """SM.configuration describes device_config's keys; no value of one is there."""
    assert any("cifspassword" in row["configuration"] for row in world["records"]["SM"].values())


def test_hosts_are_on_loopback(world: dict[str, Any]) -> None:
    records = world["records"]
    (pool,) = records["pool"].values()
    addresses = {row["name_label"]: row["address"] for row in records["host"].values()}
    assert addresses == {"xs1": "127.0.0.1", "xs2": "127.0.0.2", "xs3": "127.0.0.3"}
    assert records["host"][pool["master"]]["address"] == "127.0.0.1"
    management = {records["host"][row["host"]]["name_label"]: row["IP"] for row in records["PIF"].values() if row["management"]}
    assert management == addresses
    assert "10.20.30." not in json.dumps({cls: records[cls] for cls in ("host", "PIF")})


def test_the_level_of_the_pool_is_kept() -> None:
    for level in LEVELS:
        with Simulator(api=level) as pool:
            world = world_of(asking(pool), "copy")
        assert world["api"] == level
        with Simulator(world) as copy:
            assert copy.engine.schema.level == level


def test_nothing_is_written_to_the_pool(pool: Simulator) -> None:
    before = len(pool.calls)
    world_of(asking(pool), "copy")
    assert [call.method for call in pool.calls[before:] if call.writes] == []


# The command


def save(*arguments: str, password: str = "simulated") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "XENSERVER_PASSWORD": password}
    return subprocess.run([sys.executable, str(SIMULATOR), "save", *arguments], env=environment, capture_output=True, text=True, check=False)


def test_a_pool_is_saved_over_tls(tmp_path: Path) -> None:
    out = tmp_path / "mine.json"
    with Simulator("one_host") as simulator:
        server = simulator.serve()
        refused = save("--url", server.url, "--out", str(out))
        assert refused.returncode == 1
        assert "certificate" in refused.stderr.lower()
        wrong = save("--url", server.url, "--ca-path", str(server.ca_path), "--out", str(out), password="wrong")
        assert wrong.returncode == 1
        assert "SESSION_AUTHENTICATION_FAILED" in wrong.stderr
        assert not out.exists()
        done = save("--url", server.url, "--ca-path", str(server.ca_path), "--out", str(out))
        assert (done.returncode, done.stderr) == (0, "")
        assert simulator.records("session") == {}
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    with Simulator(out) as copy:
        assert copy.world.name == "mine"


def test_a_member_is_no_door() -> None:
    with Simulator("three_hosts") as simulator:
        server = simulator.serve(tls=False)
        with pytest.raises(SaveError, match=r"is a member of its pool; its coordinator is 127\.0\.0\.\d"):
            Client(server.urls["xs2"], None).login("root", "simulated")


# Worlds that are none


def first(world: dict[str, Any], cls: str) -> dict[str, Any]:
    return next(iter(world["records"][cls].values()))


def with_text_for_a_number(world: dict[str, Any]) -> None:
    first(world, "VM")["memory_static_max"] = "1024"


def with_unknown_field(world: dict[str, Any]) -> None:
    first(world, "VM")["colour"] = "red"


def with_unknown_class(world: dict[str, Any]) -> None:
    world["records"]["Toaster"] = {}


def with_sessions(world: dict[str, Any]) -> None:
    world["records"]["session"] = {}


def with_two_pools(world: dict[str, Any]) -> None:
    world["records"]["pool"]["OpaqueRef:2"] = {**first(world, "pool"), "uuid": "other"}


def without_coordinator(world: dict[str, Any]) -> None:
    first(world, "pool")["master"] = "OpaqueRef:nobody"


def with_one_uuid_twice(world: dict[str, Any]) -> None:
    rows = list(world["records"]["network"].values())
    rows[1]["uuid"] = rows[0]["uuid"]


def with_unknown_state(world: dict[str, Any]) -> None:
    first(world, "VM")["power_state"] = "Sleeping"


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (with_text_for_a_number, "memory_static_max is int, which '1024' is not"),
        (with_unknown_field, "no field colour at API level 8.3"),
        (with_unknown_class, "Toaster: no class of records"),
        (with_sessions, "session: no class of records"),
        (with_two_pools, "pool: there are 2, and a world has one"),
        (without_coordinator, "master is OpaqueRef:nobody, and there is no such host"),
        (with_one_uuid_twice, "has the uuid"),
        (with_unknown_state, "power_state is enum vm_power_state, which 'Sleeping' is not"),
    ],
)
def test_records_that_are_no_pool(world: dict[str, Any], spoil: Callable[[dict[str, Any]], None], words: str) -> None:
    spoiled = json.loads(json.dumps(world))
    spoil(spoiled)
    with pytest.raises(WorldError) as raised:
        Simulator(spoiled)
    assert words in str(raised.value)


def test_many_problems_are_not_all_told(world: dict[str, Any]) -> None:
    spoiled = json.loads(json.dumps(world))
    for row in spoiled["records"]["host_cpu"].values():
        row["number"] = None
    count = len(spoiled["records"]["host_cpu"])
    assert len(list(problems(load("8.3"), spoiled["records"]))) == count
    with pytest.raises(WorldError, match=f"and {count - 10} more"):
        Simulator(spoiled)


def test_a_blueprint_with_a_key_too_many() -> None:
    with pytest.raises(WorldError, match="no 'host'; it has agent, api"):
        Simulator({"name": "x", "hosts": [], "host": []})
