# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare an HTTP answer to the recorded one: status, headers, and the body by its structure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from . import xmlrpc
from .client import Answer
from .matching import Difference, Matcher

# What the recorder saw when a connection ended; a cut may show as a reset or as an end, the kernel decides.
BROKEN = {"ConnectionResetError": "cut", "BrokenPipeError": "cut", "RemoteDisconnected": "cut", "TimeoutError": "silent"}
# Documents whose numbers are measurements; only their legend can be compared, and their length cannot.
MEASUREMENTS = {"/rrd_updates", "/vm_rrd", "/host_rrd"}


def compare(matcher: Matcher, step: Mapping[str, Any], answer: Answer) -> list[Difference]:
    """The differences between what `step` recorded and `answer`."""
    if "status" not in step:
        wanted = BROKEN[step["broken"]]
        # The recorder looked for no answer once its upload was cut.
        cut = (answer.broken == wanted and answer.status is None) or (answer.refused_body and wanted == "cut")
        return [] if cut else [Difference("http", step["broken"], answer.status or answer.broken)]
    if answer.status != step["status"]:
        return [Difference("http.status", step["status"], answer.broken or f"{answer.status} {_excerpt(answer.body)}")]
    differences = _headers(matcher, step, answer)
    if "broken" in step:
        return differences
    if answer.broken:
        return [*differences, Difference("http.body", "a whole answer", answer.broken)]
    return differences + _body(matcher, step, answer)


def _headers(matcher: Matcher, step: Mapping[str, Any], answer: Answer) -> list[Difference]:
    actual = answer.headers or {}
    differences = []
    for name, value in step.get("headers", {}).items():
        if name == "content-length" and step["path"] in MEASUREMENTS and step["status"] == 200:
            continue
        differences += matcher.match(value, actual.get(name), f"http.headers.{name}")
    return differences


def _body(matcher: Matcher, step: Mapping[str, Any], answer: Answer) -> list[Difference]:
    if step["path"] in MEASUREMENTS and step["status"] == 200:
        return _legend(matcher, step, answer)
    length = step.get("body_bytes") or _spoken_length(step)
    if length is not None:
        return [] if len(answer.body) == length else [Difference("http.body_bytes", length, len(answer.body))]
    expected, actual = step["text"], answer.body.decode(errors="replace")
    for parse in (xmlrpc.parse, json.loads):
        try:
            wanted = parse(expected)
        except Exception:  # not of that form; the parsers raise what they like
            continue
        try:
            got = parse(actual)
        except Exception:
            return [Difference("http.body", expected, actual)]
        return _spoken(matcher, step, wanted, got)
    return matcher.match(expected, actual, "http.body")


def _spoken_length(step: Mapping[str, Any]) -> int | None:
    found = re.fullmatch(r"(\d+) bytes", step.get("body", ""))
    return int(found[1]) if found else None


def _spoken(matcher: Matcher, step: Mapping[str, Any], wanted: Any, got: Any) -> list[Difference]:
    """An RPC answer: compare its value under the name of its field, so that the volatile fields are known here too."""
    method = step_method(step)
    xen_class, _unused, verb = method.partition(".")
    path = xen_class if "record" in verb else f"{xen_class}.{verb.removeprefix('get_')}"
    for envelope, below in (("Value", path), ("result", path), ("ErrorDescription", "error"), ("error", "error")):
        if isinstance(wanted, dict) and isinstance(got, dict) and wanted.get(envelope) is not None and envelope in got:
            outside = matcher.match({**wanted, envelope: None}, {**got, envelope: None}, "http.envelope")
            return outside + matcher.match(wanted[envelope], got[envelope], below)
    return matcher.match(wanted, got, "http.body")


def step_method(step: Mapping[str, Any]) -> str:
    """The method that the request body of a step calls."""
    text = step.get("request_text", "")
    found = re.search(r'"method":\s*"([^"]*)"', text)
    return found[1] if found else xmlrpc.method(text)


def _legend(matcher: Matcher, step: Mapping[str, Any], answer: Answer) -> list[Difference]:
    if "text" not in step:
        # Only the length was recorded, and that depends on the data sources of the machine.
        return [] if answer.body else [Difference("http.body", "measurements", "nothing")]
    wanted, got = (_entries(text) for text in (step["text"], answer.body.decode(errors="replace")))
    return matcher.match(wanted, got, "rrd.legend")


def _entries(document: str) -> list[str]:
    if document.startswith("{"):
        return list(json.loads(document).get("meta", {}).get("legend", []))
    return re.findall(r"<entry>([^<]*)</entry>", document)


def _excerpt(body: bytes) -> str:
    return re.sub(r"\s+", " ", body[:300].decode(errors="replace"))
