# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The generic half of the simulator: it knows the data model, but no class by name."""
