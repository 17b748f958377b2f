"""One number for each text or pair of texts: a grade, a similarity, how well a passage answers a question."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from autocomp.heads import Answer, AnswerKey, Target
from autocomp.heads._pooled import PooledHead

if TYPE_CHECKING:
    from torch import Tensor

STRATA = 10
"""Rows are shared out over splits by the tenth of the numbers that theirs is in."""
NEAR = 0.25
"""Two numbers are the same answer if they differ by less than this part of the numbers' spread."""


class Regression(PooledHead):
    """The head that gives a number."""

    summary = "one number"
    default_metric = "spearman"
    exit_rules = ()
    answer_key: AnswerKey = "value"
    problem_type = "regression"
    has_thresholds = False
    fewest_labels = 1

    def targets(self, rows: Sequence[Target], labels: int) -> np.ndarray:
        """The number, float32 `[n]`."""
        return np.array(rows, dtype=np.float32)

    def strata(self, rows: Sequence[Target], labels: int) -> list[int]:
        """The tenth of the sorted numbers that each is in; equal numbers are in one."""
        numbers = np.array(rows, dtype=float)
        edges = np.quantile(numbers, np.arange(1, STRATA) / STRATA)
        return [int(stratum) for stratum in np.searchsorted(edges, numbers, side="right")]

    def loss(self, outputs: Tensor, targets: Tensor, unit: float = 1.0) -> Tensor:
        """Squared error in units of the numbers' spread."""
        return ((outputs[:, 0] - targets) / unit).square()

    def distance(self, outputs: Tensor, teacher: Tensor, temperature: float, unit: float = 1.0) -> Tensor:
        """Mean squared difference in units of the numbers' spread; a temperature would change its weight only."""
        return ((outputs - teacher) / unit).square().mean()

    def divergence(self, reference: np.ndarray, outputs: np.ndarray, unit: float = 1.0) -> float:
        """Mean squared difference in units of the numbers' spread."""
        return float((((reference - outputs) / unit) ** 2).mean())

    def thresholds(self, outputs: np.ndarray, targets: np.ndarray, metric: str) -> tuple[float, ...]:
        """None: the number is the answer."""
        return ()

    def answers(self, outputs: np.ndarray, thresholds: Sequence[float] = ()) -> np.ndarray:
        """The number, float64 `[n]`."""
        return outputs[..., 0].astype(np.float64)

    def constants(self, targets: np.ndarray, labels: Sequence[str]) -> dict[str, np.ndarray]:
        """The mean."""
        return {f"{targets.mean():.4g}, the mean": np.full_like(targets, targets.mean())}

    def equal(self, ours: np.ndarray, theirs: np.ndarray, unit: float = 1.0) -> np.ndarray:
        """1 where the numbers differ by less than a quarter of their spread."""
        return np.asarray(np.abs(ours - theirs) < NEAR * unit, float)

    def apart(self, ours: np.ndarray, theirs: np.ndarray, unit: float = 1.0) -> np.ndarray:
        """How far the numbers differ, in their spread; 0 below a quarter of it."""
        return np.asarray(np.where(self.equal(ours, theirs, unit), 0.0, np.abs(ours - theirs) / unit), float)

    def sureness(self, outputs: np.ndarray, thresholds: Sequence[float] = ()) -> np.ndarray | None:
        """None: a number has no probability."""
        return None

    def rows(self, answers: np.ndarray) -> list[Target]:
        """The number."""
        return [float(answer) for answer in answers]

    def answer(self, outputs: np.ndarray, labels: Sequence[str], thresholds: Sequence[float] = ()) -> Answer:
        """The number, under the name that the task gives it."""
        value = float(outputs[0])
        return Answer((), {labels[0]: value}, value)


head = Regression()
