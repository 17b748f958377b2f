"""Which records are better? Losses, feasibility, candidates for the front, members as the reports show them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from autocomp import pareto
from autocomp.journal.member import Member, with_figures
from autocomp.pipeline.baselines import figures

if TYPE_CHECKING:
    from autocomp.measurement import Measurement
    from autocomp.objective import Objective
    from autocomp.record import TrialRecord


@dataclass(frozen=True)
class LossScale:
    """Losses relative to the teacher, everything minimised: `Objective.relative_loss`.

    Attributes:
        objectives: of the study.
        teacher: the teacher's values, one per objective.
    """

    objectives: tuple[Objective, ...]
    teacher: tuple[float, ...]

    def losses(self, measurements: dict[str, Measurement]) -> np.ndarray:
        """The losses `[m]` of one record's measurements."""
        return np.array([o.relative_loss(o.value(measurements), teacher) for o, teacher in self._pairs])

    def of(self, records: Sequence[TrialRecord]) -> np.ndarray:
        """The losses `[n, m]` of complete records."""
        return np.array([self.losses(dict(r.measurements)) for r in records]).reshape(-1, len(self.objectives))

    @property
    def reference(self) -> np.ndarray:
        """The hypervolume's reference point, `[m]`."""
        return np.array([objective.worst_loss(teacher) for objective, teacher in self._pairs])

    @property
    def _pairs(self) -> list[tuple[Objective, float]]:
        return list(zip(self.objectives, self.teacher, strict=True))

    def is_feasible(self, record: TrialRecord) -> bool:
        """Whether a record is complete and within every limit."""
        measured = dict(record.measurements)
        return record.status == "complete" and all(o.is_feasible(o.value(measured)) for o in self.objectives)

    def spread(self, front: Sequence[TrialRecord], most: int) -> list[TrialRecord]:
        """At most `most` of records that nothing dominates, well spread; within the reference if any of them is."""
        losses = self.of(front)
        inside = np.all(losses < self.reference, axis=1)
        rows = np.flatnonzero(inside if inside.any() else np.ones(len(front), bool))
        return [front[rows[i]] for i in pareto.thin(losses[rows], most)]

    def hypervolume(self, records: Sequence[TrialRecord]) -> float:
        """The hypervolume of the records' losses."""
        return pareto.hypervolume(self.of(records), self.reference) if records else 0.0


def member(record: TrialRecord, describe: str) -> Member:
    """A record as the reports show it; held-out figures come with the final front."""
    known: Member = {
        "id": record.id,
        "record": record.id,
        "describe": describe,
        "plan": record.plan.to_json(),
        "fidelity": record.fidelity.to_json(),
    }
    return with_figures(known, figures(record.measurements))
