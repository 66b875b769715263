# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one list of fields whose recorded value another server cannot repeat, each with its reason and with the form it must still have."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import Any

MAC = r"[0-9a-f]{2}(:[0-9a-f]{2}){5}"
COUNT = r"\d+"


@dataclass(frozen=True)
class Volatile:
    """`form`: what the text of the value must look like. `learned`: bound at first sight like a symbol, so that it must stay the same."""

    form: str
    reason: str
    learned: bool = False

    def fits(self, value: Any) -> bool:
        return re.fullmatch(self.form, str(value)) is not None


# Class and field, with the key behind it for a map.
FIELDS = {
    # Not -1 and 0, which mean "no domain" and dom0; and not learned, since every host counts for itself.
    "VM.domid": Volatile(r"[1-9]\d*", "counts the domains that machine had made since it was started"),
    "VM.last_booted_record": Volatile(r"\{.*\}", "the hypervisor's own notes on a sleeping domain, with the time in them"),
    "VIF.MAC": Volatile(MAC, "made of a random seed unless the caller chose it", learned=True),
    "network.bridge": Volatile(r"xapi\d+", "counts the networks that this pool ever had", learned=True),
    "SR.physical_utilisation": Volatile(COUNT, "what everything on the recording machine's file system took at that moment"),
    "VDI.sm_config.created": Volatile(r"\d{4}-\d{2}-\d{2}:\d{2}:\d{2}:\d{2}", "when the ISO driver made the file"),
    "host.other_config.agent_start_time": Volatile(r"\d+\.", "when that toolstack was started"),
    "host.other_config.boot_time": Volatile(r"\d+\.", "when that machine was started"),
    "task.other_config.debug_info:cancel_points_seen": Volatile(COUNT, "how often that build of xenopsd looked for a cancellation"),
    "host.query_data_source": Volatile(r"\d\.\d+", "how busy that machine was"),
    "event.inject": Volatile(r"\d{20},\d{20}", "counts every change of that database since it was made"),
    # xapi keeps rows of these classes that no message can see, some of them older than the start state.
    **{
        f"event.from.valid_ref_counts.{name}": Volatile(COUNT, "rows that no message shows, left from before the start state")
        for name in ("session", "task", "user", "vbd_metrics", "vif_metrics", "role")
    },
}

# Maps that have these keys in one server's answer and not in another's: map → (keys, reason).
OPTIONAL_KEYS = {
    "task.other_config": (re.compile(r"debug_info:cancel_points_seen"), "xenopsd counts there how often it looked for a cancellation"),
    "VDI.sm_config": (re.compile(r"vhd-blocks"), "the storage manager's garbage collector notes allocated blocks there when it gets to it"),
}

# Parts of longer texts and error parameters.
TEXTS = (
    (re.compile(r"trackid=[0-9a-f]{32}"), "trackid=…", "a digest of the session's secret"),
    (re.compile(r"\('domid' '\d+'\)"), "('domid' '…')", "as VM.domid, in VM.snapshot_metadata"),
    (re.compile(r"\('last_booted_record' '\{.*?\}'\)"), "('last_booted_record' '…')", "as VM.last_booted_record, in VM.snapshot_metadata"),
)


# A plugin's argument, as the plugin t_args gives it back: it holds the session, which nothing else in that recording names.
DOCUMENT = re.compile(r"PG1ldGhvZENhbGw[A-Za-z0-9+/]+=*")


def masked(text: str) -> str:
    for pattern, replacement, _reason in TEXTS:
        text = pattern.sub(replacement, text)
    return DOCUMENT.sub(lambda found: re.sub(r"OpaqueRef:[0-9a-f-]{36}", "…", base64.b64decode(found[0]).decode()), text)
