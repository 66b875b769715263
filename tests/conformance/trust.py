# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whom to believe on the other end of TLS: a certificate authority, or one certificate by its fingerprint."""

from __future__ import annotations

import hashlib
import http.client
import ssl
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Trust:
    """`ca`: certificates in place of the system's. `fingerprint`: the SHA-256 of the only certificate to accept, whoever signed it."""

    ca: Path | None = None
    fingerprint: str = ""

    def __post_init__(self) -> None:
        if self.fingerprint and len(self._wanted) != 64:
            raise ValueError(f"{self.fingerprint!r} is no SHA-256 fingerprint: 64 hexadecimal digits are wanted, with or without colons")

    @property
    def _wanted(self) -> str:
        return self.fingerprint.replace(":", "").lower()

    def connection(self, address: str, port: int, timeout: float) -> http.client.HTTPSConnection:
        context = ssl.create_default_context(cafile=self.ca)
        if not self.fingerprint:
            return http.client.HTTPSConnection(address, port, timeout=timeout, context=context)
        # A self-signed certificate names no address to check; that it is this very certificate says more.
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return _Pinned(address, port, timeout, context, self._wanted)


class _Pinned(http.client.HTTPSConnection):
    """Sends nothing, least of all a password, before the certificate is known to be the wanted one."""

    def __init__(self, address: str, port: int, timeout: float, context: ssl.SSLContext, wanted: str) -> None:
        super().__init__(address, port, timeout=timeout, context=context)
        self._wanted = wanted

    def connect(self) -> None:
        super().connect()
        assert isinstance(self.sock, ssl.SSLSocket)
        shown = hashlib.sha256(self.sock.getpeercert(binary_form=True) or b"").hexdigest()
        if shown != self._wanted:
            self.close()
            raise ssl.SSLCertVerificationError(f"the certificate of {self.host} has the fingerprint {shown}, wanted is {self._wanted}")
