# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a pool is and how it is trusted: address, TLS, time-outs, and connections made of these.

``open_connection(session.http.to("192.0.2.7"))`` gives a ready ``http.client`` connection to any host of the pool,
trusted the same way as the session: that is how disks are streamed.
"""

from __future__ import annotations

import hashlib
import http.client
import ipaddress
import os
import socket
import ssl
import string
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from ._errors import XenError

DEFAULT_PORTS = {"https": 443, "http": 80}
# It travels in a header.
RUN_ID = set(string.ascii_letters + string.digits + "-_.:")


@dataclass(frozen=True)
class Endpoint:
    """One host as ``scheme://host:port``."""

    scheme: str
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Endpoint:
        """``host``, ``host:port``, ``https://…`` or ``http://…``; plain HTTP only when the text says so."""
        if "://" not in text:
            text = f"https://[{text}]" if _is_ipv6(text) else f"https://{text}"
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError as error:
            raise XenError(f"hostname {text!r} is no address: {error}") from None
        if parts.scheme not in DEFAULT_PORTS or not parts.hostname or parts.username is not None:
            raise XenError(f"hostname {text!r} is no address; write it as host, host:port or https://host")
        return cls(parts.scheme, parts.hostname, port or DEFAULT_PORTS[parts.scheme])

    @property
    def netloc(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.netloc}"


@dataclass(frozen=True)
class HttpOptions:
    """Everything that is needed to talk to one host. A member of the same pool is ``options.to(address)``."""

    endpoint: Endpoint
    validate_certs: bool = True
    ca_path: str | None = None
    fingerprints: frozenset[str] = frozenset()
    connect_timeout: float = 10.0
    request_timeout: float = 120.0
    protocol: str = "jsonrpc"
    run_id: str | None = None

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> HttpOptions:
        """From the connection options of a module (see ``_options.connection``)."""
        if not params.get("hostname"):
            raise XenError("hostname is missing; give the option hostname or set the variable XENSERVER_HOST")
        for timeout in ("connect_timeout", "request_timeout"):
            if not params[timeout] > 0:
                raise XenError(f"{timeout} must be more than 0 seconds, not {params[timeout]:g}")
        run_id = params.get("run_id") or None
        if run_id and not set(run_id) <= RUN_ID:
            raise XenError(f"run_id {run_id!r} is no id of a run; use letters, digits and the signs - _ . : only")
        return cls(
            endpoint=Endpoint.parse(params["hostname"].strip()),
            validate_certs=params["validate_certs"],
            ca_path=params.get("ca_path"),
            fingerprints=frozenset(_fingerprint(text) for text in params.get("fingerprint") or ()),
            connect_timeout=params["connect_timeout"],
            request_timeout=params["request_timeout"],
            protocol=params["api_protocol"],
            run_id=run_id,
        )

    def to(self, host: str) -> HttpOptions:
        """The same trust and time-outs for another host of the pool, given by bare address or by URL."""
        if "://" in host:
            endpoint = Endpoint.parse(host)
            if self.endpoint.scheme == "https" and endpoint.scheme == "http":
                # A host may name another by http://; the session must not follow it out of TLS.
                endpoint = replace(self.endpoint, host=endpoint.host)
            return replace(self, endpoint=endpoint)
        return replace(self, endpoint=replace(self.endpoint, host=host.strip("[]")))


def open_connection(options: HttpOptions) -> http.client.HTTPConnection:
    """A connected and verified connection; nothing has been sent on it yet.

    The caller owns it and closes it. Its socket has ``request_timeout`` for every single read and write.
    """
    endpoint, timeout = options.endpoint, options.connect_timeout
    connection: http.client.HTTPConnection
    if endpoint.scheme == "https":
        context = _tls_context(options)
        connection = http.client.HTTPSConnection(endpoint.host, endpoint.port, timeout=timeout, context=context)
    else:
        connection = http.client.HTTPConnection(endpoint.host, endpoint.port, timeout=timeout)
    try:
        connection.connect()
        _check_fingerprint(connection, options)
    except OSError as error:
        connection.close()
        raise _connect_error(options, error) from error
    except BaseException:
        connection.close()
        raise
    connection.sock.settimeout(options.request_timeout)
    return connection


def _tls_context(options: HttpOptions) -> ssl.SSLContext:
    if options.ca_path and not os.path.exists(options.ca_path):
        raise XenError(f"ca_path {options.ca_path!r} does not exist on the machine where the module runs; check the path, or copy it there")
    try:
        if options.ca_path and os.path.isdir(options.ca_path):
            context = ssl.create_default_context(capath=options.ca_path)
        else:
            context = ssl.create_default_context(cafile=options.ca_path)
    except OSError as error:
        raise XenError(f"ca_path {options.ca_path!r} holds no certificates in PEM form: {error}") from error
    if options.fingerprints or not options.validate_certs:
        # A pin replaces CA and host name: the certificate itself is compared in _check_fingerprint.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _check_fingerprint(connection: http.client.HTTPConnection, options: HttpOptions) -> None:
    if not options.fingerprints or not isinstance(connection.sock, ssl.SSLSocket):
        return
    certificate = connection.sock.getpeercert(binary_form=True) or b""
    seen = hashlib.sha256(certificate).hexdigest()
    if seen not in options.fingerprints:
        raise XenError(
            f"the certificate of {options.endpoint.netloc} has the SHA-256 fingerprint {_colons(seen)}, "
            "which is not among those given as fingerprint; check it on the host before you trust it"
        )


def _fingerprint(text: str) -> str:
    digits = text.replace(":", "").replace(" ", "").lower()
    if len(digits) != 64 or not set(digits) <= set("0123456789abcdef"):
        raise XenError(f"fingerprint {text!r} is no SHA-256 fingerprint; it has 64 hexadecimal digits")
    return digits


def _colons(digits: str) -> str:
    return ":".join(digits[index : index + 2] for index in range(0, len(digits), 2)).upper()


def _is_ipv6(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).version == 6
    except ValueError:
        return False


# verify_code of OpenSSL (x509_vfy.h) -> what is wrong and what to do.
CERTIFICATE_PROBLEMS = {
    9: "is not valid yet; check the clocks of both machines",
    10: "has expired; renew it on the host, or pin it with fingerprint",
    62: "was made for another name; use the name in the certificate as hostname, or pin it with fingerprint",
    64: "was made for another address; use the name in the certificate as hostname, or pin it with fingerprint",
}
UNKNOWN_CA = "is not signed by a CA that this machine trusts; give ca_path, or pin it with fingerprint"
OTHER_CA = "is not signed by a CA of ca_path {!r}; give the file of the CA that signed it, or pin it with fingerprint"


def _connect_error(options: HttpOptions, error: OSError) -> XenError:
    """One sentence for a connection that could not be made."""
    place = options.endpoint.netloc
    if isinstance(error, ssl.SSLCertVerificationError):
        unknown = OTHER_CA.format(options.ca_path) if options.ca_path else UNKNOWN_CA
        return XenError(f"the certificate of {place} {CERTIFICATE_PROBLEMS.get(error.verify_code, unknown)}")
    if isinstance(error, ssl.SSLError):
        hint = f"write http://{place} as hostname if it is meant to be plain HTTP"
        return XenError(f"no TLS connection to {place} ({error.reason or error}); {hint}")
    if isinstance(error, socket.gaierror):
        return XenError(f"the name {options.endpoint.host!r} cannot be resolved; check hostname and the name server")
    if isinstance(error, TimeoutError):
        seconds = f"{options.connect_timeout:g} seconds"
        return XenError(f"{place} did not answer within {seconds}; check that it is up, or raise connect_timeout")
    if isinstance(error, ConnectionRefusedError):
        return XenError(f"{place} refused the connection; check the port and that the toolstack runs on the host")
    return XenError(f"no connection to {place}: {error.strerror or error}; check hostname and the network")
