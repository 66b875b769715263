# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates: a throw-away authority, and what each host shows. Nothing of it is written but the authority's certificate."""

from __future__ import annotations

import hashlib
import ssl
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path

import trustme
from cryptography import x509


@dataclass(frozen=True)
class Identity:
    """A certificate with its key, and what stands between it and its authority, as PEM."""

    certificate: str
    key: str
    chain: str = ""

    @cached_property
    def parsed(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self.certificate.encode())

    def fingerprint(self, digest: str = "sha256") -> str:
        """As `openssl x509 -fingerprint` prints it."""
        der = ssl.PEM_cert_to_DER_cert(self.certificate.strip() + "\n")
        text = hashlib.new(digest, der, usedforsecurity=False).hexdigest().upper()
        return ":".join(text[i : i + 2] for i in range(0, len(text), 2))

    def context(self) -> ssl.SSLContext:
        """For a server that shows this certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        # ssl takes files only.
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
            file.write("\n".join((self.key, self.certificate, self.chain)))
            file.flush()
            context.load_cert_chain(file.name)
        return context


FAULTS = ("expired", "wrong-name")
WRONG_NAME = "another-host.example.com"


class Authority:
    """Signs the hosts' certificates, all good ones unless `fault` names one of the two that clients must notice."""

    def __init__(self, fault: str = "") -> None:
        if fault not in ("", *FAULTS):
            raise ValueError(f"there is no certificate {fault!r}; there are {', '.join(FAULTS)}")
        self._fault = fault
        self._ca = trustme.CA(organization_name="xapi.xenserver simulator")

    def write(self, path: Path) -> None:
        """Write the authority's certificate as PEM: what `ca_path` wants."""
        self._ca.cert_pem.write_to_path(path)

    def identity(self, *names: str) -> Identity:
        not_after = datetime.now(UTC) - timedelta(days=1) if self._fault == "expired" else None
        leaf = self._ca.issue_cert(*((WRONG_NAME,) if self._fault == "wrong-name" else names), not_after=not_after)
        first, *rest = (blob.bytes().decode() for blob in leaf.cert_chain_pems)
        return Identity(first, leaf.private_key_pem.bytes().decode(), "\n".join(rest))


class Identities:
    """What each host of a pool shows; made when somebody first looks."""

    def __init__(self) -> None:
        self._authority: Authority | None = None
        self._of: dict[str, Identity] = {}

    @property
    def authority(self) -> Authority:
        if self._authority is None:
            self._authority = Authority()
        return self._authority

    @authority.setter
    def authority(self, authority: Authority) -> None:
        self._authority = authority
        self._of.clear()

    def of(self, host: str, address: str) -> Identity:
        if host not in self._of:
            self.renew(host, address)
        return self._of[host]

    def renew(self, host: str, address: str) -> Identity:
        """A fresh certificate of the authority."""
        self.set(host, self.authority.identity(address, "localhost"))
        return self._of[host]

    def set(self, host: str, identity: Identity) -> None:
        self._of[host] = identity
