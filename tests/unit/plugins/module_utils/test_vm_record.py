# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pure parts of the record of a VM: memory limits, numbers of virtual CPUs, the release rule of the device id."""

from __future__ import annotations

import contextlib
import itertools
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.xapi.xenserver.plugins.module_utils import _blocked, _memory, _vcpus, _vm_record
from ansible_collections.xapi.xenserver.plugins.module_utils._errors import XenError

GIB = 2**30
UNSET = dict.fromkeys(("memory", *_memory.LIMITS))
LIMITS = {"memory_static_min": 0, "memory_dynamic_min": GIB, "memory_dynamic_max": GIB, "memory_static_max": 2 * GIB}


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        ({}, [0, 1, 1, 2]),
        ({"memory": "4GiB"}, [0, 4, 4, 4]),
        ({"memory": "4GiB", "memory_dynamic_min": "2GiB"}, [0, 2, 4, 4]),
        ({"memory_dynamic_max": "2GiB"}, [0, 1, 2, 2]),
        ({"memory_static_min": "1GiB"}, [1, 1, 1, 2]),
        ({"memory": str(GIB)}, [0, 1, 1, 1]),
    ],
    ids=str,
)
def test_limits(asked: dict[str, str], wanted: list[int]) -> None:
    limits = _memory.wanted_limits({**UNSET, **asked}, LIMITS)
    assert [limits[name] // GIB for name in _memory.LIMITS] == wanted


def test_less_memory_than_the_least_lowers_the_least() -> None:
    limits = _memory.wanted_limits({**UNSET, "memory": "1GiB"}, {**LIMITS, "memory_static_min": 2 * GIB})
    assert set(limits.values()) == {GIB}


@given(st.dictionaries(st.sampled_from(("memory", *_memory.LIMITS)), st.integers(0, 8).map(lambda gib: f"{gib}GiB")))
def test_limits_rise_or_are_refused(asked: dict[str, str]) -> None:
    with contextlib.suppress(XenError):
        limits = _memory.wanted_limits({**UNSET, **asked}, LIMITS)
        ordered = [limits[name] for name in _memory.LIMITS]
        assert ordered == sorted(ordered)
        assert all(limits[name] == int(size[:-3]) * GIB for name, size in asked.items() if name != "memory")


def test_limits_that_do_not_rise_name_the_two() -> None:
    with pytest.raises(XenError, match=re.escape("memory_static_min (4GiB) is more than memory_dynamic_min (1GiB); the limits must rise")):
        _memory.wanted_limits({**UNSET, "memory_static_min": "4GiB"}, LIMITS)


class Recorder:
    """Notes the calls; answers what it is told."""

    def __init__(self, answers: dict[str, Any] | None = None) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.answers = answers or {}

    def call(self, method: str, *arguments: Any) -> Any:
        self.calls.append((method, *arguments))
        return self.answers.get(method, "")


@pytest.mark.parametrize(("before", "after"), list(itertools.product(itertools.combinations_with_replacement(range(1, 4), 2), repeat=2)), ids=str)
def test_vcpus_rise_and_fall_without_an_impossible_moment(before: tuple[int, int], after: tuple[int, int]) -> None:
    current = dict(zip(("VCPUs_at_startup", "VCPUs_max"), before, strict=True))
    wanted = dict(zip(("VCPUs_at_startup", "VCPUs_max"), after, strict=True))
    session = Recorder()
    for _summary, apply in _vcpus.setters(session, lambda: "vm", current, wanted, live=False):
        apply()
    for method, _ref, value in session.calls:
        current[method.removeprefix("VM.set_")] = value
        assert 0 < current["VCPUs_at_startup"] <= current["VCPUs_max"]  # else INVALID_VALUE (recording vm_records)
    assert current == wanted


@pytest.mark.parametrize(
    ("software", "refused"),
    [
        ({"product_version": "6.1.0"}, False),
        ({"product_version": "8.3.0", "platform_version": "3.4.0"}, False),
        ({"product_version": "6.0.2"}, True),
        ({"platform_version": "2.1.1"}, True),
        ({}, True),
    ],
    ids=str,
)
def test_device_id_needs_release_6_1(software: dict[str, str], refused: bool) -> None:
    session = Recorder({"pool.get_all_records": {"pool": {"master": "host"}}, "host.get_software_version": software})
    platform: dict[str, str] = {}
    if refused:
        with pytest.raises(XenError, match=r"platform_device_id needs a host of release 6\.1 or newer"):
            _vm_record._edit_device_id(session, {"platform_device_id": 2}, platform)
        return
    _vm_record._edit_device_id(session, {"platform_device_id": 2}, platform)
    assert platform == {"device_id": "0002"}


def test_device_id_that_is_there_asks_nobody() -> None:
    session = Recorder()
    _vm_record._edit_device_id(session, {"platform_device_id": 2}, {"device_id": "0002"})
    assert session.calls == []


@given(st.dictionaries(st.sampled_from(["start", "start_on", "destroy", "suspend"]), st.text(max_size=3)))
def test_the_lock_touches_its_own_keys_only(blocked: dict[str, str]) -> None:
    locked, free = _blocked.with_lock(blocked, False), _blocked.with_lock(blocked, True)
    assert not _blocked.bootable(locked)
    assert {"start", "start_on"} <= locked.keys()
    assert _blocked.bootable(free)
    others = {key: value for key, value in blocked.items() if key not in ("start", "start_on")}
    assert free == others
    assert {key: value for key, value in locked.items() if key not in ("start", "start_on")} == others
    assert _blocked.with_lock(blocked, None) == blocked
