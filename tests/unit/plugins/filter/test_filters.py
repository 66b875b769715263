# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filters against driver-rows: numbers, names, roles and sizes of the old driver."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError


def apply(name: str, *arguments: Any, **named: Any) -> Any:
    module = import_module(f"ansible_collections.xapi.xenserver.plugins.filter.xen_{name}")
    return module.FilterModule().filters()[f"xen_{name}"](*arguments, **named)


@pytest.mark.parametrize(
    ("total", "sizes"),
    [(0, []), (20, [20]), (2000, [2000]), (2001, [2000, 1]), (2048, [1024, 1024]), (4030, [2000, 2000, 30]), ("20", [20])],
)
def test_ephemeral_sizes(total: Any, sizes: list[int]) -> None:
    assert apply("ephemeral_sizes", total) == sizes


@pytest.mark.parametrize(
    ("disk_format", "number"), [("ami", 2), ("aki", 0), ("ari", 1), ("raw", 3), ("vhd", 4), ("iso", 5), ("qcow2", 3), (None, None), ("", None)]
)
def test_image_type(disk_format: str | None, number: int | None) -> None:
    assert apply("image_type", disk_format) == number


@pytest.mark.parametrize(
    ("number", "role", "name"),
    [
        (0, "kernel", "kernel"),
        (1, "ramdisk", "ramdisk"),
        (2, "root", "root"),
        (3, "root", "os_raw"),
        (4, "root", "vhd"),
        (5, "iso", "iso"),
        (6, "configdrive", "configdrive"),
        (99, None, None),
    ],
)
def test_role_and_name(number: int, role: str | None, name: str | None) -> None:
    assert apply("image_role", number) == role
    assert apply("image_type_name", number) == name


@pytest.mark.parametrize(
    ("mode", "os_type", "image", "wanted"),
    [
        ("hvm", "linux", 4, "hvm"),
        ("xen", "windows", 3, "xen"),
        (None, "linux", 3, "xen"),
        (None, "windows", 4, "hvm"),
        (None, None, 4, "xen"),
        (None, None, 2, "xen"),
        (None, None, 3, "hvm"),
        ("", "other", None, "hvm"),
    ],
)
def test_vm_mode(mode: str | None, os_type: str | None, image: int | None, wanted: str) -> None:
    assert apply("vm_mode", mode, os_type, image) == wanted


@pytest.mark.parametrize(("memory", "vcpus", "overhead"), [(30720, 4, 249), (1024, 1, 13), (0, 1, 5)])
def test_memory_overhead(memory: int, vcpus: int, overhead: int) -> None:
    assert apply("memory_overhead", memory, vcpus) == overhead


@pytest.mark.parametrize(
    ("name", "arguments", "word"),
    [
        ("image_type", ("qcow3",), "disk format"),
        ("ephemeral_sizes", ("many",), "whole number"),
        ("ephemeral_sizes", (-1,), "0 or more"),
        ("ephemeral_sizes", (1.5,), "whole number"),
        ("vm_mode", ("kvm",), "VM mode"),
    ],
)
def test_wrong_input_is_told_with_the_name_of_the_filter(name: str, arguments: tuple[Any, ...], word: str) -> None:
    with pytest.raises(AnsibleFilterError, match=f"xen_{name}: .*{word}"):
        apply(name, *arguments)
