# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may log in, and what each role may do (facts 1.4, 1.6; X/xapi_session.ml, X/xapi_subject.ml, X/rbac.ml)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from simulator import Simulator

from ._asking import refusal

WORLDS = Path(__file__).parents[2] / "simulator" / "worlds"
DOMAIN = "example.com"
DIRECTORY = {
    "service": DOMAIN,
    "users": {
        "administrator": {"sid": "S-1-5-500", "password": "top"},
        "alice": {"sid": "S-1-5-1001", "password": "a-secret", "groups": ["operators"]},
        "bob": {"sid": "S-1-5-1002", "password": "b-secret", "groups": ["guests"]},
        "carol": {"sid": "S-1-5-1003", "password": "c-secret"},
    },
    "groups": {"operators": {"sid": "S-1-5-2001", "groups": ["staff"]}, "staff": {"sid": "S-1-5-2002"}, "guests": {"sid": "S-1-5-2003"}},
}
JOINING = {"user": f"administrator@{DOMAIN}", "pass": "top"}


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    world = json.loads((WORLDS / "three_hosts.json").read_text(encoding="utf-8"))
    with Simulator({**world, "directory": DIRECTORY}) as simulator:
        yield simulator
        assert simulator.problems == []


@pytest.fixture
def root(simulator: Simulator) -> Any:
    return simulator.session()


@pytest.fixture
def pool(root: Any) -> str:
    return root.pool.get_all()[0]


@pytest.fixture
def joined(root: Any, pool: str) -> None:
    root.pool.enable_external_auth(pool, JOINING, DOMAIN, "AD")


def admit(root: Any, sid: str, *roles: str) -> str:
    subject = root.subject.create({"subject_identifier": sid, "other_config": {}})
    for role in roles:
        root.subject.add_to_roles(subject, root.role.get_by_name_label(role)[0])
    return subject


# Joining a domain


def test_every_host_joins_and_no_password_is_kept(root: Any, pool: str, joined: None) -> None:
    hosts = root.host.get_all_records().values()
    assert {(host["external_auth_type"], host["external_auth_service_name"]) for host in hosts} == {("AD", DOMAIN)}
    for host in hosts:
        kept = dict(host["external_auth_configuration"])
        kept.pop("machine_pwd_last_change_time")
        assert kept == {"domain": DOMAIN, "user": f"administrator@{DOMAIN}", "workgroup": "EXAMPLE", "netbios_name": host["hostname"]}


@pytest.mark.parametrize(
    ("config", "service", "kind", "code", "text"),
    [
        pytest.param(JOINING, DOMAIN, "LDAP", "AUTH_UNKNOWN_TYPE", None, id="unknown kind"),
        pytest.param(JOINING, DOMAIN, "", "AUTH_UNKNOWN_TYPE", None, id="no kind"),
        pytest.param({}, DOMAIN, "AD", "POOL_AUTH_ENABLE_FAILED", "enable requires user", id="no user"),
        pytest.param({"user": "x@y"}, DOMAIN, "AD", "POOL_AUTH_ENABLE_FAILED", "enable requires pass", id="no password"),
        pytest.param(
            JOINING, "example.org", "AD", "POOL_AUTH_ENABLE_FAILED_DOMAIN_LOOKUP_FAILED", "Failed to look up domain example.org workgroup", id="no such domain"
        ),
        pytest.param(
            {**JOINING, "domain": "other.com"},
            DOMAIN,
            "AD",
            "POOL_AUTH_ENABLE_FAILED",
            "if present, config:domain must match service-name.",
            id="two domains",
        ),
    ],
)
def test_what_cannot_be_joined(root: Any, pool: str, config: dict[str, str], service: str, kind: str, code: str, text: str | None) -> None:
    coordinator = root.pool.get_master(pool)
    expected = [code, kind] if text is None else [code, coordinator, text]
    assert refusal(root.pool.enable_external_auth, pool, config, service, kind) == expected
    assert {host["external_auth_type"] for host in root.host.get_all_records().values()} == {""}


def test_a_wrong_password_of_the_administrator(root: Any, pool: str) -> None:
    code, host, text = refusal(root.pool.enable_external_auth, pool, {**JOINING, "pass": "no"}, DOMAIN, "AD")
    assert (code, host) == ("POOL_AUTH_ENABLE_FAILED_WRONG_CREDENTIALS", root.pool.get_master(pool))
    assert "bad username or authentication" in text


def test_the_host_that_refuses_takes_the_others_back(root: Any, pool: str) -> None:
    last = root.host.get_by_name_label("xs3")[0]
    root.host.set_hostname_live(last, "12345")
    text = "hostname '12345' cannot contain only digits."
    assert refusal(root.pool.enable_external_auth, pool, JOINING, DOMAIN, "AD") == ["POOL_AUTH_ENABLE_FAILED", last, text]
    assert {host["external_auth_type"] for host in root.host.get_all_records().values()} == {""}


def test_hosts_of_one_hostname_join_no_domain(root: Any, pool: str) -> None:
    for name in ("xs2", "xs3"):
        root.host.set_hostname_live(root.host.get_by_name_label(name)[0], "same")
    text = "At least two hosts in the pool have the same hostname"
    code = "POOL_AUTH_ENABLE_FAILED_DUPLICATE_HOSTNAME"
    assert refusal(root.pool.enable_external_auth, pool, JOINING, DOMAIN, "AD") == [code, root.pool.get_master(pool), text]


def test_a_domain_at_a_time(root: Any, pool: str, joined: None) -> None:
    coordinator = root.pool.get_master(pool)
    assert refusal(root.pool.enable_external_auth, pool, JOINING, DOMAIN, "AD") == ["POOL_AUTH_ALREADY_ENABLED", coordinator]
    assert refusal(root.host.enable_external_auth, coordinator, JOINING, DOMAIN, "AD") == ["AUTH_ALREADY_ENABLED", "AD", DOMAIN]


def test_leaving_ends_the_sessions_of_users(simulator: Simulator, root: Any, pool: str, joined: None) -> None:
    admit(root, "S-1-5-1001", "pool-admin")
    alice = simulator.session("alice", "a-secret")
    root.pool.disable_external_auth(pool, {})
    assert refusal(alice.VM.get_all) == ["SESSION_INVALID", alice.ref]
    assert refusal(simulator.session, "alice", "a-secret")[0] == "SESSION_AUTHENTICATION_FAILED"
    root.pool.disable_external_auth(pool, {})  # as good as done


def test_leaving_without_the_right_password_leaves_all_the_same(root: Any, pool: str, joined: None) -> None:
    wrong = {"user": f"administrator@{DOMAIN}", "pass": "no"}
    text = f"xs1: Failed to clear the machine account for domain {DOMAIN}"
    assert refusal(root.pool.disable_external_auth, pool, wrong) == ["POOL_AUTH_DISABLE_FAILED", root.pool.get_master(pool), text]
    assert {host["external_auth_type"] for host in root.host.get_all_records().values()} == {""}


# Users of the domain


def test_questions_to_the_directory(root: Any, joined: None) -> None:
    assert root.auth.get_subject_identifier("alice") == "S-1-5-1001"
    assert root.auth.get_group_membership("S-1-5-1001") == ["S-1-5-2001", "S-1-5-2002"]
    assert root.auth.get_subject_information_from_identifier("S-1-5-2002")["subject-is-group"] == "true"
    assert refusal(root.auth.get_subject_identifier, "mallory") == ["SUBJECT_CANNOT_BE_RESOLVED"]


def test_nobody_to_ask_without_a_directory(root: Any) -> None:
    assert refusal(root.auth.get_subject_identifier, "alice") == ["AUTH_IS_DISABLED"]
    assert refusal(root.subject.create, {"subject_identifier": "S-1-5-1001", "other_config": {}}) == ["AUTH_IS_DISABLED"]


def test_a_user_comes_in_by_a_group_of_a_group(simulator: Simulator, root: Any, joined: None) -> None:
    subject = admit(root, "S-1-5-2002", "vm-operator")
    alice = simulator.session("alice", "a-secret")
    record = root.session.get_record(alice.ref)
    assert (record["subject"], record["auth_user_sid"], record["auth_user_name"]) == (subject, "S-1-5-1001", "alice")
    assert record["is_local_superuser"] is False


@pytest.mark.parametrize("password", ["b-secret", "", "top"])
def test_wrong_passwords(simulator: Simulator, root: Any, joined: None, password: str) -> None:
    admit(root, "S-1-5-1001", "pool-admin")
    assert refusal(simulator.connect().call, "session.login_with_password", ["alice", password]) == [
        "SESSION_AUTHENTICATION_FAILED",
        "alice",
        "Authentication failure",
    ]


def test_who_is_no_subject_and_who_has_no_role(simulator: Simulator, root: Any, joined: None) -> None:
    code, user, _unused = refusal(simulator.session, "bob", "b-secret")
    assert (code, user) == ("SESSION_AUTHORIZATION_FAILED", "bob")
    admit(root, "S-1-5-2003")
    assert refusal(simulator.session, "bob", "b-secret")[0] == "RBAC_PERMISSION_DENIED"


def test_the_mightiest_of_several_roles_counts(simulator: Simulator, root: Any, joined: None) -> None:
    admit(root, "S-1-5-2001", "read-only")
    admit(root, "S-1-5-2002", "pool-operator")
    alice = simulator.session("alice", "a-secret")
    alice.network.create({"name_label": "made by alice", "name_description": "", "other_config": {}, "tags": [], "MTU": 1500})


def test_subjects_are_unique_and_roles_are_known(root: Any, joined: None) -> None:
    subject = admit(root, "S-1-5-1003", "vm-admin")
    assert refusal(root.subject.create, {"subject_identifier": "S-1-5-1003", "other_config": {}}) == ["SUBJECT_ALREADY_EXISTS"]
    role = root.role.get_by_name_label("vm-admin")[0]
    assert refusal(root.subject.add_to_roles, subject, role) == ["ROLE_ALREADY_EXISTS"]
    root.subject.remove_from_roles(subject, role)
    assert refusal(root.subject.remove_from_roles, subject, role) == ["ROLE_NOT_FOUND"]
    assert refusal(root.subject.add_to_roles, subject, "OpaqueRef:nothing") == ["ROLE_NOT_FOUND"]


# Roles (the least powerful that may, from the data model)


@pytest.fixture
def as_role(simulator: Simulator, root: Any, joined: None) -> Callable[[str], Any]:
    def login(role: str) -> Any:
        admit(root, "S-1-5-1003", role)
        return simulator.session("carol", "c-secret")

    return login


def test_who_only_reads(root: Any, as_role: Callable[[str], Any]) -> None:
    carol = as_role("read-only")
    vm = root.VM.get_by_name_label("Debian 12 (cloud image)")[0]
    assert carol.VM.get_name_label(vm) == "Debian 12 (cloud image)"
    code, message, text = refusal(carol.VM.set_name_label, vm, "mine")
    assert (code, message) == ("RBAC_PERMISSION_DENIED", "vm.set_name_label")
    assert text == "No permission in user session. (Roles with this permission: vm-power-admin, vm-admin, pool-admin, pool-operator)"


@pytest.mark.parametrize(
    ("role", "allowed", "denied"),
    [
        ("vm-operator", "VM.start", "VM.clone"),
        ("vm-admin", "VM.clone", "VM.pool_migrate"),
        ("vm-power-admin", "SR.scan", "host.disable"),
        ("pool-operator", "host.disable", "subject.create"),
    ],
)
def test_each_role_may_more_than_the_one_below(as_role: Callable[[str], Any], role: str, allowed: str, denied: str) -> None:
    """What is allowed gets as far as the object, which is not there."""
    carol = as_role(role)
    arguments: dict[str, list[Any]] = {
        "VM.start": ["OpaqueRef:no", False, False],
        "VM.clone": ["OpaqueRef:no", "copy"],
        "VM.pool_migrate": ["OpaqueRef:no", "OpaqueRef:no", {}],
        "SR.scan": ["OpaqueRef:no"],
        "host.disable": ["OpaqueRef:no"],
        "subject.create": [{"subject_identifier": "S-1-5-1001", "other_config": {}}],
    }
    assert refusal(carol.call, allowed, *arguments[allowed])[0] == "HANDLE_INVALID"
    assert refusal(carol.call, denied, *arguments[denied])[:2] == ["RBAC_PERMISSION_DENIED", denied.lower()]


def test_some_keys_of_a_map_need_a_lesser_role(root: Any, as_role: Callable[[str], Any]) -> None:
    """folder and XenCenter.CustomFields.* are free for vm-operator (datamodel: map_keys_roles)."""
    carol = as_role("vm-operator")
    vm = root.VM.get_by_name_label("Debian 12 (cloud image)")[0]
    carol.VM.add_to_other_config(vm, "folder", "/here")
    carol.VM.add_to_other_config(vm, "XenCenter.CustomFields.owner", "carol")
    assert refusal(carol.VM.add_to_other_config, vm, "pci", "x")[:2] == ["RBAC_PERMISSION_DENIED", "vm.add_to_other_config/key:pci"]
    assert refusal(carol.VM.add_to_other_config, vm, "mine", "x")[:2] == ["RBAC_PERMISSION_DENIED", "vm.add_to_other_config"]


def test_only_root_changes_the_password(simulator: Simulator, root: Any, as_role: Callable[[str], Any]) -> None:
    carol = as_role("pool-admin")
    assert refusal(carol.session.change_password, "c-secret", "new")[0] == "USER_IS_NOT_LOCAL_SUPERUSER"
    root.session.change_password("", "new")
    assert refusal(simulator.connect().call, "session.login_with_password", ["root", "simulated"])[0] == "SESSION_AUTHENTICATION_FAILED"
    simulator.session("root", "new")
