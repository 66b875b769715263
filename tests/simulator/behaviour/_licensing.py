# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Editions and licences (X/xapi_host.ml apply_edition_internal, X/xapi_pool_license.ml); the daemon behind them is XCP-ng's (lib/v6.ml of xcp-featured)."""

from __future__ import annotations

import base64
import binascii
import contextlib

from ..engine.behaviour import Behaviour
from ..engine.failure import Failure, NotSimulated, internal_error
from ._host_forwarding import at_host

FREE_BRAND = "XCP-ng"


class HostLicensing(Behaviour):
    """The part of host that has an edition."""

    @at_host
    def apply_edition(self, host: str, edition: str, force: bool = False) -> None:
        self._apply_edition(host, edition)

    def _apply_edition(self, host: str, edition: str) -> None:
        """XCP-ng's daemon takes any name for an edition, also none, and grants the same to all: license_params stays as it is.

        XenServer's is not public. It refuses what it does not know; what it makes of a licence is not simulated.
        """
        row = self.row(host)
        if row["software_version"].get("product_brand") != FREE_BRAND:
            if edition and edition not in row["editions"]:
                raise Failure("INVALID_EDITION", edition)
            raise NotSimulated("licensing of a host that is not XCP-ng's")
        self.db.set("host", host, "edition", edition)

    @at_host
    def license_add(self, host: str, contents: str) -> None:
        try:
            base64.b64decode(contents, validate=True)
        except (binascii.Error, ValueError):
            raise Failure("LICENSE_PROCESSING_ERROR") from None
        self._apply_edition(host, "")

    @at_host
    def license_remove(self, host: str) -> None:
        self._apply_edition(host, "")

    @at_host
    def refresh_pack_info(self, host: str) -> None:
        """software_version is read anew; nothing has changed in it."""


class PoolLicensing(Behaviour):
    """The part of pool that has the least of its hosts' editions."""

    def apply_edition(self, pool: str, edition: str) -> None:
        """On one host after another; when one refuses, those before it get theirs back, as far as that goes."""
        done: list[tuple[str, str]] = []
        for host, row in list(self.db.items("host")):
            old = row["edition"]
            try:
                self.other("host").apply_edition(host, edition)
            except Failure:
                for other, before in reversed(done):
                    with contextlib.suppress(Failure):
                        self.other("host").apply_edition(other, before)
                raise
            done.append((host, old))

    def get_license_state(self, pool: str) -> dict[str, str]:
        """The lowest edition of any host, and when the first licence for it ends. Names that the daemon does not know do not count."""
        ranks = self.db.get("host", self.engine.coordinator, "editions")
        rows = [row for _unused, row in self.db.items("host") if row["edition"] in ranks]
        if not rows:
            raise internal_error('Failure("hd")')
        edition = min((row["edition"] for row in rows), key=ranks.index)
        # Letters sort behind digits: "never" is later than any time.
        expiry = min(row["license_params"].get("expiry", "never") for row in rows if row["edition"] == edition)
        return {"edition": edition, "expiry": expiry}
