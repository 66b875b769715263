# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""VM: what UEFI keeps in NVRAM, and whether it starts signed systems only (X/xapi_vm.ml get_secureboot_readiness, set_uefi_mode)."""

from __future__ import annotations

import base64
import binascii
import struct

from ..engine.behaviour import Behaviour
from ._vm_platform import is_true

KEY = "EFI-variables"
# Certificates: whoever has the first may change the others.
OWNER, OTHERS = "PK", ("KEK", "db", "dbx")
# varstored's form: a magic, a version, a count and the length of what follows; each variable has a name, data, and a tail of 68 bytes
# (its namespace, attributes, a time, the digest of its signer).
HEAD, MAGIC, VERSION, TAIL = "<4sIQQ", b"VARS", 2, 68


def packed(names: tuple[str, ...]) -> str:
    """Variables of these names, as NVRAM holds them."""
    body = b""
    for name in names:
        spelt, data = name.encode("utf-16-le"), b"simulated"
        body += struct.pack("<Q", len(spelt)) + spelt + struct.pack("<Q", len(data)) + data + bytes(TAIL)
    return base64.b64encode(struct.pack(HEAD, MAGIC, VERSION, len(names), len(body)) + body).decode()


def names_of(text: str) -> tuple[str, ...]:
    """Names of the variables; none of what is not in that form."""
    try:
        data = base64.b64decode(text, validate=True)
        magic, _version, count, _length = struct.unpack_from(HEAD, data)
        position, names = struct.calcsize(HEAD), []
        for _unused in range(count if magic == MAGIC else 0):
            (length,) = struct.unpack_from("<Q", data, position)
            names.append(data[position + 8 : position + 8 + length].decode("utf-16-le"))
            position += 8 + length
            (length,) = struct.unpack_from("<Q", data, position)
            position += 8 + length + TAIL
    except (binascii.Error, struct.error, ValueError):
        return ()
    return tuple(names)


class Firmware(Behaviour):
    def get_secureboot_readiness(self, ref: str) -> str:
        row = self.row(ref)
        if row["HVM_boot_params"].get("firmware") != "uefi":
            return "not_supported"
        if not is_true(row["platform"].get("secureboot")):
            return "disabled"
        if KEY not in row["NVRAM"]:
            return "first_boot"
        names = names_of(row["NVRAM"][KEY])
        if OWNER not in names:
            return "setup_mode"
        missing = [name for name in OTHERS if name not in names]
        return {(): "ready", ("dbx",): "ready_no_dbx"}.get(tuple(missing), "certs_incomplete")

    def set_uefi_mode(self, ref: str, mode: str) -> str:
        """What the script of varstored does: `setup` takes the owner's certificate away, `user` puts all in their places. It prints nothing."""
        nvram = self.row(ref)["NVRAM"]
        names = names_of(nvram.get(KEY, ""))
        kept = [name for name in names if name != OWNER]
        names = tuple(dict.fromkeys([*names, OWNER, *OTHERS]) if mode == "user" else kept)
        self.db.set("VM", ref, "NVRAM", {**nvram, KEY: packed(names)})
        return ""
