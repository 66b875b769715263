# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Let pytest find the collection as ansible_collections.xapi.xenserver, also when it is started without make; and begin with what lasts longest."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LINK = ROOT / ".build" / "ansible_collections" / "xapi" / "xenserver"

if not LINK.is_symlink():
    LINK.parent.mkdir(parents=True, exist_ok=True)
    LINK.symlink_to("../../..", target_is_directory=True)

# A file is played by one process: those that take long come first, or one of them goes on when all others are done.
LONG = [
    "tests/integration/test_targets.py",
    "tests/conformance/",
    "tests/integration/",
    "tests/sweep/",
    "tests/strangers/",
    "tests/unit/plugins/modules/test_xen_disk_resize.py",
    "tests/unit/plugins/modules/test_transfer_",
    "tests/unit/plugins/modules/test_xen_disk_inject.py",
    "tests/unit/simulator/test_saving.py",
    "tests/unit/plugins/modules/test_xen_image.py",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: next((number for number, start in enumerate(LONG) if item.nodeid.startswith(start)), len(LONG)))
