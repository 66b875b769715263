# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls that no honest client sends: an answer of xapi's shape, nothing broken inside, and the next client is served (facts 1.2 to 1.5)."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator import Failure, Simulator
from simulator.engine.types import double, int64

from ._hostile import Answer, Wire, bounded, drifting, few, refused, shaped
from ._machines import add_nic

LIMIT = 300 * 1024


@pytest.fixture(scope="module")
def pool() -> Iterator[Simulator]:
    with Simulator("one_host") as simulator:
        yield simulator


@pytest.fixture(scope="module")
def opened(pool: Simulator) -> Wire:
    return Wire(pool)


@pytest.fixture
def wire(opened: Wire, capfd: pytest.CaptureFixture[str]) -> Iterator[Wire]:
    """Afterwards nothing was broken, nothing complained, and an honest call is answered."""
    opened.pool.problems.clear()
    yield opened
    opened.check_alive()
    assert capfd.readouterr().err == ""


@pytest.fixture(scope="module")
def session(pool: Simulator) -> Any:
    return pool.session()


def xml(method: str, *params: str) -> bytes:
    inner = "".join(f"<param><value>{param}</value></param>" for param in params)
    return f"<methodCall><methodName>{method}</methodName><params>{inner}</params></methodCall>".encode("utf-8", "surrogateescape")


def call(method: Any, *params: Any, **members: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "method": method, "params": list(params), "id": 1, **members}).encode()


def page(answer: Answer) -> str:
    """What a page 500 says beyond its sentence."""
    assert answer.status == 500, answer
    return answer.body.decode("utf-8", "replace").partition("Additional information </h1>")[2].partition("</body>")[0].replace("&quot;", '"')


# XML

NESTED = 10_000
DOCTYPES = {
    "entities that grow": '<!DOCTYPE l [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;">]>',
    "a file": '<!DOCTYPE l [<!ENTITY c SYSTEM "file:///etc/hostname">]>',
    "a server": '<!DOCTYPE l SYSTEM "http://127.0.0.1:1/dtd" [<!ENTITY % p SYSTEM "http://127.0.0.1:1/p"> %p; <!ENTITY c "&p;">]>',
    "a quote that hides the end": '<!DOCTYPE l [<!ENTITY c "]>">]>',
}


@pytest.mark.parametrize("doctype", DOCTYPES.values(), ids=DOCTYPES.keys())
def test_no_entity_is_believed(wire: Wire, doctype: str) -> None:
    assert 'unknown entity reference ("c")' in page(wire.rpc(doctype.encode() + xml("VM.get_all", "&c;"))).replace('\\"', '"')
    assert refused(wire.rpc(doctype.encode() + xml("VM.get_all", "none")))


BODIES = {
    "nothing": b"",
    "zeroes": bytes(1000),
    "all bytes": bytes(range(256)),
    "utf-16": xml("VM.get_all", "x").decode().encode("utf-16"),
    "a mark of byte order alone": b"\xef\xbb\xbf",
    "arrays without end": b"<methodCall><methodName>VM.get_all</methodName><params><param>" + b"<value><array><data>" * NESTED,
    "elements without end": b"<methodCall>" + b"<a>" * (LIMIT // 4),
    "an element's name without end": b"<" + b"a" * (LIMIT - 100),
    "a comment without end": b"<!--" + b"-" * (LIMIT - 100),
    "comments": b"<methodCall>" + b"<!---->" * 40_000 + b"</methodCall>",
    "instructions": b"<methodCall>" + b"<?a?>" * 40_000 + b"</methodCall>",
    "a document type without end": b"<!DOCTYPE a [" + b"<!-- -->" * 30_000,
    "quotes without end": b"<!DOCTYPE a [" + b"\"'" * 100_000,
    "characters without end": b"<methodCall>" + b"<![CDATA[a]]>" * 20_000,
    "references": b"<methodCall><methodName>" + b"&amp;" * 50_000,
    "ampersands": b"<methodCall><methodName>" + b"&" * 200_000,
    "line ends": b"\r\n" * 100_000,
    "bytes that are no letters, as a name": b"<methodCall><\xff></\xff></methodCall>",
    "bytes that are no letters, as a word": b"<methodCall>\xff<b/></methodCall>",
    "a value of no kind": xml("VM.get_all", "<i16>5</i16>"),
    "a whole number too large for its tag": xml("VM.get_all", "<i4>99999999999999999999</i4>"),
    "digits without end": xml("VM.get_all", f"<i4>{'9' * 200_000}</i4>"),
    "a number that is none": xml("VM.get_all", "<double>0b1</double>"),
    "a letter that is none": xml("VM.get_all", "&#xD800;"),
    "a letter beyond all": xml("VM.get_all", f"&#{'9' * 10_000};"),
    "a zero": xml("VM.get_all", "&#0;"),
    "a letter with an underscore": xml("VM.get_all", "&#1_0;"),
    "a call in a call": xml("VM.get_all", xml("VM.get_all").decode()),
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_what_is_no_xml_is_a_page(wire: Wire, body: bytes) -> None:
    with bounded():
        assert page(wire.rpc(body))


def test_comments_between_values_are_nothing(wire: Wire) -> None:
    """A parser that recursed for each of them could not read this one, which is in order."""
    assert refused(wire.rpc(b"<!-- -->" * 5000 + xml("VM.get_all", "none").replace(b"<params>", b"<!----><?a?>" * 10_000 + b"<params>")))


@pytest.mark.parametrize("depth", [1, 50, 160])
def test_deep_values_are_of_the_wrong_type(wire: Wire, depth: int) -> None:
    for opening, closing in (("<array><data><value>", "</value></data></array>"), ("<struct><member><name>a</name><value>", "</value></member></struct>")):
        answer = wire.rpc(xml("VM.get_all", opening * depth + closing * depth))
        assert refused(answer)
        assert b"Expected string, got" in answer.body


@few(120)
@given(body=drifting(xml("VM.get_all", "x"), xml("VM.set_tags", "x", "y", "<array><data><value>a</value></data></array>"), xml("VBD.create", "x", "<struct/>")))
def test_xml_with_faults(body: bytes) -> None:
    check(body, "/")


@few(60)
@given(body=st.binary(max_size=200))
def test_anything_as_xml(body: bytes) -> None:
    check(body, "/RPC2")


# JSON

JSON_BODIES = {
    "nothing": b"",
    "blanks": b" " * 1000,
    "bytes that are no letters": b"\xff\xfe\xff",
    "utf-16": call("VM.get_all", "x").decode().encode("utf-16"),
    "a mark of byte order": b"\xef\xbb\xbf" + call("VM.get_all", "x"),
    "no object": b"[]",
    "a batch": b"[" + call("VM.get_all", "x") + b"]",
    "no method": b'{"jsonrpc":"2.0","params":[],"id":1}',
    "a method that is none": call(5),
    "no id": b'{"jsonrpc":"2.0","method":"VM.get_all","params":[]}',
    "an id that is none": call("VM.get_all", "x", id=[1]),
    "an id that is half": call("VM.get_all", "x", id=1.5),
    "another version": call("VM.get_all", "x", jsonrpc="3.0"),
    "parameters that are none": call("VM.get_all").replace(b"[]", b"5"),
    "deeper than anybody's": call("VM.get_all").replace(b"[]", b"[" * 210 + b"]" * 210),
    "arrays": b'{"method":"VM.get_all","id":1,"params":' + b"[" * 5000 + b"]" * 5000 + b"}",
    "arrays without end": b"[" * (LIMIT - 100),
    "objects without end": b'{"a":' * 50_000,
    "a whole number too large": b'{"method":"VM.get_all","id":1,"params":[99999999999999999999]}',
    "digits without end": b'{"method":"VM.get_all","id":1,"params":[' + b"9" * 200_000 + b"]}",
    "an id too large": b'{"method":"VM.get_all","id":99999999999999999999,"params":["x"]}',
    "text without end": b'{"method":"' + b"a" * 200_000,
    "two documents": call("VM.get_all", "x") * 2,
}


@pytest.mark.parametrize("body", JSON_BODIES.values(), ids=JSON_BODIES.keys())
def test_what_is_no_json_is_a_page(wire: Wire, body: bytes) -> None:
    with bounded():
        assert page(wire.rpc(body, "/jsonrpc"))


@pytest.mark.parametrize("depth", [1, 50, 198])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_deep_json_is_of_the_wrong_type(wire: Wire, depth: int, opening: str, closing: str) -> None:
    inner = opening * depth + "1" + closing * depth
    answer = wire.rpc(f'{{"method":"VM.get_all","id":1,"params":[{inner}]}}'.encode(), "/jsonrpc")
    assert json.loads(answer.body)["error"][0] == "INTERNAL_ERROR"


@few(120)
@given(
    body=drifting(call("VM.get_all", "x"), call("VM.set_tags", "x", "y", ["a"]), call("VBD.create", "x", {"VM": "y", "empty": True}), call("a", 1, 2.5, None))
)
def test_json_with_faults(body: bytes) -> None:
    check(body, "/jsonrpc")


# check() of the property tests has no fixtures of a function's own: hypothesis runs it many times in one.
SHARED: list[Wire] = []
SESSION: list[str] = []


@pytest.fixture(autouse=True)
def _shared(opened: Wire, session: Any) -> None:
    SHARED[:], SESSION[:] = [opened], [session.ref]
    opened.pool.problems.clear()


def check(body: bytes, path: str) -> None:
    wire = SHARED[0]
    answer = wire.rpc(body, path)
    assert shaped(answer), (body, answer)
    assert answer.status in (200, 500), (body, answer)
    wire.check_alive()


def test_a_checksum_of_a_large_disk_holds_up_nobody(wire: Wire, session: Any) -> None:
    sr = next(ref for ref, record in session.SR.get_all_records().items() if record["type"] == "ext")
    record = {"SR": sr, "virtual_size": 100 << 30, "type": "user", "sharable": False, "read_only": False, "other_config": {}}
    task = session.call("Async.VDI.checksum", session.VDI.create(record))
    with bounded(seconds=5):
        for _unused in range(20):
            wire.check_alive()
    assert session.task.get_status(task) == "pending"
    session.task.cancel(task)
    deadline = time.monotonic() + 5
    while session.task.get_status(task) == "pending" and time.monotonic() < deadline:
        wire.check_alive()
    assert session.task.get_status(task) == "cancelled"


def test_a_nic_of_an_absurd_number(wire: Wire, session: Any) -> None:
    """Its address is made by counting up to it."""
    (template,) = session.VM.get_by_name_label("Debian 12 (cloud image)")
    with bounded(seconds=5):
        assert add_nic(session, session.VM.clone(template, "many"), session.network.get_all()[0], device="9" * 18)


# Text and numbers


@pytest.mark.parametrize("text", ["\udcff", "a\udc80b"])
def test_text_that_is_no_utf8(wire: Wire, text: str) -> None:
    for body in (call("VM.get_by_uuid", SESSION[0], text), call("VM.set_other_config", SESSION[0], "x", {text: "a"}), call("VM.get_by_uuid", text, "x")):
        answer = json.loads(wire.rpc(body, "/jsonrpc").body)
        assert (answer["error"]["message"], answer["error"]["data"][0]) == ("INVALID_VALUE", "Invalid UTF-8 string in parameter")


def test_bytes_that_are_no_utf8(wire: Wire) -> None:
    answer = wire.rpc(b'{"method":"VM.get_by_uuid","id":1,"params":["\xff\xfe","\xc0\xaf"]}', "/jsonrpc")
    assert json.loads(answer.body)["error"][:2] == ["INVALID_VALUE", "Invalid UTF-8 string in parameter"]


INTEGERS = {
    "9223372036854775807": 2**63 - 1,
    "-9223372036854775808": -(2**63),
    "0x10": 16,
    "-0x10": -16,
    "0b11": 3,
    "0o17": 15,
    "1_000": 1000,
    "+5": 5,
    "0xffffffffffffffff": -1,
    "0u18446744073709551615": -1,
    "00": 0,
}


@pytest.mark.parametrize(("text", "number"), INTEGERS.items(), ids=INTEGERS.keys())
def test_whole_numbers_as_ocaml_reads_them(text: str, number: int) -> None:
    assert int64(text) == number


NO_INTEGERS = [
    "",
    "-",
    " 5",
    "5 ",
    "٣",
    "²",
    "0x",
    "_1",
    "1.0",
    "1e3",
    "9223372036854775808",
    "-9223372036854775809",
    "0x1ffffffffffffffff",
    "0b2",
    "9" * 5000,
    "--5",
]


@pytest.mark.parametrize("text", NO_INTEGERS)
def test_what_is_no_whole_number(wire: Wire, session: Any, text: str) -> None:
    with pytest.raises(ValueError, match=r"Int64\.of_string"):
        int64(text)
    with pytest.raises(Failure, match=r"Int64\.of_string"):
        session.VM.set_memory_static_min(session.VM.get_all()[0], text)


@given(number=st.integers(-(2**63), 2**63 - 1))
@few(50)
def test_every_whole_number_of_64_bits(number: int) -> None:
    assert int64(str(number)) == number


@pytest.mark.parametrize("text", ["", "x", "٣", "1,5", "0x", " ", "nanx", "1e", "--1", "0x1p"])
def test_what_is_no_number(text: str) -> None:
    with pytest.raises(ValueError, match=r"float|hexadecimal"):
        double(text)


def test_numbers_as_ocaml_reads_them() -> None:
    assert [double(text) for text in ("1_0.5", "0x1p3", "1e999", "-.5", "inf")] == [10.5, 8.0, float("inf"), -0.5, float("inf")]


@pytest.mark.parametrize("timeout", [float("nan"), float("inf"), -float("inf"), -1.0, -1e300])
def test_timeouts_that_are_none(wire: Wire, session: Any, timeout: float) -> None:
    """Of event.from: with an empty token there is something to tell at once."""
    assert session.event.from_(["pool"], "", timeout)["events"]


def test_a_timeout_that_is_no_number_is_a_day(pool: Simulator, wire: Wire, session: Any) -> None:
    """Of event.from: the loop's own order of appointments must survive it."""
    token = session.event.from_(["VM"], "", 0.0)["token"]
    body = call("event.from", SESSION[0], ["VM"], token, None).replace(b"null", b"NaN")
    assert wire.send(b"POST /jsonrpc HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body, patience=0.5).status == -1
    begun = pool.clock.time()
    session.event.from_(["VM"], token, 0.1)
    assert pool.clock.time() - begun < 5


EXPRESSIONS = ["(" * 5000, "not " * 5000 + "true", 'field "a" = ' * 1000, '"' * 3001, "true and " * 3000 + "true", "(" * 2000 + "true" + ")" * 2000, "\0", "é"]


@pytest.mark.parametrize("expression", EXPRESSIONS, ids=lambda text: text[:12])
def test_expressions(wire: Wire, expression: str) -> None:
    """Of get_all_records_where: refused, or what they say."""
    with bounded():
        answer = json.loads(wire.rpc(call("pool.get_all_records_where", SESSION[0], expression), "/jsonrpc").body)
    assert "result" in answer or answer["error"]["message"] in ("INVALID_VALUE", "INTERNAL_ERROR"), answer


WORTH = {"not " * 5000 + "true": True, "not " * 5001 + "true": False, "true and " * 3000 + "false": False, "false or " * 3000 + "true": True}
WORTH |= {"true or true and false": False, "false and false or true": True, "(" * 90 + "true" + ")" * 90: True}


@pytest.mark.parametrize(("expression", "worth"), WORTH.items(), ids=[text[:24] for text in WORTH])
def test_what_long_expressions_say(session: Any, expression: str, worth: bool) -> None:
    """One precedence, from the left."""
    assert bool(session.pool.get_all_records_where(expression)) is worth
