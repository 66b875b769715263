# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What processors can do, as words of bits, and whether a guest that began on one can go on on another (X/cpuid_helpers.ml, X/create_misc.ml)."""

from __future__ import annotations

from itertools import zip_longest

OTHER_VENDOR = "VM last booted on a host which had a CPU from a different vendor."
FEWER_FEATURES = "VM last booted on a CPU with features this host's CPU does not have."
NO_KEYS = "Host does not have new leveling feature keys - not comparing VM's flags"


def key(domain_type: str) -> str:
    """What a host can show to a guest of this type that comes from elsewhere."""
    return "features_pv" if domain_type == "pv" else "features_hvm"


def level_key(domain_type: str) -> str:
    """What a guest of this type is shown when it boots: in the pool's cpu_info, of all hosts."""
    return f"{key(domain_type)}_host"


def _words(text: str) -> list[int]:
    return [int(word, 16) for word in text.split("-") if word]


def is_subset(one: str, other: str) -> bool:
    return all(mine & ~its == 0 for mine, its in zip_longest(_words(one), _words(other), fillvalue=0))


def common(one: str, other: str) -> str:
    """What both have; nothing known of one says nothing against the other."""
    if not one or not other:
        return one or other
    return "-".join(f"{mine & its:08x}" for mine, its in zip_longest(_words(one), _words(other), fillvalue=0))


def objection(flags: dict[str, str], domain_type: str, host: dict[str, str]) -> str:
    """Why a guest with these last_boot_CPU_flags cannot go on on a host with this cpu_info; empty when it can."""
    if "vendor" not in host or key(domain_type) not in host:
        return NO_KEYS
    if flags.get("vendor", host["vendor"]) != host["vendor"]:
        return OTHER_VENDOR
    return "" if is_subset(flags.get("features", ""), host[key(domain_type)]) else FEWER_FEATURES
