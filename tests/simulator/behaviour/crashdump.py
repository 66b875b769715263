# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""crashdump: what a crashed guest left on a disk (X/xapi_crashdump.ml)."""

from __future__ import annotations

import contextlib

from ..engine.behaviour import Behaviour
from ..engine.failure import Failure


class Crashdump(Behaviour):
    cls = "crashdump"

    async def destroy(self, ref: str) -> None:
        vdi = self.row(ref)["VDI"]
        # The call goes to the host that works on the disk's SR (X/message_forwarding.ml forward_crashdump_op).
        self.other("SR").host_of(self.db.get("VDI", vdi, "SR"))
        # The row goes whether the disk can be destroyed or not.
        with contextlib.suppress(Failure):
            await self.other("VDI").destroy(vdi)
        self.db.delete("crashdump", ref)
