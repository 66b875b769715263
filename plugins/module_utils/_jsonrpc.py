# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One kept-alive connection, and JSON-RPC 2.0 on it (facts §1.3)."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Callable
from typing import Any

from ._errors import XenError
from ._http import HttpOptions, open_connection
from ._run import HEADER

USER_AGENT = "ansible-xapi.xenserver"


class Dropped(XenError):
    """The connection broke while a call was under way; whether the pool carried it out is unknown."""


class NotXenApi(XenError):
    """Something answered, but not in the protocol that was spoken."""


class Channel:
    """POST on one kept-alive connection, opened when first needed. Sends every request at most once."""

    def __init__(self, options: HttpOptions) -> None:
        self.options = options
        self._connection: http.client.HTTPConnection | None = None
        self._run = {HEADER: options.run_id} if options.run_id else {}

    def post(self, path: str, body: bytes, content_type: str, method: str) -> tuple[int, bytes]:
        """Status and body of the answer. ``method`` is only named in errors."""
        if self._connection is not None and _is_stale(self._connection):
            self.close()
        if self._connection is None:
            self._connection = open_connection(self.options)
        place = self.options.endpoint.netloc
        try:
            headers = {"Content-Type": content_type, "User-Agent": USER_AGENT, **self._run}
            self._connection.request("POST", path, body, headers)
            answer = self._connection.getresponse()
            content = answer.read()
        except TimeoutError as error:
            self.close()
            seconds = f"{self.options.request_timeout:g} seconds"
            raise XenError(f"{place} did not answer {method} within {seconds}; raise request_timeout") from error
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Dropped(f"the connection to {place} broke during {method} ({type(error).__name__})") from error
        except BaseException:
            self.close()  # An answer may be half read: the next request must not take its rest for its own.
            raise
        if answer.will_close:
            self.close()
        return answer.status, content

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class JsonRpc:
    """The default transport. A refusal of the pool is raised as ``failure(details)``."""

    def __init__(self, options: HttpOptions, failure: Callable[[list[str]], Exception]) -> None:
        self._channel = Channel(options)
        self._failure = failure
        self._place = options.endpoint.netloc
        self._number = 0

    def call(self, method: str, params: list[Any]) -> Any:
        self._number += 1
        request = {"jsonrpc": "2.0", "method": method, "params": params, "id": self._number}
        body = json.dumps(request).encode()
        status, content = self._channel.post("/jsonrpc", body, "application/json", method)
        answer = self._parse(status, content)
        if answer.get("error"):
            raise self._failure(_details(answer["error"]))
        return answer["result"]

    def _parse(self, status: int, content: bytes) -> dict[str, Any]:
        try:
            answer = json.loads(content)
        except ValueError:
            answer = None
        if not isinstance(answer, dict) or not {"result", "error"} & answer.keys():
            raise NotXenApi(not_xenapi(self._place, status))
        return answer

    def close(self) -> None:
        self._channel.close()


def not_xenapi(place: str, status: int) -> str:
    return f"{place} answers (HTTP {status}) but is no XenAPI; check that hostname is a host of a XenServer pool"


def _details(error: Any) -> list[str]:
    """Code and parameters. Outside of dispatch xapi sends a plain array instead of an object (facts §1.3)."""
    if isinstance(error, dict):
        return [error.get("message", "INTERNAL_ERROR"), *(error.get("data") or [])]
    return list(error)


def _is_stale(connection: http.client.HTTPConnection) -> bool:
    """Whether the server closed the idle connection. Asked before sending, so that even a write may reconnect."""
    sock = connection.sock
    if sock is None:
        return True
    timeout = sock.gettimeout()
    try:
        sock.setblocking(False)
        sock.recv(1)
        return True  # End of stream, or bytes that nobody asked for.
    except (BlockingIOError, ssl.SSLWantReadError):
        return False
    except OSError:
        return True
    finally:
        sock.settimeout(timeout)
