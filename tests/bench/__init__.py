# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measurements: round trips, and speed as ratios against something else in the same run."""
