# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which operations a pool allows, and the refusal for the others (X/xapi_pool_helpers.ml, facts 3.10)."""

from __future__ import annotations

from collections.abc import Iterable

from ..engine.behaviour import Behaviour
from ..engine.failure import Failure
from ..engine.registry import Row
from . import _versions
from ._progress import other_operation_on

# These refuse to run beside each other, each with a code of its own …
BLOCKING = {
    "ha_enable": "HA_ENABLE_IN_PROGRESS",
    "ha_disable": "HA_DISABLE_IN_PROGRESS",
    "cluster_create": "CLUSTER_CREATE_IN_PROGRESS",
    "designate_new_master": "DESIGNATE_NEW_MASTER_IN_PROGRESS",
    "tls_verification_enable": "TLS_VERIFICATION_ENABLE_IN_PROGRESS",
    "configure_repositories": "CONFIGURE_REPOSITORIES_IN_PROGRESS",
    "sync_updates": "SYNC_UPDATES_IN_PROGRESS",
    "sync_bundle": "SYNC_BUNDLE_IN_PROGRESS",
    "apply_updates": "APPLY_UPDATES_IN_PROGRESS",
}
# … and these wait for each other.
WAITING = (
    "cert_refresh",
    "exchange_certificates_on_join",
    "exchange_ca_certificates_on_join",
    "copy_primary_host_certs",
    "eject",
    "get_updates",
    "exchange_crls_on_join",
)


class PoolOperations(Behaviour):
    """The part of pool that knows what it may be asked for."""

    def advertised(self, ref: str) -> Iterable[str]:
        return [name for name in (*BLOCKING, *WAITING) if self.shows(ref, name)]

    def shows(self, ref: str, op: str) -> bool:
        """8.2 knows four operations; what is none to it runs beside all."""
        return op in self.engine.schema.enums["pool_allowed_operations"]

    def check(self, ref: str, op: str) -> None:
        if not self.shows(ref, op):
            return
        row = self.row(ref)
        if row.get("is_psr_pending"):
            raise Failure("POOL_SECRET_ROTATION_PENDING")
        self._require_idle(ref, op, row["current_operations"])
        self._require_ha_as_needed(op, row)
        if op in ("cluster_create", "tls_verification_enable"):
            _versions.require_no_upgrade(self.engine)
        if op == "cluster_create":
            self._require_no_cluster(row)

    def _require_idle(self, ref: str, op: str, operations: dict[str, str]) -> None:
        for task, running in operations.items():
            if running in BLOCKING and op in BLOCKING:
                raise Failure(BLOCKING[running])
            if running in WAITING:
                raise other_operation_on(self.engine, "pool", ref, {task: running})
            if running in BLOCKING:
                # Which one is said of waiting operations only.
                raise Failure("OTHER_OPERATION_IN_PROGRESS", "pool", ref)

    def _require_ha_as_needed(self, op: str, row: Row) -> None:
        if op in ("ha_enable", "tls_verification_enable") and row["ha_enabled"]:
            raise Failure("HA_IS_ENABLED")
        if op == "ha_disable" and not row["ha_enabled"]:
            raise Failure("HA_NOT_ENABLED")

    def _require_no_cluster(self, row: Row) -> None:
        if self.db.tables["Cluster"].rows:
            raise Failure("CLUSTER_ALREADY_EXISTS")
        if row["ha_enabled"]:
            raise Failure("INCOMPATIBLE_CLUSTER_STACK_ACTIVE", row["ha_cluster_stack"])
