# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ansible_collections.xapi.xenserver.plugins.module_utils import _vm
from ansible_collections.xapi.xenserver.plugins.module_utils._errors import Ambiguous
from simulator import Simulator
from simulator.transport.memory import MemorySession

from ..modules.vms import create_vm


@pytest.fixture
def session() -> Iterator[MemorySession]:
    with Simulator("one_host") as simulator:
        yield simulator.session()


def test_the_rescuer_wins_when_it_is_asked_for(session: MemorySession) -> None:
    vm = create_vm(session, "web1")
    assert _vm.find_vm(session, name="web1", check_rescue=True) == (vm, session.VM.get_record(vm))
    rescuer = create_vm(session, "web1-rescue")
    assert _vm.find_vm(session, name="web1", check_rescue=True) == (rescuer, session.VM.get_record(rescuer))
    assert _vm.find_vm(session, name="web1") == (vm, session.VM.get_record(vm))


def test_two_of_a_name_are_never_guessed_between(session: MemorySession) -> None:
    create_vm(session, "twin")
    create_vm(session, "twin")
    with pytest.raises(Ambiguous, match="2 VMs are named 'twin'; select one by uuid"):
        _vm.find_vm(session, name="twin")


def test_snapshots_and_templates_of_the_name_do_not_count(session: MemorySession) -> None:
    vm = create_vm(session, "web1")
    session.VM.snapshot(vm, "web1")
    session.VM.set_is_a_template(create_vm(session, "web1"), True)
    assert _vm.get_vm(session, name="web1")[0] == vm


def test_what_is_no_vm_is_called_by_its_kind(session: MemorySession) -> None:
    (dom0,) = session.VM.get_all_records_where('field "is_control_domain" = "true"').values()
    assert "is a control domain and no VM; name a VM" in str(_vm.missing_vm(session, uuid=dom0["uuid"]))
    assert str(_vm.missing_vm(session, name="nobody")) == "there is no VM 'nobody' in this pool; see xen_vm_info for what there is"
