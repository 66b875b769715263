# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filters against driver-rows: numbers, names, roles and sizes of the old driver."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.xapi.xenserver.plugins.module_utils import _image_types


def apply(name: str, *arguments: Any, **named: Any) -> Any:
    module = import_module(f"ansible_collections.xapi.xenserver.plugins.filter.xen_{name}")
    return module.FilterModule().filters()[f"xen_{name}"](*arguments, **named)


TOTALS: list[tuple[Any, list[int]]] = [
    (0, []),
    (1, [1]),
    (20, [20]),
    ("20", [20]),
    (1023, [1023]),
    (1024, [1024]),
    (1999, [1999]),
    (2000, [2000]),
    (2001, [2000, 1]),
    (2048, [1024, 1024]),
    (3072, [1024, 1024, 1024]),
    (4000, [2000, 2000]),
    (4030, [2000, 2000, 30]),
    (5120, [1024] * 5),
    (6001, [2000, 2000, 2000, 1]),
]


@pytest.mark.parametrize(("total", "sizes"), TOTALS)
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
        (-1, None, None),
        (None, None, None),
        ("4", "root", "vhd"),
    ],
)
def test_role_and_name(number: Any, role: str | None, name: str | None) -> None:
    assert apply("image_role", number) == role
    assert apply("image_type_name", number) == name


def test_numbers_and_texts_of_the_kinds() -> None:
    kinds = {"KERNEL": 0, "RAMDISK": 1, "DISK": 2, "DISK_RAW": 3, "DISK_VHD": 4, "DISK_ISO": 5, "DISK_CONFIGDRIVE": 6}
    assert {name: getattr(_image_types, name).id for name in kinds} == kinds
    assert len({kind.name for kind in _image_types.TYPES.values()}) == 7
    assert (_image_types.DISK.name, _image_types.DISK_CONFIGDRIVE.name) == ("root", "configdrive")


IMAGES = (None, 0, 1, 2, 3, 4, 5, 6, 99)
PARAVIRTUAL, HVM, BY_IMAGE = ["xen"] * 9, ["hvm"] * 9, ["hvm", "hvm", "hvm", "xen", "hvm", "xen", "hvm", "hvm", "hvm"]
# The asked mode, the operating system, and what comes of it for each of IMAGES (driver-operations §3.3).
MODES: list[tuple[str | None, str | None, list[str]]] = [
    ("xen", None, PARAVIRTUAL),
    ("xen", "linux", PARAVIRTUAL),
    ("xen", "windows", PARAVIRTUAL),
    ("xen", "other", PARAVIRTUAL),
    ("hvm", None, HVM),
    ("hvm", "linux", HVM),
    ("hvm", "windows", HVM),
    ("hvm", "other", HVM),
    (None, "linux", PARAVIRTUAL),
    (None, "windows", HVM),
    (None, None, BY_IMAGE),
    (None, "", BY_IMAGE),
    (None, "other", BY_IMAGE),
    ("", "linux", PARAVIRTUAL),
    ("", "windows", HVM),
    ("", "other", BY_IMAGE),
]


@pytest.mark.parametrize(("mode", "os_type", "wanted"), MODES)
def test_vm_mode(mode: str | None, os_type: str | None, wanted: list[str]) -> None:
    assert [apply("vm_mode", mode, os_type, image) for image in IMAGES] == wanted
    assert [apply("vm_mode", mode, os_type, str(image)) for image in IMAGES if image is not None] == wanted[1:]  # as templates have it


# By hand: memory * 0.00781 + vcpus * 1.5 + 3, rounded up.
OVERHEADS = [
    (0, 1, 5),  # 4.5
    (512, 1, 9),  # 8.49872
    (1024, 1, 13),  # 12.49744
    (2048, 2, 22),  # 21.99488
    (4096, 4, 41),  # 40.98976
    (16384, 8, 143),  # 142.95904
    (30720, 4, 249),  # 248.9232
    ("30720", "4", 249),
    (65536, 16, 539),  # 538.83616
    (100000, 2, 787),  # 787 to the point
    (131072, 32, 1075),  # 1074.67232
]


@pytest.mark.parametrize(("memory", "vcpus", "overhead"), OVERHEADS)
def test_memory_overhead(memory: Any, vcpus: Any, overhead: int) -> None:
    assert apply("memory_overhead", memory, vcpus) == overhead


def test_memory_overhead_of_one_vcpu_unless_told() -> None:
    assert apply("memory_overhead", 1024) == apply("memory_overhead", 1024, 1) == 13


@pytest.mark.parametrize(
    ("name", "arguments", "word"),
    [
        ("image_type", ("qcow3",), "disk format"),
        ("ephemeral_sizes", ("many",), "whole number"),
        ("ephemeral_sizes", (-1,), "0 or more"),
        ("ephemeral_sizes", (1.5,), "whole number"),
        ("vm_mode", ("kvm",), "VM mode"),
        ("vm_mode", (None, None, "vhd"), "'vhd' is no whole number"),
        ("image_role", ("root",), "whole number"),
        ("image_type_name", ([4],), "whole number"),
        ("memory_overhead", ("much",), "whole number"),
        ("memory_overhead", (1024, "two"), "whole number"),
    ],
)
def test_wrong_input_is_told_with_the_name_of_the_filter(name: str, arguments: tuple[Any, ...], word: str) -> None:
    with pytest.raises(AnsibleFilterError, match=f"xen_{name}: .*{word}"):
        apply(name, *arguments)
