# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""host.call_plugin: what a script gets, what becomes of its answer (facts 3.9; recording plugins)."""

from __future__ import annotations

import os
import threading
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from simulator import Failure, Simulator

MEMBERS = "<member><name>Status</name><value>Success</value></member><member><name>Value</name>{}</member>"
OK = f"<methodResponse><params><param><value><struct>{MEMBERS}</struct></value></param></params></methodResponse>"


def refusal(action: Callable[..., Any], *params: Any) -> list[str]:
    with pytest.raises(Failure) as caught:
        action(*params)
    return caught.value.description


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "plugins"
    folder.mkdir()
    return folder


@pytest.fixture
def simulator(folder: Path) -> Iterator[Simulator]:
    with Simulator("three_hosts", plugin_dir=folder) as simulator:
        yield simulator
        assert simulator.problems == []


@pytest.fixture
def session(simulator: Simulator) -> Any:
    return simulator.session()


@pytest.fixture
def script(folder: Path) -> Callable[..., str]:
    def write(body: str, name: str = "plugin", mode: int = 0o755) -> str:
        (folder / name).write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
        (folder / name).chmod(mode)
        return name

    return write


def printing(text: str) -> str:
    return f"cat <<'END'\n{text}\nEND"


@pytest.fixture
def call(session: Any) -> Callable[..., Any]:
    def run(plugin: str, fn: str = "fn", args: dict[str, str] | None = None, host: str = "xs1") -> Any:
        return session.host.call_plugin(session.host.get_by_name_label(host)[0], plugin, fn, args or {})

    return run


# What the script gets


def test_one_argument_with_the_call(session: Any, script: Callable[..., str], call: Callable[..., Any], tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    script(f'printf "%s" "$#:$1" > {seen}\n' + printing(OK.format("<value>done</value>")))
    assert call("plugin", "say <hello>", {"key & co": 'va"lue', "empty": ""}) == "done"
    count, _unused, document = seen.read_text(encoding="utf-8").partition(":")
    assert count == "1"
    root = ET.fromstring(document)
    assert root.findtext("methodName") == "say <hello>"
    caller, arguments = root.findall("params/param/value")
    assert caller.text == session.ref
    members = {member.findtext("name"): member.findtext("value") for member in arguments.findall("struct/member")}
    assert members == {"key & co": 'va"lue', "empty": ""}


def test_every_host_has_a_folder_of_its_own(script: Callable[..., str], call: Callable[..., Any], folder: Path) -> None:
    script('echo "$HOME $PWD $SECRET" > "$TMPDIR/note"\n' + f'cat "$TMPDIR/note" >> {folder}/log\n' + printing(OK.format("<value/>")))
    os.environ["SECRET"] = "of the simulator's own"
    try:
        for host in ("xs1", "xs2", "xs1"):
            call("plugin", host=host)
    finally:
        del os.environ["SECRET"]
    first, second, third = (folder / "log").read_text(encoding="utf-8").splitlines()
    assert first == third != second
    assert "of the simulator's own" not in first


# Which script


@pytest.mark.parametrize("name", ["nothing", "", ".", "..", "../outside", "/bin/echo", "sub/inner", "plugin\0"])
def test_a_name_is_no_path(script: Callable[..., str], call: Callable[..., Any], folder: Path, name: str) -> None:
    script(printing(OK.format("<value>inside</value>")))
    (folder / "sub").mkdir()
    for path in (folder.parent / "outside", folder / "sub" / "inner"):
        path.write_text("#!/bin/sh\ntouch reached\n", encoding="utf-8")
        path.chmod(0o755)
    assert refusal(call, name) == ["XENAPI_MISSING_PLUGIN", name]


def test_without_a_folder_there_is_none() -> None:
    with Simulator("one_host") as simulator:
        session = simulator.session()
        assert refusal(session.host.call_plugin, session.host.get_all()[0], "plugin", "fn", {}) == ["XENAPI_MISSING_PLUGIN", "plugin"]
        assert simulator.problems == []


# How it ends


@pytest.mark.parametrize(
    ("value", "result"),
    [
        ("<value>text</value>", "text"),
        ("<value><string>text</string></value>", "text"),
        ("<value></value>", ""),
        ("<value>a &lt;b&gt; &amp; c</value>", "a <b> & c"),
        ("<value><string/></value>", ""),
    ],
)
def test_answers(script: Callable[..., str], call: Callable[..., Any], value: str, result: str) -> None:
    script(printing(OK.format(value)))
    assert call("plugin") == result


@pytest.mark.parametrize("value", ["<value><int>3</int></value>", "<value><boolean>1</boolean></value>", "<value><array><data/></array></value>"])
def test_an_answer_is_text(script: Callable[..., str], call: Callable[..., Any], value: str) -> None:
    script(printing(OK.format(value)))
    code, text = refusal(call, "plugin")
    assert code == "INTERNAL_ERROR"
    assert text.startswith("XMLRPC.RunTimeTypeError(")


def test_a_script_that_fails(script: Callable[..., str], call: Callable[..., Any]) -> None:
    script("echo out; echo err >&2; exit 3")
    assert refusal(call, "plugin") == ["XENAPI_PLUGIN_FAILURE", "non-zero exit", "out\n", "err\n"]


def test_a_script_that_is_killed(script: Callable[..., str], call: Callable[..., Any]) -> None:
    script("echo out; kill -TERM $$")
    assert refusal(call, "plugin") == ["XENAPI_PLUGIN_FAILURE", "signal: SIGTERM", "out\n", ""]


def test_a_file_that_is_no_program(script: Callable[..., str], call: Callable[..., Any]) -> None:
    script("echo never", mode=0o644)
    assert refusal(call, "plugin") == ["XENAPI_PLUGIN_FAILURE", "non-zero exit", "", ""]


def test_output_that_is_no_answer(script: Callable[..., str], call: Callable[..., Any]) -> None:
    script("echo hello")
    assert refusal(call, "plugin")[:3] == ["XENAPI_PLUGIN_FAILURE", "failed to parse plugin output", "hello\n"]


def test_a_fault(script: Callable[..., str], call: Callable[..., Any]) -> None:
    members = "<member><name>faultCode</name><value><int>7</int></value></member><member><name>faultString</name><value>broken</value></member>"
    script(printing(f"<methodResponse><fault><value><struct>{members}</struct></value></fault></methodResponse>"))
    assert refusal(call, "plugin") == ["XENAPI_PLUGIN_FAILURE", "fault", "7", "broken"]


def test_a_refusal_of_the_script_is_passed_on(script: Callable[..., str], call: Callable[..., Any]) -> None:
    description = "<value><array><data><value>MY_ERROR</value><value>one</value></data></array></value>"
    members = f"<member><name>Status</name><value>Failure</value></member><member><name>ErrorDescription</name>{description}</member>"
    script(printing(f"<methodResponse><params><param><value><struct>{members}</struct></value></param></params></methodResponse>"))
    assert refusal(call, "plugin") == ["MY_ERROR", "one"]


def test_others_are_served_while_a_script_runs(simulator: Simulator, session: Any, script: Callable[..., str]) -> None:
    script("sleep 1\n" + printing(OK.format("<value>late</value>")))
    host, answers = session.host.get_all()[0], []
    caller = threading.Thread(target=lambda: answers.append(simulator.session().host.call_plugin(host, "plugin", "fn", {})))
    caller.start()
    begun = time.monotonic()
    session.VM.get_all()
    assert time.monotonic() - begun < 0.5
    caller.join(10)
    assert answers == ["late"]
