# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The words and the verdict."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from .matching import Difference
from .thresholds import THRESHOLDS

WIDTH = 200


@dataclass
class StepResult:
    """How one step went; no differences is a pass."""

    number: int
    title: str
    differences: list[Difference] = field(default_factory=list)
    accepted: str | None = None

    @property
    def passed(self) -> bool:
        return not self.differences or self.accepted is not None


@dataclass
class FileResult:
    """How one recording went."""

    name: str
    steps: list[StepResult]

    @property
    def passed(self) -> int:
        return sum(step.passed for step in self.steps)

    @property
    def rate(self) -> float:
        return 100.0 * self.passed / len(self.steps) if self.steps else 0.0

    @property
    def met(self) -> bool:
        return self.rate >= THRESHOLDS.get(self.name, 0.0)

    def line(self) -> str:
        wanted = f"needs {THRESHOLDS[self.name]:.0f} %" if self.name in THRESHOLDS else ""
        accepted = sum(step.accepted is not None for step in self.steps)
        remarks = [f"{accepted} accepted" if accepted else "", wanted, "" if self.met else "NOT MET"]
        return f"{self.name:16} {self.passed:4} of {len(self.steps):4}  {self.rate:5.1f} %  {', '.join(filter(None, remarks))}".rstrip()

    def failures(self, limit: int | None = None) -> list[str]:
        failed = [step for step in self.steps if not step.passed]
        lines = [line for step in failed[:limit] for line in describe(self.name, step)]
        if limit is not None and len(failed) > limit:
            lines.append(f"    … and {len(failed) - limit} more (--verbose)")
        return lines


def describe(recording: str, step: StepResult) -> list[str]:
    """File, step, call; then each place with what was expected and what came."""
    lines = [f"  {recording} step {step.number}: {step.title}"]
    for difference in step.differences[:4]:
        lines.append(f"      {difference.path}: expected {shown(difference.expected)}")
        lines.append(f"      {' ' * len(difference.path)}       got {shown(difference.actual)}")
    if len(step.differences) > 4:
        lines.append(f"      … and {len(step.differences) - 4} more differences")
    return lines


def shown(value: Any) -> str:
    text = value if value == "(missing)" else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= WIDTH else f"{text[:WIDTH]}…"


def totals(files: list[FileResult]) -> str:
    """The last line of the output; other programs read it."""
    passed = sum(file.passed for file in files)
    return f"{passed} passed, {sum(len(file.steps) for file in files) - passed} failed"
