# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long one operation may take. The option is ``_options.timeout()``."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  timeout:
    description:
      - Seconds that one operation of the pool may take.
      - The operation is cancelled then, and the module fails and says what it waited for.
    type: float
    default: 300
"""
