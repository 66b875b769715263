# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Device numbers of VBDs: what a userdevice means, and the Linux name it gets (ocaml/xapi-idl/xen/device_number.ml)."""

from __future__ import annotations

import re

# (bus, disk, partition); two userdevices clash when any of their readings is the same.
Device = tuple[str, int, int]

BUSES = {"xvd": "xen", "sd": "scsi", "fd": "floppy", "hd": "ide"}
NUMBER = re.compile(r"-?(?:0[xX][\da-fA-F][\da-fA-F_]*|0[oO][0-7][0-7_]*|0[bB][01][01_]*|\d[\d_]*)")
NAME = re.compile(r"(xvd|sd|fd|hd)([a-z]+)(\d*)")
OLD_NAME = re.compile(r"d(\d+)(?:p(\d+))?")
# Names that VBD.create takes before 26: sixteen disks, two floppies (valid_device in xapi_vbd_helpers.ml of 24.19).
EARLIER_NAME = re.compile(r"(?:(?:sd|xvd|hd)[a-p]|fd[ab])(\d.*)?", re.DOTALL)
HIGHEST = {"guest": 254, "dom0": 255, "floppy": 1}


def number(text: str) -> int | None:
    """What OCaml's int_of_string makes of the text."""
    if not NUMBER.fullmatch(text):
        return None
    digits = text.replace("_", "")
    return int(digits, 0) if digits.lstrip("-")[:2].lower() in ("0x", "0o", "0b") else int(digits)


def letters(disk: int) -> str:
    """The suffix of a Linux device: a, b, … z, aa."""
    return (letters(disk // 26 - 1) if disk >= 26 else "") + chr(ord("a") + disk % 26)


def _of_name(name: str) -> Device | None:
    if match := NAME.fullmatch(name):
        prefix, suffix, partition = match.groups()
        disk = 0
        for letter in suffix:
            disk = disk * 26 + ord(letter) - ord("a") + 1
        return BUSES[prefix], disk - 1, int(partition or 0)
    if match := OLD_NAME.fullmatch(name):
        return "xen", int(match[1]), int(match[2] or 0)
    return None


def readings(name: str) -> set[Device]:
    """Every device the text may mean: `1` is hdb to an HVM guest and xvdb to its PV drivers."""
    disk = number(name)
    if disk is None or disk < 0:
        named = _of_name(name)
        return {named} if named else set()
    return {("ide" if disk < 4 else "xen", disk, 0), ("xen", disk, 0)}


def is_valid(name: str, vbd_type: str, level: str) -> bool:
    """Whether VBD.create takes the text as a userdevice at this API level."""
    if name == "autodetect":
        return True
    if level == "26":
        return bool(readings(name)) or (vbd_type != "Floppy" and number(name) is not None)
    if match := EARLIER_NAME.fullmatch(name):
        return match[1] is None or number(match[1]) is not None
    return vbd_type != "Floppy" and number(name) is not None


def lowest_free(used: set[Device], vbd_type: str, *, hvm: bool, dom0: bool) -> str | None:
    """What `autodetect` becomes."""
    if vbd_type == "Floppy":
        free = [disk for disk in range(HIGHEST["floppy"] + 1) if ("floppy", disk, 0) not in used]
        return f"fd{letters(free[0])}" if free else None
    for disk in range(HIGHEST["dom0" if dom0 else "guest"] + 1):
        if ("ide" if hvm and disk < 4 else "xen", disk, 0) not in used:
            return str(disk)
    return None


def linux_name(userdevice: str) -> str:
    """The `device` of a plugged VBD: xvda for 0, whatever the guest's kind."""
    for bus, disk, partition in sorted(readings(userdevice), reverse=True):
        prefix = {"scsi": "sd", "floppy": "fd"}.get(bus, "xvd")
        return f"{prefix}{letters(disk)}{partition or ''}"
    return userdevice
