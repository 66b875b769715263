# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""XML-RPC through the XenAPI package, for servers without /jsonrpc and for ``api_protocol: xmlrpc`` (facts §1.2)."""

from __future__ import annotations

import xmlrpc.client
from collections.abc import Callable
from typing import Any
from xml.parsers.expat import ExpatError

from ._http import HttpOptions
from ._jsonrpc import Channel, NotXenApi, not_xenapi


class XmlRpc:
    """A transport. ``proxy`` is ``XenAPI.Session``; a refusal of the pool is raised as ``failure(details)``."""

    def __init__(self, options: HttpOptions, failure: Callable[[list[str]], Exception], proxy: Callable[..., Any]):
        self._wire = _Wire(options)
        self._failure = failure
        self._proxy = proxy(options.endpoint.url, transport=self._wire)

    def call(self, method: str, params: list[Any]) -> Any:
        # Not proxy.xenapi: that logs in again by itself on SESSION_INVALID and hides the error.
        answer = getattr(self._proxy, method)(*[_as_xml(value) for value in params])
        if answer["Status"] != "Success":
            raise self._failure(answer["ErrorDescription"])
        return _from_xml(answer["Value"])

    def close(self) -> None:
        self._wire.close()


class _Wire(xmlrpc.client.Transport):
    """Carries the requests of XenAPI.Session over our channel: our TLS and time-outs, and never a second sending."""

    def __init__(self, options: HttpOptions) -> None:
        super().__init__()
        self._channel = Channel(options)
        self._place = options.endpoint.netloc

    def request(self, host: Any, handler: str, request_body: Any, verbose: bool = False) -> Any:
        status, content = self._channel.post(handler, request_body, "text/xml", "the XML-RPC call")
        parser, unmarshaller = self.getparser()
        try:
            parser.feed(content)
            parser.close()
            answer = unmarshaller.close()
        except (ExpatError, xmlrpc.client.Error):
            answer = ()
        if len(answer) != 1 or not isinstance(answer[0], dict) or "Status" not in answer[0]:
            raise NotXenApi(not_xenapi(self._place, status))
        return answer[0]

    def close(self) -> None:
        self._channel.close()


def _as_xml(value: Any) -> Any:
    """Integers as text: xapi takes that, and XML-RPC's own integers end at 32 bits (facts §1.2)."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return str(value)
    if isinstance(value, (list, tuple)):
        return [_as_xml(item) for item in value]
    if isinstance(value, dict):
        return {key: _as_xml(item) for key, item in value.items()}
    return value


def _from_xml(value: Any) -> Any:
    """Datetimes as the text they are on the wire, as JSON-RPC gives them."""
    if isinstance(value, xmlrpc.client.DateTime):
        return str(value)
    if isinstance(value, list):
        return [_from_xml(item) for item in value]
    if isinstance(value, dict):
        return {key: _from_xml(item) for key, item in value.items()}
    return value
