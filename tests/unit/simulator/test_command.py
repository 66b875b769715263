# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line: which messages there are, and several pools in one process."""

from __future__ import annotations

import json
import os
import signal
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from simulator import messages
from simulator.command import announce
from simulator.engine.schema import LEVELS, load
from simulator.server import addresses

SIMULATOR = Path(__file__).parents[2] / "simulator"


def output(*arguments: str) -> list[str]:
    return subprocess.run([sys.executable, str(SIMULATOR), *arguments], check=True, capture_output=True, text=True).stdout.splitlines()


# Messages


def test_every_message_of_the_wire_is_listed_once() -> None:
    lines = output("messages", "--api", "8.2")
    listed = [line.split()[-1] for line in lines[:-1]]
    assert sorted(listed) == sorted(load("8.2").listed)


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("VM.start", "behaviour"),
        ("VM.get_name_label", "implicit"),
        ("network.create", "behaviour"),
        ("host.ha_join_liveset", "internal"),  # hosts of a pool among themselves
        ("VM.set_HVM_boot_policy", "behaviour"),
        ("pool.get_restrictions", "implicit"),
        ("DR_task.create", "declared only"),
    ],
)
def test_the_kind_of_a_message(message: str, kind: str) -> None:
    known = {f"{cls}.{name}": found for cls, name, found in messages.kinds("8.3")}
    assert known[message] == kind


@pytest.mark.parametrize("level", LEVELS)
def test_kinds_add_up(level: str) -> None:
    counts = output("messages", "--api", level, "--kind", "removed")
    total = sum(int(part.split()[0]) for part in counts[-1].split(", "))
    assert total == len(load(level).listed)
    assert len(counts) - 1 == int(counts[-1].split(", ")[-1].split()[0])


def test_the_table_of_the_documentation_is_what_the_simulator_does() -> None:
    table = Path(__file__).parents[3] / "docs" / "simulator-messages.md"
    assert table.read_text(encoding="utf-8") == messages.markdown(), "make it anew: python3 tests/simulator messages --markdown > docs/simulator-messages.md"


# Pools


@pytest.fixture
def served(tmp_path: Path) -> Iterator[dict[str, Any]]:
    ready = tmp_path / "ready"
    arguments = ["--port", "0", "--world", "three_hosts", "--world", "one_host", "--world", "one_host", "--ready-file", str(ready)]
    with subprocess.Popen([sys.executable, str(SIMULATOR), *arguments]) as process:
        end = time.monotonic() + 20
        while not ready.exists():
            assert time.monotonic() < end, "no ready file after 20 s"
            assert process.poll() is None
            time.sleep(0.05)
        assert os.stat(ready).st_mode & 0o077 == 0
        yield json.loads(ready.read_text(encoding="utf-8"))
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def call(url: str, ca_path: str, method: str, *params: Any) -> Any:
    body = json.dumps({"jsonrpc": "2.0", "method": method, "params": params, "id": 1}).encode()
    request = urllib.request.Request(f"{url}/jsonrpc", body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, context=ssl.create_default_context(cafile=ca_path)) as answer:
        return json.load(answer)


def test_pools_beside_each_other(served: dict[str, Any]) -> None:
    """Every host has an address of its own, all on one port, their certificates from one authority."""
    pools = served["pools"]
    assert served["url"] == pools[0]["url"]
    urls = [url for pool in pools for url in pool["hosts"].values()]
    assert len(urls) == 5
    assert len(set(urls)) == 5
    assert len({url.rpartition(":")[2] for url in urls}) == 1
    uuids = []
    for pool in pools:
        session = call(pool["url"], served["ca_path"], "session.login_with_password", pool["username"], pool["password"])["result"]
        record = call(pool["url"], served["ca_path"], "pool.get_all_records", session)["result"]
        uuids.append(next(iter(record.values()))["uuid"])
    assert len(set(uuids)) == 3  # the second one_host is another pool


def test_a_member_names_its_own_coordinator(served: dict[str, Any]) -> None:
    first = served["pools"][0]
    member = next(url for url in first["hosts"].values() if url != first["url"])
    error = call(member, served["ca_path"], "session.login_with_password", "root", "simulated")["error"]
    assert [error["message"], *error["data"]] == ["HOST_IS_SLAVE", first["url"].removeprefix("https://").rpartition(":")[0]]


def test_without_a_ready_file_it_is_printed_for_programs_and_for_a_shell(capsys: pytest.CaptureFixture[str]) -> None:
    description = {"url": "https://127.0.0.1:8443", "username": "root", "password": "it's", "ca_path": "/tmp/a b/ca.pem", "pid": 1}
    announce(description, None)
    printed = capsys.readouterr()
    assert json.loads(printed.out) == description
    told = subprocess.run(["sh", "-c", printed.err + "env"], capture_output=True, text=True, check=True).stdout.splitlines()
    wanted = {"XENSERVER_HOST=https://127.0.0.1:8443", "XENSERVER_USER=root", "XENSERVER_PASSWORD=it's", "XENSERVER_CA_PATH=/tmp/a b/ca.pem"}
    assert wanted <= set(told)


def test_who_listens_where() -> None:
    known = {"a": "10.0.0.1", "b": "127.0.0.7", "c": "192.168.1.1"}
    assert addresses(known, "c") == {"c": "127.0.0.1", "a": "127.0.0.2", "b": "127.0.0.7"}
    taken = frozenset({"127.0.0.1", "127.0.0.7"})
    assert addresses(known, "c", taken) == {"c": "127.0.0.2", "a": "127.0.0.3", "b": "127.0.0.4"}


def test_a_world_that_is_none(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, str(SIMULATOR), "--world", str(tmp_path / "nothing.json")], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no such file; the worlds by name are one_host, three_hosts" in done.stderr
