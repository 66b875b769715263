# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs inside VMs, and the xenstore through which it talks to dom0."""
