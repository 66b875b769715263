# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Newer settings of hosts: SSH, idle consoles, time servers, time zone, processor sleep (X/xapi_host.ml of API 26); and restarts of the agent."""

from __future__ import annotations

import asyncio
import zoneinfo
from typing import Any

from ..engine.behaviour import Behaviour
from ..engine.failure import EPOCH, Failure
from ._host_forwarding import at_host
from ._pool_storage import WholePool

# Seconds: from the call to the agent's end, the longest time that SSH may be open.
NOTICE, LONGEST = 1.0, 172800
FACTORY_SERVERS = ("0.pool.ntp.org", "1.pool.ntp.org", "2.pool.ntp.org", "3.pool.ntp.org")
UNTOUCHED_STATES = ("", "0", "1")


class HostAccess(Behaviour):
    """The part of host that lets people and clocks in."""

    _closing: dict[str, asyncio.Task[Any]]

    # The agent

    @at_host
    def restart_agent(self, host: str) -> None:
        """The call returns first. A member's storage is plugged anew; the coordinator's end is everybody's."""
        self.engine.later(NOTICE, self.engine.restart if host == self.engine.coordinator else lambda: self.other("host").plug_again(host))

    def shutdown_agent(self) -> None:
        host = self.context.host
        self.engine.later(NOTICE, lambda: self.engine.set_down(host, True))

    @at_host
    def sync_data(self, host: str) -> None:
        """Every host has the same data already."""

    @at_host
    def backup_rrds(self, host: str, delay: float) -> None:
        """Archives are where they are needed already."""

    @at_host
    def apply_guest_agent_config(self, host: str) -> None:
        """Guests do not look at it here."""

    # SSH

    def _jobs(self) -> dict[str, asyncio.Task[Any]]:
        if not hasattr(self, "_closing"):
            self._closing = {}
        return self._closing

    def _close_later(self, host: str, seconds: int, *, automatic: bool) -> None:
        """SSH closes by itself after a time, if there is one."""
        job = self._jobs().pop(host, None)
        if job is not None:
            job.cancel()
        if seconds == 0:
            self.db.set("host", host, "ssh_expiry", EPOCH)
            return
        self.db.set("host", host, "ssh_expiry", self.engine.clock.ago(-seconds))

        def close() -> None:
            self.db.set("host", host, "ssh_enabled", False)
            if automatic:
                self.db.set("host", host, "ssh_auto_mode", True)

        self._jobs()[host] = self.engine.later(seconds, close)

    @at_host
    def enable_ssh(self, host: str) -> None:
        automatic = self.row(host)["ssh_auto_mode"]
        self.db.set("host", host, "ssh_auto_mode", False)
        self._close_later(host, self.row(host)["ssh_enabled_timeout"], automatic=automatic)
        self.db.set("host", host, "ssh_enabled", True)

    @at_host
    def disable_ssh(self, host: str) -> None:
        job = self._jobs().pop(host, None)
        if job is not None:
            job.cancel()
        self.db.update("host", host, ssh_enabled=False, ssh_expiry=self.engine.clock.now())

    @at_host
    def set_ssh_enabled_timeout(self, host: str, value: int) -> None:
        if not 0 <= value <= LONGEST:
            raise Failure("INVALID_VALUE", "ssh_enabled_timeout", str(value))
        self.db.set("host", host, "ssh_enabled_timeout", value)
        if self.row(host)["ssh_enabled"]:
            self._close_later(host, value, automatic=False)

    @at_host
    def set_ssh_auto_mode(self, host: str, value: bool) -> None:
        self.db.set("host", host, "ssh_auto_mode", value)

    @at_host
    def set_console_idle_timeout(self, host: str, value: int) -> None:
        if value < 0:
            raise Failure("INVALID_VALUE", "console_timeout", str(value))
        self.db.set("host", host, "console_idle_timeout", value)

    # Time

    @at_host
    def set_ntp_mode(self, host: str, value: str) -> None:
        if value == "Custom" and value != self.row(host)["ntp_mode"] and not self.row(host)["ntp_custom_servers"]:
            raise Failure("INVALID_NTP_CONFIG", "Can't set ntp_mode to Custom when ntp_custom_servers is empty")
        self.db.set("host", host, "ntp_mode", value)

    @at_host
    def set_ntp_custom_servers(self, host: str, value: list[str]) -> None:
        if self.row(host)["ntp_mode"] == "Custom" and not value:
            raise Failure("INVALID_NTP_CONFIG", "Can't set ntp_custom_servers empty when ntp_mode is Custom")
        self.db.set("host", host, "ntp_custom_servers", value)

    @at_host
    def get_ntp_servers_status(self, host: str) -> dict[str, str]:
        row = self.row(host)
        servers = {"Custom": row["ntp_custom_servers"], "Factory": FACTORY_SERVERS}.get(row["ntp_mode"], ())
        return {server: "combined" if number else "synced" for number, server in enumerate(servers)}

    @at_host
    def get_ntp_synchronized(self, host: str) -> bool:
        return bool(self.row(host)["ntp_mode"] != "Disabled")

    @at_host
    def set_timezone(self, host: str, value: str) -> None:
        if value not in zoneinfo.available_timezones():
            raise Failure("INVALID_VALUE", "timezone", value)
        self.db.set("host", host, "timezone", value)

    @at_host
    def list_timezones(self, host: str) -> list[str]:
        return sorted(zoneinfo.available_timezones())

    # Processors

    @at_host
    def set_max_cstate(self, host: str, value: str) -> None:
        parts = value.split(",") if value else []
        if len(parts) > 2 or not all(part.isdigit() for part in parts):
            raise Failure("INVALID_VALUE", "max_cstate", value)
        if value.partition(",")[0] not in UNTOUCHED_STATES:
            raise Failure("VALUE_NOT_SUPPORTED", "max_cstate", value, "Only C0, C1 and unlimited are supported for max-cstate")
        self.db.set("host", host, "max_cstate", value)


class PoolAccess(WholePool):
    """The same for all hosts; those that refused are named."""

    def enable_ssh(self, ref: str) -> None:
        self.on_every_host(self.other("host").enable_ssh, "ENABLE_SSH_PARTIALLY_FAILED")

    def disable_ssh(self, ref: str) -> None:
        self.on_every_host(self.other("host").disable_ssh, "DISABLE_SSH_PARTIALLY_FAILED")

    def set_ssh_enabled_timeout(self, ref: str, value: int) -> None:
        self.on_every_host(lambda host: self.other("host").set_ssh_enabled_timeout(host, value), "SET_SSH_TIMEOUT_PARTIALLY_FAILED")

    def set_ssh_auto_mode(self, ref: str, value: bool) -> None:
        self.on_every_host(lambda host: self.other("host").set_ssh_auto_mode(host, value), "SET_SSH_AUTO_MODE_PARTIALLY_FAILED")

    def set_console_idle_timeout(self, ref: str, value: int) -> None:
        self.on_every_host(lambda host: self.other("host").set_console_idle_timeout(host, value), "SET_CONSOLE_TIMEOUT_PARTIALLY_FAILED")
