# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs of the controller that make or unpack contents."""

from __future__ import annotations

import os
import shutil
from typing import NamedTuple

from ._errors import XenError


class Tool(NamedTuple):
    """A program of the controller, and the packages that hold it."""

    name: str
    debian: str
    rpm: str


# Where the tools lie that a user's PATH leaves out.
SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")


def find_tool(tool: Tool) -> str:
    """The path of a program; a missing one is named with the package to install."""
    path = shutil.which(tool.name, path=os.pathsep.join([os.environ.get("PATH", ""), *SBIN]))
    if path is None:
        raise XenError(f"{tool.name} is missing on the controller; install the package {tool.debian} (Debian, Ubuntu) or {tool.rpm} (RPM)")
    return path
