# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""secret: values kept under a uuid (ocaml/xapi/xapi_secret.ml)."""

from __future__ import annotations

from ..engine.behaviour import Behaviour


class Secret(Behaviour):
    cls = "secret"

    def introduce(self, uuid: str, value: str, other_config: dict[str, str]) -> str:
        return self.db.create("secret", {"uuid": uuid, "value": value, "other_config": other_config})
