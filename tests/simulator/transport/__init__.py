# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a client reaches the engine: in memory, or over sockets as xapi serves them."""
