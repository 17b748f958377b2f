"""How far did a study come, and when? Hypervolume, candidates and budget over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypedDict

import numpy as np

from autocomp.objective import Objective
from autocomp.pareto import IncrementalHypervolume
from autocomp.report.columns import rounded
from autocomp.report.objectives import key_of

MOST = 200
"""Points of a line."""
KINDS = ("wall_s", "cpu_s", "gpu_s", "trials")


class ProgressJson(TypedDict):
    """Lines over time, as docs/command-line.md describes them.

    Attributes:
        at_s: seconds after the run began.
        hypervolume: None where it cannot be known.
        records: candidates so far.
        spent, given: of the budget's first limited kind, `unit`; nothing is given where no kind is limited.
    """

    at_s: list[float | None]
    hypervolume: list[float | None]
    records: list[int]
    spent: list[float | None]
    unit: str
    given: float | None


class Progress:
    """What was found and spent so far, told record by record and charge by charge.

    The hypervolume is that of all feasible records so far, judged as the study judges. It is None where that cannot be
    known: an objective whose file is gone, or one that the teacher has no number for.
    """

    def __init__(self) -> None:
        self._objectives: tuple[Objective, ...] = ()
        self._teacher: list[float] = []
        self._growing: IncrementalHypervolume | None = None
        self._rows: list[list[float] | None] = []
        self._record_at: list[float] = []
        self._volumes: list[float] = []
        self._charge_at: list[float] = []
        self._spent: list[dict[str, float]] = []

    def judged_by(self, objectives: Sequence[Objective], teacher: Mapping[str, float | None], known: int) -> None:
        """Set what records are judged by; those that came before (of a resumed study) are judged again.

        Args:
            teacher: its value by the objective's name.
            known: how many objectives the study has; with fewer given, nothing can be judged.
        """
        found = [teacher.get(objective.name) for objective in objectives]
        if not objectives or None in found or known != len(objectives):
            return
        self._objectives, self._teacher = tuple(objectives), [float(v) for v in found if v is not None]
        self._growing = IncrementalHypervolume(np.array([o.worst_loss(t) for o, t in self._pairs]))
        self._volumes = [self._grown(row) for row in self._rows]

    def record(self, at_s: float, figures: Mapping[str, float]) -> None:
        """A complete record's figures, journaled `at_s` seconds after the run began."""
        values = [figures.get(key_of(objective)) for objective in self._objectives]
        row = None if None in values else [float(v) for v in values if v is not None]
        self._record_at.append(_after(self._record_at, at_s))
        self._rows.append(row)
        self._volumes.append(self._grown(row))

    def charge(self, at_s: float, spent: Mapping[str, float]) -> None:
        """All that is spent `at_s` seconds after the run began, by kind."""
        self._charge_at.append(_after(self._charge_at, at_s))
        self._spent.append(dict(spent))

    def to_json(self, given: Mapping[str, float | None]) -> ProgressJson:
        """Lines of at most 200 points; `given` is the budget, of which the first limited kind is the unit."""
        unit = next((kind for kind in KINDS if given.get(kind) is not None), "wall_s")
        times = _times([0.0, *self._record_at, *self._charge_at])
        seen = np.searchsorted(self._record_at, times, side="right")
        paid = np.searchsorted(self._charge_at, times, side="right")
        volumes, spent = [0.0, *self._volumes], [0.0, *(line[unit] for line in self._spent)]
        return {
            "at_s": [rounded(at) for at in times],
            "hypervolume": [rounded(volumes[i]) if self._growing else None for i in seen],
            "records": seen.tolist(),
            "spent": [rounded(spent[i]) for i in paid],
            "unit": unit,
            "given": given.get(unit),
        }

    @property
    def _pairs(self) -> list[tuple[Objective, float]]:
        return list(zip(self._objectives, self._teacher, strict=True))

    def _grown(self, row: Sequence[float] | None) -> float:
        """The hypervolume once a row was taken in."""
        if self._growing is None:
            return 0.0
        if row is not None and all(o.is_feasible(v) for o, v in zip(self._objectives, row, strict=True)):
            pairs = zip(self._pairs, row, strict=True)
            self._growing.add(np.array([o.relative_loss(value, teacher) for (o, teacher), value in pairs]))
        return self._growing.volume


def _after(told: Sequence[float], at_s: float) -> float:
    """A time that is not before the last one: a run may be resumed on a machine whose clock is behind."""
    return max(at_s, told[-1]) if told else at_s


def _times(told: Sequence[float]) -> list[float]:
    """When something happened; of many times, evenly spread ones from the first to the last."""
    distinct = sorted(set(told))
    return distinct if len(distinct) <= MOST else np.linspace(distinct[0], distinct[-1], MOST).tolist()
