# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ways between power states, held against what xapi allows in each state (facts §3.2)."""

from __future__ import annotations

import itertools

import pytest

from ansible_collections.xapi.xenserver.plugins.module_utils import _power
from ansible_collections.xapi.xenserver.plugins.module_utils._errors import XenError

STATES = ("Halted", "Running", "Paused", "Suspended")
WANTED = ("running", "halted", "suspended", "paused", "rebooted")
# Act → the states in which xapi takes it, and the one it leads to.
ALLOWED = {
    "start": ({"Halted"}, "Running"),
    "start_paused": ({"Halted"}, "Paused"),
    "unpause": ({"Paused"}, "Running"),
    "resume": ({"Suspended"}, "Running"),
    "resume_paused": ({"Suspended"}, "Paused"),
    "pause": ({"Running"}, "Paused"),
    "suspend": ({"Running"}, "Suspended"),
    "shut_down": ({"Running"}, "Halted"),
    "reboot": ({"Running"}, "Running"),
    "power_off": ({"Paused", "Suspended", "Running"}, "Halted"),
    "reset": ({"Paused", "Running"}, "Running"),
}
IMPOSSIBLE = {("Halted", "suspended")}


@pytest.mark.parametrize("force", [False, True], ids=["asked", "forced"])
@pytest.mark.parametrize(("current", "wanted"), list(itertools.product(STATES, WANTED)), ids=lambda text: text)
def test_every_way_is_one_that_xapi_takes(current: str, wanted: str, force: bool) -> None:
    if (current, wanted) in IMPOSSIBLE:
        with pytest.raises(XenError, match=f"a {current.lower()} VM cannot become {wanted}; bring it to running first"):
            _power.acts(current, wanted, force=force)
        return
    state = current
    for act in _power.acts(current, wanted, force=force):
        taken_in, leads_to = ALLOWED[act]
        assert state in taken_in
        state = leads_to
    assert state.lower() == ("running" if wanted == "rebooted" else wanted)


@pytest.mark.parametrize("current", STATES)
def test_a_state_that_is_needs_no_act_but_a_reboot_does(current: str) -> None:
    assert _power.acts(current, current.lower(), force=True) == ()
    assert _power.acts(current, "rebooted", force=False)


def test_nobody_is_asked_when_forced() -> None:
    for current, wanted in itertools.product(STATES, ("halted", "rebooted")):
        assert not {"shut_down", "reboot"} & set(_power.acts(current, wanted, force=True))


def test_no_data_is_lost_unless_forced() -> None:
    for current, wanted in itertools.product(STATES, WANTED):
        if (current, wanted) not in IMPOSSIBLE:
            assert not {"power_off", "reset"} & set(_power.acts(current, wanted, force=False))
