# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Let pytest find the collection as ansible_collections.xapi.xenserver, also when it is started without make."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LINK = ROOT / ".build" / "ansible_collections" / "xapi" / "xenserver"

if not LINK.is_symlink():
    LINK.parent.mkdir(parents=True, exist_ok=True)
    LINK.symlink_to("../../..", target_is_directory=True)
