# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.xapi.xenserver.plugins.module_utils._device_names import device_number, mac_address, number_or_none
from ansible_collections.xapi.xenserver.plugins.module_utils._errors import XenError


@pytest.mark.parametrize(
    ("text", "number"),
    [("0", 0), ("254", 254), ("xvda", 0), ("xvdp", 15), ("vdb", 1), ("sdc", 2), ("hdd", 3), ("/dev/xvde", 4), ("/dev/sdf", 5)],
)
def test_device_numbers(text: str, number: int) -> None:
    """The table of driver-operations §5.4."""
    assert device_number(text) == number
    assert number_or_none(text) == number


@pytest.mark.parametrize("text", ["", "255", "-1", "1.5", "xvdq", "xvd", "xvdaa", "sda1", "/dev/", "dev/sda", "autodetect", "²"])
def test_what_is_no_device(text: str) -> None:
    with pytest.raises(XenError, match="is no device of a VM; write a number from 0 to 254 or a name such as xvda to xvdp"):
        device_number(text)
    assert number_or_none(text) is None


@pytest.mark.parametrize("text", ["02:16:3e:00:00:ff", "02:16:3E:00:00:FF", " 02-16-3e-00-00-FF "])
def test_mac_addresses_have_one_spelling(text: str) -> None:
    assert mac_address(text) == "02:16:3e:00:00:ff"


@pytest.mark.parametrize("text", ["", "nonsense", "02:16:3e:00:00", "02:16:3e:00:00:01:02", "2:16:3e:0:0:1", "02:16:3e:00:00:0g", "02163e000001"])
def test_what_is_no_mac_address(text: str) -> None:
    with pytest.raises(XenError, match="is no MAC address; write six pairs"):
        mac_address(text)


@pytest.mark.parametrize("text", ["01:00:5e:00:00:01", "ff:ff:ff:ff:ff:ff"])
def test_addresses_of_groups(text: str) -> None:
    with pytest.raises(XenError, match="is the address of a group and of no interface"):
        mac_address(text)
