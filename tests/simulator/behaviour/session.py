# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""session: login, logout, local sessions, users of a directory (facts 1.6)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..engine.behaviour import Behaviour
from ..engine.failure import NULL, Failure
from ..engine.registry import Row
from ..engine.schema import ROLES
from ._directory import Directory, Entry

# What PAM says.
WRONG_PASSWORD = "Authentication failure"
UNKNOWN_USER = "User not known to the underlying authentication module"
SUPERUSER = "root"
# Seconds: how often old sessions are looked for, and how long one may be unused (facts 1.6).
COLLECT, UNUSED = 30.0, 86400.0
# How many sessions of one kind live at a time; the longest unused go.
MOST_OF_ORIGINATOR, MOST_OF_USER, MOST_ANONYMOUS = 500, 500, 400


class Session(Behaviour):
    cls = "session"

    def loaded(self, extra: Mapping[str, Any]) -> None:
        self.directory = Directory(extra.get("directory"))

    # Login

    def login_with_password(self, uname: str, pwd: str, version: str = "", originator: str = "") -> str:
        at = self.context.host
        if self.engine.is_member(at):
            raise Failure("HOST_IS_SLAVE", self.engine.coordinator_address)
        self._collect()
        kind = self.db.get("host", at, "external_auth_type")
        if kind and uname != SUPERUSER:
            return self._login_external(uname, pwd, originator)
        return self._login_local(uname, pwd, originator)

    def _login_local(self, uname: str, pwd: str, originator: str) -> str:
        user = self.engine.users.get(uname)
        if user is None:
            raise Failure("SESSION_AUTHENTICATION_FAILED", uname, UNKNOWN_USER)
        if user[0] != pwd:
            raise Failure("SESSION_AUTHENTICATION_FAILED", uname, WRONG_PASSWORD)
        fields = {"is_local_superuser": user[1] == "pool-admin", "auth_user_name": uname, "originator": originator}
        return self.open(user[1], fields)

    def _login_external(self, uname: str, pwd: str, originator: str) -> str:
        entry = self.directory.named(uname)
        if entry is None or not self.directory.accepts(uname, pwd):
            raise Failure("SESSION_AUTHENTICATION_FAILED", uname, WRONG_PASSWORD)
        subjects = self._subjects(entry)
        if not subjects:
            text = f"Subject {uname} (identifier {entry.sid}, from HTTP request from Internet) has no access rights in this pool"
            raise Failure("SESSION_AUTHORIZATION_FAILED", uname, text)
        names = [self.other("role").name_of(role) for subject in subjects for role in self.db.get("subject", subject, "roles")]
        if not names:
            text = f"Subject {uname} (identifier {entry.sid}) has no roles in this pool"
            raise Failure("RBAC_PERMISSION_DENIED", "session.login_with_password", text)
        role = min(names, key=ROLES.index)
        permissions = self.other("role").permissions_of(role)
        fields = {"subject": subjects[0], "auth_user_sid": entry.sid, "auth_user_name": entry.name, "originator": originator}
        return self.open(role, {**fields, "is_local_superuser": False, "rbac_permissions": permissions})

    def _subjects(self, entry: Entry) -> list[str]:
        """The pool's subjects that the user is, or is a member of."""
        sids = [entry.sid, *self.directory.groups_of(entry)]
        return [ref for ref, row in self.db.items("subject") if row["subject_identifier"] in sids]

    def open(self, role: str, fields: dict[str, Any]) -> str:
        """A session with the rights of a role."""
        now = self.engine.clock.now()
        known = self.engine.schema.classes["session"].fields
        values = {"this_host": self.context.host, "last_active": now, "validation_time": now, "pool": False, **fields}
        ref = self.db.create("session", {name: value for name, value in values.items() if name in known})
        self.engine.roles[ref] = role
        return ref

    def slave_local_login_with_password(self, uname: str, pwd: str) -> str:
        """A session of this host alone: it is in no database, and works where there is no coordinator."""
        ref = self._login_local(uname, pwd, "")
        self.engine.local_sessions.add(ref)
        return ref

    # Hosts of the pool among themselves

    def _require_secret(self, name: str, secret: str) -> None:
        if secret != self.other("pool").secret:
            raise Failure("SESSION_AUTHENTICATION_FAILED", name, "Pool credentials invalid")

    def slave_login(self, host: str, psecret: str) -> str:
        self._require_secret(host, psecret)
        return self.open("pool-admin", {"this_host": host, "pool": True, "is_local_superuser": True, "auth_user_name": host})

    def slave_local_login(self, psecret: str) -> str:
        self._require_secret("localhost", psecret)
        ref = self.open("pool-admin", {"pool": True, "is_local_superuser": True})
        self.engine.local_sessions.add(ref)
        return ref

    def twin(self, session: str, host: str) -> str:
        """A session of its own with the rights of another: what a migration works with."""
        kept = ("pool", "is_local_superuser", "subject", "auth_user_sid", "auth_user_name", "rbac_permissions")
        row = self.db.tables["session"].rows.get(session, {})
        return self.open(self.engine.roles.get(session, "pool-admin"), {**{name: row[name] for name in kept if name in row}, "this_host": host})

    # Logout

    def logout(self) -> None:
        self._end(self.context.session)

    def local_logout(self) -> None:
        self._end(self.context.session)

    def logout_subject_identifier(self, identifier: str) -> None:
        """End all sessions of a user but this one."""
        for ref, row in self.db.items("session"):
            if row["auth_user_sid"] == identifier and not row["is_local_superuser"] and ref != self.context.session:
                self._end(ref)

    def end_external(self) -> None:
        """Nobody vouches for the users of the directory any more."""
        for ref, row in self.db.items("session"):
            if row["auth_user_sid"]:
                self._end(ref)

    def _end(self, ref: str) -> None:
        if self.db.exists("session", ref):
            self.db.delete("session", ref)
        self.engine.roles.pop(ref, None)
        self.engine.local_sessions.discard(ref)

    def _collect(self) -> None:
        """Sessions that nobody used for a day go, and the longest unused of a kind that has too many."""
        oldest = self.engine.clock.ago(UNUSED)
        kinds: dict[tuple[str, str], list[str]] = {}
        for ref, row in self.db.items("session"):
            if ref in self.engine.local_sessions or self.engine.tasks.pending_of(ref):
                continue
            if row["last_active"] < oldest:
                self._end(ref)
                continue
            kinds.setdefault(_kind(row), []).append(ref)
        for (what, name), refs in kinds.items():
            most = MOST_OF_USER if what == "user" else MOST_OF_ORIGINATOR if name else MOST_ANONYMOUS
            # One more is about to come.
            for ref in sorted(refs, key=lambda session: self.row(session)["last_active"])[: max(0, len(refs) - most + 1)]:
                self._end(ref)

    # Passwords and identities

    def change_password(self, old_pwd: str, new_pwd: str) -> None:
        """The old password is not looked at: who is root need not prove it (X/xapi_session.ml)."""
        session = self.row(self.context.session)
        if not session["is_local_superuser"]:
            raise Failure("USER_IS_NOT_LOCAL_SUPERUSER", f"Failed to change password for user {SUPERUSER}")
        if not new_pwd:
            raise Failure("CHANGE_PASSWORD_REJECTED", "Authentication token manipulation error")
        name = session["auth_user_name"]
        self.engine.users[name] = (new_pwd, self.engine.users[name][1])

    def get_all_subject_identifiers(self) -> list[str]:
        return sorted({row["auth_user_sid"] for _unused, row in self.db.items("session") if row["auth_user_sid"]})

    def get_subject(self, ref: str) -> str:
        subject = self.row(ref)["subject"]
        return str(subject) if subject != NULL else NULL


def _kind(row: Row) -> tuple[str, str]:
    """Sessions of which only so many live: root's by originator, others' by name, those of hosts together (X/db_gc_util.ml timeout_sessions)."""
    if row["pool"]:
        return "pool", ""
    if row["auth_user_name"] in ("", SUPERUSER):
        return "originator", row.get("originator", "")
    return "user", row["auth_user_name"]
