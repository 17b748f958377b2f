"""How deep: fidelities that grow threefold, and who earns the next one (ASHA, Li et al. 2018, arXiv:1810.05934).

Asynchronous, but with several objectives: a student is worth the hypervolume that the points of its sweep add to those
of all students at its rung; a student whose points all are dominated is worth nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from autocomp import pareto
from autocomp.budget import Fidelity

REDUCTION = 3
RUNGS = 3
NOBODY = -1


@dataclass(frozen=True)
class Finished:
    """A student that passed a rung: its identity, the rung, and the losses of its sweep `[k, m]`, minimised."""

    student: str
    rung: int
    losses: np.ndarray


def ladder(first_steps: int, batch: int = 32, rungs: int = RUNGS) -> tuple[Fidelity, ...]:
    """Fidelities of `first_steps` recovery steps and threefold more each."""
    return tuple(Fidelity(r, first_steps * REDUCTION**r, batch) for r in range(rungs))


class Promotions:
    """Who finished what, and who goes on next. What it costs depends on the fronts, not on how many have finished.

    Args:
        top: the last rung.
        reference: of the hypervolume, `[m]`.
    """

    def __init__(self, top: int, reference: np.ndarray) -> None:
        self._rungs = [_Rung(reference) for _ in range(top)]

    def add(self, finished: Finished) -> None:
        """A student passed a rung."""
        if finished.rung < len(self._rungs):
            self._rungs[finished.rung].add(finished)

    def next(self) -> tuple[str, int] | None:
        """The student to train on and its next rung, from the highest rung that owes a promotion; None if none does.

        A rung owes one promotion for each `REDUCTION` students that passed it. The answer stays the same until the
        student is `taken`.
        """
        for rung in range(len(self._rungs) - 1, -1, -1):
            here = self._rungs[rung]
            if here.passed // REDUCTION > len(here.taken) and (student := here.best()):
                return student, rung + 1
        return None

    def taken(self, student: str, to: int) -> None:
        """A student was sent on to rung `to`."""
        if to <= len(self._rungs):
            self._rungs[to - 1].taken.add(student)


class _Rung:
    """Students that passed one rung.

    Rows that two other students beat are forgotten: whoever is left out, they add nothing. What a student adds to the
    others' hypervolume can only shrink while others come, so an older value bounds it, and only students whose bound
    is the largest are computed anew (lazily, as in Minoux 1978, doi:10.1007/BFb0006528).
    """

    def __init__(self, reference: np.ndarray) -> None:
        self.passed = self.computed = 0
        self.taken: set[str] = set()
        self._reference = reference
        self._numbers: dict[str, int] = {}
        self._losses = np.empty((0, len(reference)))
        self._owner, self._beaten_by = np.empty(0, int), np.empty(0, int)
        self._bounds: dict[str, float] = {}
        self._exact: set[str] = set()

    def add(self, finished: Finished) -> None:
        """A student passed."""
        self.passed += 1
        own = self._numbers.setdefault(finished.student, len(self._numbers))
        new = finished.losses[pareto.is_non_dominated(finished.losses)]
        beaten = _dominates(new, self._losses).any(axis=0)
        by = [np.unique(self._owner[rows]) for rows in _dominates(self._losses, new).T]
        kept = np.array([len(owners) < 2 for owners in by])
        if not beaten.any() and not kept.any():
            return
        beaten_by = np.array([owners[0] if len(owners) else NOBODY for owners in by])
        forgotten = beaten & (self._beaten_by != NOBODY) & (self._beaten_by != own)
        self._beaten_by[beaten] = own
        self._losses = np.concatenate([self._losses[~forgotten], new[kept]])
        self._owner = np.concatenate([self._owner[~forgotten], np.full(kept.sum(), own)])
        self._beaten_by = np.concatenate([self._beaten_by[~forgotten], beaten_by[kept]])
        self._exact.clear()
        if np.any(beaten_by[kept] == NOBODY):
            self._bounds[finished.student] = math.inf

    def best(self) -> str | None:
        """Who adds the most of those that were not taken; None if nobody adds anything."""
        while left := [s for s in self._bounds if s not in self.taken]:
            best = max(left, key=lambda s: (self._bounds[s], s))
            if best in self._exact:
                return best
            self._compute(best)
        return None

    def _compute(self, student: str) -> None:
        self.computed += 1
        own = self._numbers[student]
        is_free, is_mine = self._beaten_by == NOBODY, self._owner == own
        others = self._losses[~is_mine & (is_free | (self._beaten_by == own))]
        self._bounds[student] = pareto.added(self._losses[is_mine & is_free], others, self._reference)
        self._exact.add(student)
        if self._bounds[student] <= 0:
            del self._bounds[student]


def _dominates(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """`[n, k]`: whether row i of `a` (`n x m`) dominates row j of `b` (`k x m`)."""
    found: np.ndarray = np.all(a[:, None] <= b[None], axis=2) & np.any(a[:, None] < b[None], axis=2)
    return found
