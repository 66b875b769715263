# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates: what hosts show, whom the pool trusts (X/certificates.ml, gencert/lib.ml)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from ..engine.behaviour import Behaviour
from ..engine.clock import wire_time
from ..engine.failure import NULL, Failure, internal_error
from ..transport.tls import Identity
from ._host_forwarding import at_host

if TYPE_CHECKING:
    from ..engine.core import Engine

# Seconds until a server shows its new certificate.
RELOAD = 1.0
NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*\.pem")
KEY_BITS = range(2048, 4097)


def parse(text: str, invalid: str) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(text.encode())
    except ValueError:
        raise Failure(invalid) from None


def require_valid_now(engine: Engine, certificate: x509.Certificate, kind: str) -> None:
    """`kind`_NOT_VALID_YET or `kind`_EXPIRED, with the time now and the time that counts."""
    now = datetime.fromtimestamp(int(engine.clock.time()), UTC)
    for code, limit, wrong in (
        (f"{kind}_NOT_VALID_YET", certificate.not_valid_before_utc, now < certificate.not_valid_before_utc),
        (f"{kind}_EXPIRED", certificate.not_valid_after_utc, now > certificate.not_valid_after_utc),
    ):
        if wrong:
            raise Failure(code, f"{now:%Y-%m-%dT%H:%M:%SZ}", f"{limit:%Y-%m-%dT%H:%M:%SZ}")


def fields_of(identity: Identity) -> dict[str, Any]:
    """What the database says of a certificate."""
    parsed = identity.parsed
    times = {"not_before": parsed.not_valid_before_utc, "not_after": parsed.not_valid_after_utc}
    prints = {"fingerprint": identity.fingerprint(), "fingerprint_sha256": identity.fingerprint(), "fingerprint_sha1": identity.fingerprint("sha1")}
    return {**{name: wire_time(moment.timestamp()) for name, moment in times.items()}, **prints}


class HostCertificates(Behaviour):
    """The part of host that is about the certificate it shows."""

    def record_certificate(self, host: str, identity: Identity) -> None:
        """The host's row of class Certificate says what its server shows."""
        known = self.engine.schema.classes["Certificate"].fields
        values = {name: value for name, value in fields_of(identity).items() if name in known}
        rows = [ref for ref, row in self.db.items("Certificate") if row["host"] == host and row.get("type", "host") == "host"]
        if rows:
            self.db.update("Certificate", rows[0], **values)
        else:
            self.db.create("Certificate", {"host": host, "name": "", "type": "host", **values} if "type" in known else {"host": host, **values})

    @at_host
    def get_server_certificate(self, host: str) -> str:
        return str(self.engine.identity_of(host).certificate)

    @at_host
    def install_server_certificate(self, host: str, certificate: str, private_key: str, certificate_chain: str) -> None:
        if self.db.get("pool", self.engine.pool, "ha_enabled"):
            raise Failure("HA_IS_ENABLED")
        key = _key(private_key)
        leaf = parse(certificate, "SERVER_CERTIFICATE_INVALID")
        require_valid_now(self.engine, leaf, "SERVER_CERTIFICATE")
        public = leaf.public_key()
        if not isinstance(public, rsa.RSAPublicKey) or public.public_numbers() != key.public_key().public_numbers():
            raise Failure("SERVER_CERTIFICATE_KEY_MISMATCH")
        if not isinstance(leaf.signature_hash_algorithm, hashes.SHA256):
            raise Failure("SERVER_CERTIFICATE_SIGNATURE_NOT_SUPPORTED")
        if certificate_chain:
            parse(certificate_chain, "SERVER_CERTIFICATE_CHAIN_INVALID")
        self._show(host, Identity(certificate, private_key, certificate_chain))

    @at_host
    def reset_server_certificate(self, host: str) -> None:
        """A fresh one; here the throw-away authority signs it, where xapi's signs itself."""
        self._show(host, self.engine.identities.renew(host, self.row(host)["address"]))

    def emergency_reset_server_certificate(self) -> None:
        self.reset_server_certificate(self.context.host)

    def _show(self, host: str, identity: Identity) -> None:
        self.engine.identities.set(host, identity)
        self.record_certificate(host, identity)
        for listener in self.engine.on_identity:
            self.engine.later(RELOAD, lambda listener=listener: listener(host))

    def emergency_disable_tls_verification(self) -> None:
        self.db.set("host", self.context.host, "tls_verification_enabled", False)

    def emergency_reenable_tls_verification(self) -> None:
        self.db.set("host", self.context.host, "tls_verification_enabled", True)


def _key(text: str) -> rsa.RSAPrivateKey:
    try:
        key = load_pem_private_key(text.encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise Failure("SERVER_CERTIFICATE_KEY_INVALID") from None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise Failure("SERVER_CERTIFICATE_KEY_ALGORITHM_NOT_SUPPORTED", type(key).__name__.replace("PrivateKey", ""))
    if key.key_size not in KEY_BITS:
        raise Failure("SERVER_CERTIFICATE_KEY_RSA_LENGTH_NOT_SUPPORTED", str(key.key_size))
    return key


class PoolCertificates(Behaviour):
    """The part of pool that is about whom it trusts: certificates of authorities, and lists of revoked ones."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._trusted: dict[str, str] = {}  # name → reference; in 8.2 the database does not know them
        self._revoked: dict[str, str] = {}

    def loaded(self, extra: Mapping[str, Any]) -> None:
        super().loaded(extra)
        self._trusted = {row["name"]: ref for ref, row in self.db.items("Certificate") if row.get("type") == "ca" and row["name"]}

    def install_ca_certificate(self, name: str, cert: str) -> None:
        authority = parse(cert, "CA_CERTIFICATE_INVALID")
        require_valid_now(self.engine, authority, "CA_CERTIFICATE")
        _require_name(name, "CERTIFICATE")
        if name in self._trusted:
            raise Failure("CERTIFICATE_ALREADY_EXISTS", name)
        recorded = "type" in self.engine.schema.classes["Certificate"].fields
        values = {"name": name, "type": "ca", "host": NULL, **fields_of(Identity(cert, ""))}
        self._trusted[name] = self.db.create("Certificate", values) if recorded else NULL

    def uninstall_ca_certificate(self, name: str, force: bool = False) -> None:
        _require_name(name, "CERTIFICATE")
        if name not in self._trusted:
            raise Failure("CERTIFICATE_DOES_NOT_EXIST", name)
        ref = self._trusted.pop(name)
        if self.is_set("Certificate", ref):
            self.db.delete("Certificate", ref)

    certificate_install = install_ca_certificate

    def certificate_uninstall(self, name: str) -> None:
        self.uninstall_ca_certificate(name)

    def certificate_list(self) -> list[str]:
        return list(self._trusted)

    def certificate_sync(self) -> None:
        """They are the same on all hosts already."""

    def crl_install(self, name: str, cert: str) -> None:
        _require_name(name, "CRL")
        if name in self._revoked:
            raise Failure("CRL_ALREADY_EXISTS", name)
        self._revoked[name] = cert

    def crl_uninstall(self, name: str) -> None:
        _require_name(name, "CRL")
        if name not in self._revoked:
            raise Failure("CRL_DOES_NOT_EXIST", name)
        del self._revoked[name]

    def crl_list(self) -> list[str]:
        return list(self._revoked)

    async def enable_tls_verification(self) -> None:
        pool = self.engine.pool
        async with self.engine.operations.hold("pool", pool, "tls_verification_enable"):
            for host in self.db.refs("host"):
                self.other("host").reach(host)
                self.db.set("host", host, "tls_verification_enabled", True)
            self.db.update("pool", pool, tls_verification_enabled=True, wlb_verify_cert=True)


def _require_name(name: str, kind: str) -> None:
    """A file's name: letters, digits, dot, dash and underscore, no dot first, .pem last."""
    if not name:
        raise internal_error('Invalid_argument("index out of bounds")')
    if not NAME.fullmatch(name):
        raise Failure(f"{kind}_NAME_INVALID", name)
