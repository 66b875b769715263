# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Joining the hosts to an external directory, and leaving it (X/xapi_host.ml, X/xapi_pool.ml, X/extauth_plugin_ADwinbind.ml)."""

from __future__ import annotations

from ..engine.behaviour import Behaviour
from ..engine.failure import Failure, NotSimulated
from . import _pool_features
from ._host_forwarding import at_host

FAILED, LEFT_BADLY, POOL = "AUTH_ENABLE_FAILED", "AUTH_DISABLE_FAILED", "POOL_"
LOOKUP, CREDENTIALS = "_DOMAIN_LOOKUP_FAILED", "_WRONG_CREDENTIALS"
LONGEST_NETBIOS_NAME = 15


class HostAuthentication(Behaviour):
    """The part of host that is about its membership in a domain."""

    @at_host
    def enable_external_auth(self, host: str, config: dict[str, str], service_name: str, auth_type: str) -> None:
        if auth_type == "AD":
            _pool_features.require(self.engine, "AD")
        row = self.row(host)
        if row["external_auth_type"]:
            raise Failure("AUTH_ALREADY_ENABLED", row["external_auth_type"], row["external_auth_service_name"])
        if auth_type == "PAM":
            raise NotSimulated("host.enable_external_auth with auth_type PAM")
        if auth_type != "AD":
            raise Failure("AUTH_UNKNOWN_TYPE", auth_type)
        stored = self._join_domain(host, config, service_name)
        self.db.update("host", host, external_auth_service_name=service_name, external_auth_configuration=stored, external_auth_type=auth_type)

    def _join_domain(self, host: str, config: dict[str, str], domain: str) -> dict[str, str]:
        """What is kept of the configuration: never the password."""
        for name in ("user", "pass"):
            if name not in config:
                raise Failure(FAILED, f"enable requires {name}")
        user = config["user"]
        if "\\" in user:
            raise Failure(FAILED, f"SAM format for user detected in '{user}'. This is not supported, please retry using UPN format")
        netbios = self._netbios_name(host, config)
        if config.get("domain", domain) != domain:
            raise Failure(FAILED, "if present, config:domain must match service-name.")
        directory = self.other("session").directory
        if domain != directory.service:
            raise Failure(FAILED + LOOKUP, f"Failed to look up domain {domain} workgroup")
        if not directory.accepts(user, config["pass"]):
            text = (
                f"Failed to join domain: failed to lookup DC info for domain '{domain}' over rpc: "
                "The attempted logon is invalid. This is either due to a bad username or authentication information.\n"
            )
            raise Failure(FAILED + CREDENTIALS, text)
        now = f"{self.engine.clock.time():.0f}."
        kept = {"domain": domain, "user": user, "workgroup": domain.partition(".")[0].upper(), "netbios_name": netbios}
        return {**kept, "machine_pwd_last_change_time": now, **({"ou": config["ou"]} if "ou" in config else {})}

    def _netbios_name(self, host: str, config: dict[str, str]) -> str:
        chosen = config.get("netbios-name")
        if chosen is not None and len(chosen) > LONGEST_NETBIOS_NAME:
            raise Failure(FAILED, f"netbios-name exceeds {LONGEST_NETBIOS_NAME} characters")
        name = chosen or str(self.row(host)["hostname"]).partition(".")[0]
        if len(name) > LONGEST_NETBIOS_NAME:
            name = f"{name[:7]}-{self.row(host)['uuid'][:7]}"
        if name.isdigit():
            raise Failure(FAILED, f"hostname '{name}' cannot contain only digits.")
        return name

    @at_host
    def disable_external_auth(self, host: str, config: dict[str, str], force: bool = False) -> None:
        """Nothing to do where none is enabled. It is disabled even when the account in the domain stays behind."""
        row = self.row(host)
        if not row["external_auth_type"]:
            return
        domain, session = row["external_auth_service_name"], self.other("session")
        self.db.update("host", host, external_auth_configuration={}, external_auth_type="", external_auth_service_name="")
        session.end_external()
        stays = "user" in config and "pass" in config and not session.directory.accepts(config["user"], config["pass"])
        if stays and not force:
            raise Failure(LEFT_BADLY, f"Failed to clear the machine account for domain {domain}")


class PoolAuthentication(Behaviour):
    """The part of pool that takes all its hosts into a domain, or none."""

    def _hosts_in_order(self) -> list[str]:
        first = self.engine.coordinator
        return [first, *(host for host in self.db.refs("host") if host != first)]

    def enable_external_auth(self, pool: str, config: dict[str, str], service_name: str, auth_type: str) -> None:
        hosts = self._hosts_in_order()
        for host in hosts:
            if self.db.get("host", host, "external_auth_type"):
                raise Failure("POOL_AUTH_ALREADY_ENABLED", host)
        if len({self.db.get("host", host, "hostname") for host in hosts}) < len(hosts):
            raise Failure("POOL_AUTH_ENABLE_FAILED_DUPLICATE_HOSTNAME", hosts[0], "At least two hosts in the pool have the same hostname")
        for position, host in enumerate(hosts):
            try:
                self.other("host").enable_external_auth(host, config, service_name, auth_type)
            except Failure as failure:
                self._roll_back(hosts[:position], config)
                raise _of_pool(failure, host) from None
        self._revalidate_subjects()

    def _roll_back(self, hosts: list[str], config: dict[str, str]) -> None:
        for host in hosts:
            try:
                self.other("host").disable_external_auth(host, config)
            except Failure:
                continue  # as good as can be

    def _revalidate_subjects(self) -> None:
        """Who is not in the new domain is forgotten."""
        directory = self.other("session").directory
        for ref, row in self.db.items("subject"):
            if directory.with_sid(row["subject_identifier"]) is None:
                self.db.delete("subject", ref)

    def disable_external_auth(self, pool: str, config: dict[str, str]) -> None:
        """On every host, whatever the others answer; then the first refusal."""
        refusals = []
        for host in self._hosts_in_order():
            try:
                self.other("host").disable_external_auth(host, config)
            except Failure as failure:
                name = self.db.get("host", host, "name_label")
                text = failure.params[0] if len(failure.params) == 1 else _printed(failure)
                refusals.append(Failure(f"{POOL}{LEFT_BADLY}", host, f"{name}: {text}"))
        if refusals:
            raise refusals[0]

    def detect_nonhomogeneous_external_auth(self, pool: str) -> None:
        """Members whose directory differs from the coordinator's get an alert."""
        first, *members = self._hosts_in_order()
        fields = ("external_auth_type", "external_auth_service_name")
        wanted = [self.db.get("host", first, field) for field in fields]
        for host in members:
            found = [self.db.get("host", host, field) for field in fields]
            if found != wanted:
                pairs = [f"{who}_{field}={value}" for who, values in (("host", found), ("master", wanted)) for field, value in zip(fields, values, strict=True)]
                self.other("message").post("EXTAUTH_IN_POOL_IS_NON_HOMOGENEOUS", 2, "Host", self.db.get("host", host, "uuid"), ", ".join(pairs))

    # How long logins are remembered (API 26); nothing is here, so that a login asks the directory every time

    def set_ext_auth_cache_enabled(self, pool: str, value: bool) -> None:
        self.db.set("pool", pool, "ext_auth_cache_enabled", value)

    def set_ext_auth_cache_size(self, pool: str, value: int) -> None:
        if value < 0:
            raise Failure("INVALID_VALUE", "size", str(value))
        self.db.set("pool", pool, "ext_auth_cache_size", value)

    def set_ext_auth_cache_expiry(self, pool: str, value: int) -> None:
        if value <= 0:
            raise Failure("INVALID_VALUE", "expiry", str(value))
        self.db.set("pool", pool, "ext_auth_cache_expiry", value)


def _of_pool(failure: Failure, host: str) -> Failure:
    """What the pool makes of one host's refusal."""
    if failure.code == "AUTH_UNKNOWN_TYPE":
        return failure
    if failure.code.startswith(FAILED) and len(failure.params) == 1:
        return Failure(POOL + failure.code, host, *failure.params)
    return Failure(POOL + FAILED, host, _printed(failure))


def _printed(failure: Failure) -> str:
    """ExnHelper.string_of_exn."""
    return f"{failure.code}: [ {'; '.join(failure.params)} ]"
