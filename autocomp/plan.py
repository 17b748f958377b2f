"""What is a candidate? Steps with settled options, in stage order; plain data with a stable fingerprint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypedDict

from autocomp.strict_json import JsonView

Options = Mapping[str, Any]
"""Options of a technique, or of a measure, by name: plain JSON values, whose names and types it alone knows."""


def canonical(data: Any) -> str:
    """JSON with sorted keys and no spaces: the text that every fingerprint hashes."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=list)


def fingerprint(data: Any) -> str:
    """Stable 16-digit hexadecimal hash of plain data."""
    return hashlib.sha256(canonical(data).encode()).hexdigest()[:16]


class StepJson(TypedDict):
    """A step as plain data."""

    technique: str
    options: Options


class PlanJson(TypedDict):
    """A plan as plain data."""

    steps: list[StepJson]


@dataclass(frozen=True)
class Step:
    """One technique with settled options (plain JSON values)."""

    technique: str
    options: Options

    def to_json(self) -> StepJson:
        """The step as plain data, its options' sequences as lists."""
        return {"technique": self.technique, "options": json.loads(canonical(dict(self.options)))}


@dataclass(frozen=True)
class CompressionPlan:
    """The candidate: steps in stage order. Equal plans have equal fingerprints."""

    steps: tuple[Step, ...] = ()

    @cached_property
    def fingerprint(self) -> str:
        """Identity of the plan; duplicates are recognised by it."""
        return fingerprint(self.to_json())

    def options(self, technique: str) -> Options | None:
        """Options of one step, None when the plan has no such step."""
        return next((s.options for s in self.steps if s.technique == technique), None)

    def keep(self, techniques: Iterable[str]) -> CompressionPlan:
        """The plan with only these techniques' steps."""
        wanted = set(techniques)
        return CompressionPlan(tuple(s for s in self.steps if s.technique in wanted))

    def replacing(self, steps: Iterable[Step]) -> CompressionPlan:
        """The plan with some steps' options changed; a step it lacks is added at the end."""
        new = {s.technique: s for s in steps}
        kept = tuple(new.pop(s.technique, s) for s in self.steps)
        return CompressionPlan((*kept, *new.values()))

    def to_json(self) -> PlanJson:
        """The plan as plain data."""
        return {"steps": [s.to_json() for s in self.steps]}

    @classmethod
    def from_json(cls, data: JsonView) -> CompressionPlan:
        """Inverse of `to_json`."""
        return cls(tuple(Step(s["technique"], s["options"]) for s in data["steps"]))
