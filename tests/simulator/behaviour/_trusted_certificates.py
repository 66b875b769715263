# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates that a pool trusts for a purpose (API 26), and the fresh ones that its hosts show each other (X/xapi_pool.ml, X/cert_refresh.ml)."""

from __future__ import annotations

from ..engine.behaviour import Behaviour, unchecked
from ..engine.failure import NULL, Failure
from ..transport.tls import Identity
from ._certificates import fields_of, parse, require_valid_now

TRUSTED = ("ca", "pinned")
# Seconds for which a host goes on showing its old certificate.
LINGER = 5.0


class PoolTrust(Behaviour):
    """The part of pool that trusts for purposes; an authority without one is for all."""

    async def install_trusted_certificate(self, pool: str, ca: bool, cert: str, purpose: list[str]) -> None:
        async with self.engine.operations.hold("pool", self.engine.pool, "copy_primary_host_certs"):
            require_valid_now(self.engine, parse(cert, "TRUSTED_CERTIFICATE_INVALID"), "TRUSTED_CERTIFICATE")
            if not ca and not purpose:
                raise Failure("CERTIFICATE_LACKS_PURPOSE")
            kind, fields = TRUSTED[0 if ca else 1], fields_of(Identity(cert, ""))
            for _unused, row in self.db.items("Certificate"):
                if (row["type"], row["fingerprint_sha256"]) == (kind, fields["fingerprint_sha256"]):
                    self._require_other_purpose(row["purpose"], purpose, row["fingerprint_sha256"])
            self.db.create("Certificate", {"name": "", "type": kind, "host": NULL, "purpose": purpose, **fields})

    @staticmethod
    def _require_other_purpose(known: list[str], wanted: list[str], fingerprint: str) -> None:
        if set(known) == set(wanted) or set(known) & set(wanted):
            raise Failure("TRUSTED_CERTIFICATE_ALREADY_EXISTS", fingerprint)

    async def uninstall_trusted_certificate(self, pool: str, certificate: str) -> None:
        async with self.engine.operations.hold("pool", self.engine.pool, "copy_primary_host_certs"):
            if self.db.row("Certificate", certificate)["type"] not in TRUSTED:
                raise Failure("NOT_TRUSTED_CERTIFICATE", certificate)
            self.db.delete("Certificate", certificate)


class HostTrust(Behaviour):
    """The part of host that renews what it shows the others."""

    @unchecked
    async def refresh_server_certificate(self, host: str) -> None:
        """The certificate among hosts, not the one that clients see. All must be there to learn of it."""
        async with self.engine.operations.hold("pool", self.engine.pool, "cert_refresh"):
            if not self.db.exists("host", host):
                raise Failure("HOST_OFFLINE", host)
            self.other("host").reach(host)
            for other in self.db.refs("host"):
                if not self.other("host").is_live(other):
                    raise Failure("CANNOT_CONTACT_HOST", other)
            for ref, row in list(self.db.items("Certificate")):
                if (row["host"], row["type"]) == (host, "host_internal"):
                    self.db.delete("Certificate", ref)
            fields = fields_of(self.engine.identities.authority.identity(str(self.row(host)["uuid"])))
            self.db.create("Certificate", {"name": "", "type": "host_internal", "host": host, **fields})
            await self.engine.clock.sleep(LINGER)
            for other in self.db.refs("host"):
                self.other("host").reach(other)
