# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Replay recordings of a real xapi against a server and compare every answer.

A recording is a start state and steps; its references, uuids and times are symbols (``@VM/3``, ``%12``, ``<time>``). The runner knows
the server only by its wire, so that the server may be the simulator or a real pool; only ``target.py`` starts the simulator.
"""

from __future__ import annotations
