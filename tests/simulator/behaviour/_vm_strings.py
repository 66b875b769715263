# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""BIOS strings of VMs (C/constants.ml, X/xapi_vm_helpers.ml)."""

from __future__ import annotations

from ..engine.failure import Failure

SETTABLE = (
    "bios-vendor",
    "bios-version",
    "system-manufacturer",
    "system-product-name",
    "system-version",
    "system-serial-number",
    "baseboard-manufacturer",
    "baseboard-product-name",
    "baseboard-version",
    "baseboard-serial-number",
    "baseboard-asset-tag",
    "baseboard-location-in-chassis",
    "enclosure-asset-tag",
)
GENERIC_BIOS_STRINGS = {
    **dict.fromkeys(SETTABLE, ""),
    "bios-vendor": "Xen",
    "system-manufacturer": "Xen",
    "system-product-name": "HVM domU",
    "hp-rombios": "",
    "oem-1": "Xen",
    "oem-2": "MS_VM_CERT/SHA1/bdbeb6e0a816d43fa6d3fe8aaef04c2bad9d3e3d",
}
LONGEST = 512


def require_valid(strings: dict[str, str]) -> None:
    for key, text in strings.items():
        if key not in SETTABLE:
            raise Failure("INVALID_VALUE", key, "Unknown key")
        if not text:
            raise Failure("INVALID_VALUE", key, "Value provided is empty")
        if len(text.encode()) > LONGEST:
            raise Failure("INVALID_VALUE", key, f"{text} has length more than {LONGEST} characters")
        if any(not " " <= char <= "~" for char in text):
            raise Failure("INVALID_VALUE", key, f"{text} has non-printable ASCII characters")
