# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The runner: the one place that opens a session, executes steps, and knows check mode, diff, failure and exit.

A module ends in one of::

    def main() -> None:
        run(plan_power, options())                     # a planner: (session, params) -> Plan
        run_entity(NETWORK)                            # a declaration, see _entity
        run_info(NETWORKS)                             # a declaration, see _info
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Any, Protocol

from ansible.module_utils.basic import AnsibleModule

from . import _options
from ._errors import XenError
from ._lock import locked
from ._plan import Plan, Step
from ._run_id import subject_of
from .xenapi_session import Session, open_session

# For modules that have no time-out of their own.
LOCK_SECONDS = 300.0
Planner = Callable[..., Plan]  # (session, params), and the second session where there is one


class Declaration(Protocol):
    """What an ``Entity`` and an ``Info`` offer to the runner."""

    @property
    def rules(self) -> dict[str, Any]: ...

    def spec(self) -> _options.Spec: ...

    def plan(self, session: Session, params: dict[str, Any]) -> Plan: ...


class StepFailed(XenError):
    """A step failed after others were done."""

    def __init__(self, error: XenError, step: Step, done: list[Step], undone: list[str]) -> None:
        super().__init__(f"could not {step.summary}: {error}")
        self.error, self.done, self.undone = error, [step.summary for step in done], undone

    def facts(self) -> dict[str, Any]:
        # What was done and taken back again has not changed the pool.
        changed = len(self.done) > len(self.undone)
        return {**self.error.facts(), "steps_done": self.done, "undone": self.undone, "changed": changed}


def run(planner: Planner, options: Mapping[str, Any], *, second: str | None = None, **rules: Any) -> None:
    """Run a module: ``options`` are its own, ``rules`` are keywords of AnsibleModule such as ``required_if``.

    ``second`` names the option that holds the connection of another pool: the planner gets a session there as well, the
    same one when the option is left out.
    """
    module = AnsibleModule(
        argument_spec={**_options.connection(), **options},
        supports_check_mode=True,
        **rules,
    )
    try:
        for options_of in (module.params, module.params[second] if second else None):
            _options.refuse_no_time(options_of or {})
        with _one_at_a_time(module.params), ExitStack() as sessions:
            pools = [sessions.enter_context(open_session(module.params))]
            if second:
                other = module.params[second]
                pools.append(sessions.enter_context(open_session(other)) if other else pools[0])
            plan = planner(pools[0], module.params, *pools[1:])
            idle = not plan.steps and plan.wait is None
            result = plan.result if module.check_mode or idle else execute(plan)
    except XenError as error:
        failure: XenError | None = error
    else:
        failure = None
    if failure:  # Outside of the handler: Ansible would take the error for a crash and offer its traceback.
        module.fail_json(msg=str(failure), **failure.facts())
    for warning in plan.warnings:
        module.warn(warning)
    if module._diff and (plan.before or plan.after):
        result = {**result, "diff": {"before": plan.before, "after": plan.after}}
    module.exit_json(**{**result, "changed": plan.changed})


def _one_at_a_time(params: Mapping[str, Any]) -> AbstractContextManager[None]:
    """On one machine, tasks of runs that build the same wait for each other: a killed Ansible leaves its last task running."""
    subject = subject_of(params["run_id"])
    if subject is None:
        return nullcontext()
    what = "the task of another run that builds the same"
    return locked(f"run {params['hostname']} {subject}", timeout=params.get("timeout") or LOCK_SECONDS, what=what)


def execute(plan: Plan) -> dict[str, Any]:
    """Apply the steps in order and return the truth; when one fails, undo those before it, last first."""
    done: list[Step] = []
    for step in plan.steps:
        try:
            step.apply()
        except XenError as error:
            raise StepFailed(error, step, done, _undo(done)) from error
        except BaseException:  # SIGTERM or a defect: leave nothing half made, then go on failing.
            _undo(done)
            raise
        done.append(step)
    if plan.wait:
        _after(plan.wait, "see it ready", done)
    return _after(plan.read, "read how it is now", done) if plan.read else plan.result


def _after(look: Callable[[], Any], summary: str, done: list[Step]) -> Any:
    """What was done stays done when what it should lead to does not come, or cannot be seen."""
    try:
        return look()
    except XenError as error:
        raise StepFailed(error, Step(summary, look), done, []) from error


def _undo(done: list[Step]) -> list[str]:
    """Undo what can be undone; an undo that fails must not hide the error that led here."""
    undone = []
    for step in reversed(done):
        if step.undo is None:
            continue
        try:
            step.undo()
        except XenError:
            continue
        undone.append(step.summary)
    return undone


def run_entity(entity: Declaration, **rules: Any) -> None:
    """Run a module that is one declared entity."""
    shared = {**_options.state(), **_options.selector(), **_options.rename()}
    run(entity.plan, {**shared, **entity.spec()}, **{**entity.rules, **rules})


def run_info(info: Declaration, **rules: Any) -> None:
    """Run a module that only reads and returns a list."""
    run(info.plan, {**_options.selector(), **info.spec()}, **{**info.rules, **rules})
