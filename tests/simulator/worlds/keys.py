# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a blueprint may say, and where: a key that nobody reads is a mistake that is better told than overlooked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

# Path of the part, `[]` for each one of a list → its keys. The machines' `tags` and the like are values, not parts.
PARTS = {
    "pool": "name description",
    "hosts[]": "name address memory cpus dom0_memory memory_overhead nics gpus usbs",
    "hosts[].gpus[]": "name vendor ids types",
    "hosts[].usbs[]": "name path vendor ids serial",
    "networks[]": "name description bridge MTU tags other_config device vlan",
    "srs[]": "name type size description used device_config each_host isos tools",
    "srs[].isos[]": "name size description content",
    "machines[]": "name description template memory vcpus disks networks tags boot other_config",
    "machines[].disks[]": "sr size name content",
}


def problems(blueprint: Mapping[str, Any]) -> Iterator[str]:
    """Every key that is none, with its place."""
    for path, keys in PARTS.items():
        for place, part in _parts(blueprint, path.split(".")):
            if not isinstance(part, Mapping):
                yield f"{place} is an object of keys and values, not {part!r:.40}"
                continue
            for key in sorted(set(part) - set(keys.split())):
                yield f"{place} has no {key!r}; it has {', '.join(sorted(keys.split()))}"


def _parts(whole: Any, path: list[str], place: str = "") -> Iterator[tuple[str, Any]]:
    if not path:
        yield place, whole
        return
    name, is_list = path[0].removesuffix("[]"), path[0].endswith("[]")
    inner = whole.get(name) if isinstance(whole, Mapping) else None
    place = f"{place}.{name}" if place else name
    if inner is None:
        return
    if not is_list:
        yield from _parts(inner, path[1:], place)
        return
    for number, one in enumerate(inner if isinstance(inner, list) else ()):
        yield from _parts(one, path[1:], f"{place}[{number}]")
