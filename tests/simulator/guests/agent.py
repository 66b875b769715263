# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""OpenStack's guest agent (driver-operations 15; openstack-guest-agents-unix): requests as JSON in xenstore, answers likewise.

How it behaves is data, a `Script`; what was done to the guest is remembered in its `Inside`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

PRIME, BASE = 162259276829213363391578010288127, 5
BLOCK = 16
OLD = ("version", "features", "keyinit", "password", "injectfile", "resetnetwork", "agentupdate", "kmsactivate")


@dataclass(frozen=True)
class Script:
    """What an agent knows, and how it is to misbehave."""

    version: str = "1.39.1"
    features: tuple[str, ...] = (*OLD, "file_inject")
    # Seconds: from boot until it listens, from a request to its answer.
    starts_after: float = 2.0
    delay: float = 0.1
    # Requests that are never answered; `*` stands for all.
    silent: tuple[str, ...] = ()
    # Requests in the midst of which the guest reboots, once each.
    reboots: tuple[str, ...] = ()
    # Request → code and message, in place of doing it.
    answers: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    # How a key is made of the shared secret.
    digest: str = "md5"
    # What the agent for Windows puts behind every message.
    suffix: str = ""


SCRIPTS = {
    "new": Script(),
    "old": Script(version="0.0.1.37", features=OLD),
    "windows": Script(version="1.3.0.1", suffix="\\r\\n"),
    "bsd": Script(features=OLD, answers={"resetnetwork": ("500", "")}),
    "none": Script(silent=("*",)),
}


def script(source: Any) -> Script:
    """A script by name, as JSON text, or as a mapping; `like` in it names the one that it starts from."""
    if isinstance(source, str) and not source.lstrip().startswith("{"):
        if source not in SCRIPTS:
            raise ValueError(f"no agent is called {source!r}; there are {', '.join(SCRIPTS)}")
        return SCRIPTS[source]
    options = dict(json.loads(source) if isinstance(source, str) else source)
    base = SCRIPTS[options.pop("like", "new")]
    known = {one.name: getattr(base, one.name) for one in fields(Script)}
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise ValueError(f"an agent has no option {unknown[0]!r}; there are {', '.join(known)}")
    for name, value in options.items():
        known[name] = tuple(value) if isinstance(known[name], tuple) else value
    known["answers"] = {name: (str(code), str(text)) for name, (code, text) in known["answers"].items()}
    return Script(**known)


@dataclass
class Inside:
    """What has been done to a guest: outlives reboots."""

    files: dict[str, bytes] = field(default_factory=dict)
    password: str | None = None
    network_resets: int = 0
    updates: list[tuple[str, str]] = field(default_factory=list)
    # Every request as it came.
    requests: list[tuple[str, Any]] = field(default_factory=list)
    rebooted_for: set[str] = field(default_factory=set)
    # Agreed by `keyinit`, used up by `password`.
    secret: bytes | None = None


class Agent:
    def __init__(self, rules: Script, inside: Inside) -> None:
        self.rules = rules
        self.inside = inside
        self._commands: dict[str, Callable[[Any], tuple[str, str]]] = {
            "version": lambda value: ("0", rules.version),
            "features": lambda value: ("0", ",".join(rules.features)),
            "keyinit": self._keyinit,
            "password": self._password,
            "injectfile": self._injectfile,
            "file_inject": self._file_inject,
            "resetnetwork": self._resetnetwork,
            "agentupdate": self._agentupdate,
        }

    def hears(self, name: str) -> bool:
        return name not in self.rules.silent and "*" not in self.rules.silent

    def reboots(self, name: str) -> bool:
        """Whether this request makes the guest reboot; the next one of that name does not."""
        if name not in self.rules.reboots or name in self.inside.rebooted_for:
            return False
        self.inside.rebooted_for.add(name)
        return True

    def answer(self, text: str) -> str:
        code, message = self._run(*name_and_value(text))
        return json.dumps({"returncode": code, "message": message + self.rules.suffix})

    def _run(self, name: str, value: Any) -> tuple[str, str]:
        self.inside.requests.append((name, value))
        if name in self.rules.answers:
            return self.rules.answers[name]
        if name not in self.rules.features or name not in self._commands:
            return "404", f"No such agent command '{name}'"
        try:
            return self._commands[name](value)
        except (ValueError, TypeError, KeyError) as error:
            return "500", str(error)

    # Commands

    def _keyinit(self, value: Any) -> tuple[str, str]:
        own = int.from_bytes(secrets.token_bytes(BLOCK), "big")
        self.inside.secret = str(pow(int(value), own, PRIME)).encode()
        return "D0", str(pow(BASE, own, PRIME))

    def _password(self, value: Any) -> tuple[str, str]:
        try:
            sealed = base64.b64decode(value, validate=True)
        except binascii.Error:
            return "500", "Couldn't decode base64 data"
        if self.inside.secret is None:
            return "500", "Password without key exchange"
        plain = unseal(self.inside.secret, sealed, self.rules.digest)
        if plain is None:
            return "500", "Invalid password data received"
        self.inside.password = plain.decode("utf-8", "surrogateescape").strip("\n")
        self.inside.secret = None
        return "0", ""

    def _injectfile(self, value: Any) -> tuple[str, str]:
        try:
            path, separator, content = base64.b64decode(value, validate=True).partition(b",")
        except binascii.Error:
            return "500", "Error doing base64 decoding of data"
        if not separator:
            return "500", "need more than 1 value to unpack"
        self.inside.files[path.decode()] = content
        return "0", ""

    def _file_inject(self, value: Any) -> tuple[str, str]:
        both = json.loads(value) if isinstance(value, str) else value
        self.inside.files[base64.b64decode(both["b64_path"]).decode()] = base64.b64decode(both["b64_file"])
        return "0", ""

    def _resetnetwork(self, value: Any) -> tuple[str, str]:
        self.inside.network_resets += 1
        return "0", ""

    def _agentupdate(self, value: Any) -> tuple[str, str]:
        url, separator, digest = str(value).partition(",")
        if not separator:
            return "500", "Invalid arguments"
        self.inside.updates.append((url, digest))
        return "0", ""


def name_and_value(text: str) -> tuple[str, Any]:
    """Of a request. What is none has no name."""
    try:
        request = json.loads(text)
        return str(request["name"]), request.get("value", "")
    except (ValueError, KeyError, TypeError, AttributeError):
        return "", ""


def unseal(secret: bytes, sealed: bytes, digest: str) -> bytes | None:
    """AES-128-CBC as the openssl command does it with a password and without salt; None when that is no sealed text."""
    if not sealed or len(sealed) % BLOCK:
        return None
    material = b""
    last = b""
    while len(material) < 2 * BLOCK:
        last = hashlib.new(digest, last + secret).digest()
        material += last
    decryptor = Cipher(algorithms.AES(material[:BLOCK]), modes.CBC(material[BLOCK : 2 * BLOCK])).decryptor()
    padded = decryptor.update(sealed) + decryptor.finalize()
    padding = padded[-1]
    return padded[:-padding] if 0 < padding <= BLOCK else None
