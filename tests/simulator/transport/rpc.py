# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""XML-RPC and JSON-RPC as xapi speaks them: bare-text integers, its own envelopes (facts 1.2, 1.3; mirage/ocaml-rpc)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..engine.failure import Failure
from ..engine.types import DateTime, int64
from .xml_call import Unreadable

# How deep arrays and objects may nest: calls of a client do less than ten deep, and what looks at parameters recurses.
DEEPEST = 200
SHOWN = 32  # characters of what could not be read that the JSON parser's error shows


class I4(int):
    """An integer that XML-RPC tags; only event.from's counts are."""


# XML-RPC answers


# Control bytes other than tab, LF and CR are dropped.
ESCAPES = str.maketrans({**{chr(code): None for code in range(32) if chr(code) not in "\t\n\r"}, "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"})
ESCAPED = re.compile(r'[&<>"\x00-\x08\x0b\x0c\x0e-\x1f]')


def _escape(text: str) -> str:
    """Escaped as xapi does. Most texts need none, and to look for that is quicker than to translate."""
    return text.translate(ESCAPES) if ESCAPED.search(text) else text


def xml_value(value: Any) -> str:
    """The `<value>` element of a result."""
    return f"<value>{_xml_inner(value)}</value>"


def _xml_inner(value: Any) -> str:
    if value.__class__ is str:
        # First what most values are: a pool's records are a million of them. A DateTime is a text too, and not meant.
        return _escape(value)
    if isinstance(value, bool):
        return f"<boolean>{int(value)}</boolean>"
    if isinstance(value, I4):
        return f"<i4>{int(value)}</i4>"
    if isinstance(value, DateTime):
        return f"<dateTime.iso8601>{value}</dateTime.iso8601>"
    if isinstance(value, float):
        return f"<double>{value:.16g}</double>"
    if isinstance(value, Mapping):
        members = "".join(f"<member><name>{_escape(str(k))}</name>{xml_value(v)}</member>" for k, v in value.items())
        return f"<struct>{members}</struct>"
    if isinstance(value, (list, tuple)):
        return "<array><data>" + "".join(map(xml_value, value)) + "</data></array>"
    return _escape(str(value))


def xml_success(result: Any, *, bare: bool = False) -> str:
    if bare:
        return _xml_response(xml_value(result))
    return _xml_response(xml_value({"Status": "Success", "Value": result}))


def xml_failure(failure: Failure) -> str:
    return _xml_response(xml_value({"Status": "Failure", "ErrorDescription": failure.description}))


def _xml_response(value: str) -> str:
    return f'<?xml version="1.0"?><methodResponse><params><param>{value}</param></params></methodResponse>'


# JSON-RPC


@dataclass
class JsonCall:
    method: str
    params: list[Any]
    id: Any
    version: int  # 1 or 2


def parse_json(body: bytes) -> JsonCall:
    """A call of JSON-RPC 2.0 (`"jsonrpc": "2.0"`) or 1.0; the id must be a whole number or text, params an array."""
    data = _loads(body.decode("utf-8", "surrogateescape"))
    if not isinstance(data, dict):
        raise _malformed("Invalid request body")
    if "method" not in data:
        raise _malformed("Required field method is missing")
    if not isinstance(data["method"], str):
        raise _malformed("Invalid field 'method' in request body")
    if "jsonrpc" in data and data["jsonrpc"] != "2.0":
        raise _malformed("Invalid field 'jsonrpc' in request body")
    version = 2 if "jsonrpc" in data else 1
    if version == 1 and "params" not in data:
        raise _malformed("Required field params is missing")
    params = data.get("params")
    if version == 2 and (params is None or isinstance(params, dict)):
        params = [] if params is None else [params]
    if not isinstance(params, list):
        raise _malformed("Invalid field 'params' in request body")
    identity = data.get("id")
    if isinstance(identity, bool) or not isinstance(identity, (int, str)):
        raise _malformed("Invalid field 'id' in request body")
    return JsonCall(data["method"], params, identity, version)


def _malformed(text: str) -> Unreadable:
    return Unreadable(f'Jsonrpc.Malformed_method_request("{text}")')


def _loads(text: str) -> Any:
    if not text.strip():
        raise Unreadable('Yojson.Json_error("Blank input data")')
    try:
        value = json.loads(text, parse_int=int64)
    except json.JSONDecodeError as error:
        raise Unreadable(yojson_error(text, error.pos)) from None
    except ValueError as error:
        raise Unreadable(f'Failure("{error}")') from None
    except RecursionError:
        raise Unreadable("Stack_overflow") from None
    if _too_deep(value):
        raise Unreadable("Stack_overflow")
    return value


def _too_deep(value: Any) -> bool:
    level, depth = [value], 0
    while level and depth <= DEEPEST:
        level = [inner for one in level for inner in (one.values() if isinstance(one, dict) else one if isinstance(one, list) else ())]
        depth += 1
    return bool(level)


def yojson_error(text: str, position: int) -> str:
    """Where and why, as Yojson prints it; where the text ends too early it names the last byte."""
    line = text.count("\n", 0, position) + 1
    column = position - (text.rfind("\n", 0, position) + 1)
    rest = text[position : position + SHOWN]
    # Yojson takes bare words for names of fields, so it reads on where Python's parser stops: to the end, in a text without a colon.
    ends_early = not rest or (text[:position].rstrip().endswith("{") and rest.isidentifier() and len(text) <= position + len(rest))
    if ends_early:
        last = len(text) - (text.rfind("\n") + 1)
        reason, where = "Unexpected end of input", f"bytes {last - 1}-{last}"
    else:
        reason, where = f"Invalid token '{rest}'", f"bytes {column}-{column + len(rest)}"
    return f'Yojson.Json_error("Line {line}, {where}:\\n{reason}")'


def json_success(call: JsonCall, result: Any) -> str:
    if call.version == 2:
        return _dump({"jsonrpc": "2.0", "result": result, "id": call.id})
    return _dump({"result": result, "error": None, "id": call.id})


def json_failure(call: JsonCall, failure: Failure) -> str:
    if call.version == 2:
        error = {"code": 1, "message": failure.code, "data": failure.params}
        return _dump({"jsonrpc": "2.0", "error": error, "id": call.id})
    return _dump({"result": None, "error": failure.description, "id": call.id})


def _dump(value: Any) -> str:
    """Infinity and NaN are written as they are, as Yojson does (recording rrds)."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
