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

from simulator import Simulator

from ._asking import refusal

MEMBERS = "<member><name>Status</name><value>Success</value></member><member><name>Value</name>{}</member>"
OK = f"<methodResponse><params><param><value><struct>{MEMBERS}</struct></value></param></params></methodResponse>"


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


@pytest.mark.parametrize("protocol", ["fn", "key", "value"])
def test_control_characters_are_left_out(script: Callable[..., str], call: Callable[..., Any], protocol: str, tmp_path: Path) -> None:
    """Neither XML nor an argument of a program can hold them all: xapi writes the document without them."""
    seen = tmp_path / "seen"
    script(f'printf "%s" "$1" > {seen}\n' + printing(OK.format("<value>done</value>")))
    fn, key, value = (f"a\0b\x01\x1f\t{word}" if word == protocol else word for word in ("fn", "key", "value"))
    assert call("plugin", fn, {key: value}) == "done"
    root = ET.fromstring(seen.read_text(encoding="utf-8"))
    got = root.findtext("methodName"), root.findtext(".//member/name"), root.findtext(".//member/value")
    assert got == tuple(f"ab\t{word}" if word == protocol else word for word in ("fn", "key", "value"))


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


def struct(**members: str) -> str:
    return "<value><struct>" + "".join(f"<member><name>{name}</name>{value}</member>" for name, value in members.items()) + "</struct></value>"


def answered(value: str) -> str:
    return f"<methodResponse><params><param>{value}</param></params></methodResponse>"


def fault(value: str) -> str:
    return f"<methodResponse><fault>{value}</fault></methodResponse>"


NUMBER, TEXT, EMPTY = "<value><int>7</int></value>", "<value>why</value>", "<value/>"
NO_ARRAY = "<value><array><data/></array></value>"
# What XMLRPC.From complains of (H/xMLRPC.ml); OCaml prints of its exceptions only the first argument.
ODD = {
    "another document": ("<html/>", "unbox: Element=html should contain 'methodResponse'"),
    "a call": ("<methodResponse><params/><params/></methodResponse>", "singleton: {Element=params, Element=params} should be the singleton {methodResponse}"),
    "an unknown response": ("<methodResponse><oops/></methodResponse>", "response"),
    "no parameter": ("<methodResponse><params/></methodResponse>", "Expected single return value (struct status)"),
    "an attribute": (answered('<value kind="text">x</value>'), "unbox: Element=value should contain 'value'"),
    "bare text": (answered("<value>x</value>"), "unbox: PCData=x should contain 'struct'"),
    "no status": (answered(struct(Value=TEXT)), "Status"),
    "an unknown status": (answered(struct(Status="<value>Maybe</value>", Value=TEXT)), "Status"),
    "success without a value": (answered(struct(Status="<value>Success</value>")), "Status"),
    "failure without a description": (answered(struct(Status="<value>Failure</value>")), "Status"),
    "failure with no code": (answered(struct(Status="<value>Failure</value>", ErrorDescription=NO_ARRAY)), "Empty array of error strings"),
    "a member without a value": (answered("<value><struct><member><name>Status</name></member></struct></value>"), "pair "),
    "a name that is none": (answered("<value><struct><member><name><b/></name><value/></member></struct></value>"), "From.name: should contain PCData"),
    "a fault of text": (fault(struct(faultCode=TEXT, faultString=TEXT)), "unbox: PCData=why should contain 'i4'"),
    "a fault without its text": (fault(struct(faultCode=TEXT, faultString=NUMBER)), "unbox: Element=int should contain 'string'"),
}


@pytest.mark.parametrize(("output", "complaint"), ODD.values(), ids=ODD)
def test_answers_of_another_form(script: Callable[..., str], call: Callable[..., Any], output: str, complaint: str) -> None:
    script(printing(output))
    assert refusal(call, "plugin") == ["INTERNAL_ERROR", f'XMLRPC.RunTimeTypeError("{complaint}", _)']


@pytest.mark.parametrize(
    ("members", "text"),
    [
        ({"faultString": TEXT}, "Not_found"),
        ({"faultCode": NUMBER}, "Not_found"),
        ({}, "Not_found"),
        ({"faultCode": "<value><int>seven</int></value>", "faultString": TEXT}, 'Failure("Int32.of_string")'),
        ({"faultCode": "<value><int>2147483648</int></value>", "faultString": TEXT}, 'Failure("Int32.of_string")'),
    ],
)
def test_faults_that_lack_something(script: Callable[..., str], call: Callable[..., Any], members: dict[str, str], text: str) -> None:
    script(printing(fault(struct(**members))))
    assert refusal(call, "plugin") == ["INTERNAL_ERROR", text]


@pytest.mark.parametrize(("code", "told"), [("<i4>-007</i4>", "-7"), ("<int>+5</int>", "5"), ("<int>2147483647</int>", "2147483647")])
def test_the_number_of_a_fault(script: Callable[..., str], call: Callable[..., Any], code: str, told: str) -> None:
    script(printing(fault(struct(faultString=EMPTY, faultCode=f"<value>{code}</value>"))))
    assert refusal(call, "plugin") == ["XENAPI_PLUGIN_FAILURE", "fault", told, ""]


def test_of_two_members_of_one_name_the_first_counts(script: Callable[..., str], call: Callable[..., Any]) -> None:
    script(printing(OK.format("<value>first</value>").replace("</struct>", "<member><name>Value</name><value>second</value></member></struct>")))
    assert call("plugin") == "first"


def test_a_script_that_fails(script: Callable[..., str], call: Callable[..., Any]) -> None:
    script("echo out; echo err >&2; exit 3")
    assert refusal(call, "plugin") == ["XENAPI_PLUGIN_FAILURE", "non-zero exit", "out\n", "err\n"]


def test_a_script_that_is_killed(script: Callable[..., str], call: Callable[..., Any]) -> None:
    script("echo out; kill -TERM $$")
    assert refusal(call, "plugin") == ["XENAPI_PLUGIN_FAILURE", "signal: SIGTERM", "out\n", ""]


def test_a_file_that_is_no_program(script: Callable[..., str], call: Callable[..., Any]) -> None:
    script("echo never", mode=0o644)
    assert refusal(call, "plugin") == ["XENAPI_PLUGIN_FAILURE", "non-zero exit", "", ""]


@pytest.mark.parametrize(
    ("output", "error"),
    [
        ("hello", "expected root element line 1"),
        ("", "unexpected end of input line 1"),
        ("<methodResponse>", "unexpected end of input line 2"),
    ],
)
def test_output_that_is_no_answer(script: Callable[..., str], call: Callable[..., Any], output: str, error: str) -> None:
    script(f"echo '{output}'" if output else ":")
    told = f"{output}\n" if output else ""
    assert refusal(call, "plugin") == ["XENAPI_PLUGIN_FAILURE", "failed to parse plugin output", told, error]


def test_an_argument_that_is_too_long_for_a_program(script: Callable[..., str], call: Callable[..., Any]) -> None:
    script(printing(OK.format("<value>never</value>")))
    assert refusal(call, "plugin", "fn", {"data": "x" * 200_000}) == ["XENAPI_PLUGIN_FAILURE", "non-zero exit", "", ""]


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
