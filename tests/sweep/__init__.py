# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Proof of undo and of resumption: the roles spawn and destroy, disturbed at every call they make."""
