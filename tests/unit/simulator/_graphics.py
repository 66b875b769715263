# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A pool of two hosts with GPUs and USB sticks."""

from __future__ import annotations

import json
from typing import Any

from simulator import worlds

T4: dict[str, Any] = {"name": "TU104GL [Tesla T4]", "types": {"GRID T4-4Q": 4, "GRID T4-8Q": 2}}
K1: dict[str, Any] = {"name": "GK107GL [GRID K1]", "vendor": "NVIDIA Corporation", "ids": "10de/0ff2"}
STICK = {"name": "Ultra Fit", "path": "1-2", "serial": "4C530001"}
HOSTS: list[dict[str, Any]] = [
    {"name": "xs1", "address": "127.0.0.1", "memory": "64GiB", "cpus": 16, "gpus": [T4, T4, K1], "usbs": [STICK]},
    {"name": "xs2", "address": "127.0.0.2", "memory": "64GiB", "cpus": 16},
]


def world() -> dict[str, Any]:
    blueprint = json.loads((worlds.HERE / "one_host.json").read_text(encoding="utf-8"))
    return {**blueprint, "name": "graphics", "hosts": HOSTS}


def kind(session: Any, name: str) -> str:
    """A VGPU type by its name."""
    (ref,) = (ref for ref, record in session.VGPU_type.get_all_records().items() if record["model_name"] == name)
    return str(ref)


def group(session: Any, name: str) -> str:
    (ref,) = session.GPU_group.get_by_name_label(f"Group of NVIDIA Corporation {name} GPUs")
    return str(ref)


def gpus(session: Any, name: str) -> list[str]:
    return list(session.GPU_group.get_PGPUs(group(session, name)))
