# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""blob: small files that belong to an object; their bytes come and go by /blob (ocaml/xapi/xapi_blob.ml)."""

from __future__ import annotations

from ..engine.behaviour import Behaviour


class Blob(Behaviour):
    cls = "blob"

    def create(self, mime_type: str, public: bool) -> str:
        kind = mime_type or "application/octet-stream"
        return self.db.create("blob", {"mime_type": kind, "public": public, "size": 0})

    def destroy(self, ref: str) -> None:
        """Remove the bytes, and the name that a VM has for them."""
        self.engine.store.blob(self.row(ref)["uuid"]).unlink(missing_ok=True)
        for vm, row in self.db.items("VM"):
            for name in [name for name, blob in row["blobs"].items() if blob == ref]:
                self.db.drop("VM", vm, "blobs", name)
        self.db.delete("blob", ref)
