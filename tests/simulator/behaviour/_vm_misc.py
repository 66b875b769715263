# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""VM: what is left — plugins of the guest agent, blobs, protection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..engine.behaviour import locks_itself
from ..engine.context import CURRENT
from ..engine.failure import NULL, Failure, internal_error
from ._vdi_types import spelt
from ._vm_settings import Settings

if TYPE_CHECKING:
    from ..engine.core import Engine

AGENT_PLUGIN = "guest-agent-operation"
# Seconds between two plugin calls for one VM (xapi_globs.ml vm_call_plugin_interval).
PLUGIN_INTERVAL = 10.0
SCRIPT_ARGUMENTS = ("username", "password", "script")
LONGEST_SCRIPT = 1024
MAY_RUN_SCRIPTS = ("vm-power-admin", "pool-operator", "pool-admin")


class Miscellany(Settings):
    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        # VM → when a plugin was called for it last.
        self._plugin_called: dict[str, float] = {}

    # The guest agent's plugin

    @locks_itself
    async def call_plugin(self, ref: str, plugin: str, fn: str, args: dict[str, str]) -> str:
        # An operation in the way fails the call at once (facts 3.1).
        self.check(ref, "call_plugin")
        async with self.engine.operations.hold("VM", ref, "call_plugin", 0.0):
            await self.engine.pass_time("VM.call_plugin")
            if plugin != AGENT_PLUGIN:
                raise Failure("XENAPI_MISSING_PLUGIN", plugin)
            self._limit_rate(ref)
            if fn in ("request-rdp-on", "request-rdp-off"):
                return self._request_rdp(ref, fn)
            if fn == "run-script":
                return await self._run_script(ref, args)
            text = f'The requested fn "{fn}" could not be found in plugin "{plugin}".'
            raise Failure("XENAPI_PLUGIN_FAILURE", "failed to find fn", text, text)

    def _limit_rate(self, ref: str) -> None:
        now = self.engine.clock.time()
        wait = self._plugin_called.get(ref, -PLUGIN_INTERVAL) + PLUGIN_INTERVAL - now
        if wait > 0:
            raise Failure("VM_CALL_PLUGIN_RATE_LIMIT", ref, "10.", f"{wait:.12g}")
        self._plugin_called[ref] = now

    def _request_rdp(self, ref: str, fn: str) -> str:
        guest = self.db.table("VM_guest_metrics").rows.get(self.row(ref)["guest_metrics"], {})
        if guest.get("other", {}).get("feature-ts2", "") in ("", "0"):
            text = f'The requested fn "{fn}" of plugin "{AGENT_PLUGIN}" could not be executed for lack of guest agent control feature.'
            raise Failure("XENAPI_PLUGIN_FAILURE", "failed to execute fn", text, text)
        return ""

    async def _run_script(self, ref: str, args: dict[str, str]) -> str:
        pool = self.db.row("pool", self.engine.pool)
        if pool["other_config"].get("allow_guest_agent_run_script") != "true":
            raise Failure("FEATURE_RESTRICTED")
        for name in SCRIPT_ARGUMENTS:
            if name not in args:
                raise Failure("XENAPI_PLUGIN_FAILURE", "missing argument", "", f"Argument {name} is required.")
        if CURRENT.get().role not in MAY_RUN_SCRIPTS:
            raise Failure("RBAC_PERMISSION_DENIED", "vm.call_plugin", "No permission to run script, must have VM power admin role or higher.")
        if len(args["script"].encode()) > LONGEST_SCRIPT:
            raise Failure("XENAPI_PLUGIN_FAILURE", "length restriction", "", "The script length must not exceed 1024 bytes")
        return await self.run_script(ref, args["script"])

    # Things kept with a VM

    def create_new_blob(self, ref: str, name: str, mime_type: str, public: bool) -> str:
        blob = str(self.other("blob").create(mime_type, public))
        # The blob is there by now, and stays.
        if not name:
            raise internal_error("Db_exn.Empty_key_in_map")
        if name in self.row(ref)["blobs"]:
            raise Failure("MAP_DUPLICATE_KEY", "VM", "blobs", ref, name)
        self.db.put("VM", ref, "blobs", name, blob)
        return blob

    def update_snapshot_metadata(self, ref: str, snapshot_of: str, snapshot_time: str, transportable_snapshot_id: str) -> None:
        self.db.update(
            "VM",
            ref,
            is_a_snapshot=True,
            snapshot_of=snapshot_of,
            snapshot_time=snapshot_time,
            transportable_snapshot_id=transportable_snapshot_id,
        )

    async def set_suspend_VDI(self, ref: str, value: str) -> None:
        self.require_state(ref, "Suspended")
        disk = self.db.row("VDI", value)
        if disk["type"] == "cbt_metadata":
            raise Failure("VDI_INCOMPATIBLE_TYPE", ref, spelt(disk["type"]))
        old = self.row(ref)["suspend_VDI"]
        if old == value:
            return
        self.choose_any_host_seeing([self.db.get("VDI", vdi, "SR") for vdi in (*self.disks_of(ref), value)])
        before, after = await self.call("VDI", "checksum", old), await self.call("VDI", "checksum", value)
        if before != after:
            told = [f"{self.db.get('VDI', old, 'uuid')} : {before}", f"{disk['uuid']} : {after}"]
            raise Failure("SUSPEND_VDI_REPLACEMENT_IS_NOT_IDENTICAL", *told)
        self.db.set("VM", ref, "suspend_VDI", value)

    # Protection

    def assert_agile(self, ref: str) -> None:
        """Whether the VM could run on every host: what HA asks for (X/agility.ml)."""
        row = self.row(ref)
        if row["VGPUs"]:
            raise Failure("VM_HAS_VGPU", ref)
        if row["VUSBs"]:
            raise Failure("VM_HAS_VUSBS", ref)
        hosts = {host for host, one in self.db.items("host") if one["enabled"]}
        for vdi in self.disks_of(ref):
            sr = self.db.row("VDI", vdi)["SR"]
            if not self.db.get("SR", sr, "shared") or not all(self.sees(host, sr) for host in hosts):
                raise Failure("HA_CONSTRAINT_VIOLATION_SR_NOT_SHARED", sr)
        for vif in row["VIFs"]:
            network = self.db.get("VIF", vif, "network")
            pifs = [self.db.row("PIF", pif) for pif in self.db.get("network", network, "PIFs")]
            if not hosts <= {pif["host"] for pif in pifs if not self.is_set("Bond", pif["bond_slave_of"])}:
                raise Failure("HA_CONSTRAINT_VIOLATION_NETWORK_NOT_SHARED", network)

    def retrieve_wlb_recommendations(self, ref: str) -> dict[str, list[str]]:
        raise Failure("WLB_NOT_INITIALIZED")

    # What only hosts call

    def atomic_set_resident_on(self, ref: str, host: str) -> None:
        self.db.update("VM", ref, resident_on=host, scheduled_to_be_resident_on=NULL)

    def pool_migrate_complete(self, ref: str, host: str) -> None:
        self.update_devices(ref)

    # xapi takes no lock and looks at no power state: the request goes to xenopsd as it is, and nothing of a guest's sleep is in the database.

    def s3_suspend(self, ref: str) -> None:
        self._require_domain(ref)

    def s3_resume(self, ref: str) -> None:
        self._require_domain(ref)

    def _require_domain(self, ref: str) -> None:
        """xenopsd knows the VMs that have a domain (transform_xenops_exn in X/xapi_xenops.ml)."""
        row = self.row(ref)
        if row["power_state"] not in ("Running", "Paused"):
            raise internal_error(f"Object with type VM and id {row['uuid']} does not exist in xenopsd")

    def set_xenstore_data(self, ref: str, value: dict[str, Any]) -> None:
        """A running guest sees the new data at once; what it does not see is lost (facts 3.3)."""
        self.db.set("VM", ref, "xenstore_data", value)
        if self.row(ref)["power_state"] == "Running":
            self.push_xenstore_data(ref)
