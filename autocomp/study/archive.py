"""The records of a study so far: of each plan its best-trained one, and which of these nothing beats."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from autocomp import strict_json
from autocomp.record import TrialRecord

if TYPE_CHECKING:
    from autocomp.study.losses import LossScale


@dataclass(slots=True)
class _Plan:
    """One plan: steps and number of its first record, and the steps of the record that counts."""

    first: tuple[int, int]
    steps: int
    record: TrialRecord | bytes


class ParetoArchive:
    """The non-dominated records of a study that grows, without looking at all of them again for each new one.

    Records off the front are kept packed (a few hundred bytes each): one comes back only when the record that beats it
    is replaced by a longer trained one of the same plan that does not.

    Args:
        scale: says what is feasible, and how good.
    """

    def __init__(self, scale: LossScale) -> None:
        self._scale = scale
        self._rows: dict[str, int] = {}
        self._plans: list[_Plan] = []
        self._losses = np.empty((256, len(scale.objectives)))
        self._front: list[int] = []
        self.seen = 0
        self.changes = 0

    def add(self, record: TrialRecord) -> None:
        """Take in one record; `changes` grows whenever the front becomes another."""
        self.seen += 1
        if not self._scale.is_feasible(record):
            return
        steps, losses = record.fidelity.steps, self._scale.of([record])[0]
        fingerprint = record.plan.fingerprint
        row = self._rows.setdefault(fingerprint, len(self._plans))
        if row == len(self._plans):
            self._append(_Plan((steps, self.seen), steps, record), losses)
            self._enter(row)
            return
        plan = self._plans[row]
        plan.first = min(plan.first, (steps, self.seen))
        if steps >= plan.steps:
            plan.steps, plan.record = steps, record
            self._replace(row, losses)

    def front(self) -> list[TrialRecord]:
        """The records that nothing beats: by steps of each plan's first one, then in the order they came."""
        rows = sorted(self._front, key=lambda row: self._plans[row].first)
        return [self._unpacked(row) for row in rows]

    def _append(self, plan: _Plan, losses: np.ndarray) -> None:
        if len(self._plans) == len(self._losses):
            self._losses = np.concatenate([self._losses, np.empty_like(self._losses)])
        self._losses[len(self._plans)] = losses
        self._plans.append(plan)

    def _enter(self, row: int) -> None:
        """Let a row that is not on the front compare itself with the front."""
        losses, front = self._losses[row], self._losses[self._front]
        if np.any(np.all(front <= losses, axis=1) & np.any(front < losses, axis=1)):
            self._pack(row)
            return
        beaten = np.all(losses <= front, axis=1) & np.any(losses < front, axis=1)
        for place in np.flatnonzero(beaten):
            self._pack(self._front[place])
        self._front = [r for r, is_beaten in zip(self._front, beaten, strict=True) if not is_beaten] + [row]
        self.changes += 1

    def _replace(self, row: int, losses: np.ndarray) -> None:
        """Give a row other losses; what only it had beaten may come back."""
        before = self._losses[row].copy()
        self._losses[row] = losses
        if row not in self._front:
            self._enter(row)
            return
        self._front.remove(row)
        self.changes += 1
        self._enter(row)
        if np.all(losses <= before):
            return
        known = self._losses[: len(self._plans)]
        still_beaten = np.all(losses <= known, axis=1) & np.any(losses < known, axis=1)
        freed = np.flatnonzero(np.all(before <= known, axis=1) & ~still_beaten)
        for other in set(freed.tolist()) - set(self._front) - {row}:
            self._enter(other)

    def _pack(self, row: int) -> None:
        plan = self._plans[row]
        if isinstance(plan.record, TrialRecord):
            plan.record = zlib.compress(strict_json.dumps(plan.record.to_json(), default=list).encode(), 1)

    def _unpacked(self, row: int) -> TrialRecord:
        plan = self._plans[row]
        if isinstance(plan.record, bytes):
            plan.record = TrialRecord.from_json(strict_json.loads(zlib.decompress(plan.record)))
        return plan.record
