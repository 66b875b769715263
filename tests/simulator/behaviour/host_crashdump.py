# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""host_crashdump: what a crashed host's kernel left in its /var/crash (X/xapi_host_crashdump.ml)."""

from __future__ import annotations

from ..engine.behaviour import Behaviour


class HostCrashdump(Behaviour):
    cls = "host_crashdump"

    def destroy(self, ref: str) -> None:
        """On the host whose it is (X/message_forwarding.ml)."""
        self.other("host").reach(self.row(ref)["host"])
        self.db.delete("host_crashdump", ref)
