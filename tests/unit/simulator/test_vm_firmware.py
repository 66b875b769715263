# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secure boot of VMs (get_secureboot_readiness and set_uefi_mode in X/xapi_vm.ml)."""

from __future__ import annotations

from typing import Any

import pytest

from simulator.behaviour._vm_firmware import names_of, packed

from ._machines import machine, refusal

ALL = ("PK", "KEK", "db", "dbx")


@pytest.fixture
def vm(session: Any) -> str:
    vm = machine(session, HVM_boot_params={"firmware": "uefi", "order": "cd"})
    session.VM.add_to_platform(vm, "secureboot", "true")
    return vm


def test_who_has_no_secure_boot(session: Any) -> None:
    vm = machine(session)
    assert session.VM.get_secureboot_readiness(vm) == "not_supported"
    session.VM.set_HVM_boot_params(vm, {"firmware": "uefi"})
    assert session.VM.get_secureboot_readiness(vm) == "disabled"


@pytest.mark.parametrize(
    ("names", "readiness"),
    [(ALL, "ready"), (ALL[:3], "ready_no_dbx"), (ALL[1:], "setup_mode"), (("PK", "db"), "certs_incomplete"), ((), "setup_mode")],
)
def test_certificates_decide(session: Any, vm: str, names: tuple[str, ...], readiness: str) -> None:
    assert session.VM.get_secureboot_readiness(vm) == "first_boot"
    session.VM.set_NVRAM_EFI_variables(vm, packed(names))
    assert session.VM.get_secureboot_readiness(vm) == readiness


def test_the_modes(session: Any, vm: str) -> None:
    session.VM.add_to_NVRAM(vm, "note", "kept")
    assert session.VM.set_uefi_mode(vm, "user") == ""
    assert session.VM.get_secureboot_readiness(vm) == "ready"
    session.VM.set_uefi_mode(vm, "setup")
    assert session.VM.get_secureboot_readiness(vm) == "setup_mode"
    assert session.VM.get_NVRAM(vm)["note"] == "kept"
    assert refusal(session.VM.set_uefi_mode, vm, "neither")[0] == "INTERNAL_ERROR"


@pytest.mark.parametrize("text", ["", "AAAA", "no base64!", packed(ALL)[:40]])
def test_what_is_no_list_of_variables(text: str) -> None:
    assert names_of(text) == ()
