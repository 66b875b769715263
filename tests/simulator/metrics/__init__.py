# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What xcp-rrdd measures: data sources of hosts and VMs, and the round-robin archives of their values."""
