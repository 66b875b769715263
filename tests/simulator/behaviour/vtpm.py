# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""VTPM: a trusted platform module whose contents are a secret (facts 3.10, X/xapi_vtpm.ml)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from typing import Any

from ..engine.behaviour import Behaviour
from ..engine.failure import Failure, internal_error


class Vtpm(Behaviour):
    cls = "VTPM"

    def advertised(self, ref: str) -> Iterable[str]:
        return ("destroy",)

    def check(self, ref: str, op: str) -> None:
        vm = self.row(ref)["VM"]
        if self.engine.schema.level == "8.2":
            raise Failure("NOT_IMPLEMENTED", "VTPM.destroy")
        allowed = ("Halted", "Suspended") if self.engine.schema.level == "26" else ("Halted",)
        if self.db.get("VM", vm, "power_state") not in allowed:
            raise Failure("VM_BAD_POWER_STATE", vm, ";".join(allowed).lower(), self.db.get("VM", vm, "power_state").lower())

    async def create(self, vm: Any, is_unique: bool = False) -> str:
        if self.engine.schema.level == "8.2":
            raise Failure("NOT_IMPLEMENTED", "VTPM.create")
        self.existing("VM", vm)
        async with self.engine.operations.hold("VM", vm, "create_vtpm"):
            self.require_allowed(vm)
            return self.insert(vm, is_unique=is_unique, contents="")

    def require_allowed(self, vm: str) -> None:
        if self.db.get("pool", self.engine.pool, "restrictions").get("restrict_vtpm") != "false":
            raise Failure("FEATURE_RESTRICTED", "restrict_vtpm")
        if self.db.get("VM", vm, "VTPMs"):
            raise Failure("VTPM_MAX_AMOUNT_REACHED", str(len(self.db.get("VM", vm, "VTPMs"))))

    def insert(self, vm: str, *, is_unique: bool, contents: str) -> str:
        secret = self.db.create("secret", {"value": contents})
        return self.db.create("VTPM", {"VM": vm, "is_unique": is_unique, "persistence_backend": "xapi", "contents": secret})

    def copy(self, ref: str, vm: str) -> str:
        """The same module in another VM; a unique one starts empty there."""
        row = self.row(ref)
        return self.insert(vm, is_unique=row["is_unique"], contents="" if row["is_unique"] else self.get_contents(ref))

    def destroy(self, ref: str) -> None:
        self.check(ref, "destroy")
        vm = self.row(ref)["VM"]
        self.discard(ref)
        self.other("VM").update_operations(vm)

    def discard(self, ref: str) -> None:
        secret = self.row(ref)["contents"]
        if self.is_set("secret", secret):
            self.db.delete("secret", secret)
        self.db.delete("VTPM", ref)

    def get_contents(self, ref: str) -> str:
        return str(self.db.get("secret", self.row(ref)["contents"], "value"))

    def set_contents(self, ref: str, contents: str) -> None:
        try:
            base64.b64decode(contents, validate=True)
        except binascii.Error as error:
            raise internal_error(str(error)) from None
        old = self.row(ref)["contents"]
        self.db.set("VTPM", ref, "contents", self.db.create("secret", {"value": contents}))
        if self.is_set("secret", old):
            self.db.delete("secret", old)
