# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ids of runs: what a run builds, and the process that it ends with, so that another run can tell whether it is alive.

``<subject>.<machine>.<process>.<start>.<random>``; the subject is the same for all runs that build the same thing.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from typing import NamedTuple


class RunId(NamedTuple):
    """The parts of an id."""

    subject: str
    machine: str
    process: str
    start: str
    random: str

    def __str__(self) -> str:
        return ".".join(self)


def new_id(subject: str, process: int) -> str:
    """An id for a run that lives as long as a process of this machine."""
    return str(RunId(_short(subject), machine(), str(process), _start(process), secrets.token_hex(6)))


def parse(text: str) -> RunId | None:
    """The parts; None for an id that was made in another way."""
    parts = text.split(".")
    return RunId(*parts) if len(parts) == len(RunId._fields) else None


def subject_of(text: str | None) -> str | None:
    """What the run builds, None when its id does not tell."""
    parsed = parse(text) if text else None
    return parsed.subject if parsed else None


def is_about(text: str, subject: str) -> bool:
    """Whether the run builds this."""
    return subject_of(text) == _short(subject)


def state_of(text: str, own: str) -> str:
    """``own``, ``alive`` or ``dead``; ``unknown`` for a run of another machine, whose processes cannot be seen."""
    if text == own:
        return "own"
    parsed = parse(text)
    if parsed is None or parsed.machine != machine():
        return "unknown"
    return "alive" if parsed.start != "0" and _start(int(parsed.process)) == parsed.start else "dead"


def machine() -> str:
    """What processes can be seen from here: this boot of this kernel, and the namespace of processes (containers have their own)."""
    return _short(f"{_read('/proc/sys/kernel/random/boot_id')} {_link('/proc/self/ns/pid')}")


def _start(process: int) -> str:
    """When a process started, in ticks of the kernel: numbers of processes are used again. 0 when there is none."""
    # The name of the program stands in parentheses and may hold anything.
    fields = _read(f"/proc/{process}/stat").rpartition(")")[2].split()
    return fields[19] if len(fields) > 19 else "0"


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""
