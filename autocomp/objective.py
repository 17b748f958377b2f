"""What is better? A measure with a direction, a limit and a worst value."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from autocomp.errors import SpecError
from autocomp.measurement import Measurement
from autocomp.plan import Options


class Objective(BaseModel):
    """One criterion, as a person wrote it in `objectives/*.yaml`.

    Attributes:
        name: the file's stem.
        measure: name of the measure that yields the number.
        options: of the measure (`statistic: p95`).
        direction: `minimize` or `maximize`.
        worst_times_teacher: coordinate of the hypervolume reference point, as a multiple of the teacher's value.
        limit: infeasible beyond it, in the measure's unit.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    summary: str = ""
    measure: str
    options: Options = Field(default_factory=dict)
    direction: Literal["minimize", "maximize"] = "minimize"
    worst_times_teacher: float = Field(default=1.1, gt=0)
    limit: float | None = None

    def value(self, measurements: dict[str, Measurement]) -> float:
        """The number this criterion looks at: the measure's value or the named statistic.

        Raises:
            SpecError: the measure gives no such statistic.
        """
        measurement = measurements[self.measure]
        statistic = self.options.get("statistic")
        if statistic is None:
            return measurement.value
        if statistic not in measurement.details:
            known = ", ".join(sorted(measurement.details)) or "none"
            rule = f"must be a statistic that {self.measure} gives ({known})"
            raise SpecError(f"objective {self.name}", "options.statistic", rule, statistic)
        return measurement.details[statistic]

    def to_loss(self, value: float) -> float:
        """The value as something to minimise: the only place where a sign is turned."""
        return value if self.direction == "minimize" else -value

    def is_feasible(self, value: float) -> bool:
        """Whether the limit, if any, holds."""
        return self.limit is None or self.to_loss(value) <= self.to_loss(self.limit)

    def relative_loss(self, value: float, teacher: float) -> float:
        """The value beside the teacher's, minimised: what hypervolumes count and searchers learn from.

        Sizes and times count by the logarithm of their ratio to the teacher's, scores by the difference to it: ten
        times smaller is as much again after the first ten times, one point less is one point less.
        """
        if self.direction == "minimize":
            return math.log(max(value, 1e-12) / max(teacher, 1e-12))
        return self.to_loss(value - teacher)

    def worst_loss(self, teacher: float) -> float:
        """Coordinate of the hypervolume's reference point, as a `relative_loss`."""
        worst = self.worst_times_teacher
        return math.log(worst) if self.direction == "minimize" else abs(teacher) * (worst - 1)
