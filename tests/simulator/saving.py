# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A pool as a world: `python3 tests/simulator save --url https://xs1.example.com --out world.json`, then `--world world.json`.

Records of all classes are read through JSON-RPC; nothing is written to the pool. Left out: sessions and tasks, what is secret, and the
contents of disks. Hosts get loopback addresses, since that is where a simulator listens.
"""

from __future__ import annotations

import argparse
import getpass
import json
import os
import ssl
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .engine.log import is_secret
from .engine.schema import LEVELS, Schema, load
from .engine.types import Type
from .worlds.validation import NOT_KEPT, problems, report

Records = dict[str, dict[str, dict[str, Any]]]
Call = Callable[..., Any]
# Messages of classes that old levels lack, and of classes that this role may not read.
SKIPPED = ("MESSAGE_METHOD_UNKNOWN", "MESSAGE_REMOVED", "MESSAGE_DEPRECATED", "RBAC_PERMISSION_DENIED")
# Fields whose whole value is secret.
SECRET_FIELDS = {("secret", "value"), ("VTPM", "contents")}
# Maps whose keys only name secrets: which parameters a storage driver takes, and what each is for.
DESCRIPTIONS = {("SM", "configuration")}
# What of a record says where its host is.
ADDRESS_FIELDS = {"host": ("address",), "PIF": ("IP",), "console": ("location",)}


class SaveError(Exception):
    """The pool cannot be saved; the message says why."""


class Refused(SaveError):
    def __init__(self, method: str, code: str, params: list[str]) -> None:
        super().__init__(f"{method}: {code} {' '.join(params)}".rstrip())
        self.code, self.params = code, params


class Client:
    """JSON-RPC over HTTP, as much as reading a pool takes."""

    def __init__(self, url: str, context: ssl.SSLContext | None) -> None:
        self.url = url.rstrip("/")
        self._context = context
        self._session: list[str] = []

    def login(self, username: str, password: str) -> None:
        try:
            self._session = [self("session.login_with_password", username, password, "2.0", "simulator save")]
        except Refused as refused:
            if refused.code != "HOST_IS_SLAVE":
                raise
            raise SaveError(f"{self.url} is a member of its pool; its coordinator is {refused.params[0]}: give that as --url") from None

    def logout(self) -> None:
        self("session.logout")

    def __call__(self, method: str, *params: Any) -> Any:
        body = json.dumps({"jsonrpc": "2.0", "method": method, "params": [*self._session, *params], "id": 1}).encode()
        request = urllib.request.Request(f"{self.url}/jsonrpc", body, {"content-type": "application/json"})
        try:
            with urllib.request.urlopen(request, context=self._context, timeout=300) as answer:
                reply = json.load(answer)
        except (urllib.error.URLError, ValueError) as error:
            raise SaveError(f"{self.url}: {getattr(error, 'reason', error)}") from None
        if reply.get("error"):
            raise Refused(method, reply["error"]["message"], reply["error"].get("data") or [])
        return reply["result"]


def level_of(call: Call) -> str:
    """The API level whose data model fits the pool: the newest that is not newer."""
    (host,) = list(call("host.get_all_records").values())[:1]
    version = (int(host["API_version_major"]), int(host["API_version_minor"]))
    fitting = [level for level in LEVELS if load(level).version <= version]
    return max(fitting, key=lambda level: load(level).version, default=LEVELS[0])


def records_of(call: Call, schema: Schema) -> Records:
    """The records of every class, with the fields that the level knows."""
    records: Records = {}
    for spec in schema.classes.values():
        message = spec.messages.get("get_all_records")
        if spec.name in NOT_KEPT or message is None or message.removed or not (spec.stored or spec.name == "message"):
            continue
        try:
            rows = call(f"{spec.name}.get_all_records")
        except Refused as refused:
            if refused.code not in SKIPPED:
                raise
            continue
        records[spec.name] = {ref: {name: row[name] for name in spec.fields if name in row} for ref, row in rows.items()}
    return records


def without_secrets(records: Records, schema: Schema) -> Records:
    """Secret fields are empty, secret keys of maps are gone; that there was a secret can still be seen."""
    return {cls: {ref: _public(schema, cls, row) for ref, row in rows.items()} for cls, rows in records.items()}


def _public(schema: Schema, cls: str, row: Mapping[str, Any]) -> dict[str, Any]:
    fields = schema.classes[cls].fields
    return {name: "" if _is_secret(cls, name, fields[name].type) else _without(cls, name, value) for name, value in row.items()}


def _is_secret(cls: str, name: str, kind: Type) -> bool:
    return (cls, name) in SECRET_FIELDS or (kind.kind, kind.name) == ("string", "secret")


def _without(cls: str, name: str, value: Any) -> Any:
    if not isinstance(value, Mapping) or (cls, name) in DESCRIPTIONS:
        return value
    return {key: item for key, item in value.items() if not is_secret(str(key))}


def on_loopback(records: Records) -> None:
    """Let every host be where the simulator will let it listen: the coordinator at 127.0.0.1, members beside it."""
    hosts = records.get("host", {})
    masters = {row["master"] for row in records.get("pool", {}).values()}
    order = sorted(hosts, key=lambda ref: ref not in masters)
    places = {hosts[ref]["address"]: f"127.0.{number // 254}.{number % 254 + 1}" for number, ref in enumerate(order)}
    for cls, fields in ADDRESS_FIELDS.items():
        for row in records.get(cls, {}).values():
            for field in fields:
                row[field] = _moved(row[field], places)


def _moved(text: str, places: Mapping[str, str]) -> str:
    """An address, or the URL of something there."""
    head, slashes, rest = text.rpartition("//")
    address, slash, path = rest.partition("/")
    return f"{head}{slashes}{places.get(address, address)}{slash}{path}"


def world_of(call: Call, name: str) -> dict[str, Any]:
    """The world that a pool is, valid."""
    level = level_of(call)
    schema = load(level)
    records = without_secrets(records_of(call, schema), schema)
    on_loopback(records)
    found = list(problems(schema, records))
    if found:
        raise SaveError(f"what the pool answered is no pool of API level {level}:{report(found)}")
    return {"name": name, "api": level, "saved": datetime.now(UTC).isoformat(timespec="seconds"), "records": records}


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(prog="simulator save", description="Save a pool, real or simulated, as a world. Nothing in the pool is changed.")
    result.add_argument("--url", required=True, help="its coordinator: https://xs1.example.com")
    result.add_argument("--out", required=True, type=Path, metavar="F", help="the file to write")
    result.add_argument("--name", help="name of the world (default: that of the file)")
    result.add_argument(
        "--username", default=os.environ.get("XENSERVER_USER", "root"), help="default: XENSERVER_USER, or root; reading is all it must be allowed"
    )
    result.add_argument("--password-file", type=Path, metavar="F", help="default: XENSERVER_PASSWORD, or asked for")
    result.add_argument("--ca-path", type=Path, metavar="F", help="certificates to trust instead of the system's")
    result.add_argument("--no-verify", action="store_true", help="do not verify the certificate: whoever answers gets the password")
    return result


def _password(path: Path | None) -> str:
    if path is not None:
        return path.read_text(encoding="utf-8").rstrip("\n")
    return os.environ.get("XENSERVER_PASSWORD") or getpass.getpass("Password: ")


def _context(arguments: argparse.Namespace) -> ssl.SSLContext:
    if not arguments.no_verify:
        return ssl.create_default_context(cafile=arguments.ca_path)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def main(argv: list[str]) -> int:
    arguments = parser().parse_args(argv)
    try:
        client = Client(arguments.url, _context(arguments))
        client.login(arguments.username, _password(arguments.password_file))
        try:
            world = world_of(client, arguments.name or arguments.out.stem)
        finally:
            client.logout()
        _write(arguments.out, world)
    except (SaveError, OSError) as error:
        print(f"simulator save: {error}", file=sys.stderr)
        return 1
    counts = {cls: len(rows) for cls, rows in world["records"].items()}
    print(f"{arguments.out}: API level {world['api']}, {counts['host']} hosts, {counts['VM']} VMs and templates, {counts['VDI']} disks")
    print(f"Serve it with: python3 tests/simulator --world {arguments.out}")
    return 0


def _write(path: Path, world: Mapping[str, Any]) -> None:
    """The file appears whole, readable by its owner only: names and addresses of a pool are not everybody's."""
    partial = path.with_name(path.name + ".partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        json.dump(world, stream, indent=1)
    partial.replace(path)
