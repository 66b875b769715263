# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of devices: numbers of disks as guests and users write them, and MAC addresses."""

from __future__ import annotations

import re

from ._errors import XenError

# hda, sda, vda and xvda are device 0, and so on to p (driver-operations §5.4).
DEVICE_NAME = re.compile(r"(?:/dev/)?(?:hd|sd|x?vd)([a-p])")
HIGHEST_DEVICE = 254
MAC = re.compile(r"[0-9a-f]{2}(?::[0-9a-f]{2}){5}")


def device_number(text: str) -> int:
    """``0``, ``xvda`` or ``/dev/sda`` as the number 0."""
    named = DEVICE_NAME.fullmatch(text)
    if named:
        return ord(named[1]) - ord("a")
    if text.isascii() and text.isdigit() and int(text) <= HIGHEST_DEVICE:
        return int(text)
    raise XenError(f"{text!r} is no device of a VM; write a number from 0 to {HIGHEST_DEVICE} or a name such as xvda to xvdp")


def number_or_none(text: str) -> int | None:
    """The number of a device in a record; other clients may have stored what is none."""
    try:
        return device_number(text)
    except XenError:
        return None


def mac_address(text: str) -> str:
    """A MAC address in lower case with colons, which is how it is compared and sent."""
    mac = text.strip().lower().replace("-", ":")
    if not MAC.fullmatch(mac):
        raise XenError(f"mac {text!r} is no MAC address; write six pairs of hexadecimal digits such as 02:16:3e:00:00:01")
    if int(mac[:2], 16) & 1:
        raise XenError(f"mac {text!r} is the address of a group and of no interface; the first pair of digits must be even")
    return mac
