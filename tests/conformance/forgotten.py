# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls that the recorder made and did not write down, each deduced from the records around it."""

from __future__ import annotations

from typing import Any

# (recording, step before which it happened) → the call.
FORGOTTEN: dict[tuple[str, int], dict[str, Any]] = {
    # Step 18 shows the VM Running; the copy of step 24, for halted VMs only, succeeds, and step 28 shows it Halted.
    ("cross_pool", 24): {"call": "VM.hard_shutdown", "at": "other", "params": ["@other_VM/2"]},
}
