# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small XenAPI server whose faults are scripted: it drops, stalls and answers nonsense, over TLS or without."""

from __future__ import annotations

import datetime
import hashlib
import http.server
import json
import ssl
import threading
import xmlrpc.client
from collections.abc import Callable
from pathlib import Path
from typing import Any

import trustme

SESSION = "OpaqueRef:5f4c1a0e-5c11-4d5e-8a0a-0a4ff0b4d2b6"
DROP = object()  # cut the connection instead of answering
SILENCE = object()  # do not answer until the server is closed
PAGE = b"<html><body>A printer lives here</body></html>"

Answer = Callable[[str, list[Any]], Any]


class Turns(list[Any]):
    """Answers that are given one after the other."""


class Refuse(Exception):
    """A refusal: code and parameters."""


class Stub:
    """``answers`` maps a message to its result, to DROP, SILENCE, a page (bytes), or a function that decides.

    ``Turns`` are used up one by one. ``received`` lists the messages that arrived, in order, unless no_json refused
    the protocol; ``connections`` counts the connections.
    """

    def __init__(self, answers: dict[str, Any] | None = None, *, tls: ssl.SSLContext | None = None, no_json: str = "") -> None:
        self.answers = {"session.login_with_password": SESSION, "session.logout": "", **(answers or {})}
        self.received: list[str] = []
        self.params: list[list[Any]] = []
        self.originals: list[bytes] = []
        self.connections = 0
        self.no_json = no_json
        self.closed = threading.Event()
        self._server = _Server(self, tls)
        self.port = self._server.server_address[1]
        scheme = "https" if tls else "http"
        self.url = f"{scheme}://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def answer(self, method: str, params: list[Any]) -> Any:
        self.received.append(method)
        self.params.append(params)
        given = self.answers[method]
        if isinstance(given, Turns):
            given = given.pop(0)
        return given(params) if callable(given) else given

    def __enter__(self) -> Stub:
        return self

    def __exit__(self, *_unused: object) -> None:
        self.closed.set()
        self._server.shutdown()
        self._server.server_close()


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, stub: Stub, tls: ssl.SSLContext | None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.stub = stub
        self._tls = tls

    def finish_request(self, request: Any, client_address: Any) -> None:
        if self._tls:  # In the thread of the connection, so that a failing handshake stops nobody else.
            try:
                request = self._tls.wrap_socket(request, server_side=True)
            except OSError:
                return
        super().finish_request(request, client_address)
        if self._tls:
            request.close()

    def handle_error(self, *_unused: Any) -> None:
        """Clients that go away are the subject here."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    @property
    def stub(self) -> Stub:
        return self.server.stub

    def setup(self) -> None:
        super().setup()
        self.stub.connections += 1

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.stub.originals.append(body)
        if self.path != "/jsonrpc":
            self.serve_xml(body)
        elif self.stub.no_json:
            self.send(int(self.stub.no_json), PAGE, "text/html")
        else:
            self.serve_json(body)

    def serve_json(self, body: bytes) -> None:
        request = json.loads(body)
        answer = {"jsonrpc": "2.0", "id": request["id"]}
        try:
            result = self.stub.answer(request["method"], request["params"])
        except Refuse as refusal:
            code, *data = refusal.args
            self.reply(json.dumps({**answer, "error": {"code": 1, "message": code, "data": data}}).encode())
            return
        self.reply(result if isinstance(result, bytes) or result in (DROP, SILENCE) else json.dumps({**answer, "result": result}).encode())

    def serve_xml(self, body: bytes) -> None:
        params, method = xmlrpc.client.loads(body)
        try:
            envelope = {"Status": "Success", "Value": self.stub.answer(method or "", list(params))}
        except Refuse as refusal:
            envelope = {"Status": "Failure", "ErrorDescription": list(refusal.args)}
        if envelope.get("Value") in (DROP, SILENCE) or isinstance(envelope.get("Value"), bytes):
            self.reply(envelope["Value"])
            return
        self.reply(xmlrpc.client.dumps((envelope,), methodresponse=True).encode())

    def reply(self, content: Any) -> None:
        if content is SILENCE:
            self.stub.closed.wait(10)
        if content in (DROP, SILENCE):
            self.close_connection = True
            return
        self.send(200, content, "text/html" if content is PAGE else "application/json")

    def send(self, status: int, content: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_unused: Any) -> None:
        """Quiet."""


class Certificate:
    """A certificate of a throw-away CA for 127.0.0.1, or one with a fault."""

    def __init__(self, folder: Path, name: str = "127.0.0.1", *, expired: bool = False) -> None:
        authority = trustme.CA()
        until = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC) if expired else None
        issued = authority.issue_cert(name, not_before=datetime.datetime(2019, 1, 1, tzinfo=datetime.UTC), not_after=until)
        self.ca_path = folder / "ca.pem"
        authority.cert_pem.write_to_path(str(self.ca_path))
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        issued.configure_cert(self.context)
        der = ssl.PEM_cert_to_DER_cert(issued.cert_chain_pems[0].bytes().decode())
        self.fingerprint = hashlib.sha256(der).hexdigest()
